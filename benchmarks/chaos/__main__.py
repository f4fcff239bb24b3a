"""Run: ``python -m benchmarks.chaos --faults 200 --seed 1`` (minutes on a quiet machine).

A campaign of toy plug-ins runs through the ordinary command on a local Ray cluster of several nodes
while its processes are killed at random and its oracles fail in every way they can. At the end the
ledger alone must show that nothing that had settled was lost, nothing was done twice after it had
settled, the budget was kept, and every failure has a cause. Prints what was done and what became of
it; ends with code 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.run import ChaosReport, ChaosRun


def table(report: ChaosReport) -> str:
    """Return the report as a Markdown table."""
    verdict, calls = report.verdict, report.calls
    rows = [("faults injected", report.faults)]
    rows += [(f"– killed: {kind}", count) for kind, count in report.kills.most_common()]
    rows += [(f"– in an oracle: {kind}", count) for kind, count in calls.faults.most_common()]
    rest: list[tuple[str, object]] = [
        ("sessions (one driver each), of which paused", f"{report.sessions}, {report.pauses}"),
        ("results settled", verdict.settled),
        ("settled results lost", verdict.lost),
        ("results settled twice, or handed out again once settled", verdict.duplicated),
        ("oracle calls begun after their result was settled", calls.after_settled),
        ("evaluations spent of the budget", f"{verdict.spent} of {verdict.limit}"),
        ("failures without a cause, other broken promises", len(verdict.broken)),
        ("candidates quarantined", verdict.quarantined),
        ("work redone", f"{calls.redone_s:.1f} s of {calls.computed_s:.0f} s computed"
         f" ({calls.redone_calls} of {calls.calls} calls)"),
        ("wall time of the campaign", f"{report.wall_s:.0f} s"),
    ]  # fmt: skip
    lines = ["| what | count |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in [*rows, *rest]]
    failures = ", ".join(f"{count} {name}" for name, count in sorted(verdict.failures.items()))
    return "\n".join([*lines, "", f"failures by oracle and cause: {failures}", *verdict.broken])


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--faults", type=int, default=200, help="at least so many")
    parser.add_argument("--seed", type=int, default=1, help="of campaign and kills")
    parser.add_argument("--nodes", type=int, default=2, help="of the cluster, besides its head")
    parser.add_argument("--workers", type=int, default=3, help="of the costly oracle")
    parser.add_argument("--minutes", type=float, help="end after so long, done or not")
    parser.add_argument("--evaluations", type=int, default=100, help="granted at a time")
    parser.add_argument("--folder", type=Path, help="an empty one, kept; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heuresis-chaos-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = ChaosRun(
            folder.resolve(),
            faults=options.faults,
            seed=options.seed,
            nodes=options.nodes,
            workers=options.workers,
            minutes=options.minutes,
            evaluations=options.evaluations,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        ).run()
    print(table(report))
    return 0 if report.verdict.is_good and not report.calls.after_settled else 1


if __name__ == "__main__":
    raise SystemExit(main())
