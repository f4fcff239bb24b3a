"""The convergence curve as an SVG text, drawn without any plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from heuresis.report.projections import CampaignView
from heuresis.report.rows import CurvePoint

WIDTH_px, HEIGHT_px = 1080, 340
LEFT_px, RIGHT_px, TOP_px, BOTTOM_px = 52, 16, 14, 58


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers inside [low, high]: 1, 2 or 5 times a power of ten."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


class _Frame:
    """Maps (evaluations, score) to pixels."""

    def __init__(self, evaluations: int, highest: float) -> None:
        self.evaluations = max(1, evaluations)
        self.highest = highest if highest > 0.0 else 1.0

    def x(self, evaluations: float) -> str:
        width = WIDTH_px - LEFT_px - RIGHT_px
        return f"{LEFT_px + width * evaluations / self.evaluations:.1f}"

    def y(self, value: float) -> str:
        height = HEIGHT_px - TOP_px - BOTTOM_px
        return f"{TOP_px + height * (1.0 - value / self.highest):.1f}"

    def steps(self, curve: Sequence[CurvePoint], end: int) -> str:
        """Path of a value that holds until it changes."""
        first = curve[0]
        parts = [f"M{self.x(first.evaluations)},{self.y(first.value)}"]
        parts += [f"H{self.x(p.evaluations)}V{self.y(p.value)}" for p in curve[1:]]
        return "".join([*parts, f"H{self.x(end)}"])


def convergence_chart(
    view: CampaignView, *, control: CampaignView | None = None, control_name: str = "control arm"
) -> str:
    """Return the curve of the best score and the top-10 mean over evaluations, as inline SVG.

    Args:
        view: the campaign.
        control: another campaign with the same budget, e.g. random samples: its best is dashed.
        control_name: what the legend calls it.
    """
    if not view.best_curve:
        return ""
    arms = [view] if control is None or not control.best_curve else [view, control]
    volumes = [point.value for point in view.front.curve] if view.front else []
    highest = 1.08 * max([*(arm.best_curve[-1].value for arm in arms), *volumes])
    frame = _Frame(max(arm.evaluations for arm in arms), min(1.0, highest))
    parts = [_axes(frame)]
    parts += [
        f'<line class="event" x1="{frame.x(step.evaluations)}" x2="{frame.x(step.evaluations)}"'
        f' y1="{TOP_px}" y2="{HEIGHT_px - BOTTOM_px}"/>'
        for step in view.learning
        if step.failure is None
    ]
    parts += [
        f'<circle class="dot" cx="{frame.x(p.evaluations)}" cy="{frame.y(p.value)}" r="2"/>'
        for p in view.scatter
    ]
    legend = [("best", "best so far")]
    if len(arms) == 2:
        path = frame.steps(arms[1].best_curve, arms[1].evaluations)
        parts.append(f'<path class="control" d="{path}"/>')
        legend.append(("control", f"best of {control_name}"))
    if view.top10_curve:
        path = frame.steps(view.top10_curve, view.evaluations)
        parts.append(f'<path class="mean" d="{path}"/>')
        legend.append(("mean", "mean of the ten best"))
    if view.front is not None and view.front.curve:
        path = frame.steps(view.front.curve, view.evaluations)
        parts.append(f'<path class="front" d="{path}"/>')
        legend.append(("front", "hypervolume of the front"))
    parts.append(f'<path class="best" d="{frame.steps(view.best_curve, view.evaluations)}"/>')
    if view.learning:
        legend.append(("event", "learning step"))
    parts.append(_legend(legend))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH_px} {HEIGHT_px}" role="img"'
        ' aria-label="Score over evaluations">' + "".join(parts) + "</svg>"
    )


def _axes(frame: _Frame) -> str:
    parts = []
    bottom, right = HEIGHT_px - BOTTOM_px, WIDTH_px - RIGHT_px
    for value in ticks(0.0, frame.highest):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{LEFT_px}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT_px - 8}" y="{y}" dy="4" text-anchor="end">{value:g}</text>')
    for value in ticks(0.0, frame.evaluations, 8):
        if value == int(value):
            x = frame.x(value)
            parts.append(
                f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{int(value):,}</text>'
            )
    parts.append(f'<text x="{right}" y="{bottom + 36}" text-anchor="end">evaluations</text>')
    return "".join(parts)


def _legend(items: Sequence[tuple[str, str]]) -> str:
    parts = []
    x, y = LEFT_px, HEIGHT_px - 14
    for name, label in items:
        parts.append(f'<line class="{name}" x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}"/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{escape(label)}</text>')
        x += 28 + 7 * len(label) + 22
    return "".join(parts)
