"""What a written crystal must hold to be one: it reads, it expands, and its sites keep a distance.

Structural validity is CDVAE's (Xie et al., ICLR 2022, arXiv:2110.06197): no two sites closer than
0.5 Å, periodic images included, and a cell of at least 0.1 Å³. It says that atoms do not coincide,
not that the crystal is stable. Generation keeps what passes, evaluation counts it: one judge.
Charges: see `composition`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np

from heuresis.spaces.crystals.geometry import smallest_distance_angstrom
from heuresis_models.composition import States, charge_balanced, smact_valid
from heuresis_models.language.crystal_text import Crystal, parse_payload
from heuresis_models.language.errors import CrystalTextError, UnknownTokenError
from heuresis_models.language.objects import object_tokens
from heuresis_models.language.vocabulary import Vocabulary

SMALLEST_DISTANCE_ANGSTROM: Final = 0.5
SMALLEST_VOLUME_ANGSTROM3: Final = 0.1


class Requirement(StrEnum):
    """What a crystal must pass to be kept."""

    STRUCTURE = "structure"
    """It reads, and `structurally_valid` holds."""
    BALANCED = "balanced"
    """Also `composition.charge_balanced`, the strict rule: no elements, no alloys."""


class Fault(StrEnum):
    """Why a text does not meet a requirement; the first that is found."""

    UNREADABLE = "no crystal"
    STRUCTURE = "sites too close"
    CHARGES = "charges do not balance"


@dataclass(frozen=True)
class CrystalChecks:
    """The checks of one written crystal, each done when it is first asked for.

    The charge rules need pymatgen: `MissingExtraError` without it.

    Args:
        crystal: as `read_crystal` returns it; None: the text was none.
        states: oxidation states allowed for charge balance.
    """

    crystal: Crystal | None
    states: States = States.KNOWN

    @cached_property
    def structure(self) -> bool:
        """By `structurally_valid`."""
        return self.crystal is not None and structurally_valid(self.crystal)

    @cached_property
    def balanced(self) -> bool:
        """By `composition.charge_balanced`."""
        return self.crystal is not None and charge_balanced(self.crystal.composition(), self.states)

    @cached_property
    def smact(self) -> bool:
        """By `composition.smact_valid`."""
        return self.crystal is not None and smact_valid(self.crystal.composition(), self.states)

    def fault(self, require: Requirement) -> Fault | None:
        """Return why the crystal fails a requirement; None: it passes."""
        if self.crystal is None:
            return Fault.UNREADABLE
        if not self.structure:
            return Fault.STRUCTURE
        if require is Requirement.BALANCED and not self.balanced:
            return Fault.CHARGES
        return None


def read_crystal(text: str) -> Crystal | None:
    """Read ``<sg:225>'0'5'6'4{Na}|a…``, with or without the tags around it; None if it is none.

    Strict: the text must be what the writer would write, and every site must expand.
    """
    payload = text.removeprefix("<crystal>").removesuffix("</crystal>")
    vocabulary = Vocabulary.default()
    try:
        tokens = vocabulary.cut(payload)
        crystal = parse_payload(tokens)
        crystal.cell()
        written = object_tokens(crystal)[1:-1]
    except (CrystalTextError, UnknownTokenError):
        return None
    return crystal if written == tokens else None


def key(crystal: Crystal) -> str:
    """Return what makes two crystals the same here: reduced formula and space group."""
    return f"{crystal.reduced_formula()} {crystal.number}"


def structurally_valid(crystal: Crystal) -> bool:
    """Whether sites keep their distance and the cell has a volume; False if it does not expand."""
    try:
        cell = crystal.cell()
    except CrystalTextError:
        return False
    volume = abs(float(np.linalg.det(cell.lattice_angstrom)))
    if volume < SMALLEST_VOLUME_ANGSTROM3:
        return False
    return smallest_distance_angstrom(cell) >= SMALLEST_DISTANCE_ANGSTROM
