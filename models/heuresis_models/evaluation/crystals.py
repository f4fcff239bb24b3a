"""How good a sample of crystals is: read, possible as structure and as composition, unique, novel.

What is counted is judged by `crystal_checks` (structure) and `composition` (charges).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from heuresis_models.composition import States
from heuresis_models.crystal_checks import CrystalChecks, key, read_crystal
from heuresis_models.errors import DataError


@dataclass(frozen=True)
class CrystalSample:
    """Counts over a sample of written crystals; shares are properties.

    Args:
        drawn: texts.
        parsed: those that describe a crystal: the grammar is followed and all sites expand.
        structurally_valid: of the parsed, by `structurally_valid`.
        smact: of the parsed, by `composition.smact_valid`.
        balanced: of the parsed, by `composition.charge_balanced`.
        valid: of the parsed, both structurally valid and by SMACT's rule.
        distinct: different (reduced formula, space group) among the parsed.
        novel: of the distinct, those not in the training set; None: no training set given.
    """

    drawn: int
    parsed: int
    structurally_valid: int
    smact: int
    balanced: int
    valid: int
    distinct: int
    novel: int | None

    def share(self, name: str) -> float:
        """Return a count as a share: of the drawn, ``distinct`` of the parsed, ``novel`` of these.

        Raises:
            DataError: there is nothing it could be a share of.
        """
        whole = {"distinct": self.parsed, "novel": self.distinct}.get(name, self.drawn)
        count = getattr(self, name)
        if not whole or count is None:
            raise DataError(f"no share of '{name}': nothing was drawn, read, or compared with")
        return float(count / whole)


def evaluate_crystals(
    texts: Sequence[str],
    training: Collection[str] | None = None,
    states: States = States.KNOWN,
) -> CrystalSample:
    """Count over written crystals.

    Args:
        texts: what a model wrote between ``<crystal>`` and ``</crystal>``.
        training: `key` of each training crystal; None: novelty is not counted.
        states: oxidation states allowed for charge balance.

    Raises:
        MissingExtraError: pymatgen is not installed.
    """
    return counted(checks_of(texts, states), training)


def checks_of(texts: Sequence[str], states: States = States.KNOWN) -> list[CrystalChecks]:
    """Return the checks of each text."""
    return [CrystalChecks(read_crystal(text), states) for text in texts]


def counted(
    checks: Sequence[CrystalChecks], training: Collection[str] | None = None
) -> CrystalSample:
    """Count over crystals that were read; see `evaluate_crystals`."""
    found = [check for check in checks if check.crystal is not None]
    distinct = {key(check.crystal) for check in found if check.crystal is not None}
    return CrystalSample(
        drawn=len(checks),
        parsed=len(found),
        structurally_valid=sum(check.structure for check in found),
        smact=sum(check.smact for check in found),
        balanced=sum(check.balanced for check in found),
        valid=sum(check.structure and check.smact for check in found),
        distinct=len(distinct),
        novel=None if training is None else len(distinct.difference(training)),
    )
