"""Everything the ledger says of one candidate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from heuresis.errors import RunError
from heuresis.events import Entry, Judged, Proposed, Settled, Submitted
from heuresis.records import Candidate


@dataclass(kw_only=True)
class History:
    """One candidate's life, as rows that can be printed or written as JSON."""

    candidate: Candidate
    origin: dict[str, Any]
    parents: list[dict[str, str]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as plain values with stable keys."""
        return {
            "id": self.candidate.id,
            "text": self.candidate.text,
            **self.origin,
            "parents": self.parents,
            "evaluations": self.evaluations,
            "verdicts": self.verdicts,
        }


def find_candidate(entries: Iterable[Entry], wanted: str, also: str | None = None) -> Candidate:
    """Return the candidate with this text (or canonical text ``also``) or id prefix.

    Raises:
        RunError: there is none, or a prefix fits several.
    """
    by_prefix: dict[str, Candidate] = {}
    for entry in entries:
        if not isinstance(entry.event, Proposed):
            continue
        for accepted in entry.event.accepted:
            candidate = accepted.candidate
            if candidate.text in (wanted, also):
                return candidate
            if len(wanted) >= 4 and candidate.id.startswith(wanted.lower()):
                by_prefix[candidate.id] = candidate
    if len(by_prefix) == 1:
        return next(iter(by_prefix.values()))
    if by_prefix:
        some = ", ".join(list(by_prefix)[:4])
        raise RunError(f"'{wanted}' fits {len(by_prefix)} candidates ({some} …); give more digits")
    raise RunError(
        f"this run has no candidate '{wanted}'; give its text or at least 4 digits of its id"
        " (heuresis top RUN --json lists ids)"
    )


def history(entries: Iterable[Entry], candidate: Candidate) -> History:
    """Collect all entries about a candidate."""
    found = History(candidate=candidate, origin={})
    texts: dict[str, str] = {}
    for entry in entries:
        match entry.event:
            case Proposed() as event:
                _note_proposal(found, event, entry, texts)
            case Settled() as event if event.candidate == candidate.id:
                found.evaluations.append(_evaluation(event, entry))
            case Judged() as event if event.candidate == candidate.id:
                found.verdicts.append(event.model_dump(mode="json", exclude={"kind", "candidate"}))
            case Submitted() as event if candidate.id in event.candidates:
                found.origin.setdefault("first_submitted", entry.recorded_at)
            case _:
                pass
    return found


def _note_proposal(found: History, event: Proposed, entry: Entry, texts: dict[str, str]) -> None:
    for accepted in event.accepted:
        if accepted.candidate.id != found.candidate.id:
            texts[accepted.candidate.id] = accepted.candidate.text
            continue
        found.parents = [{"id": i, "text": texts.get(i, "")} for i in accepted.parents]
        found.origin = {
            "proposer": event.proposer,
            "operator": accepted.operator,
            "model_version": event.model_version,
            "island": event.island,
            "epoch": event.epoch,
            "log_likelihood": accepted.log_likelihood,
            "proposed_sequence": entry.sequence,
            "proposed_at": entry.recorded_at,
            **found.origin,
        }


def _evaluation(event: Settled, entry: Entry) -> dict[str, Any]:
    timing = entry.timing
    return {
        "oracle": event.oracle,
        "attempt": event.attempt,
        **event.outcome.model_dump(mode="json"),
        "seconds": timing.duration_s if timing else None,
        "worker": timing.worker if timing else None,
        "host": timing.host if timing else None,
        "origin": timing.origin.model_dump() if timing and timing.origin else None,
        "sequence": entry.sequence,
    }
