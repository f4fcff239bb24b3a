"""A picture of a crystal: its conventional cell in slight perspective of depth, with a legend.

SVG for reports, PNG for MLflow; both are drawn from the same few lines, discs and words.
"""

from __future__ import annotations

import io
import re
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from heuresis.spaces.crystals.elements import ELEMENT_SYMBOLS
from heuresis.spaces.crystals.geometry import covalent_radius_angstrom
from heuresis.spaces.crystals.symmetry import space_group
from heuresis.spaces.crystals.text import Cell, Crystal

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 260, 180
_DRAWING: Final = (196, 154)
"""Width and height for the cell; the legend stands right of it, the name below."""
_MARGIN: Final = 6
_TURN_DEGREES: Final = (-27.0, 13.0)
"""About the vertical and about the horizontal axis of the picture."""
_DISC: Final = 0.42
"""Radius of a disc in covalent radii."""
_BOND: Final = 1.18
"""Atoms closer than this many sums of covalent radii are joined, if their elements differ."""
_MOST_JOINED: Final = 120
_PNG_SCALE: Final = 2
_FONT_SIZE: Final = 16
"""Large, for pictures stand in tables at half their size."""
_COLOURS: Final = dict(
    zip(
        ELEMENT_SYMBOLS,
        (  # noqa: SIM905 - Jmol's, which crystallographers know; a list would take 96 lines
            "ffffff d9ffff cc80ff c2ff00 ffb5b5 909090 3050f8 ff0d0d 90e050 b3e3f5 ab5cf2 8aff00 "
            "bfa6a6 f0c8a0 ff8000 ffff30 1ff01f 80d1e3 8f40d4 3dff00 e6e6e6 bfc2c7 a6a6ab 8a99c7 "
            "9c7ac7 e06633 f090a0 50d050 c88033 7d80b0 c28f8f 668f8f bd80e3 ffa100 a62929 5cb8d1 "
            "702eb0 00ff00 94ffff 94e0e0 73c2c9 54b5b5 3b9e9e 248f8f 0a7d8c 006985 c0c0c0 ffd98f "
            "a67573 668080 9e63b5 d47a00 940094 429eb0 57178f 00c900 70d4ff ffffc7 d9ffc7 c7ffc7 "
            "a3ffc7 8fffc7 61ffc7 45ffc7 30ffc7 1fffc7 00ff9c 00e675 00d452 00bf38 00ab24 4dc2ff "
            "4da6ff 2194d6 267dab 266696 175487 d0d0e0 ffd123 b8b8d0 a6544d 575961 9e4fb5 ab5c00 "
            "754f45 428296 420066 007d00 70abfa 00baff 00a1ff 008fff 0080ff 006bff 545cf2 785ce3"
        ).split(),
        strict=True,
    )
)


class _Line(NamedTuple):
    depth: float
    start: tuple[float, float]
    end: tuple[float, float]
    colour: str
    width: float


class _Disc(NamedTuple):
    depth: float
    centre: tuple[float, float]
    radius: float
    colour: str


class _Word(NamedTuple):
    place: tuple[float, float]
    text: str


def depict_svg(crystal: Crystal) -> str:
    """Return a self-contained SVG (260 × 180, transparent)."""
    shapes, words = _drawing(crystal)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(_name(crystal))}</title>",
    ]
    for shape in shapes:
        if isinstance(shape, _Line):
            (x1, y1), (x2, y2) = shape.start, shape.end
            parts.append(
                f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
                f' stroke="#{shape.colour}" stroke-width="{shape.width:g}"/>'
            )
        else:
            x, y = shape.centre
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{shape.radius:.1f}"'
                f' fill="#{shape.colour}" stroke="#444444" stroke-width="0.6"/>'
            )
    parts += [
        f'<text x="{word.place[0]:.1f}" y="{word.place[1]:.1f}" font-family="sans-serif"'
        f' font-size="{_FONT_SIZE}" fill="#555555">{escape(word.text)}</text>'
        for word in words
    ]
    return "".join([*parts, "</svg>"])


