"""Toy plug-ins that do real work or real harm on command, for testing what runs plug-ins.

They are no entry points: a campaign file cannot name them. An executor accepts them only when the
code that makes it says ``plugins="heuresis.testing.fakes:load"``; then `PoolSpec.kind` is a dotted
path ``module:Class``, so a third party's tests can name their own classes too.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from numpy.random import Generator

from heuresis import registry
from heuresis.errors import (
    CalculationError,
    ImplausibleResultError,
    InvalidCandidate,
    OracleSetupError,
)
from heuresis.ports import PluginConfig
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    LearningReport,
    Measurement,
    Observation,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
    Prompt,
    Proposal,
    ScoredCandidate,
)

PLUGINS = "heuresis.testing.fakes:load"
TEXT_SPACE = "heuresis.testing.fakes:TextSpace"
SCRIPTED_ORACLE = "heuresis.testing.fakes:ScriptedOracle"
SCRIPTED_PROPOSER = "heuresis.testing.fakes:ScriptedProposer"
OBSERVING_PROPOSER = "heuresis.testing.fakes:ObservingProposer"


def load(group: str, name: str) -> Any:
    """Return the class at a dotted path ``module:Class``, or the registered plug-in ``name``."""
    module, colon, attribute = name.partition(":")
    if not colon:
        return registry.load(group, name)
    return getattr(import_module(module), attribute)


def candidate(text: str) -> Candidate:
    """Return a candidate of the toy text space."""
    return Candidate.of(TEXT_SPACE, text)


def process_lives(number: int) -> bool:
    """Tell whether a process runs; one that ended and waits to be reaped does not.

    A first thread that ended while others still do keeps the files of the process open.
    """
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        threads = sum(1 for _ in Path(f"/proc/{number}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False
    return threads > 1 or state not in {"Z", "X"}


class TextSpace:
    """Texts without blanks around them, in lower case; those that start with ``!`` are invalid."""

    kind: ClassVar[str] = TEXT_SPACE

    class Config(PluginConfig):
        """Constraints."""

        longest: int = 100

    def __init__(self, config: Config) -> None:
        self._config = config

    def canonical(self, text: str) -> str:
        """Return the text stripped and in lower case."""
        if text.startswith("!"):
            raise InvalidCandidate("syntax", f"'{text}' starts with '!'")
        if text.startswith("?"):
            raise RuntimeError("this text breaks the parser")
        if len(text) > self._config.longest:
            raise InvalidCandidate("size", f"more than {self._config.longest} characters")
        return text.strip().lower()

    def depict(self, text: str) -> str:
        """Return a picture of the text."""
        return f'<svg xmlns="http://www.w3.org/2000/svg"><text y="16">{text}</text></svg>'


class ScriptedOracle:
    """Does to each candidate what its text says; see `ScriptedOracle.ACTIONS`.

    A text is ``action``, ``action:argument`` or either followed by ``#anything`` to make it unique.
    Texts without a known action are measured: their length in characters.
    """

    class Config(PluginConfig):
        """What happens besides the candidates' scripts."""

        call_s: float = 0.0
        """Seconds that each call sleeps."""
        start_s: float = 0.0
        """Seconds that the start takes."""
        start_error: str | None = None
        """Fail to start, with this message."""
        die_at_start: bool = False
        """Kill the process at the start."""
        spaces: tuple[str, ...] = (TEXT_SPACE,)
        isolated: bool = True
        batch_size: int = 1
        timeout_s: float = 5.0
        cost_class: CostClass = CostClass.SECONDS

    def __init__(self, config: Config) -> None:
        if config.start_error is not None:
            raise OracleSetupError(config.start_error)
        self._config = config
        self._calls = 0

    def prepare(self) -> None:
        """Take as long to start, or die, as configured."""
        time.sleep(self._config.start_s)
        if self._config.die_at_start:
            sys.stderr.write("no luck today\n")
            sys.stderr.flush()
            os._exit(7)

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Declare one output, ``length`` in characters."""
        return OracleDeclaration(
            kind=SCRIPTED_ORACLE,
            version="1",
            spaces=config.spaces,
            outputs={"length": OutputDeclaration(unit="1", description="characters")},
            checks={"counted": "the characters were counted"},
            cost_class=config.cost_class,
            isolated=config.isolated,
            batch_size=config.batch_size,
            timeout_s=config.timeout_s,
            reference="none",
        )

    def evaluate(
        self, candidates: Sequence[Candidate], *, seed: int, workdir: Path
    ) -> list[Outcome]:
        """Measure, or misbehave as told."""
        self._calls += 1
        if self._config.call_s:
            time.sleep(self._config.call_s)
        (workdir / "scratch.txt").write_text(str(seed))
        outcomes = [self._one(candidate, seed, workdir) for candidate in candidates]
        if any(candidate.text.startswith("miscount") for candidate in candidates):
            outcomes.append(outcomes[0])
        return outcomes

    def _one(self, candidate: Candidate, seed: int, workdir: Path) -> Outcome:
        script = candidate.text.partition("#")[0]
        action, _, argument = script.partition(":")
        method = self.ACTIONS.get(action)
        if method is not None:
            outcome = method(self, argument, workdir)
            if outcome is not None:
                return outcome
        return _length(len(candidate.text) + 0 * seed)

    def _sleep(self, argument: str, _: Path) -> None:
        time.sleep(float(argument))

    def _hang(self, _: str, __: Path) -> None:
        # Native code that never comes back: the interpreter lock is held, signals are not seen.
        ctypes.PyDLL(None).sleep(3600)

    def _hang_with_helper(self, argument: str, _: Path) -> None:
        helper = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        Path(argument).write_text(str(helper.pid))
        self._hang("", Path())

    def _raise(self, argument: str, workdir: Path) -> None:
        raise RuntimeError(f"{argument or 'unexpected'} in {workdir}")

    def _calculation(self, argument: str, _: Path) -> None:
        raise CalculationError(argument or "no convergence")

    def _setup(self, argument: str, _: Path) -> None:
        raise OracleSetupError(argument or "unsupported element")

    def _implausible(self, argument: str, _: Path) -> None:
        raise ImplausibleResultError(argument or "energy drift")

    def _segfault(self, _: str, __: Path) -> None:
        ctypes.string_at(0)

    def _leave(self, argument: str, _: Path) -> None:
        sys.stderr.write("out of licences\n")
        sys.stderr.flush()
        os._exit(int(argument or 3))

    def _kill(self, argument: str, _: Path) -> None:
        os.kill(os.getpid(), int(argument or 9))

    def _memory(self, _: str, __: Path) -> None:
        hoard = []
        while True:
            hoard.append(bytearray(2**26))

    def _noise(self, _: str, __: Path) -> None:
        os.write(1, b"noise on standard output\n" * 10_000)
        os.write(2, b"noise on standard error\n" * 10_000)

    def _nan(self, _: str, __: Path) -> Outcome:
        return _length(float("nan"))

    def _infinite_uncertainty(self, _: str, __: Path) -> Outcome:
        spread = Measurement(value=1.0, unit="1", uncertainty=float("inf"))
        return Evaluation(measurements={"length": spread})

    def _unit(self, _: str, __: Path) -> Outcome:
        return Evaluation(measurements={"length": Measurement(value=1.0, unit="angstrom")})

    def _output(self, _: str, __: Path) -> Outcome:
        return Evaluation(measurements={"width": Measurement(value=1.0, unit="1")})

    def _check(self, _: str, __: Path) -> Outcome:
        return Evaluation(
            measurements={"length": Measurement(value=1.0, unit="1")}, checks=("invented",)
        )

    def _wrong(self, _: str, __: Path) -> Outcome:
        return _length(1.0).model_copy(update={"candidate_id": "somebody else"})

    def _full_disk(self, _: str, __: Path) -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 100_000)

    def _environment(self, argument: str, _: Path) -> Outcome:
        return _length(float(os.environ.get(argument, "-1")))

    def _process(self, _: str, __: Path) -> Outcome:
        return _length(float(os.getpid()))

    def _once(self, argument: str, _: Path) -> None:
        """Die the first time that the marker file is seen missing."""
        marker = Path(argument)
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), 9)

    ACTIONS: ClassVar[dict[str, Callable[[ScriptedOracle, str, Path], Outcome | None]]] = {
        "sleep": _sleep,
        "hang": _hang,
        "hang-with-helper": _hang_with_helper,
        "raise": _raise,
        "calculation": _calculation,
        "setup": _setup,
        "implausible": _implausible,
        "segfault": _segfault,
        "leave": _leave,
        "kill": _kill,
        "memory": _memory,
        "noise": _noise,
        "nan": _nan,
        "infinite-uncertainty": _infinite_uncertainty,
        "unit": _unit,
        "output": _output,
        "check": _check,
        "wrong": _wrong,
        "full-disk": _full_disk,
        "environment": _environment,
        "process": _process,
        "once": _once,
    }


def _length(value: float) -> Evaluation:
    return Evaluation(
        measurements={"length": Measurement(value=value, unit="1")}, checks=("counted",)
    )


class ScriptedProposer:
    """Proposes random words, remembers how often it learned; the texts in ``says`` come first."""

    class Config(PluginConfig):
        """What to do."""

        says: tuple[str, ...] = ()
        propose_s: float = 0.0
        start_error: str | None = None
        too_many: bool = False

    def __init__(self, config: Config, space: Any) -> None:
        if config.start_error is not None:
            raise OracleSetupError(config.start_error)
        self._config = config
        self._space = space
        self._lessons: list[str] = []

    @property
    def model_version(self) -> str:
        """Count of the lessons learned."""
        return f"lessons-{len(self._lessons)}"

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return the scripted texts, then random words; exemplars can order a death."""
        if self._config.propose_s:
            time.sleep(self._config.propose_s)
        for exemplar in prompt.exemplars:
            if exemplar.candidate.text == "kill":
                os.kill(os.getpid(), 9)
            if exemplar.candidate.text == "raise":
                raise RuntimeError("the model lost its mind")
        given = count + self._config.too_many
        words = ["".join(rng.choice(list("abcdef"), 8)) for _ in range(given)]
        texts = [*self._config.says, *words][:given]
        return [Proposal(text=text, operator="sample") for text in texts]

    def learn(self, examples: Sequence[ScoredCandidate], rng: Generator) -> LearningReport:
        """Note the best example; the example ``raise`` breaks half-way."""
        self._lessons.append(f"{examples[0].candidate.text}:{rng.integers(1000)}")
        if examples[0].candidate.text == "raise":
            raise RuntimeError("diverged")
        if examples[0].candidate.text == "kill":
            os.kill(os.getpid(), 9)
        return LearningReport(model_version=self.model_version, updates=1)

    def save(self, folder: Path) -> None:
        """Write the lessons."""
        (folder / "lessons.json").write_text(json.dumps(self._lessons))

    def load(self, folder: Path) -> None:
        """Read the lessons."""
        self._lessons = json.loads((folder / "lessons.json").read_text())


