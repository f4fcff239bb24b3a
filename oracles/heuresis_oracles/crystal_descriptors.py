"""What a crystal's text alone says: density, contacts, charges, whether it is known; no energy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from heuresis.errors import OracleSetupError
from heuresis.ports import PluginConfig
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis_oracles.outcomes import evaluate_each, version_with

_OUTPUTS: dict[str, tuple[str, str]] = {
    "density_g_per_cm3": ("g/cm3", "mass over volume of the cell as written, not relaxed"),
    "volume_per_atom_angstrom3": ("angstrom3", "volume of the cell as written, per atom"),
    "mean_atomic_mass_Da": ("Da", "mean mass of an atom"),
    "atoms": ("1", "atoms in the primitive cell"),
    "elements": ("1", "number of different elements"),
    "space_group": ("1", "number of the space group, 1 to 230"),
    "shortest_contact": ("1", "shortest distance over the sum of the covalent radii of the pair"),
    "charge_balanced": ("1", "1 if one oxidation state per element makes it neutral, else 0"),
}
_NOVELTY_OUTPUTS: dict[str, tuple[str, str]] = {
    "novel": ("1", "1 if no known crystal matches it (StructureMatcher), else 0"),
    "novel_formula": ("1", "1 if no known crystal has its formula, else 0"),
    "composition_distance": (
        "1",
        "to the nearest known composition: half the summed differences of the elements' shares",
    ),
}


_SAME_SITE_ANGSTROM = 0.1


def _there(file: str) -> str:
    if not Path(file).expanduser().is_file():
        raise ValueError(
            f"there is no file of known crystals '{file}' ({Path(file).expanduser().resolve()});"
            " expected crystal texts or CSV with a column 'cif'"
        )
    return file


class CrystalDescriptors:
    """Density, contacts, charge balance and novelty of a crystal as it is written."""

    class Config(PluginConfig):
        """Whether to compare with known crystals."""

        known: Annotated[str, AfterValidator(_there)] | None = Field(
            None,
            description="file of known crystals, e.g. what a model was trained on: crystal texts,"
            " or CSV with a column cif; adds measures of novelty",
        )

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured; imports no pymatgen."""
        return OracleDeclaration(
            kind="crystal-descriptors",
            version=version_with("1", "numpy"),
            spaces=("crystal",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description)
                for name, (unit, description) in _outputs(config).items()
            },
            checks={"expands": "the text is a lattice with separate sites"},
            cost_class=CostClass.NEGLIGIBLE,
            isolated=False,
            seeded=False,
            batch_size=8,
            timeout_s=60.0,
            reference=(
                "charges: Davies et al., J. Open Source Softw. 4, 1361 (2019); matching: Ong et"
                " al., Comput. Mater. Sci. 68, 314 (2013)"
            ),
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> None:
        """Read the known crystals, once per worker."""
        if self.config.known is not None:
            from heuresis_oracles.crystals.known import known_crystals

            known_crystals(Path(self.config.known).expanduser())

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,  # noqa: ARG002 - nothing here is random
        workdir: Path,  # noqa: ARG002 - nothing is written
    ) -> list[Outcome]:
        """Measure each candidate, in order; an unreadable text is a setup failure."""
        return evaluate_each(candidates, self._measure)

    def _measure(self, candidate: Candidate) -> Evaluation:
        from heuresis.spaces.crystals.composition import charge_balanced
        from heuresis.spaces.crystals.errors import CrystalTextError
        from heuresis.spaces.crystals.features import DESCRIPTORS, CrystalFeatures
        from heuresis.spaces.crystals.geometry import shortest_contact
        from heuresis.spaces.crystals.text import read_text

        try:
            crystal = read_text(candidate.text)
            cell = crystal.cell()
        except CrystalTextError as error:
            raise OracleSetupError(f"'{candidate.text}' is no readable crystal: {error}") from error
        contact, first, second, distance = shortest_contact(cell)
        if distance < _SAME_SITE_ANGSTROM:
            raise OracleSetupError(
                f"'{candidate.text}' has {first} and {second} on one site ({distance:.2f} Å apart)"
            )
        (row,) = CrystalFeatures()([candidate.text]).descriptors
        named = dict(zip(DESCRIPTORS, row.tolist(), strict=True))
        values = {
            "density_g_per_cm3": named["density_g_per_cm3"],
            "volume_per_atom_angstrom3": named["volume_per_atom_angstrom3"],
            "mean_atomic_mass_Da": named["mass_Da_mean"],
            "atoms": named["atoms"],
            "elements": named["elements"],
            "space_group": float(crystal.number),
            "shortest_contact": contact,
            "charge_balanced": float(charge_balanced(crystal.composition())),
        }
        if self.config.known is not None:
            from heuresis_oracles.crystals.known import known_crystals

            novelty = known_crystals(Path(self.config.known).expanduser()).novelty(crystal)
            values["novel"] = novelty.structure
            values["novel_formula"] = novelty.formula
            values["composition_distance"] = novelty.composition_distance
        return Evaluation(
            measurements={
                name: Measurement(value=values[name], unit=unit)
                for name, (unit, _) in _outputs(self.config).items()
            },
            checks=("expands",),
        )


def _outputs(config: CrystalDescriptors.Config) -> dict[str, tuple[str, str]]:
    return {**_OUTPUTS, **(_NOVELTY_OUTPUTS if config.known is not None else {})}