def depict_png(crystal: Crystal) -> bytes:
    """Return a PNG (260 × 180 at double resolution, white)."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH * _PNG_SCALE, HEIGHT * _PNG_SCALE), "white")
    draw = ImageDraw.Draw(image)
    shapes, words = _drawing(crystal)
    for shape in shapes:
        if isinstance(shape, _Line):
            ends = [tuple(_PNG_SCALE * value for value in end) for end in (shape.start, shape.end)]
            draw.line(ends, fill=f"#{shape.colour}", width=round(_PNG_SCALE * shape.width))
        else:
            x, y = (_PNG_SCALE * value for value in shape.centre)
            radius = _PNG_SCALE * shape.radius
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, fill=f"#{shape.colour}", outline="#444444")
    font = ImageFont.load_default(size=_FONT_SIZE * _PNG_SCALE)
    for word in words:
        x, y = (_PNG_SCALE * value for value in word.place)
        draw.text((x, y), word.text, fill="#555555", font=font, anchor="ls")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _name(crystal: Crystal) -> str:
    formula = re.sub(r"(?<![0-9])1(?![0-9])", "", crystal.reduced_formula())
    return f"{formula}  {space_group(crystal.number).symbol} ({crystal.number})"


def _drawing(crystal: Crystal) -> tuple[list[_Line | _Disc], list[_Word]]:
    cell = crystal.cell()
    elements, places = _with_copies_on_faces(cell)
    corners = np.array(list(product((0.0, 1.0), repeat=3)))
    turned = _turned(np.concatenate([places, corners]) @ cell.lattice_angstrom)
    radii = np.array([_DISC * covalent_radius_angstrom(element) for element in elements])
    flat, scale = _fitted(turned, radii.max())
    atoms, depth = flat[: len(elements)], turned[:, 2]
    shapes: list[_Line | _Disc] = []
    for first, second in _edges(corners):
        ends = (len(elements) + first, len(elements) + second)
        shapes.append(_Line(-np.inf, _point(flat[ends[0]]), _point(flat[ends[1]]), "b0b0b0", 0.8))
    for first, second in _joined(elements, places @ cell.lattice_angstrom):
        far = float(depth[[first, second]].min()) - 1e-6
        shapes.append(_Line(far, _point(atoms[first]), _point(atoms[second]), "999999", 1.6))
    for index, element in enumerate(elements):
        shapes.append(
            _Disc(
                float(depth[index]), _point(atoms[index]), scale * radii[index], _COLOURS[element]
            )
        )
    words = [_Word((_MARGIN, HEIGHT - _MARGIN), _name(crystal))]
    for row, element in enumerate(crystal.composition()):
        height = 18.0 + 24 * row
        shapes.append(_Disc(np.inf, (_DRAWING[0] + 18.0, height), 7.0, _COLOURS[element]))
        words.append(_Word((_DRAWING[0] + 31.0, height + 6), element))
    return sorted(shapes, key=lambda shape: shape.depth), words


def _with_copies_on_faces(cell: Cell) -> tuple[list[str], NDArray[np.float64]]:
    """Return the sites, with those on a face of the cell shown on the opposite face, too."""
    elements: list[str] = []
    places: list[NDArray[np.float64]] = []
    for element, site in zip(cell.elements, cell.coordinates % 1.0, strict=True):
        site = np.where(site > 1.0 - 1e-3, 0.0, site)
        options = [(0.0, 1.0) if value < 1e-3 else (0.0,) for value in site]
        for shift in product(*options):
            elements.append(element)
            places.append(site + shift)
    return elements, np.array(places)


def _turned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points as seen: x to the right, y up, z towards the eye."""
    about_vertical, about_horizontal = np.radians(_TURN_DEGREES)
    x, y, z = points.T
    # c points up; a is seen from the front.
    right, up, near = y, z, x
    c, s = np.cos(about_vertical), np.sin(about_vertical)
    right, near = c * right + s * near, -s * right + c * near
    c, s = np.cos(about_horizontal), np.sin(about_horizontal)
    up, near = c * up - s * near, s * up + c * near
    return np.stack([right, up, near], axis=1)


def _fitted(
    points: NDArray[np.float64], largest_radius: float
) -> tuple[NDArray[np.float64], float]:
    """Return places in the picture and its scale in pixels per Å."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    size = high - low + 2 * largest_radius
    room = np.array(_DRAWING) - 2 * _MARGIN
    scale = float((room / size).min())
    middle = np.array(_DRAWING) / 2
    flat = (points[:, :2] - (low + high) / 2) * scale
    return np.stack([middle[0] + flat[:, 0], middle[1] - flat[:, 1]], axis=1), scale


def _edges(corners: NDArray[np.float64]) -> list[tuple[int, int]]:
    return [
        (first, second)
        for first in range(len(corners))
        for second in range(first)
        if np.abs(corners[first] - corners[second]).sum() == 1.0
    ]


def _joined(elements: list[str], points_angstrom: NDArray[np.float64]) -> list[tuple[int, int]]:
    if len(elements) > _MOST_JOINED:
        return []
    radii = np.array([covalent_radius_angstrom(element) for element in elements])
    apart = np.linalg.norm(points_angstrom[:, None] - points_angstrom[None], axis=2)
    near = apart < _BOND * (radii[:, None] + radii[None])
    if len(set(elements)) > 1:
        names = np.array(elements)
        near &= names[:, None] != names[None]
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(near, 1))]


def _point(place: NDArray[np.float64]) -> tuple[float, float]:
    return float(place[0]), float(place[1])
