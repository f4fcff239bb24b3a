"""Measure what a child of the graph moves costs, and which share of the tries gives one.

Run: ``python benchmarks/graph_moves_speed.py LIBRARY [--parents 200] [--children 2000]
[--before COMMIT]`` (under a minute). LIBRARY holds one SMILES per line and may be gzipped, e.g.
that of ZINC250k. With ``--before``, the code of another commit is taken from git, run on the same
parents in turns with today's, and compared. Times are CPU time of one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heuresis.errors import InvalidCandidate
from heuresis.records import Candidate, Prompt, ScoredCandidate
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.graph_moves.moves import MoleculeMoves
from heuresis_agents.libraries import library_texts
from heuresis_agents.proposers.graph_moves import GraphMoves, moves_in

ROOT = Path(__file__).parents[1]
PACKAGE = "agents/heuresis_agents"
ASK = 10
"""Proposals of one ask, and exemplars of one prompt."""


@dataclass
class Tally:
    """What some tries cost and gave."""

    cpu_s: float = 0.0
    tries: int = 0
    texts: list[str] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)

    def line(self, name: str) -> str:
        """Return one row of the table."""
        unique = len(set(self.texts))
        valid = f"{len(self.texts) / self.tries:7.1%}" if self.tries else "      –"
        return (
            f"{name:42} {1e3 * self.cpu_s / unique:8.3f}  {valid}"
            f"  {1 - unique / len(self.texts):7.1%}  {unique:7d}"
        )

    @property
    def cost_ms(self) -> float:
        """Milliseconds of CPU time for each valid and different child."""
        return 1e3 * self.cpu_s / len(set(self.texts))


def members(space: MoleculeSpace, texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return random texts of a library that the space accepts, canonical."""
    rng = np.random.default_rng(seed)
    found: list[str] = []
    for index in rng.permutation(len(texts)):
        try:
            found.append(space.canonical(texts[int(index)]))
        except InvalidCandidate:
            continue
        if len(found) == count:
            break
    return found


def bare(moves: MoleculeMoves, parents: Sequence[str], children: int, seed: int) -> Tally:
    """Make children of random parents, without a space."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    began = time.process_time()
    while len(tally.texts) < children:
        child = moves.one(lambda r: parents[int(r.random() * len(parents))], rng)
        tally.tries += 1
        if child is not None:
            tally.texts.append(child.text)
            tally.operators[child.operator] += 1
    tally.cpu_s = time.process_time() - began
    return tally


def proposals(proposer: Any, parents: Sequence[str], asks: Sequence[int]) -> Tally:
    """Ask a proposer, each time with some of the parents, which change slowly, as in a campaign."""
    tally = Tally()
    for ask in asks:
        rng = np.random.default_rng(ask)
        first = ask % (len(parents) - ASK)
        exemplars = tuple(
            ScoredCandidate(candidate=Candidate.of("molecule", text), score=0.5)
            for text in parents[first : first + ASK]
        )
        prompt = Prompt(island=0, epoch=0, exemplars=exemplars)
        began = time.process_time()
        answer = proposer.propose(prompt, ASK, rng)
        tally.cpu_s += time.process_time() - began
        tally.texts += [proposal.text for proposal in answer]
    return tally


def finishing(proposer: Any, counts: Counter[str]) -> None:
    """Count how many tries of a proposer gave a child, whatever its inner parts are called."""
    begin: Callable[..., object] = proposer._child

    def counted(*arguments: object) -> object:
        child = begin(*arguments)
        counts["tries"] += 1
        counts["valid"] += child is not None
        return child

    proposer._child = counted


def earlier(commit: str, folder: Path) -> Any:
    """Return the class GraphMoves of another commit, imported under a name of its own."""
    files = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", commit, "--", PACKAGE],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for file in files:
        if not file.endswith(".py"):
            continue
        text = subprocess.run(
            ["git", "show", f"{commit}:{file}"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        path = folder / "earlier_agents" / Path(file).relative_to(PACKAGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("heuresis_agents", "earlier_agents"))
    sys.path.insert(0, str(folder))
    from earlier_agents.proposers.graph_moves import (  # type: ignore[import-not-found]
        GraphMoves as Earlier,
    )

    return Earlier


class Trusting(MoleculeSpace):
    """A space that believes what it is told, so that its own cost does not hide that of moves."""

    def canonical(self, text: str) -> str:
        return text


def compare(
    kinds: dict[str, Any], label: str, space: MoleculeSpace, parents: Sequence[str], children: int
) -> None:
    """Print the cost of a proposal before and now, asked in turns."""
    # The same share of crossover, so that the two do the same work.
    proposers = {
        name: kind(kind.Config(crossover_share=0.5), space) for name, kind in kinds.items()
    }
    counts: dict[str, Counter[str]] = {name: Counter() for name in kinds}
    totals = {name: Tally() for name in kinds}
    for name, proposer in proposers.items():
        proposals(proposer, parents, range(3))
        finishing(proposer, counts[name])
    for block in range(0, children // ASK, 10):
        for name, proposer in proposers.items():
            part = proposals(proposer, parents, range(block, block + 10))
            totals[name].cpu_s += part.cpu_s
            totals[name].texts += part.texts
    for name, tally in totals.items():
        tally.tries = counts[name]["tries"]
        unique = len(set(tally.texts))
        print(
            f"{f'proposer, {label}, {name}':42} {tally.cost_ms:8.3f}"
            f"  {counts[name]['valid'] / tally.tries:7.1%}"
            f"  {1 - unique / len(tally.texts):7.1%}  {unique:7d}"
        )
    ratio = totals["before"].cost_ms / totals["now"].cost_ms
    print(f"{label}: before / now: {ratio:.1f}")


def canonical_ms(space: MoleculeSpace, texts: Sequence[str]) -> float:
    """Return what the space alone costs for each text, in milliseconds."""
    began = time.process_time()
    for text in texts:
        try:
            space.canonical(text)
        except InvalidCandidate:
            continue
    return 1e3 * (time.process_time() - began) / len(texts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("--parents", type=int, default=200)
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--before", help="commit whose proposer graph-moves is compared")
    arguments = parser.parse_args()

    space = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(3, 60), stereo="strip"))
    parents = members(space, library_texts(arguments.library), arguments.parents, arguments.seed)
    print(f"{len(parents)} parents")
    print(f"{'':42} ms/child    valid   repeats   different")
    for name, fragments in (("built-in fragments", None), ("of the library", arguments.library)):
        began = time.process_time()
        moves = moves_in(space, fragments)
        prepared_s = time.process_time() - began
        for parent in parents:
            moves.readable(parent)
        tally = bare(moves, parents, arguments.children, arguments.seed)
        print(tally.line(f"moves, {name}"))
    print(f"reading the library and cutting its fragments: {prepared_s:.2f} s")
    shares = {name: f"{count / len(tally.texts):.1%}" for name, count in tally.operators.items()}
    print("operators of the children:", dict(sorted(shares.items())))
    print(f"the space's canonical form costs {canonical_ms(space, tally.texts[:500]):.3f} ms")
    if arguments.before:
        with tempfile.TemporaryDirectory() as folder:
            kinds = {"before": earlier(arguments.before, Path(folder)), "now": GraphMoves}
            trusting = Trusting(space.config)
            compare(kinds, "the moves alone", trusting, parents, arguments.children)
            compare(kinds, "with the space", space, parents, arguments.children)


if __name__ == "__main__":
    main()
