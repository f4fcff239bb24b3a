"""Charge balance: could the elements of a formula carry charges that add up to zero?

The rule is that of SMACT (Davies et al., J. Open Source Softw. 2019, 4, 1361; Chem 2016, 1, 617) as
CDVAE applies it to generated crystals (Xie et al., ICLR 2022, arXiv:2110.06197): each element takes
one oxidation state that it is known to take, the charges add up to zero, and every cation is less
electronegative than every anion. Oxidation states and Pauling electronegativities are those of
pymatgen (extra ``crystals``), whose lists are not SMACT's: shares differ by some points from those
of papers, so compare with the share of real crystals under the same rule.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from heuresis.errors import MissingExtraError, did_you_mean
from heuresis.spaces.crystals.elements import ELEMENT_SYMBOLS
from heuresis.spaces.crystals.errors import CompositionError


class States(StrEnum):
    """Which oxidation states an element may take."""

    KNOWN = "known"
    """All that pymatgen lists; the widest set, closest to SMACT's of 2014."""
    ICSD = "icsd"
    """Those that occur at least ten times in the ICSD; none for some heavy elements."""


class _Element(NamedTuple):
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    common: tuple[int, ...]
    """Those that the element mostly takes."""
    electronegativity: float
    """Pauling; not a number where none is known."""
    metal: bool


def charge_balanced(composition: Mapping[str, int], states: States = States.KNOWN) -> bool:
    """Whether one oxidation state per element makes the composition neutral.

    Cations must be less electronegative than anions; an element without a known
    electronegativity may be either. An element alone has no charge to balance: False. This is the
    strict rule; generation may use it to filter, and `smact_valid` is built on it.

    Args:
        composition: atoms of each element, e.g. ``{"Na": 1, "Cl": 1}``.
        states: which oxidation states are allowed.

    Raises:
        CompositionError: no element, an unknown one, or a count below 1.
        MissingExtraError: pymatgen is not installed.
    """
    return balancing_charges(composition, states) is not None


def balancing_charges(
    composition: Mapping[str, int], states: States = States.KNOWN
) -> dict[str, int] | None:
    """Return charges that make a composition neutral, with the most common states that do.

    The rule and the errors are those of `charge_balanced`.

    Returns:
        Element → charge; None: there are no such charges.
    """
    counts = _checked(composition)
    parts = [(_element(symbol, states), count) for symbol, count in counts.items()]
    known = sorted({part.electronegativity for part, _ in parts if not _unknown(part)})
    # Elements up to the threshold are cations, those above are anions; equals stay together.
    found = [way for limit in known or [0.0] if (way := _neutral(parts, limit)) is not None]
    if not found:
        return None
    return dict(zip(counts, min(found).charges, strict=True))


def ions(charge: int, states: States = States.KNOWN) -> tuple[str, ...]:
    """Return the elements that commonly take a charge: what may stand in for one another.

    Raises:
        MissingExtraError: pymatgen is not installed.
    """
    return tuple(s for s in ELEMENT_SYMBOLS if charge in _element(s, states).common)


def smact_valid(composition: Mapping[str, int], states: States = States.KNOWN) -> bool:
    """Return the compositional validity of CDVAE: elements, alloys of metals, or charge-balanced.

    Raises:
        CompositionError: no element, an unknown one, or a count below 1.
        MissingExtraError: pymatgen is not installed.
    """
    counts = _checked(composition)
    if len(counts) == 1 or all(_element(symbol, states).metal for symbol in counts):
        return True
    return charge_balanced(counts, states)


class _Way(NamedTuple):
    """Charges of the first elements; compared by how many of them are uncommon."""

    uncommon: int
    charges: tuple[int, ...]


def _neutral(parts: list[tuple[_Element, int]], threshold: float) -> _Way | None:
    """Return charges that add up to zero, cations at and below the threshold, anions above."""
    ways = {0: _Way(0, ())}
    for part, count in parts:
        if _unknown(part):
            charges = part.positive + part.negative
        elif part.electronegativity <= threshold:
            charges = part.positive
        else:
            charges = part.negative
        longer: dict[int, _Way] = {}
        for total, way in ways.items():
            for charge in charges:
                uncommon = way.uncommon + (charge not in part.common)
                new = _Way(uncommon, (*way.charges, charge))
                at = total + count * charge
                longer[at] = min(longer.get(at, new), new)
        ways = longer
    return ways.get(0)


def _unknown(part: _Element) -> bool:
    return math.isnan(part.electronegativity)


def _checked(composition: Mapping[str, int]) -> Mapping[str, int]:
    for symbol, count in composition.items():
        if symbol not in ELEMENT_SYMBOLS:
            raise CompositionError(
                f"no element '{symbol}'{did_you_mean(symbol, ELEMENT_SYMBOLS)}; expected symbols"
                " such as Na"
            )
        if count < 1:
            raise CompositionError(f"a composition counts atoms from 1 on, got {count} of {symbol}")
    if not composition:
        raise CompositionError("an empty composition; expected at least one element")
    return composition


@cache
def _element(symbol: str, states: States) -> _Element:
    try:
        from pymatgen.core import Element
    except ImportError as error:
        raise MissingExtraError("charge balance of crystals", "pymatgen", "crystals") from error
    element = Element(symbol)
    with warnings.catch_warnings():
        # pymatgen warns where it knows no electronegativity; not-a-number says the same.
        warnings.simplefilter("ignore", UserWarning)
        electronegativity = float(element.X)
    listed = element.oxidation_states if states is States.KNOWN else element.icsd_oxidation_states
    charges = sorted({int(state) for state in listed})
    return _Element(
        positive=tuple(charge for charge in charges if charge > 0),
        negative=tuple(charge for charge in charges if charge < 0),
        common=tuple(sorted({int(state) for state in element.common_oxidation_states})),
        electronegativity=electronegativity,
        metal=bool(element.is_metal),
    )
