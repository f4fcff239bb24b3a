"""What a model was taught, and within which values: asked before anything is asked of the model.

``config.json`` of a model folder says it under the key ``heuresis``::

    "heuresis": {
        "taught": ["conditions", "exemplars"], "ranges": {"logp": [-4.0, 6.5]}, "values": "levels"
    }

All entries may be missing: a model without ``taught`` writes plain objects only. ``ranges`` names
the properties of molecules that the model was taught to heed; others cannot be asked for.
``values`` says whether it reads their values as ``levels`` or, the default, as ``numbers``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heuresis_models.errors import WeightsError
from heuresis_models.language.documents import Condition
from heuresis_models.language.quantities import LEVEL_SCALES, Level, Quantity

SUBJECTS: Final = (
    "conditions", "exemplars", "quantiles", "retro", "forward", "crystals", "proteins", "peptides",
    "coding_dna",
)  # fmt: skip
"""What ``taught`` may list."""

MOLECULE_RANGES: Final[dict[str, tuple[float, float]]] = {
    "logp": (-4.0, 6.5), "tpsa": (0.0, 150.0), "qed": (0.1, 0.95), "sa_score": (1.0, 7.0),
    "molar_mass": (16.0, 500.0), "heavy_atoms": (1, 38), "rings": (0, 8), "aromatic_rings": (0, 6),
    "rotatable_bonds": (0, 8), "donors": (0, 6), "acceptors": (0, 10), "sp3_share": (0.0, 1.0),
    "similarity": (0.0, 1.0),
}  # fmt: skip
"""Values that occur in ZINC250k and QM9, rounded outwards; units of `tokens.PROPERTIES`."""


@dataclass(frozen=True)
class Clipped:
    """A condition that was moved to the edge of what the model has seen."""

    name: str
    asked: float
    used: float

    def __str__(self) -> str:
        return f"{self.name} {self.asked:g} was clipped to {self.used:g}"


@dataclass(frozen=True)
class Knowledge:
    """What a model was taught.

    Args:
        name: of the model, for messages.
        taught: subjects beside plain objects.
        ranges: property → least and greatest value seen; others are not limited.
        levels: it reads properties of molecules as levels.
    """

    name: str
    taught: frozenset[str] = frozenset()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict(MOLECULE_RANGES))
    levels: bool = False

    @classmethod
    def of(cls, folder: Path) -> Knowledge:
        """Read what a model folder says.

        Raises:
            WeightsError: the entry is there, but not of the expected shape.
        """
        path = folder / "config.json"
        try:
            said = json.loads(path.read_text(encoding="utf-8")).get("heuresis", {})
            taught = frozenset(str(subject) for subject in said.get("taught", ()))
            levels = {"numbers": False, "levels": True}[said.get("values", "numbers")]
            ranges = {
                str(name): (float(low), float(high))
                for name, (low, high) in said.get("ranges", MOLECULE_RANGES).items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{path}: expected an entry 'heuresis' with a list 'taught' and, perhaps, 'ranges'"
                " (property: [least, greatest]) and 'values' (levels or numbers);"
                f" {type(error).__name__}: {error}"
            ) from error
        return cls(folder.resolve().name, taught, ranges, levels)

    def demand(self, *subjects: str) -> None:
        """Check that subjects were taught.

        Raises:
            WeightsError: one was not; names it and what was.
        """
        for subject in subjects:
            if subject not in self.taught:
                known = ", ".join(sorted(self.taught)) or "plain objects only"
                raise WeightsError(
                    f"the model '{self.name}' was not taught {subject} (it was taught: {known});"
                    " choose another prior, or do not ask for it"
                )

    def check(self, conditions: Sequence[Condition]) -> None:
        """Check that conditions were taught and lie within the trained ranges.

        Raises:
            WeightsError: conditions or a property were not taught, or a value was never seen.
        """
        if conditions:
            self.demand("conditions")
        for condition in conditions:
            if isinstance(condition, Quantity) and self._unheard_of(condition.name):
                known = ", ".join(name for name in self.ranges if name != "similarity") or "none"
                raise WeightsError(
                    f"the model '{self.name}' was not taught to heed {condition.name} (it was"
                    f" taught: {known}); leave it out, choose another prior, or let best_of choose"
                    " by it"
                )
        for clipped in self.clipped(conditions)[1]:
            low, high = self.ranges[clipped.name]
            raise WeightsError(
                f"{clipped.name} = {clipped.asked:g} lies outside of what '{self.name}' has seen"
                f" ({low:g} to {high:g}); ask for a value within"
            )

    def worded(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Return conditions as the model was taught to read them."""
        return [
            Level.of(condition.name, condition.value)
            if self.levels and isinstance(condition, Quantity) and condition.name in LEVEL_SCALES
            else condition
            for condition in conditions
        ]

    def _unheard_of(self, name: str) -> bool:
        return name in MOLECULE_RANGES and name not in self.ranges

    def clipped(self, conditions: Sequence[Condition]) -> tuple[list[Condition], list[Clipped]]:
        """Return conditions within the trained ranges, and what had to be moved."""
        kept: list[Condition] = []
        moved: list[Clipped] = []
        for condition in conditions:
            if isinstance(condition, Quantity) and condition.name in self.ranges:
                low, high = self.ranges[condition.name]
                used = min(max(condition.value, low), high)
                if math.isfinite(condition.value) and used != condition.value:
                    moved.append(Clipped(condition.name, condition.value, used))
                    condition = Quantity(condition.name, used)
            kept.append(condition)
        return kept, moved
