"""Oracles beside the bare codes beneath them, as ratios within one run; what an evaluation costs.

    python benchmarks/oracle_ratios.py [--only xtb] [--repeats 3] [--executor ray]

``xtb``: evaluations per core-hour of the oracle beside a loop of tblite and ASE over the same
molecules, geometries and optimizer. ``dynamics``: steps per second of the whole oracle beside a
bare OpenMM script. Both in CPU seconds, each way in turns, the least of the repeats. ``parallel``:
evaluations per second with two workers beside twice those with one, in wall time: it needs a
machine with two cores to itself, and says how busy it was. Results are kept under ``--folder``; the
page ``docs/oracles/speed-ratios.md`` is written from the latest of each (``--page`` does no more).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase.optimize import LBFGS
from calibration_page import _figure, results, table
from oracles_speed import MOLECULES, SEED, bare_openmm, bare_xtb, evaluation
from rdkit import Chem

from heuresis.execution.isolation import IsolatedWorker, open_worker
from heuresis.execution.worker import INSTALLED_PLUGINS, WorkerHost
from heuresis.ports import Executor
from heuresis.records import Candidate
from heuresis.tasks import EvaluateTask, PoolSpec
from heuresis_oracles.openmm_md import OpenMMMolecularDynamics
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.xtb import XTB

ROOT = Path(__file__).parents[1]
SECTION = "ratios"
COMMAND = "python benchmarks/oracle_ratios.py"
SMALLER = ("CCO", "CC(=O)N", "c1ccoc1", "CCCCO", "Cc1ccncc1", "OCC1CCCO1")
EQUAL_WORK = "O=C(NCc1ccccc1)c1ccc2c(c1)OCCO2"
TASKS, WARM_UP = 40, 2
TARGETS = {"xtb": 0.95, "dynamics": 0.90, "parallel": 0.90}


def least_in_turns(ways: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Return the least cost of each way; they take turns, so a slow spell hits all of them."""
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            costs[name].append(way())
    return {name: min(found) for name, found in costs.items()}


def cpu_of(work: Callable[[], Any]) -> Callable[[], float]:
    def run() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return run


def oracle_pool(kind: str, config: dict[str, Any], workers: int = 1) -> PoolSpec:
    return PoolSpec(
        name="measured", role="oracle", kind=kind, config=config, space_kind="molecule",
        space_config={}, workers=workers, isolated=True, timeout_s=600.0,
    )  # fmt: skip


def task(candidate: Candidate, name: str = "t") -> EvaluateTask:
    return EvaluateTask(id=name, pool="measured", candidates=(candidate,), seed=SEED)


@contextmanager
def isolated(kind: str, config: dict[str, Any]) -> Iterator[Callable[[Candidate], float]]:
    """Yield what measures in a worker's child process; its CPU seconds and ours."""
    worker: WorkerHost | IsolatedWorker = open_worker(oracle_pool(kind, config), INSTALLED_PLUGINS)

    def measure(candidate: Candidate) -> float:
        start = time.process_time()
        report = worker.run(task(candidate))
        return (report.cpu_s or 0.0) + time.process_time() - start

    try:
        measure(Candidate.of("molecule", "C"))  # imports are nobody's cost
        yield measure
    finally:
        worker.close()


def atoms_of(smiles: str) -> int:
    return int(Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms())


