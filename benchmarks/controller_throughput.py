"""How fast the loop itself is: settled evaluations per second with oracles that cost nothing.

Run: .venv/bin/python benchmarks/controller_throughput.py [evaluations] [--observing]
         [--search KEY=VALUE ...]

Everything is real but the plug-ins: the controller, the SQLite ledger with fsync on every append,
the archive. Results come back in batches of 32, as a cheap oracle's do. Prints the rate for each
tenth of the run (is it flat as the archive grows?), replay speed, and ledger bytes per evaluation.

With ``--observing`` the proposer is told what became of every candidate. Its asks are serialised
and read back, as they are on their way to a Ray actor, and the milliseconds that one ask costs from
decision to worker are printed too: flat if they depend on the news alone. ``--search
ranking=pareto proposer_choice=bandit`` measures those (two objectives instead of one).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from pathlib import Path

from heuresis.engine.budget import Budget
from heuresis.engine.controller import Controller
from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.ledger import SQLiteLedger
from heuresis.randomness import random_generator
from heuresis.records import (
    CostClass,
    Evaluation,
    Measurement,
    OracleDeclaration,
    OutputDeclaration,
    Proposal,
    Timing,
)
from heuresis.search.objective import DesirabilityTerm, Objective
from heuresis.search.settings import SearchSettings
from heuresis.tasks import (
    EvaluateResult,
    EvaluateTask,
    PoolSpec,
    ProposeResult,
    ProposeTask,
    ScreenedProposal,
    Settlement,
    Task,
)

TIMING = Timing(submitted_at=0.0, started_at=0.0, ended_at=0.0, duration_s=0.0)


class FreeExecutor:
    """Answers at once; numbers are drawn from a huge range, so hardly any repeat."""

    def __init__(self, *, serialise: bool = False) -> None:
        self.settled: deque[Settlement] = deque()
        self.seconds = self.processor_seconds = 0.0
        """Its own time, which is not the loop's."""
        self.serialise = serialise
        self.asks = self.told = 0
        self.shipping_s = 0.0

    def start(self, pools: object) -> None: ...

    def submit(self, task: Task) -> None:
        start, processor = time.perf_counter(), time.process_time()
        if isinstance(task, ProposeTask):
            if self.serialise:
                clock = time.process_time()
                read = ProposeTask.model_validate_json(task.model_dump_json())
                self.asks += 1
                self.told += len(read.news)
                assert self.told == read.observed
                self.shipping_s += time.process_time() - clock
            numbers = random_generator(*task.random_key).integers(0, 2**40, task.count).tolist()
            result: ProposeResult | EvaluateResult = ProposeResult(
                proposals=tuple(
                    ScreenedProposal(canonical=str(n), proposal=Proposal(text="", operator="draw"))
                    for n in numbers
                )
            )
        else:
            assert isinstance(task, EvaluateTask)
            result = EvaluateResult(
                outcomes=tuple(
                    Evaluation(
                        measurements={
                            "value": Measurement(value=int(c.text) % 100003 / 100003, unit="1"),
                            "other": Measurement(value=int(c.text) % 99991 / 99991, unit="1"),
                        }
                    )
                    for c in task.candidates
                )
            )
        self.settled.append(Settlement(task=task.id, result=result, timing=TIMING))
        self.seconds += time.perf_counter() - start
        self.processor_seconds += time.process_time() - processor

    def next_settled(self, timeout_s: float) -> Settlement | None:
        return self.settled.popleft() if self.settled else None

    def close(self) -> None: ...


def make_plan(
    evaluations: int,
    *,
    observing: bool = False,
    search: dict[str, str] | None = None,
    workers: int = 1,
    batch: int = 32,
) -> CampaignPlan:
    """Return a campaign whose oracle costs nothing, with so many workers and candidates a call."""
    # A front needs two objectives; all else is measured with one, as it always was.
    measures = ("value", "other") if (search or {}).get("ranking") == "pareto" else ("value",)

    def pool(name: str, role: str) -> PoolSpec:
        return PoolSpec.model_validate(
            {"name": name, "role": role, "kind": name, "config": {}, "space_kind": "integer",
             "space_config": {}, "workers": workers if role == "oracle" else 1}
        )  # fmt: skip

    declaration = OracleDeclaration(
        kind="free", version="1", spaces=("integer",), cost_class=CostClass.NEGLIGIBLE,
        outputs={
            "value": OutputDeclaration(unit="1", description="free"),
            "other": OutputDeclaration(unit="1", description="free"),
        },
        batch_size=batch,
        reference="none",
    )  # fmt: skip
    return CampaignPlan(
        campaign="throughput",
        seed=0,
        spec_hash="0",
        space="integer",
        objective=Objective(
            {name: DesirabilityTerm(measure=f"free.{name}", above=1.0) for name in measures},
            {},
        ),
        oracles=(OraclePlan(name="free", declaration=declaration, pool=pool("free", "oracle")),),
        proposers=(
            ProposerPlan(name="draw", pool=pool("draw", "proposer"), batch=64, observes=observing),
        ),
        search=SearchSettings.model_validate(search or {}),
        budget=Budget(evaluations=evaluations),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("evaluations", type=int, nargs="?", default=20_000)
    parser.add_argument("--observing", action="store_true")
    parser.add_argument("--search", nargs="*", default=[])
    arguments = parser.parse_args()
    evaluations = arguments.evaluations
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = SQLiteLedger.open(path, create=True)
        executor = FreeExecutor(serialise=arguments.observing)

        class Marks:
            """Prints what the last tenth cost, as soon as it is done."""

            settled = printed = 0

            def __init__(self) -> None:
                self.before = self.clocks()

            def clocks(self) -> tuple[float, float, float, float, int]:
                return (
                    time.perf_counter(), time.process_time(), executor.seconds,
                    executor.shipping_s, executor.asks,
                )  # fmt: skip

            def record(self, entries: object) -> None:
                self.settled += sum(e.event.kind == "settled" for e in entries)  # type: ignore[attr-defined]
                if self.settled < (self.printed // (evaluations // 10) + 1) * evaluations // 10:
                    return
                now = self.clocks()
                wall, processor, answering, shipping, asks = (
                    b - a for a, b in zip(self.before, now, strict=True)
                )
                count = self.settled - self.printed
                rate = count / (wall - answering)
                print(
                    f"{self.settled:>9} settled: {rate:8.0f} per second, {1000 / rate:.3f} ms each"
                    f" ({1000 * (processor - shipping) / count:.3f} ms of processor)"
                    + (f"; an ask: {1000 * shipping / asks:.2f} ms" if asks else ""),
                    flush=True,
                )
                self.printed, self.before = self.settled, now

            def finish(self, status: str) -> None: ...

        plan = make_plan(
            evaluations,
            observing=arguments.observing,
            search=dict(item.split("=") for item in arguments.search),
        )
        controller = Controller(plan, ledger, executor, [Marks()], now=time.time)
        controller.replay()
        controller.run()
        entries = ledger.last_sequence
        ledger.close()
        size = sum(p.stat().st_size for p in Path(folder).iterdir())
        ledger = SQLiteLedger.open(path)
        start = time.perf_counter()
        Controller(plan, ledger, FreeExecutor(), now=time.time).replay()
        seconds = time.perf_counter() - start
        print(
            f"replay of {entries} entries: {seconds:.1f} s ({entries / seconds:.0f} per second);"
            f" {size / evaluations:.0f} ledger bytes per evaluation"
        )
        ledger.close()


if __name__ == "__main__":
    main()
