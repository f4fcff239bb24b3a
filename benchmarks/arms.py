"""Does a campaign beat its control arm? Speed, memory and what was found, arm by arm, seed by seed.

Run: .venv/bin/python benchmarks/arms.py [campaigns/quickstart] [--seeds 5] [--executor ray|inline]
         [--arms campaign guided] [--jobs 2]

With `--executor inline` as many runs as `--jobs` go side by side, one core each, and every run is
reproducible bit by bit; with `ray` they run one after the other and times mean something.

For each seed it runs the campaign files of the folder (all of them, unless `--arms` names some)
exactly as a user would, as separate processes with the budget of evaluations that the files state,
and reads the answer from the ledgers alone:

- start: seconds from launching `heuresis run` to the first completed candidate in the ledger;
- total: seconds until the command returned;
- busy: share of oracle-slot time spent inside oracles, from first submission to last settlement;
- best, top-10: score of the best candidate, mean of the ten best;
- memory: peak of the proportional set size of all processes of the run, in MiB.

Finished runs are kept and not repeated, so an interrupted benchmark resumes. Each arm is then held
against `control.yaml`, seed by seed.
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
CONTROL = "control"
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


def run(file: Path, seed: int, folder: Path, executor: str) -> dict[str, Any]:
    """Run one campaign as a user would; return its figures."""
    mark = f"{file.stem}-{seed}-{os.getpid()}"
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(2.0):
            peak = max(peak, proportional_memory_MiB(mark))

    command = [
        str(Path(sys.executable).with_name("heuresis")), "run",
        str(file), "--run-dir", str(folder), "--seed", str(seed), "--executor", executor,
        *([] if executor == "ray" else ["--set", "budget.wall_time=120 min"]),
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


def arms_of(campaign: Path, wanted: list[str] | None) -> dict[str, Path]:
    """Return the campaign files of a folder by their names.

    Raises:
        SystemExit: the folder has no campaign file, or not the ones that are wanted.
    """
    files = {file.stem: file for file in sorted(campaign.glob("*.yaml"))}
    missing = [name for name in wanted or [] if name not in files]
    if missing or not files:
        raise SystemExit(
            f"{campaign} has no {', '.join(missing) or 'campaign file'}; it has "
            f"{', '.join(files) or 'no .yaml at all'}"
        )
    return {name: files[name] for name in wanted or files}


def wins(results: dict[tuple[str, int], dict[str, Any]], arm: str, measure: str) -> tuple[int, int]:
    """Return in how many seeds an arm is above the control arm, and how many seeds both have."""
    seeds = [seed for name, seed in results if name == arm and (CONTROL, seed) in results]
    won = sum(results[arm, seed][measure] > results[CONTROL, seed][measure] for seed in seeds)
    return won, len(seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "campaign", type=Path, nargs="?", default=ROOT / "campaigns" / "quickstart",
        help="folder of campaign files; default: campaigns/quickstart",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="+", help="names of files without .yaml; default: all")
    parser.add_argument("--executor", default="ray", choices=["ray", "inline"])
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, if inline")
    parser.add_argument("--output", type=Path, help="default: runs/benchmark-CAMPAIGN")
    arguments = parser.parse_args()
    arms = arms_of(arguments.campaign, arguments.arms)
    output: Path = arguments.output or ROOT / "runs" / f"benchmark-{arguments.campaign.name}"
    output.mkdir(parents=True, exist_ok=True)
    results: dict[tuple[str, int], dict[str, Any]] = {}
    print(
        f"{'arm':10} {'seed':>4} {'start s':>8} {'total s':>8} {'busy s':>26} {'memory MiB':>11}"
        f" {'completed':>9} {'best':>6} {'top-10':>7}"
    )

    def one(name: str, seed: int) -> None:
        store = output / f"{name}-{seed}.json"
        if not store.exists():
            measured = run(arms[name], seed, output / f"{name}-{seed}", arguments.executor)
            store.write_text(json.dumps(measured))
        figure = results[name, seed] = json.loads(store.read_text())
        busy = " ".join(f"{k}:{v:.0f}" for k, v in figure["busy_s"].items())
        print(
            f"{name:10} {seed:>4} {figure['start_s']:8.1f} {figure['total_s']:8.1f}"
            f" {busy:>26} {figure['memory_MiB']:11.0f} {figure['completed']:>9}"
            f" {figure['best']:6.3f} {figure['top10']:7.3f}",
            flush=True,
        )

    jobs = arguments.jobs if arguments.executor == "inline" else 1
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        pairs = [(name, seed) for seed in range(1, arguments.seeds + 1) for name in arms]
        list(pool.map(one, *zip(*pairs, strict=True)))
    for arm in arms:
        for measure in ("best", "top10"):
            won, seeds = wins(results, arm, measure)
            if arm != CONTROL and seeds:
                print(f"{arm} beats {CONTROL} on {measure} in {won} of {seeds} seeds")


if __name__ == "__main__":
    main()
