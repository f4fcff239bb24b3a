"""Two hundred kills and faults over real Ray processes: nothing lost, nothing twice.

The same as ``python -m benchmarks.chaos --faults 200 --seed 1``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = int(os.environ.get("HEURESIS_CHAOS_FAULTS", "200"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_nothing_is_lost_and_nothing_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.chaos.__main__ import table
    from benchmarks.chaos.monkey import planned
    from benchmarks.chaos.run import ChaosRun

    report = ChaosRun(
        tmp_path,
        faults=FAULTS,
        seed=1,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    ).run()
    told = table(report)
    print(told)
    assert report.faults >= FAULTS
    assert report.kills == planned(FAULTS)
    assert report.sessions > report.kills["driver"]
    assert report.verdict.lost == 0, told
    assert report.verdict.duplicated == 0, told
    assert report.verdict.broken == [], told
    assert report.verdict.spent == report.verdict.limit, told
    assert report.calls.after_settled == 0, told
    assert report.calls.redone_s < 0.5 * report.calls.computed_s, told
