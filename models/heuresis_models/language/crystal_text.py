"""Crystals as text; it lives in the core, where the design space and oracles read it, too."""

from heuresis.spaces.crystals.elements import ELEMENT_RANK
from heuresis.spaces.crystals.text import (
    ANGLE_STEP_DEGREES,
    COORDINATE_DIGITS,
    COORDINATE_STEPS,
    LENGTH_STEP_ANGSTROM,
    OVERLAP_ANGSTROM,
    PARAMETER_DIGITS,
    Cell,
    Crystal,
    Orbit,
    expand,
    lattice_vectors,
    parse_payload,
)
from heuresis_models.language.tokens import ELEMENT_SYMBOLS

if set(ELEMENT_RANK) != set(ELEMENT_SYMBOLS):  # pragma: no cover - a slip in one of the lists
    raise RuntimeError("the electronegativity order must list every element once")

__all__ = [
    "ANGLE_STEP_DEGREES",
    "COORDINATE_DIGITS",
    "COORDINATE_STEPS",
    "ELEMENT_RANK",
    "LENGTH_STEP_ANGSTROM",
    "OVERLAP_ANGSTROM",
    "PARAMETER_DIGITS",
    "Cell",
    "Crystal",
    "Orbit",
    "expand",
    "lattice_vectors",
    "parse_payload",
]