def xtb(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = []
    same, usual, rough = (
        XTB(config)
        for config in (XTB.Config(optimizer="LBFGS"), XTB.Config(), XTB.Config(relax=False))
    )
    with isolated("xtb", {"optimizer": "LBFGS"}) as in_worker:
        for smiles in (*SMALLER, *MOLECULES):
            candidate = Candidate.of("molecule", smiles)
            costs = least_in_turns(
                {
                    "bare": cpu_of(bare_xtb(smiles, candidate, LBFGS)),
                    "same": cpu_of(evaluation(same, candidate, folder)),
                    "worker": lambda candidate=candidate: in_worker(candidate),
                    "usual": cpu_of(evaluation(usual, candidate, folder)),
                    "rough": cpu_of(evaluation(rough, candidate, folder)),
                },
                options.repeats,
            )
            rows.append({"smiles": smiles, "atoms": atoms_of(smiles), **costs})
            print(rows[-1], flush=True)
    return {"rows": rows}


def dynamics(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = []
    oracle = OpenMMMolecularDynamics(OpenMMMolecularDynamics.Config())
    evaluation(oracle, Candidate.of("molecule", "CCO"), folder)()
    for smiles in MOLECULES:
        candidate = Candidate.of("molecule", smiles)
        script, steps = bare_openmm(smiles, candidate)
        costs = least_in_turns(
            {"bare": cpu_of(script), "oracle": cpu_of(evaluation(oracle, candidate, folder))},
            options.repeats,
        )
        rows.append({"smiles": smiles, "atoms": atoms_of(smiles), "steps": steps, **costs})
        print(rows[-1], flush=True)
    return {"rows": rows}


def parallel(options: argparse.Namespace, _: Path) -> dict[str, Any]:
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    before = os.getloadavg()[0]
    for _turn in range(options.repeats):
        for workers in found:
            found[workers].append(timed(options.executor, workers))
            print(workers, "workers:", found[workers][-1], flush=True)
    best = {workers: min(times) for workers, times in found.items()}
    return {
        "executor": options.executor,
        "wall_s": {str(workers): wall for workers, (wall, _) in best.items()},
        "cpu_s_per_task": {str(workers): cpu for workers, (_, cpu) in best.items()},
        "load_before": before,
        "cores": os.cpu_count(),
    }


def timed(name: str, workers: int) -> tuple[float, float]:
    """Return wall seconds of all tasks, and mean CPU seconds of one."""
    executor = make_executor(name)
    candidate = Candidate.of("molecule", EQUAL_WORK)
    try:
        executor.start([oracle_pool("xtb", {}, workers)])
        settle(executor, [task(candidate, f"warm-{n}") for n in range(WARM_UP * workers)])
        start = time.perf_counter()
        cpu = settle(executor, [task(candidate, f"t-{n}") for n in range(TASKS)])
        return time.perf_counter() - start, cpu / TASKS
    finally:
        executor.close()


def settle(executor: Executor, tasks: list[EvaluateTask]) -> float:
    """Settle tasks as a campaign does, two per worker in flight at least; return CPU seconds."""
    for one in tasks:
        executor.submit(one)
    cpu, left = 0.0, len(tasks)
    while left:
        settlement = executor.next_settled(1.0)
        if settlement is not None:
            left -= 1
            cpu += settlement.timing.cpu_s or 0.0
    return cpu


def make_executor(name: str) -> Executor:
    if name == "ray":
        from heuresis.execution.ray_pool import RayExecutor

        return RayExecutor(dashboard=False, namespace="oracle-ratios")
    from heuresis.execution.local import LocalExecutor

    return LocalExecutor()


# -- the page ------------------------------------------------------------------------------------


def per_core_hour(rows: list[dict[str, Any]], way: str) -> float:
    return 3600.0 * len(rows) / sum(float(row[way]) for row in rows)


def verdict(ratio: float, target: float) -> str:
    return f"{ratio:.2f} ({'reaches' if ratio >= target else 'misses'} {target:.2f})"


def write(folder: Path, target: Path) -> None:
    found = results(folder, SECTION)
    parts = [
        "# Speed as ratios\n\n"
        f"Written by `{COMMAND}`; what stands here is measured, not edited.\nBoth sides of a"
        " ratio come from one run, in turns, so a busy machine disturbs them alike. Above 1: the"
        " oracle\nis faster. The targets were set before.\n"
    ]
    clouds: dict[str, list[tuple[int, float]]] = {}
    if "xtb" in found:
        parts.append(xtb_page(found["xtb"]["rows"]))
        for way, name in (("usual", "xtb, relaxed"), ("rough", "xtb, MMFF94 structure")):
            clouds[name] = [(row["atoms"], row[way]) for row in found["xtb"]["rows"]]
    if "dynamics" in found:
        parts.append(dynamics_page(found["dynamics"]["rows"]))
        rows = found["dynamics"]["rows"]
        clouds["openmm-md, 20 ps"] = [(row["atoms"], row["oracle"]) for row in rows]
    if "parallel" in found:
        parts.append(parallel_page(found["parallel"]))
    functional = results(folder, "gaps-against-dft").values()
    high = [(row["atoms"], row["high"]["cpu_s"]) for row in functional if "values" in row["high"]]
    if high:
        clouds["dft"] = high
    if clouds:
        parts.append(cost_page(target, clouds))
    (target / "speed-ratios.md").write_text("\n".join(parts))
    print(f"{target / 'speed-ratios.md'} written")


def xtb_page(rows: list[dict[str, Any]]) -> str:
    bare = per_core_hour(rows, "bare")
    names = {
        "bare": "bare loop: ETKDG, MMFF94, tblite, ASE's LBFGS",
        "same": "oracle, the same optimizer",
        "worker": "… in the child process of a worker, driver included",
        "usual": "oracle as it comes",
    }
    lines = [
        [name, f"{per_core_hour(rows, way):,.0f}",
         *(["1", ""] if way == "bare" else
           [verdict(per_core_hour(rows, way) / bare, TARGETS["xtb"]), by_molecule(rows, way)])]
        for way, name in names.items()
    ]  # fmt: skip
    return (
        f"\n## `xtb`: evaluations per core-hour\n\n{len(rows)} molecules of"
        f" {min(r['atoms'] for r in rows)} to {max(r['atoms'] for r in rows)} atoms, once each,"
        " relaxed with GFN2-xTB.\n\n"
        + table(("", "evaluations per core-hour", "ratio", "of one molecule: least, median"), lines)
        + "\nThe sum is mostly that of the largest molecules. Gates and records cost some"
        " milliseconds, which shows\nwhere a calculation takes hundredths of a second.\n"
    )


def by_molecule(rows: list[dict[str, Any]], way: str) -> str:
    ratios = [row["bare"] / row[way] for row in rows]
    return f"{min(ratios):.2f}, {np.median(ratios):.2f}"


def dynamics_page(rows: list[dict[str, Any]]) -> str:
    steps = sum(row["steps"] for row in rows)
    rates = {way: steps / sum(row[way] for row in rows) for way in ("bare", "oracle")}
    lines = [
        [f"`{row['smiles']}`", str(row["atoms"]), f"{row['steps'] / row['bare']:,.0f}",
         f"{row['steps'] / row['oracle']:,.0f}", f"{row['bare'] / row['oracle']:.2f}"]
        for row in rows
    ]  # fmt: skip
    ratio = rates["oracle"] / rates["bare"]
    lines.append(["all", "", f"{rates['bare']:,.0f}", f"{rates['oracle']:,.0f}",
                  verdict(ratio, TARGETS["dynamics"])])  # fmt: skip
    return (
        "\n## `openmm-md`: steps per second\n\nOf everything: embedding, minimisation, 2 ps and 20"
        " ps, the check at constant energy, 200 frames read and\nwhat is made of them; beside a"
        " script that embeds, minimises and takes the same number of steps in one call.\n\n"
        + table(("molecule", "atoms", "bare steps/s", "oracle steps/s", "ratio"), lines)
    )


def parallel_page(row: dict[str, Any]) -> str:
    one, two = row["wall_s"]["1"], row["wall_s"]["2"]
    cpu = row["cpu_s_per_task"]
    return (
        "\n## Two workers\n\n"
        f"{TASKS} equal tasks of `xtb` on the {row['executor']} executor of a machine with"
        f" {row['cores']} cores: {one:.1f} s with one worker, {two:.1f} s with\ntwo; parallel"
        f" efficiency {verdict(one / (2 * two), TARGETS['parallel'])}. A task took {cpu['1']:.3f}"
        f" CPU seconds with one worker and {cpu['2']:.3f} with two;\nthe load of the machine before"
        f" was {row['load_before']:.1f}"
        + ("." if row["load_before"] < 0.3 else ": not quiet, so this says little.")
        + "\n"
    )


def cost_page(target: Path, clouds: dict[str, list[tuple[int, float]]]) -> str:
    plt = _figure()
    figure, plot = plt.subplots(figsize=(4.8, 3.6))
    lines = []
    for name, cloud in clouds.items():
        atoms, seconds = (np.array(column, dtype=float) for column in zip(*cloud, strict=True))
        plot.scatter(atoms, seconds, s=10, label=name, linewidths=0)
        exponent = np.polyfit(np.log(atoms), np.log(seconds), 1)[0] if len(atoms) > 2 else np.nan
        span = f"{atoms.min():.0f} to {atoms.max():.0f}"
        cost = f"{seconds.min():.3f} to {seconds.max():.2f}"
        lines.append([name, str(len(atoms)), span, cost, f"{exponent:.1f}"])
    plot.set_xscale("log")
    plot.set_yscale("log")
    plot.set_xlabel("atoms")
    plot.set_ylabel("CPU seconds per evaluation")
    plot.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(target / "speed-cost.svg", metadata={"Date": None})
    plt.close(figure)
    return (
        "\n## Cost against size\n\n"
        + table(("", "molecules", "atoms", "CPU seconds", "grows with the power"), lines)
        + "\n![CPU seconds per evaluation against atoms](speed-cost.svg)\n"
    )


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "xtb": xtb,
    "dynamics": dynamics,
    "parallel": parallel,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/oracle-calibration")
    parser.add_argument("--page", action="store_true", help="write the page from what is there")
    options = parser.parse_args()
    limit_native_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in () if options.page else options.only or list(PARTS):
            line = {"key": name, **PARTS[name](options, Path(scratch))}
            with (options.folder / f"{SECTION}.jsonl").open("a") as stream:
                stream.write(json.dumps(line) + "\n")
    write(options.folder, ROOT / "docs/oracles")


if __name__ == "__main__":
    main()
