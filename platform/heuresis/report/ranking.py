"""The ranked candidates of the report: pictures, evidence, desirabilities, origin."""

from __future__ import annotations

from collections.abc import Callable

from heuresis.report.markup import (
    cell,
    duration,
    escaped,
    heading,
    measure_label,
    measured,
    meter,
    number,
    picture,
    table,
    unit,
)
from heuresis.report.projections import CampaignView
from heuresis.report.rows import CandidateRecord
from heuresis.search.objective import DesirabilityTerm, Objective

PICTURES_MAX_BYTES = 1_100_000
"""Of SVG text; base64 adds a third, and the file stays below 2 MB."""
COLUMNS_WITHOUT_OBJECTIVE = 6


def ranked_candidates(
    view: CampaignView,
    objective: Objective | None,
    depict: Callable[[str], str] | None,
    rows: int,
) -> str:
    """Return the section with the best candidates."""
    if not view.top:
        return ""
    shown = view.ranked(rows)
    units = {n: m.unit for record in shown for n, m in record.measurements.items()}
    terms: dict[str, tuple[str, DesirabilityTerm | None]] = (
        {name: (term.measure, term) for name, term in objective.terms.items()}
        if objective
        else {name: (name, None) for name in list(units)[:COLUMNS_WITHOUT_OBJECTIVE]}
    )
    pictures = _pictures(shown, depict)
    headings = [heading("#", sort="number")]
    headings += [heading("Structure", kind="")] if pictures else []
    headings += [heading("Candidate", kind=""), heading("Score", sort="number")]
    for name, (measure, term) in terms.items():
        measured_unit = units.get(measure, "1")
        small = unit(measured_unit)
        if term is not None:
            small = f"{measure_label(measure, measured_unit)}, {wish(term, measured_unit)}"
        headings.append(
            heading(name if term else measure_label(name, measured_unit), small, sort="number")
        )
    headings.append(heading("Proposed by", sort="text", kind=""))
    lines = []
    for rank, record in enumerate(shown, 1):
        line = [cell(str(rank), value=float(rank))]
        if pictures:
            line.append(f"<td>{pictures.get(record.candidate.id, '')}</td>")
        line.append(_text_cell(record))
        score = record.score or 0.0
        line.append(
            cell(f'<span class="score">{score:.3f}</span>{meter(score, "score")}', value=score)
        )
        line += [_measure_cell(record, *term) for term in terms.values()]
        line.append(
            f'<td class="origin">{escaped(record.proposer)}<br>'
            f"<small>{escaped(record.operator)}</small></td>"
        )
        lines.append(line)
    left_out = view.completed - len(shown)
    note = f"The best {len(shown)} of {view.completed:,} completed candidates." if left_out else ""
    if view.front is not None:
        note += f" The first {view.front.size} are the Pareto front: no candidate is better in all."
    return (
        "<h2>Ranked candidates</h2>"
        + table(headings, lines, kind="ranked")
        + f'<p class="note">{note} Bars show desirability, from 0 to 1.'
        " Click a heading to sort.</p>"
    )


def wish(term: DesirabilityTerm, measured_unit: str) -> str:
    """Return what a term wants, in words: ``target 2.9 ± 0.3 eV``."""
    suffix = (f" {unit(measured_unit)}" if unit(measured_unit) else "") + term.certainty
    if term.target is not None:
        return f"target {number(term.target)} ± {number(term.tolerance)}{suffix}"
    if term.between is not None:
        return f"{number(term.between[0])} to {number(term.between[1])}{suffix}"
    if term.above is not None:
        return f"above {number(term.above)}{suffix}"
    return f"below {number(term.below)}{suffix}"


def _pictures(shown: list[CandidateRecord], depict: Callable[[str], str] | None) -> dict[str, str]:
    pictures: dict[str, str] = {}
    if depict is None:
        return pictures
    left = PICTURES_MAX_BYTES
    for record in shown:
        try:
            svg = depict(record.candidate.text)
        except Exception:  # a picture is a courtesy: the row and its numbers are what counts
            svg = ""
        left -= len(svg.encode())
        if left < 0:
            break
        if svg:
            pictures[record.candidate.id] = picture(svg)
    return pictures


def _measure_cell(record: CandidateRecord, measure: str, term: DesirabilityTerm | None) -> str:
    measurement = record.measurements.get(measure)
    if measurement is None:
        return cell("–")
    html = escaped(measured(measurement, with_unit=False))
    if term is not None:
        desirability = term.judged(measurement)
        html += meter(desirability, f"desirability {desirability:.3f}")
    return cell(html, value=measurement.value)


def _text_cell(record: CandidateRecord) -> str:
    facts = [
        (measure_label(name, m.unit), escaped(measured(m)))
        for name, m in record.measurements.items()
    ]
    facts += [
        (f"gates passed, {oracle}", escaped(", ".join(checks)))
        for oracle, checks in record.checks.items()
        if checks
    ]
    facts += [(f"time, {oracle}", duration(s)) for oracle, s in record.seconds.items()]
    if record.parents:
        parents = record.parent_texts or record.parents
        facts.append(("parents", "<br>".join(f"<code>{escaped(p)}</code>" for p in parents)))
    if record.model_version is not None:
        facts.append(("model version", f"<code>{escaped(record.model_version)}</code>"))
    if record.log_likelihood is not None:
        facts.append(("log-likelihood", number(record.log_likelihood)))
    facts += [
        ("island, epoch", f"{record.island}, {record.epoch}"),
        ("found at evaluation", number(record.evaluations)),
        ("id", f"<code>{escaped(record.candidate.id)}</code>"),
        (
            "ledger entries",
            f"{number(record.proposed_sequence)} (proposed),"
            f" {number(record.completed_sequence)} (completed)",
        ),
    ]
    listing = "".join(f"<dt>{escaped(label)}</dt><dd>{html}</dd>" for label, html in facts)
    return (
        f'<td class="text"><code>{escaped(record.candidate.text)}</code>'
        f"<details><summary>evidence</summary><dl>{listing}</dl></details></td>"
    )
