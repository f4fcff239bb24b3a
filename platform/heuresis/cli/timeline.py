"""Draws who worked when: one bar per slot over the whole run, darker where it was busier."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from heuresis.campaign.run_folder import RunFolder, open_ledger
from heuresis.cli.words import duration
from heuresis.report.timeline import SlotUse, Timeline

LEVELS = "▁▂▃▄▅▆▇█"
IDLE = "·"
PAUSE = " "
ROWS_PER_POOL = 32
"""Workers drawn one by one; the others are told in a line."""


def read_timeline(folder: RunFolder) -> Timeline:
    """Fold a run's ledger: entries, sessions, and the workers that its settings ask for."""
    with closing(open_ledger(folder)) as ledger:
        specs = list(ledger.specs().values())
        oracles = specs[-1]["oracles"] if specs else {}
        workers = {name: int(section.get("workers", 1)) for name, section in oracles.items()}
        return Timeline(ledger.sessions(), workers).apply_all(ledger.read())


def print_timeline(screen: Console, timeline: Timeline) -> None:
    """Print one bar for each slot, by pool, and the shares of time they were busy."""
    if timeline.began_at is None:
        screen.print("nothing has run yet")
        return
    names = max(len(worker) for worker in timeline.slots) if timeline.slots else 0
    width = max(10, min(120, screen.width - names - 26))
    mean, by_worker = timeline.bars(width)
    screen.print(_header(timeline), style="dim", markup=False, soft_wrap=True)
    for pool in dict.fromkeys(slot.pool for slot in timeline.slots.values()):
        slots = sorted((slot for slot in timeline.slots.values() if slot.pool == pool), key=_number)
        for slot in slots[:ROWS_PER_POOL]:
            words = f"{timeline.share(slot):4.0%}  {slot.tasks} tasks"
            _line(screen, slot.worker.ljust(names), bar(by_worker[slot.worker]), words)
        if len(slots) > ROWS_PER_POOL:
            rest = slots[ROWS_PER_POOL:]
            share = sum(map(timeline.share, rest)) / len(rest)
            screen.print(f"{'':{names}}  and {len(rest)} more, {share:.0%} busy", markup=False)
        if len(slots) > 1:
            share = timeline.pool_share(pool)
            _line(screen, pool.ljust(names), " " * width, f"{share:4.0%}  mean of {len(slots)}")
    if len(timeline.slots) > 1:
        _line(screen, "all".ljust(names), bar(mean), "")
    if timeline.jumps:
        screen.print(
            f"in {timeline.jumps} tasks the clock of a host was set while they ran; their bars may"
            " stand in the wrong place, their lengths are right",
            style="yellow",
        )


def bar(shares: Sequence[float | None]) -> str:
    """Write shares as blocks: a dot for idle, a blank where no session ran."""
    return "".join(
        PAUSE if share is None
        else IDLE if share < 0.005
        else LEVELS[min(len(LEVELS) - 1, int(share * len(LEVELS)))]
        for share in shares
    )  # fmt: skip


def _line(screen: Console, name: str, drawn: str, words: str) -> None:
    line = Text(f"{name} ", style="bold")
    line.append("│", style="dim")
    line.append(drawn, style="cyan")
    line.append("│ ", style="dim")
    line.append(words, style="")
    screen.print(line, soft_wrap=True)


def _header(timeline: Timeline) -> str:
    began = datetime.fromtimestamp(timeline.began_at or 0.0, UTC).astimezone()
    ended = datetime.fromtimestamp(timeline.ended_at, UTC).astimezone()
    same_day = began.date() == ended.date()
    until = f"{ended:%H:%M:%S}" if same_day else f"{ended:%Y-%m-%d %H:%M:%S}"
    whole = timeline.ended_at - (timeline.began_at or 0.0)
    paused = whole - timeline.session_s
    pauses = f", {duration(paused)} of it no session ran" if paused > max(1.0, 0.01 * whole) else ""
    return (
        f"{began:%Y-%m-%d %H:%M:%S} to {until}, {duration(whole)}{pauses}; busy share of sessions"
    )


def _number(slot: SlotUse) -> tuple[int, str]:
    """Order ``xtb[2]`` before ``xtb[10]``."""
    inside = slot.worker.rpartition("[")[2].rstrip("]")
    return (int(inside), "") if inside.isdecimal() else (0, slot.worker)
