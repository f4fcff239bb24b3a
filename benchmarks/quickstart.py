"""What a new user gets: speed, memory, and whether the loop beats its control arm.

Run: .venv/bin/python benchmarks/quickstart.py [--seeds 5] [--executor ray|inline]

With `--executor inline` the two arms of a seed run side by side, one core each, and every run is
reproducible bit by bit; with `ray` they run one after the other and times mean something.

For each seed it runs `campaigns/quickstart/campaign.yaml` and `control.yaml` (random samples of the
prior, same budget of physics evaluations) exactly as a user would, as separate processes, and reads
the answer from the two ledgers alone:

- start: seconds from launching `heuresis run` to the first completed candidate in the ledger;
- total: seconds until the command returned;
- busy: share of oracle-slot time spent inside oracles, from first submission to last settlement;
- best, top-10: score of the best candidate, mean of the ten best;
- memory: peak of the proportional set size of all processes of the run, in MiB.

Finished runs are kept and not repeated, so an interrupted benchmark resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from heuresis.events import Judged, Settled, Submitted
from heuresis.ledger import SQLiteLedger

ROOT = Path(__file__).parents[1]
ARMS = {"loop": "campaign.yaml", "control": "control.yaml"}
MARK = "HEURESIS_BENCHMARK_MARK"


def proportional_memory_MiB(mark: str) -> float:
    """Sum the proportional set size of all processes that inherited our mark."""
    wanted = f"{MARK}={mark}".encode()
    total_kB = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if wanted not in (process / "environ").read_bytes().split(b"\0"):
                continue
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total_kB += int(line.split()[1])
        except OSError:
            continue  # the process ended meanwhile, or is not ours
    return total_kB / 1024


def run(arm: str, seed: int, folder: Path, executor: str) -> dict[str, Any]:
    """Run one campaign as a user would; return its figures."""
    mark = f"{arm}-{seed}-{os.getpid()}"
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(2.0):
            peak = max(peak, proportional_memory_MiB(mark))

    command = [
        str(Path(sys.executable).with_name("heuresis")), "run",
        str(ROOT / "campaigns" / "quickstart" / ARMS[arm]),
        "--run-dir", str(folder), "--seed", str(seed), "--executor", executor,
        *([] if executor == "ray" else ["--set", "budget.wall_time=60 min"]),
    ]  # fmt: skip
    watcher = threading.Thread(target=watch)
    watcher.start()
    launched = time.time()
    with (folder.parent / f"{folder.name}.log").open("w") as log:
        done = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, MARK: mark}, check=False
        )
    total = time.time() - launched
    ended.set()
    watcher.join()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}; see {log.name}")
    return {"total_s": total, "memory_MiB": peak, **figures(folder, launched)}


def run_seed(seed: int, output: Path, executor: str) -> None:
    """Run both arms of a seed, unless their figures are there already."""

    def one(arm: str) -> None:
        store = output / f"{arm}-{seed}.json"
        if not store.exists():
            store.write_text(json.dumps(run(arm, seed, output / f"{arm}-{seed}", executor)))

    with ThreadPoolExecutor(max_workers=2 if executor == "inline" else 1) as pool:
        list(pool.map(one, ARMS))


def figures(folder: Path, launched: float) -> dict[str, Any]:
    """Read the figures of a finished run from its ledger."""
    ledger = SQLiteLedger.open(folder / "ledger.sqlite", read_only=True)
    scores: list[float] = []
    first_score = first_submitted = last_settled = None
    busy: dict[str, float] = {}
    tasks: set[str] = set()
    evaluations: dict[str, int] = {}
    for entry in ledger.read():
        match entry.event:
            case Submitted():
                first_submitted = first_submitted or entry.recorded_at
            case Settled() as settled:
                evaluations[settled.oracle] = evaluations.get(settled.oracle, 0) + 1
                last_settled = entry.recorded_at
                if entry.timing is not None and settled.task not in tasks:
                    tasks.add(settled.task)
                    busy[settled.oracle] = busy.get(settled.oracle, 0.0) + entry.timing.duration_s
            case Judged(score=float(score)):
                first_score = first_score or entry.recorded_at
                scores.append(score)
            case _:
                pass
    ledger.close()
    best = sorted(scores, reverse=True)
    window = (last_settled or 0.0) - (first_submitted or 0.0)
    return {
        "start_s": (first_score or float("nan")) - launched,
        "window_s": window,
        "busy_s": busy,
        "evaluations": evaluations,
        "completed": len(scores),
        "best": best[0] if best else 0.0,
        "top10": sum(best[:10]) / 10,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--executor", default="ray", choices=["ray", "inline"])
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "benchmark")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in ARMS}
    print(
        f"{'arm':8} {'seed':>4} {'start s':>8} {'total s':>8} {'busy s':>26} {'memory MiB':>11}"
        f" {'completed':>9} {'best':>6} {'top-10':>7}"
    )
    for seed in range(1, arguments.seeds + 1):
        run_seed(seed, arguments.output, arguments.executor)
        for arm in ARMS:
            store = arguments.output / f"{arm}-{seed}.json"
            figure = results[arm][seed] = json.loads(store.read_text())
            busy = " ".join(f"{k}:{v:.0f}" for k, v in figure["busy_s"].items())
            print(
                f"{arm:8} {seed:>4} {figure['start_s']:8.1f} {figure['total_s']:8.1f}"
                f" {busy:>26} {figure['memory_MiB']:11.0f} {figure['completed']:>9}"
                f" {figure['best']:6.3f} {figure['top10']:7.3f}",
                flush=True,
            )
    for measure in ("best", "top10"):
        wins = sum(
            results["loop"][seed][measure] > results["control"][seed][measure]
            for seed in results["loop"]
        )
        print(f"the loop wins on {measure} in {wins} of {len(results['loop'])} seeds")


if __name__ == "__main__":
    main()
