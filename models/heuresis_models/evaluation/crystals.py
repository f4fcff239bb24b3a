"""How good a sample of crystals is: read, possible as structure and as composition, unique, novel.

What is counted is judged by `crystal_checks` (structure) and `composition` (charges).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from heuresis_models.composition import States, charge_balanced, smact_valid
from heuresis_models.crystal_checks import key, read_crystal, structurally_valid
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
    found = [crystal for text in texts if (crystal := read_crystal(text)) is not None]
    structure = [structurally_valid(crystal) for crystal in found]
    smact = [smact_valid(crystal.composition(), states) for crystal in found]
    distinct = {key(crystal) for crystal in found}
    return CrystalSample(
        drawn=len(texts),
        parsed=len(found),
        structurally_valid=sum(structure),
        smact=sum(smact),
        balanced=sum(charge_balanced(crystal.composition(), states) for crystal in found),
        valid=sum(a and b for a, b in zip(structure, smact, strict=True)),
        distinct=len(distinct),
        novel=None if training is None else len(distinct.difference(training)),
    )
