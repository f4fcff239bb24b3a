"""Watch guided search think: one proposal, one measurement, no engine, no ledger.

Run: .venv/bin/python benchmarks/search_trace.py perindopril_mpo --library zinc250k.smi.gz
         [--seeds 1 2 3] [--calls 3000] [--settings '{"bursts": null}']

For looking at one setting at a time; the figures that count are those of ``benchmarks.pmo``, where
the same search runs as a campaign. Prints the mean of the ten best as calls go by, where excursions
begin (``[n``) and end (the mean of their ten best, ``n]``), and the processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import RDLogger
from rdkit.Chem import MolFromSmiles

from heuresis.records import Candidate, Observation, Prompt
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.proposers.guided_search import GuidedSearch
from heuresis_oracles.pmo.tasks import TASKS

SHOWN = {m * 10**decade for decade in (2, 3, 4) for m in (1, 2, 3, 5, 7)} | {1500}
_PROMPT = Prompt(island=0, epoch=0)
_TOP = 10


def trace(name: str, seed: int, calls: int, library: str, settings: dict[str, Any]) -> None:
    """Run one search and print it."""
    space = MoleculeSpace(MoleculeSpace.Config(stereo="strip", charges="keep", heavy_atoms=(1, 60)))
    config = {
        "sources": [{"kind": "graph-moves", "settings": {"fragments": library}}],
        "library": {"file": library, "strip_stereo": True},
        **settings,
    }
    proposer = GuidedSearch(GuidedSearch.Config(**config), space)
    task, top = TASKS[name], list[float]()
    began = time.process_time()
    print(f"{name}, seed {seed}:", end=" ", flush=True)
    for call in range(1, calls + 1):
        (one,) = proposer.propose(_PROMPT, 1, np.random.default_rng([seed, call - 1]))
        score = float(task.score(task.components(MolFromSmiles(one.text))))
        heappush(top, score) if len(top) < _TOP else heappushpop(top, score)
        away = proposer._excursion
        candidate = Candidate.of(space.kind, one.text)
        proposer.observe(
            [Observation(candidate=candidate, verdict="completed", score=score, bound=score)]
        )
        if call in SHOWN:
            print(f"{call}: {sum(top) / len(top):.3f}", end="  ", flush=True)
        if away is None and proposer._excursion is not None:
            print(f"[{call}", end=" ", flush=True)
        elif away is not None and proposer._excursion is None:
            print(f"{away.top_mean:.3f} {call}]", end="  ", flush=True)
    print(f"\n    {time.process_time() - began:.0f} s of processor")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--library", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--settings", type=json.loads, default={}, metavar="JSON")
    options = parser.parse_args(arguments)
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    for seed in options.seeds:
        trace(options.task, seed, options.calls, str(options.library), options.settings)


if __name__ == "__main__":
    main()
