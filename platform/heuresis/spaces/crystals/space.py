"""Inorganic crystals as text that states their symmetry: the `crystal` design space.

The text is what the language model writes between ``<crystal>`` and ``</crystal>``: space group,
free lattice parameters, and one entry for each orbit of sites; ``<sg:225>'0'5'6'4{Na}|a{Cl}|b`` is
rock salt. Parsing finds the symmetry anew, so that what is written in too low a symmetry, in a
supercell or with another origin comes out as the same text; `normalizer` says where not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heuresis.errors import InvalidCandidate
from heuresis.spaces.crystals.composition import charge_balanced, smact_valid
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.features import BLOCKS, ENVIRONMENTS, CrystalFeatures
from heuresis.spaces.crystals.geometry import shortest_contact
from heuresis.spaces.crystals.normalizer import canonical_crystal
from heuresis.spaces.crystals.picture import depict_png, depict_svg
from heuresis.spaces.crystals.rules import CrystalRules, in_words
from heuresis.spaces.crystals.standard import centring_vectors
from heuresis.spaces.crystals.symmetry import space_group
from heuresis.spaces.crystals.text import Crystal, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heuresis.spaces.features import Features

_REMEMBERED = 50_000
_MOST_SITES = 1000
"""Sites in the conventional cell beyond which nothing is computed."""


class CrystalSpace:
    """The `crystal` design space; see `CrystalRules` for its settings.

    Reason codes of refusals: ``empty``, ``too_long``, ``syntax``, ``element``, ``element_count``,
    ``missing:SYMBOL``, ``size``, ``charge``, ``cell`` (no lattice, or sites of one orbit coincide),
    ``space_group``, ``volume``, ``contact``, ``canonical``.
    """

    kind: ClassVar[str] = "crystal"
    Config: ClassVar[type[CrystalRules]] = CrystalRules
    feature_blocks: ClassVar[tuple[str, ...]] = BLOCKS

    def __init__(self, config: CrystalRules) -> None:
        self.config = config
        self._elements = frozenset(config.elements)
        self._accepted: set[str] = set()
        self._features: CrystalFeatures | None = None

    def canonical(self, text: str) -> str:
        """Return the one text of the crystal that this campaign would measure.

        Raises:
            InvalidCandidate: unreadable, or outside the rules; see the class for reason codes.
            MissingExtraError: spglib or pymatgen is not installed (extra ``crystals``).
        """
        if text in self._accepted:
            return text
        crystal = self._parse(text)
        self._check_composition(crystal)
        crystal = self._standardised(crystal)
        # Its symmetry may be higher and its primitive cell smaller than it was written.
        self._check_size(crystal)
        self._check_geometry(crystal)
        found = crystal.payload()
        if len(self._accepted) >= _REMEMBERED:
            self._accepted.clear()
        self._accepted.add(found)
        return found

    def depict(self, text: str) -> str:
        """Return an SVG picture (260 × 180, transparent) of a canonical text."""
        return depict_svg(_readable(text))

    def depict_png(self, text: str) -> bytes:
        """Return a PNG picture (260 × 180, white) of a canonical text."""
        return depict_png(_readable(text))

    def features(self, texts: Sequence[str], blocks: Sequence[str] = (ENVIRONMENTS,)) -> Features:
        """Return counted surroundings and descriptors of crystals; see `CrystalFeatures`."""
        if self._features is None:
            self._features = CrystalFeatures()
        return self._features(texts, blocks)

    def describe(self) -> str:
        """Return one line for people: what this space allows."""
        return in_words(self.config)

    def _parse(self, text: str) -> Crystal:
        if not text or text.isspace():
            raise InvalidCandidate("empty", "the text is empty")
        if len(text) > self.config.max_characters:
            raise InvalidCandidate(
                "too_long", f"{len(text)} characters; at most {self.config.max_characters}"
            )
        try:
            crystal = read_text(text)
        except CrystalTextError as error:
            raise InvalidCandidate("syntax", str(error)) from error
        if not crystal.orbits:
            raise InvalidCandidate("empty", f"'{text}' has no site")
        return crystal

    def _check_composition(self, crystal: Crystal) -> None:
        rules = self.config
        counts = crystal.composition()
        for symbol in counts:
            if symbol not in self._elements:
                raise InvalidCandidate("element", f"element {symbol} is not allowed")
        _within("element_count", "different elements", len(counts), rules.element_count)
        for symbol in rules.require_elements:
            if symbol not in counts:
                raise InvalidCandidate(f"missing:{symbol}", f"{symbol} is required")
        if sum(counts.values()) > _MOST_SITES:
            raise InvalidCandidate(
                "size", f"{sum(counts.values())} sites as written; at most {_MOST_SITES} are read"
            )
        if (rules.charges == "balanced" and not charge_balanced(counts)) or (
            rules.charges == "smact" and not smact_valid(counts)
        ):
            raise InvalidCandidate(
                "charge",
                f"no oxidation state for each element makes {crystal.reduced_formula()} neutral"
                f" (rule '{rules.charges}')",
            )

    def _standardised(self, crystal: Crystal) -> Crystal:
        try:
            cell = crystal.cell()
        except CrystalTextError as error:
            raise InvalidCandidate("cell", str(error)) from error
        # Before symmetry is searched, which takes long or goes astray where atoms coincide.
        volume = abs(float(np.linalg.det(cell.lattice_angstrom))) / len(cell.elements)
        _within("volume", "Å³ per atom", volume, self.config.volume_per_atom_angstrom3)
        try:
            return canonical_crystal(crystal)
        except CrystalTextError as error:
            raise InvalidCandidate("canonical", str(error)) from error

    def _check_size(self, crystal: Crystal) -> None:
        atoms = primitive_atoms(crystal)
        _within("size", "atoms in the primitive cell", atoms, self.config.atoms)
        _within("space_group", "as space group", crystal.number, self.config.space_groups)

    def _check_geometry(self, crystal: Crystal) -> None:
        ratio, first, second, distance = shortest_contact(crystal.cell())
        if ratio < self.config.shortest_contact:
            raise InvalidCandidate(
                "contact",
                f"{first} and {second} are {distance:.2f} Å apart, {ratio:.2f} times the sum of"
                f" their covalent radii; at least {self.config.shortest_contact:g}",
            )


def primitive_atoms(crystal: Crystal) -> int:
    """Return the number of atoms in the primitive cell."""
    sites = sum(crystal.composition().values())
    return sites // len(centring_vectors(space_group(crystal.number)))


def _readable(text: str) -> Crystal:
    try:
        return read_text(text)
    except CrystalTextError as error:
        raise InvalidCandidate("syntax", f"'{text}' cannot be drawn: {error}") from error


def _within(reason: str, what: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise InvalidCandidate(reason, f"{value:g} {what}; allowed {low:g} to {high:g}")
