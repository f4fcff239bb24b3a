"""A campaign of toy plug-ins, run through the command line in this process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from heuresis.campaign.plugins import Plugins
from heuresis.cli.main import main
from heuresis.events import Settled
from heuresis.ledger.sqlite import SQLiteLedger
from heuresis.testing.fakes import PLUGINS, SCRIPTED_ORACLE, SCRIPTED_PROPOSER, TEXT_SPACE

TOY = f"""\
campaign: toy
question: How long is a word?
space: {{kind: "{TEXT_SPACE}"}}
oracles:
  quick: {{kind: "{SCRIPTED_ORACLE}", isolated: false, batch_size: 4, cost_class: negligible}}
  slow: {{kind: "{SCRIPTED_ORACLE}", isolated: false}}
objectives:
  size: {{measure: slow.length, target: 6, tolerance: 3}}
proposers:
  - {{kind: "{SCRIPTED_PROPOSER}", name: words, learn_every: 10}}
budget: {{evaluations: 30}}
search: {{islands: 2}}
seed: 7
"""
RUN = ["--executor", "inline", "--no-mlflow"]


def write_toy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the campaign into a folder, go there, and make the toy plug-ins known."""
    monkeypatch.setattr("heuresis.campaign.resolve.Plugins", partial(Plugins, PLUGINS))
    monkeypatch.chdir(folder)
    file = folder / "toy.yaml"
    file.write_text(TOY)
    return file


def heuresis(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def events(run: Path) -> list[Any]:
    ledger = SQLiteLedger.open(run / "ledger.sqlite", read_only=True)
    try:
        return [entry.event for entry in ledger.read()]
    finally:
        ledger.close()


def settled(run: Path) -> list[tuple[str, str, int]]:
    return [(e.oracle, e.candidate, e.attempt) for e in events(run) if isinstance(e, Settled)]


def finished_once(factory: pytest.TempPathFactory) -> Path:
    """Run the campaign to its end, once for a module of tests; each works on a copy."""
    folder = factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patched:
        toy = write_toy(folder, patched)
        assert heuresis("run", toy, *RUN, "-q") == 0
    return folder / "runs" / "toy-1"