class ObservingProposer(ScriptedProposer):
    """A `ScriptedProposer` whose words end with a digest of all that it was told."""

    class Config(ScriptedProposer.Config):
        """What to do besides."""

        raise_share: float = 0.0
        """Share of asks and lessons that break half-way, as the generator given decides."""

    def __init__(self, config: Config, space: Any) -> None:
        super().__init__(config, space)
        self._raise_share = config.raise_share
        self._told: list[Observation] = []

    @staticmethod
    def digest(told: Sequence[Observation]) -> str:
        """Return four to eleven digits that depend on every observation and on their order."""
        text = "".join(observation.model_dump_json() for observation in told)
        digits = hashlib.sha256(text.encode()).hexdigest()
        return digits[: 4 + int(digits[-1], 16) // 2]

    def observe(self, news: Sequence[Observation]) -> None:
        """Keep the news; the candidate ``raise`` breaks it half-way."""
        for observation in news:
            if observation.candidate.text == "raise":
                raise RuntimeError("this news is too bad")
            self._told.append(observation)

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return words that end with the digest."""
        if rng.random() < self._raise_share:
            self._told.clear()
            raise RuntimeError("the model lost its mind")
        mark = self.digest(self._told)
        words = [f"{p.text}-{mark}" for p in super().propose(prompt, count, rng)]
        return [
            Proposal(text=word, operator="sample") for word in words if word not in prompt.in_flight
        ]

    def learn(self, examples: Sequence[ScoredCandidate], rng: Generator) -> LearningReport:
        """Learn, or break half-way."""
        if rng.random() < self._raise_share:
            self._told.clear()
            raise RuntimeError("diverged")
        return super().learn(examples, rng)
