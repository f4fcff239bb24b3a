"""The contracts between the core and everything that plugs into it.

Plug-in classes follow one convention: a nested frozen pydantic model ``Config`` (extra forbidden),
``__init__(self, config, ...)``, and heavy imports inside methods, so that ``heuresis check`` can
read declarations without loading torch, OpenMM or tblite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from numpy.random import Generator

from heuresis.events import Entry, Event
from heuresis.plugin import PluginConfig
from heuresis.records import (
    Candidate,
    LearningReport,
    Observation,
    OracleDeclaration,
    Outcome,
    Prompt,
    Proposal,
    ScoredCandidate,
)
from heuresis.spaces.features import Features
from heuresis.tasks import PoolSpec, Settlement, Task


class DesignSpace(Protocol):
    """What candidates are. ``Config`` holds the constraints of this campaign.

    A class is built as ``Space(config)``.
    """

    kind: ClassVar[str]
    Config: ClassVar[Any]  # a subclass of PluginConfig; Any, for class attributes are invariant

    def canonical(self, text: str) -> str:
        """Return the canonical text.

        Raises:
            InvalidCandidate: not parseable, or a constraint is violated.
        """
        ...

    def depict(self, text: str) -> str:
        """Return a self-contained SVG picture of a canonical text."""
        ...


@runtime_checkable
class Featured(Protocol):
    """A space that says what its texts are made of: an optional second port of spaces.

    Surrogates read features only, so what they can do they can do in any such space.
    """

    feature_blocks: ClassVar[tuple[str, ...]]
    """Names of the blocks of counts that it knows; the first is the usual one."""

    def features(self, texts: Sequence[str], blocks: Sequence[str] = ...) -> Features:
        """Return features of canonical texts, in order, with the blocks of counts asked for.

        Raises:
            InvalidCandidate: a text cannot be read.
        """
        ...


class Proposer(Protocol):
    """Makes candidate texts. A class is built as ``Proposer(config, space)``.

    It may have a class method ``check_space(config, space)`` that raises a `UserError` when it
    cannot work there; ``heuresis check`` asks it, so it must load nothing heavy.
    """

    Config: ClassVar[Any]  # a subclass of PluginConfig; Any, for class attributes are invariant

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` texts; invalid ones are allowed and counted, never hidden."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A proposer that learns from scores. All state it learns is in ``save``/``load``."""

    def learn(self, examples: Sequence[ScoredCandidate], rng: Generator) -> LearningReport:
        """Take one learning step from the best scored candidates (descending score)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the learned state (weights and optimiser) as safetensors/JSON into ``folder``."""
        ...

    def load(self, folder: Path) -> None:
        """Restore exactly what ``save`` wrote."""
        ...


@runtime_checkable
class Observer(Protocol):
    """A proposer that is told what became of every candidate: an optional second port.

    What it proposes is a function of all observations so far in their order (however they were
    portioned), the prompt, the count and the generator, and of learned state if it also learns;
    anything that it keeps between calls must follow from those. So it is never saved: a worker
    that starts anew is told everything again. `Trainable.learn` must not depend on observations.
    """

    def observe(self, news: Sequence[Observation]) -> None:
        """Take note of what was judged since the last call, in the order of judgement."""
        ...


class Oracle(Protocol):
    """Measures named properties. A class is built as ``Oracle(config)``.

    It may have a class method ``check_space(config, space)`` that raises a `UserError` when it can
    measure nothing there, or not on this machine; ``heuresis check`` asks it, before anything is
    spent, so it must load nothing heavy.
    """

    Config: ClassVar[Any]  # a subclass of PluginConfig; Any, for class attributes are invariant

    @classmethod
    def declare(cls, config: Any) -> OracleDeclaration:
        """Say what will be measured with this config, without importing physics."""
        ...

    def evaluate(
        self, candidates: Sequence[Candidate], *, seed: int, workdir: Path
    ) -> list[Outcome]:
        """Measure each candidate, in order.

        Deterministic given ``seed``. ``workdir`` is an empty scratch folder, removed afterwards.
        Return a `Failure` per candidate that could not be measured, or raise an `OracleError`
        when the batch is a single candidate.
        """
        ...


@runtime_checkable
class Preparable(Protocol):
    """A plug-in with costly imports or tables: an optional second port of oracles and proposers."""

    def prepare(self) -> None:
        """Import and load all that is heavy; called once per worker, outside any deadline."""
        ...


class Ledger(Protocol):
    """Append-only journal of a campaign. One writer."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Write all entries in one transaction, or none; idempotent by event id."""
        ...

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Yield entries with sequence number above ``after``, in order.

        Raises:
            CorruptLedgerError: an entry fails its checksum.
        """
        ...


class Executor(Protocol):
    """Runs tasks on pools of workers; inline and Ray have the same semantics."""

    def start(self, pools: Sequence[PoolSpec]) -> None:
        """Start the workers of each pool."""
        ...

    def submit(self, task: Task) -> None:
        """Hand out a task; every submitted task settles exactly once."""
        ...

    def next_settled(self, timeout_s: float) -> Settlement | None:
        """Return the next settled task, or None when nothing settled in time.

        With a timeout of zero only what has already settled is returned: no work is started.
        """
        ...

    def close(self) -> None:
        """Stop all workers that this executor started."""
        ...


class Tracker(Protocol):
    """A projection of the ledger for people, e.g. MLflow. It never blocks or fails the loop."""

    def record(self, entries: Sequence[Entry]) -> None:
        """Take note of settled ledger entries, in order; returns at once.

        Without entries it is a sign that the loop lives and waits.
        """
        ...

    def finish(self, status: str) -> None:
        """Flush in bounded time; ``status``: finished, interrupted, paused or failed."""
        ...


__all__ = [
    "DesignSpace",
    "Event",
    "Executor",
    "Featured",
    "Ledger",
    "Mapping",
    "Observer",
    "Oracle",
    "PluginConfig",
    "Preparable",
    "Proposer",
    "Tracker",
    "Trainable",
]
