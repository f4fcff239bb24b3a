"""What does guided search cost per measurement, and in memory, as the archive grows?

Run: .venv/bin/python -m benchmarks.guided_search_cost zinc250k.smi.gz [--measurements 100000]
         [--candidates 1]

Shows guided search molecules of the file with their score in zaleplon_mpo, one by one, as if they
had been measured, and asks for one proposal every hundred. At each mark it prints processor
milliseconds per measurement since the mark before (a point learned, `--candidates` made and
ranked, the pool's belief updated, points chosen again every 500), per proposal, and the
resident memory. Few candidates are made, so that 100,000 measurements take minutes: what a
candidate costs does not depend on the archive, what a measurement costs might.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import resource
import time
from pathlib import Path

import numpy as np
from rdkit import Chem, RDLogger
from rich.progress import Progress

from heuresis.records import Candidate, Observation, Prompt
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.proposers.guided_search import GuidedSearch
from heuresis_oracles.pmo.tasks import TASKS

MARKS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
ASK_EVERY = 100


def resident_MiB() -> float:
    """Return the resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=Path, help="zinc250k.smi.gz: one SMILES a line")
    parser.add_argument("--measurements", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=1, help="made for each measurement")
    arguments = parser.parse_args()
    space = MoleculeSpace(MoleculeSpace.Config(stereo="strip", charges="keep", heavy_atoms=(1, 60)))
    config = {
        "sources": [{"kind": "graph-moves"}],
        "stages": [{"candidates": arguments.candidates, "rounds": 1, "every": 4}],
        "bursts": {"stage": None},  # excursions, without more candidates than otherwise
    }
    search = GuidedSearch(GuidedSearch.Config.model_validate(config), space)
    task = TASKS["zaleplon_mpo"]
    prompt = Prompt(island=0, epoch=0)
    seen: set[str] = set()
    told = asked = 0
    measuring_s = asking_s = 0.0
    shown = proposals = 0
    print("| measurements | ms each | ms a proposal | resident MiB |")
    print("| --: | --: | --: | --: |")
    with gzip.open(arguments.library, "rt") as lines, Progress(transient=True) as progress:
        bar = progress.add_task("measurements", total=arguments.measurements)
        for line in itertools.islice(lines, 2 * arguments.measurements):
            text = space.canonical(line.split()[0])
            if not isinstance(text, str) or text in seen:
                continue
            seen.add(text)
            score = float(task.score(task.components(Chem.MolFromSmiles(text))))
            observation = Observation(
                candidate=Candidate.of("molecule", text),
                verdict="completed",
                score=score,
                bound=score,
            )
            before = time.process_time()
            search.observe([observation])
            measuring_s += time.process_time() - before
            told += 1
            if told % ASK_EVERY == 0:
                before = time.process_time()
                search.propose(prompt, 1, np.random.default_rng([1, told]))
                asking_s += time.process_time() - before
                asked += 1
            if told in MARKS or told == arguments.measurements:
                progress.console.print(
                    f"| {told:,} | {1e3 * measuring_s / (told - shown):.1f} |"
                    f" {1e3 * asking_s / max(1, asked - proposals):.1f} | {resident_MiB():.0f} |"
                )
                measuring_s = asking_s = 0.0
                shown, proposals = told, asked
            if told == arguments.measurements:
                break
            progress.update(bar, completed=told)


if __name__ == "__main__":
    main()
