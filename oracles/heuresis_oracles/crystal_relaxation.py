"""Relaxes a crystal with a potential: energy above the hull, density, stiffness, does it hold warm?

Sources: CHGNet and EMT: see `crystals.potentials`; hull: `crystals.references`; bulk modulus:
`crystals.elasticity`; Lindemann's ratio: `crystals.shaking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from heuresis.errors import CalculationError, ImplausibleResultError, UserError
from heuresis.ports import PluginConfig
from heuresis.randomness import derived_seed
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis_oracles.crystals import potentials
from heuresis_oracles.crystals.references import References, read_references, reference_file
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.threads import limit_native_threads

if TYPE_CHECKING:
    from ase import Atoms

    from heuresis_oracles.crystals.relaxing import Relaxed

_OUTPUTS: dict[str, tuple[str, str]] = {
    "energy_above_hull_eV_per_atom": (
        "eV/atom",
        "energy above the mixture of reference phases of the same composition; negative below it",
    ),
    "formation_energy_eV_per_atom": (
        "eV/atom",
        "against the most stable reference phase of each element, by the same potential",
    ),
    "energy_eV_per_atom": ("eV/atom", "potential energy of the relaxed crystal"),
    "relaxation_energy_eV_per_atom": ("eV/atom", "by how much relaxation lowered the energy"),
    "competing_phases": (
        "1",
        "reference phases made of its elements: with few, the hull says little",
    ),
    "new_composition": ("1", "1 if no reference phase has its formula, else 0"),
    "density_g_per_cm3": ("g/cm3", "of the relaxed crystal"),
    "volume_per_atom_angstrom3": ("angstrom3", "of the relaxed crystal"),
    "volume_change": ("1", "relative change of the volume by relaxation"),
    "space_group": ("1", "of the relaxed crystal, found within 0.05 Å"),
}
_ELASTIC_OUTPUTS: dict[str, tuple[str, str]] = {
    "bulk_modulus_GPa": ("GPa", "from energies at seven volumes, cell shape kept (Birch)"),
}
_DYNAMICS_OUTPUTS: dict[str, tuple[str, str]] = {
    "lindemann_ratio": (
        "1",
        "root mean square displacement in dynamics over the nearest distance; melts near 0.1-0.15",
    ),
    "dynamics_temperature_K": ("K", "mean kinetic temperature of the run"),
}
_SMALLEST_CONTACT = 0.5
_FORMATION_LIMITS_eV_PER_ATOM = (-6.0, 5.0)
_DALTON_PER_ANGSTROM3_IN_G_PER_CM3 = 1.66053906660
_SYMMETRY_AFTER_ANGSTROM = 0.05


def _there(file: str) -> str:
    if not Path(file).expanduser().is_file():
        raise ValueError(
            f"there is no file of reference phases '{file}'"
            f" ({Path(file).expanduser().resolve()}); make one with python -m"
            " heuresis_oracles.crystals.build_references"
        )
    return file


class CrystalRelaxation:
    """Stability, density and stiffness of a crystal after relaxing cell and positions."""

    class Config(PluginConfig):
        """Settings of the calculation; every one of them enters the cache key."""

        potential: potentials.Potential = "CHGNet"
        """CHGNet for 89 elements (extra ``crystals``); EMT for Al, Cu, Ag, Au, Ni, Pd, Pt and
        their alloys, fast."""
        references: Annotated[str, AfterValidator(_there)] | None = None
        """File of reference phases; default: the shipped one of the potential."""
        optimizer: Literal["BFGS", "LBFGS", "FIRE"] = "BFGS"
        """BFGS takes a third of the steps of FIRE, which is for crystals far from a minimum."""
        force_tolerance_eV_per_angstrom: float = Field(default=0.05, gt=0.0, le=1.0)
        max_steps: int = Field(default=300, ge=1)
        """Relaxation steps before a candidate is inconclusive."""
        max_atoms: int = Field(default=40, ge=1, le=400)
        """Largest primitive cell."""
        largest_volume_change: float = Field(default=0.5, gt=0.0, le=3.0)
        """A cell that changes by more has become another crystal: inconclusive."""
        bulk_modulus: bool = False
        """Also fit an equation of state: about as long again as the relaxation."""
        dynamics_ps: float = Field(default=0.0, ge=0.0, le=100.0)
        """Also run molecular dynamics this long: about a minute of CHGNet per picosecond of 30
        atoms."""
        temperature_K: float = Field(default=300.0, gt=0.0, le=3000.0)
        timestep_fs: float = Field(default=2.0, gt=0.0, le=5.0)
        least_dynamics_atoms: int = Field(default=24, ge=4, le=1000)
        """The supercell that is shaken has at least so many."""

        @model_validator(mode="after")
        def _consistent(self) -> CrystalRelaxation.Config:
            if 0.0 < 1000.0 * self.dynamics_ps < 20.0 * self.timestep_fs:
                raise ValueError(
                    f"dynamics_ps={self.dynamics_ps} is less than 20 steps of"
                    f" {self.timestep_fs} fs; run longer, or set it to 0"
                )
            return self

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics.

        Raises:
            MissingExtraError: the potential's package is not installed.
        """
        potentials.require_installed(config.potential)
        checks = {
            "converged": "forces and stress fell below the tolerance within max_steps",
            "same-crystal": "the volume changed by less than largest_volume_change and no atoms"
            " overlap",
            "plausible-energy": "the formation energy lies between -6 and 5 eV/atom",
        }
        if config.bulk_modulus:
            checks["equation-of-state"] = (
                "seven volumes lie on Birch's equation within 2 meV/atom, its minimum within 3 %"
            )
        if config.dynamics_ps:
            checks["temperature"] = "the thermostat held, and no atom flew off"
        return OracleDeclaration(
            kind="crystal-relaxation",
            version=version_with("2", *potentials.packages(config.potential)),
            spaces=("crystal",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description)
                for name, (unit, description) in _outputs(config).items()
            },
            checks=checks,
            cost_class=CostClass.MINUTES if config.dynamics_ps else CostClass.SECONDS,
            isolated=True,
            seeded=bool(config.dynamics_ps),
            batch_size=1,
            timeout_s=600.0,
            reference=(
                "CHGNet: Deng et al., Nat. Mach. Intell. 5, 1031 (2023); EMT: Jacobsen et al.,"
                " Surf. Sci. 366, 394 (1996); hull: Ong et al., Chem. Mater. 20, 1798 (2008)"
            ),
        )

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:
        """Refuse a space in which no candidate could be measured.

        Raises:
            UserError: the potential knows too few of its elements, or every crystal is too large.
        """
        rules = getattr(space, "config", None)
        elements = getattr(rules, "elements", None)
        known = potentials.known_elements(config.potential)
        if elements is not None:
            usable = [symbol for symbol in elements if symbol in known]
            least = getattr(rules, "element_count", (1, 1))[0]
            lacking = [s for s in getattr(rules, "require_elements", ()) if s not in known]
            if lacking or len(usable) < least:
                raise UserError(
                    f"{config.potential} knows {', '.join(usable) or 'none'} of the elements of"
                    f" the space, and every crystal there needs {', '.join(lacking) or least};"
                    f" name a potential that does ({', '.join(potentials.POTENTIALS)})"
                )
        smallest = getattr(rules, "atoms", (1, 1))[0]
        if smallest > config.max_atoms:
            raise UserError(
                f"every crystal of the space has {smallest} atoms or more, and crystal-relaxation"
                f" is set to at most {config.max_atoms} (max_atoms); raise it"
            )

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> None:
        """Load the potential and the reference phases, once per worker."""
        limit_native_threads(1)
        potentials.calculator(self.config.potential)
        self._references()

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,
        workdir: Path,  # noqa: ARG002 - nothing is written
    ) -> list[Outcome]:
        """Measure each candidate, in order; the seed reaches the dynamics only."""
        limit_native_threads(1)
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(candidate.text, derived_seed(seed, candidate.id)),
        )

    def _references(self) -> References:
        config = self.config
        file = config.references
        found = read_references(
            reference_file(config.potential) if file is None else Path(file).expanduser()
        )
        made_with = found.made.get("potential", config.potential)
        if made_with != config.potential:
            raise UserError(
                f"the reference phases '{file}' were made with {made_with}, the potential is"
                f" {config.potential}: a hull mixes energies of one potential alone"
            )
        return found

    def _measure(self, text: str, seed: int) -> Evaluation:
        from heuresis_oracles.crystals.reading import read_crystal
        from heuresis_oracles.crystals.relaxing import Settings, relax

        config = self.config
        crystal, atoms = read_crystal(text, max_atoms=config.max_atoms)
        counts = crystal.composition()
        potentials.require_elements(config.potential, counts)
        references = self._references()
        references.require(counts)
        atoms.calc = potentials.calculator(config.potential)
        with potentials.quiet():
            relaxed = relax(
                atoms,
                Settings(
                    config.optimizer, config.force_tolerance_eV_per_angstrom, config.max_steps
                ),
            )
            self._require_same_crystal(atoms, relaxed)
            distance = references.distance(counts, relaxed.energy_eV / len(atoms))
            low, high = _FORMATION_LIMITS_eV_PER_ATOM
            if not low <= distance.formation_eV_per_atom <= high:
                raise ImplausibleResultError(
                    f"a formation energy of {distance.formation_eV_per_atom:.2f} eV/atom is outside"
                    f" of {low:g} to {high:g}: the potential does not know this arrangement"
                )
            values = {
                "energy_above_hull_eV_per_atom": distance.above_hull_eV_per_atom,
                "formation_energy_eV_per_atom": distance.formation_eV_per_atom,
                "energy_eV_per_atom": relaxed.energy_eV / len(atoms),
                "relaxation_energy_eV_per_atom": relaxed.gain_eV / len(atoms),
                "competing_phases": float(distance.competitors),
                "new_composition": float(not references.has(counts)),
                **_geometry(atoms, relaxed),
            }
            uncertainties = self._beyond(atoms, values, seed)
        return Evaluation(
            measurements={
                name: Measurement(
                    value=values[name], unit=unit, uncertainty=uncertainties.get(name)
                )
                for name, (unit, _) in _outputs(config).items()
            },
            checks=tuple(self.declare(config).checks),
        )

    def _beyond(self, atoms: Atoms, values: dict[str, float], seed: int) -> dict[str, float]:
        """Add what is asked for beyond the relaxation to ``values``; return uncertainties."""
        from heuresis_oracles.crystals.elasticity import bulk_modulus
        from heuresis_oracles.crystals.shaking import Protocol, shake

        config = self.config
        uncertainties = {}
        if config.bulk_modulus:
            elastic = bulk_modulus(atoms, config.force_tolerance_eV_per_angstrom)
            values["bulk_modulus_GPa"] = elastic.bulk_modulus_GPa
            uncertainties["bulk_modulus_GPa"] = elastic.uncertainty_GPa
        if config.dynamics_ps:
            protocol = Protocol(
                config.temperature_K,
                config.dynamics_ps,
                config.timestep_fs,
                config.least_dynamics_atoms,
            )
            shaken = shake(atoms, protocol, seed)
            values["lindemann_ratio"] = shaken.lindemann_ratio
            values["dynamics_temperature_K"] = shaken.temperature_K
            uncertainties["lindemann_ratio"] = shaken.uncertainty
        return uncertainties

    def _require_same_crystal(self, atoms: Atoms, relaxed: Relaxed) -> None:
        from heuresis.spaces.crystals.geometry import shortest_contact
        from heuresis_oracles.crystals.reading import cell_of

        change = relaxed.volume_ratio - 1.0
        if abs(change) > self.config.largest_volume_change:
            raise ImplausibleResultError(
                f"relaxation changed the volume by {change:+.0%}, more than"
                f" {self.config.largest_volume_change:.0%} (largest_volume_change): what came out"
                " is not the crystal that was proposed"
            )
        ratio, first, second, distance = shortest_contact(cell_of(atoms))
        if ratio < _SMALLEST_CONTACT:
            raise ImplausibleResultError(
                f"after relaxation {first} and {second} are {distance:.2f} Å apart,"
                f" {ratio:.2f} times the sum of their covalent radii"
            )


def _geometry(atoms: Atoms, relaxed: Relaxed) -> dict[str, float]:
    from heuresis.spaces.crystals.errors import CrystalTextError
    from heuresis.spaces.crystals.standard import rounded
    from heuresis_oracles.crystals.reading import cell_of

    volume = float(atoms.get_volume())
    try:
        number = rounded(cell_of(atoms), _SYMMETRY_AFTER_ANGSTROM).number
    except CrystalTextError as error:
        raise CalculationError(f"no symmetry of the relaxed crystal: {error}") from error
    return {
        "density_g_per_cm3": float(atoms.get_masses().sum())
        / volume
        * _DALTON_PER_ANGSTROM3_IN_G_PER_CM3,
        "volume_per_atom_angstrom3": volume / len(atoms),
        "volume_change": relaxed.volume_ratio - 1.0,
        "space_group": float(number),
    }


def _outputs(config: CrystalRelaxation.Config) -> dict[str, tuple[str, str]]:
    return {
        **_OUTPUTS,
        **(_ELASTIC_OUTPUTS if config.bulk_modulus else {}),
        **(_DYNAMICS_OUTPUTS if config.dynamics_ps else {}),
    }
