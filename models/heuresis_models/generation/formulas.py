"""Charge-balanced formulas to ask for: those of known crystals, and new ones by substitution.

Substitution replaces one element by another that commonly takes the same charge, so the sum stays
zero: NaCl → KCl, BaTiO3 → SrTiO3 (Hautier et al., Inorg. Chem. 2011, 50, 656 learn from data which
ions replace each other; here only the charge decides, so not every product is likely to exist).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import gcd
from typing import TYPE_CHECKING, Final

from heuresis_models.composition import States, balancing_charges, ions
from heuresis_models.errors import DataError
from heuresis_models.language.crystal_text import ELEMENT_RANK, Crystal
from heuresis_models.language.quantities import Formula

if TYPE_CHECKING:
    from numpy.random import Generator

_TRIES: Final = 200


class FormulaPool:
    """Balanced formulas as often as crystals have them.

    Args:
        crystals: known ones; those that do not balance are left out.
        states: oxidation states allowed for charge balance.

    Raises:
        DataError: none of the crystals is charge-balanced.
        MissingExtraError: pymatgen is not installed.
    """

    def __init__(self, crystals: Iterable[Crystal], states: States = States.KNOWN) -> None:
        counts = Counter(reduced(crystal.composition()) for crystal in crystals)
        self._states = states
        self.counts: dict[Formula, int] = {
            formula: count
            for formula, count in counts.items()
            if balancing_charges(dict(formula.counts), states) is not None
        }
        if not self.counts:
            raise DataError(
                f"no charge-balanced formula among those of {sum(counts.values())} crystals; give"
                " ionic ones, not elements and alloys alone"
            )
        self._formulas = list(self.counts)
        total = sum(self.counts.values())
        self._shares = [self.counts[formula] / total for formula in self._formulas]

    def known(self, count: int, rng: Generator) -> list[Formula]:
        """Draw formulas of the known crystals."""
        places = rng.choice(len(self._formulas), size=count, p=self._shares)
        return [self._formulas[int(place)] for place in places]

    def substituted(self, count: int, rng: Generator) -> list[Formula]:
        """Draw formulas that no known crystal has: one ion of a known one replaced by its like.

        Raises:
            DataError: no new formula was found; the crystals are too few, or all alike.
        """
        found: list[Formula] = []
        tries = 0
        while len(found) < count:
            (formula,) = self.known(1, rng)
            new = self._replaced(formula, rng)
            if new is not None and new not in self.counts:
                found.append(new)
                tries = 0
                continue
            tries += 1
            if tries == _TRIES:
                raise DataError(
                    f"{_TRIES} substitutions in a row gave no new charge-balanced formula; give"
                    " more crystals to start from"
                )
        return found

    def _replaced(self, formula: Formula, rng: Generator) -> Formula | None:
        composition = dict(formula.counts)
        charges = balancing_charges(composition, self._states)
        assert charges is not None
        symbols = list(composition)
        leaving = symbols[int(rng.integers(len(symbols)))]
        coming = [s for s in ions(charges[leaving], self._states) if s not in composition]
        if not coming:
            return None
        chosen = coming[int(rng.integers(len(coming)))]
        new = {chosen if s == leaving else s: count for s, count in composition.items()}
        # The newcomer may be more electronegative than an anion, or less than a cation.
        return reduced(new) if balancing_charges(new, self._states) is not None else None


def reduced(composition: dict[str, int]) -> Formula:
    """Return the smallest whole numbers, electropositive elements first, as a condition."""
    divisor = gcd(*composition.values())
    ordered = sorted(composition, key=lambda symbol: ELEMENT_RANK[symbol])
    return Formula(tuple((symbol, composition[symbol] // divisor) for symbol in ordered))
