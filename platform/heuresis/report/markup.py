"""Small pieces of HTML. Whatever comes from outside goes through `escaped`."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from heuresis.records import Measurement

_UNITS = {"angstrom": "Å", "1": "", "degree": "°", "kelvin": "K"}


def escaped(value: object) -> str:
    """Return a text that cannot leave its place in the page."""
    return escape(str(value), quote=True)


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for people; a dash for none."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e9 else text.replace("-", "−")


def percent(value: float | None) -> str:
    """Return a share as a percentage."""
    return "–" if value is None else f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """Return a time span in the unit that people would use."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


def unit(name: str) -> str:
    """Return a unit as it is printed."""
    return _UNITS.get(name, name)


def measure_label(name: str, measured_unit: str) -> str:
    """Return ``xtb.gap`` for ``xtb.gap_eV`` in eV: the unit is printed elsewhere."""
    return name.removesuffix(f"_{measured_unit}").replace("_", " ")


def measured(measurement: Measurement, *, with_unit: bool = True) -> str:
    """Return ``2.91 ± 0.02 eV``; the uncertainty decides the number of decimals."""
    uncertainty = measurement.uncertainty
    if uncertainty is None or uncertainty <= 0.0:
        text = number(measurement.value)
    else:
        shown = f"{uncertainty:.2g}"
        decimals = len(shown.partition(".")[2]) if "e" not in shown else None
        value = (
            number(measurement.value) if decimals is None else f"{measurement.value:.{decimals}f}"
        )
        text = f"{value.replace('-', '−')} ± {shown}"
    suffix = f" {unit(measurement.unit)}" if with_unit and unit(measurement.unit) else ""
    return text + suffix


def picture(svg: str) -> str:
    """Return an SVG as an image: inside ``img`` it can run nothing and load nothing."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="" src="data:image/svg+xml;base64,{data}">'


def meter(share: float, title: str) -> str:
    """Return a small bar filled to ``share`` of its length, with its value as a tooltip."""
    width = 100 * min(1.0, max(0.0, share))
    return f'<span class="meter" title="{escaped(title)}"><i style="width:{width:.0f}%"></i></span>'


def bar(share: float) -> str:
    """Return a bar as long as ``share`` of its cell."""
    return f'<span class="bar" style="width:{100 * min(1.0, max(0.0, share)):.1f}%"></span>'


def cell(html: str, *, value: float | None = None, kind: str = "number") -> str:
    """Return a table cell; ``value`` is what it sorts by."""
    data = "" if value is None else f' data-value="{value!r}"'
    return f'<td class="{kind}"{data}>{html}</td>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """Return a card with a table. ``headings`` and cells are HTML: ``th`` and ``td`` elements."""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    name = f' class="{kind}"' if kind else ""
    return (
        f'<div class="card"><table{name}><thead><tr>{"".join(headings)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def heading(label: str, small: str = "", *, sort: str | None = None, kind: str = "number") -> str:
    """Return a ``th``; ``sort`` is ``number`` or ``text`` for a sortable column."""
    sortable = f' data-sort="{sort}"' if sort else ""
    below = f"<small>{escaped(small)}</small>" if small else ""
    return f'<th class="{kind}" scope="col"{sortable}>{escaped(label)}{below}</th>'
