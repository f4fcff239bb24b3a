"""One run in a process of its own; started by `benchmarks.pmo.runs` with its orders as JSON.

It does what ``heuresis run`` and ``heuresis resume`` do with the inline executor and no MLflow,
then writes the call log. When whoever started it goes away, however suddenly, its standard input
ends, and it settles what runs and stops; the ledger keeps what was found.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.pmo.call_log import read_ledger, write_calls
from benchmarks.pmo.runs import Summary

from heuresis.campaign.build import versions
from heuresis.campaign.resolve import ResolvedCampaign, load_campaign
from heuresis.campaign.run_folder import RunFolder, create_run, open_ledger
from heuresis.campaign.session import Session, SessionSettings
from heuresis.errors import RunError, UserError
from heuresis.events import CampaignStarted

PROCESSOR_NOTES = "processor-seconds.txt"
"""One line per session that ended in an orderly way."""


def main(orders: dict[str, Any]) -> int:
    """Run, or continue, and write what came of it; return the exit code."""
    threading.Thread(target=_follow_parent, name="lifeline", daemon=True).start()
    folder = RunFolder(Path(orders["folder"]))
    campaign = load_campaign(Path(orders["file"]), orders["overrides"])
    found = _read(folder, orders["oracle"]) if folder.ledger.exists() else None
    if found is not None and found.finished is not None and not _wants_more(found, orders):
        _keep(folder, campaign, orders)
        return 0
    if found is None:
        create_run(campaign, folder.path)
    else:
        _require_same(folder, campaign)
    granted = campaign.spec.budget if found is not None else None
    session = Session(campaign, folder, SessionSettings(executor="inline", budget=granted))
    end = session.run()
    with (folder.path / PROCESSOR_NOTES).open("a", encoding="utf-8") as notes:
        notes.write(f"{time.process_time():.2f}\n")
    if end.kind != "finished":
        print(f"{end.kind}: {end.reason}")
        return 1
    _keep(folder, campaign, orders)
    return 0


def _follow_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


def _read(folder: RunFolder, oracle: str) -> Any:
    ledger = open_ledger(folder)
    try:
        return read_ledger(ledger.read(), oracle)
    finally:
        ledger.close()


def _wants_more(found: Any, orders: dict[str, Any]) -> bool:
    return len(found.calls) < orders["calls"] and not found.finished.startswith("exhausted")


def _require_same(folder: RunFolder, campaign: ResolvedCampaign) -> None:
    ledger = open_ledger(folder)
    try:
        first = next(iter(ledger.read()), None)
    finally:
        ledger.close()
    started = first.event if first is not None else None
    if isinstance(started, CampaignStarted) and started.spec_hash != campaign.spec_hash:
        raise RunError(
            f"{folder.path} was started with another version of this configuration, or with the"
            " library elsewhere; choose another --output, or move it away"
        )


def _keep(folder: RunFolder, campaign: ResolvedCampaign, orders: dict[str, Any]) -> None:
    """Write the call log and, last, the summary."""
    found = _read(folder, orders["oracle"])
    ledger = open_ledger(folder)
    sessions = ledger.sessions()
    ledger.close()
    texts = [call.smiles for call in found.calls]
    if len(set(texts)) != len(texts):
        raise RunError(f"{folder.path}: {len(texts)} calls, but {len(set(texts))} molecules")
    notes = folder.path / PROCESSOR_NOTES
    spent = [float(line) for line in notes.read_text().split()] if notes.exists() else []
    write_calls(Path(orders["log"]), found.calls)
    summary = Summary(
        configuration=orders["configuration"],
        identity=orders["identity"],
        task=orders["task"],
        seed=orders["seed"],
        calls=len(found.calls),
        budget=orders["calls"],
        finished=found.finished,
        wall_s=round(sum(float(row["seconds"]) for row in sessions), 1),
        processor_s=round(sum(spent), 1) if len(spent) == len(sessions) else None,
        plugin_s={role: round(seconds, 1) for role, seconds in found.seconds.items()},
        proposed=found.proposed,
        rejected=dict(sorted(found.rejected.items())),
        operators=dict(sorted(found.operators.items())),
        versions=versions(campaign),
    )
    path = Path(orders["summary"])
    temporary = path.with_suffix(".tmp")
    temporary.write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    if orders["discard"]:
        shutil.rmtree(folder.path)


if __name__ == "__main__":
    try:
        code = main(json.loads(sys.argv[1]))
    except UserError as error:
        print(error)
        code = 2
    sys.stdout.flush()
    # The lifeline thread waits in a read that nothing can end.
    os._exit(code)
