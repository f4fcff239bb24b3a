"""Which element may stand for which: same charge, similar radius, similar electronegativity.

As in ion substitution from data (Hautier et al., Inorg. Chem. 50, 656 (2011)), but with a rule in
place of fitted probabilities: a Gaussian in the difference of ionic radii, 0.2 Å wide, times one in
the difference of Pauling electronegativities, 0.6 wide, among elements that commonly take the
charge. Radii are Shannon's crystal radii as pymatgen lists them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from heuresis.spaces.crystals.composition import balancing_charges, ions
from heuresis.spaces.crystals.geometry import covalent_radius_angstrom

RADIUS_WIDTH_ANGSTROM: Final = 0.2
ELECTRONEGATIVITY_WIDTH: Final = 0.6
LEAST_WEIGHT: Final = 1e-3
"""Relative to the best: less similar elements are not proposed."""


def charges_of(composition: Mapping[str, int]) -> dict[str, int]:
    """Return charges that make a composition neutral; 0 for all where there are none (metals)."""
    return balancing_charges(composition) or dict.fromkeys(composition, 0)


@cache
def radius_angstrom(symbol: str, charge: int) -> float:
    """Return the ionic radius for a charge, that of the nearest listed charge, or the covalent."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        listed = {int(c): float(r) for c, r in Element(symbol).ionic_radii.items()}
    same_sign = {c: r for c, r in listed.items() if c * charge > 0}
    if not same_sign:
        return covalent_radius_angstrom(symbol)
    return same_sign[min(same_sign, key=lambda c: (abs(c - charge), c))]


@cache
def _electronegativity(symbol: str) -> float:
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        value = float(Element(symbol).X)
    return 2.0 if math.isnan(value) else value


@cache
def _may_be(charge: int) -> frozenset[str]:
    return frozenset(ions(charge))


def similar(
    symbol: str, charge: int, allowed: Sequence[str], new_charge: int | None = None
) -> dict[str, float]:
    """Return allowed elements that may stand for one, with weights; the best has weight 1.

    Args:
        symbol: the element that leaves.
        charge: the charge it has; 0 among metals, where radii are covalent and any may come.
        allowed: elements that may come.
        new_charge: the charge of the one that comes; None: the same.
    """
    wanted = charge if new_charge is None else new_charge
    radius, pull = radius_angstrom(symbol, charge), _electronegativity(symbol)
    weights = {}
    for other in allowed:
        if other == symbol or (wanted and other not in _may_be(wanted)):
            continue
        apart = (radius_angstrom(other, wanted) - radius) / RADIUS_WIDTH_ANGSTROM
        pulls = (_electronegativity(other) - pull) / ELECTRONEGATIVITY_WIDTH
        weights[other] = math.exp(-0.5 * (apart**2 + pulls**2))
    best = max(weights.values(), default=0.0)
    if best <= 0.0:
        return dict.fromkeys(weights, 1.0)
    return {e: w / best for e, w in weights.items() if w / best >= LEAST_WEIGHT}
