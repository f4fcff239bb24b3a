"""What differs between two resolved campaigns, and where it may: in a run, a fork, a new run.

A run keeps its settings; only its budget may change. A fork goes on with the measurements of
another run, so what was measured, and how it was judged, must stay; how it is searched may change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from heuresis.campaign.resolve import ResolvedCampaign
from heuresis.campaign.run_folder import RunFolder
from heuresis.errors import RunError

Where = Literal["run", "fork", "new run"]
ABSENT = "(none)"
_EVERY_WORKER = frozenset({"workers", "threads", "timeout_s", "memory_limit_MiB"})
_ARCHIVE = frozenset({"islands", "island_capacity", "ranking"})
"""Settings that decide who lives in the archive: earlier parents would not be found again."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One setting of a resolved campaign with another value."""

    key: str
    """Dotted path; proposers are addressed by name: ``proposers.graph-moves.batch``."""
    before: Any
    after: Any

    @property
    def where(self) -> Where:
        """The least that is needed to go on with it."""
        head, _, rest = self.key.partition(".")
        name, _, setting = rest.partition(".")
        if head == "budget":
            return "run"
        if head in ("question", "seed"):
            return "fork"
        if head == "oracles" and setting in _EVERY_WORKER:
            return "fork"
        if head == "search" and name not in _ARCHIVE:
            return "fork"
        if head == "proposers" and setting not in ("kind", "name"):
            return "new run" if self.after == ABSENT and not setting else "fork"
        return "new run"

    def __str__(self) -> str:
        if isinstance(self.before, dict) or isinstance(self.after, dict):
            return f"{self.key} {'added' if self.before == ABSENT else 'removed'}"
        return f"{self.key}: {_short(self.before)} → {_short(self.after)}"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two documents of `ResolvedCampaign.document`, in their order."""
    return list(_differences("", _by_name(before), _by_name(after)))


def forbid(found: Iterable[Change], run: str) -> None:
    """Raise if settings of a run were changed that a fork cannot change either.

    Raises:
        RunError: says which, and what is allowed.
    """
    refused = [change for change in found if change.where == "new run"]
    if refused:
        raise RunError(
            f"{listed(refused)} cannot change in what goes on from {run}: it would mix measurements"
            " or verdicts that do not compare. A fork can change seed, question, proposers (not"
            f" their kind), search (not {', '.join(sorted(_ARCHIVE))}), and each oracle's"
            f" {', '.join(sorted(_EVERY_WORKER))}; for all else start a new run: heuresis run"
        )


def changed_error(
    folder: RunFolder, campaign: ResolvedCampaign, kept: Mapping[str, Any] | None
) -> RunError:
    """Return the error for resuming a run with other settings: which, and what is allowed.

    Args:
        folder: the run.
        campaign: with the other settings.
        kept: the run's own settings, as its ledger has them; None: it does not have them.
    """
    run = folder.path
    if kept is None:
        return RunError(
            f"{run} was started with other settings than {folder.resolved.name} has now; only the"
            " budget of a run can change: put the file back, or start a new run: heuresis run"
        )
    found = [c for c in changes(kept, campaign.document()) if c.where != "run"]
    if any(change.where == "new run" for change in found):
        advice = "For that, start a new run: heuresis run"
    else:
        advice = f"To go on from here with them, in a run of its own: heuresis resume {run} --fork"
    return RunError(
        f"{run} was started with other settings ({listed(found)}); only the budget of a run"
        f" can change (--budget). {advice}"
    )


def listed(found: Iterable[Change]) -> str:
    """Write changes in one line."""
    return ", ".join(map(str, found))


def _by_name(document: Mapping[str, Any]) -> dict[str, Any]:
    named = {proposer["name"]: proposer for proposer in document.get("proposers", ())}
    return {**document, "proposers": named}


def _differences(key: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(n for n in after if n not in before)]:
            below = f"{key}.{name}" if key else str(name)
            yield from _differences(below, before.get(name, ABSENT), after.get(name, ABSENT))
    elif _plain(before) != _plain(after):
        yield Change(key=key, before=before, after=after)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
