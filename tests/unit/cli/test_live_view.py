"""The live page and the plain lines, drawn without a terminal from a real inline session."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from heuresis.campaign.plugins import Plugins
from heuresis.campaign.resolve import load_campaign
from heuresis.campaign.run_folder import create_run
from heuresis.campaign.session import Session, SessionSettings
from heuresis.cli.ending import print_ending
from heuresis.cli.live import LiveView, PlainView
from heuresis.execution.bookkeeping import PoolUse
from heuresis.testing.fakes import PLUGINS, SCRIPTED_ORACLE, SCRIPTED_PROPOSER, TEXT_SPACE

TOY = f"""\
campaign: toy
space: {{kind: "{TEXT_SPACE}"}}
oracles:
  quick: {{kind: "{SCRIPTED_ORACLE}", isolated: false, batch_size: 4, cost_class: negligible}}
  slow: {{kind: "{SCRIPTED_ORACLE}", isolated: false}}
objectives:
  size: {{measure: slow.length, target: 60, tolerance: 30}}
proposers:
  - kind: "{SCRIPTED_PROPOSER}"
    name: words
    learn_every: 8
    says: ["{"long " * 14}", "setup#1", "implausible#2", "!invalid"]
budget: {{evaluations: 20, wall_time: 1 h}}
"""


def session(folder: Path, view: LiveView | PlainView) -> Session:
    file = folder / "toy.yaml"
    file.write_text(TOY)
    campaign = load_campaign(file, plugins=Plugins(PLUGINS))
    run = create_run(campaign, folder / "run")
    return Session(campaign, run, SessionSettings(executor="inline"), watchers=[view], say=view.say)


@pytest.mark.parametrize("width", [80, 140])
def test_the_page_fits_and_says_what_matters(tmp_path: Path, width: int) -> None:
    screen = Console(width=width, height=40, file=io.StringIO(), force_terminal=True, record=True)
    view = LiveView(screen, ["slow"])
    one = session(tmp_path, view)
    end = one.run()
    assert end.kind == "finished"
    page = Console(width=width, file=io.StringIO(), record=True)
    page.print(view._page())
    text = page.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    for part in (
        "best        0.",
        "long long",
        "20/20 evaluations",
        "of 1 h 00 min",
        "quick: ",
        "1 setup",
        "1 implausible",
        "learning    words: 1 updates",
        "2 refused",
    ):
        assert part in text, text
    ending = Console(width=width, file=io.StringIO(), record=True)
    print_ending(ending, one, end)
    text = ending.export_text()
    assert "finished (budget)" in text
    assert ("words/sample" in text) is (width >= 100), "a narrow screen leaves out the origin"


def test_lines_for_logs(tmp_path: Path) -> None:
    file = io.StringIO()
    view = PlainView(Console(width=80, file=file), ["slow"])
    session(tmp_path, view).run()
    lines = file.getvalue().splitlines()
    assert lines[-1].startswith("[20/20 evaluations; ")
    assert "20 completed; 2 failed; best 0." in lines[-1]
    assert 1 < len(lines) < 12, "a line for each new best, not for each event"
    assert not any("\x1b" in line for line in lines)


def test_what_cannot_start_is_said_once_even_if_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.StringIO()
    view = PlainView(Console(width=80, file=file), ["slow"])
    one = session(tmp_path, view)
    view.attach(one)
    reason = "2 workers wait for room on the cluster"
    use = PoolUse(
        pool="slow", workers=2, ready=0, running=0, waiting=4, settled=0, busy_s=0.0,
        elapsed_s=20.0, held_up=reason,
    )  # fmt: skip
    monkeypatch.setattr(one.executor, "utilisation", lambda: [use], raising=False)
    for _ in range(3):
        view._looked = 0.0
        view.record(())
    assert file.getvalue().count(f"waiting: slow: {reason}") == 1
    assert len(file.getvalue().splitlines()) == 1, "a loop that waits is no news"
