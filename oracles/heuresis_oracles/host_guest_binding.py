"""Oracle ``host-guest-binding``: how strongly a candidate is held by a host, from end states.

The energy of the complex minus those of host and guest alone, each at its lowest minimum in
implicit water, by MMFF94. No entropy, no ions, no explicit water: it ranks guests of one host.

Sources: minima of host, guest and complex, there with their entropies: Muddana, Gilson, J. Chem.
Theory Comput. 8, 2023 (2012); MMFF94: Halgren, J. Comput. Chem. 17, 490 (1996); water: Onufriev,
Bashford, Case, Proteins 55, 383 (2004); OpenMM 8: Eastman et al., J. Phys. Chem. B 128, 109 (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from heuresis.errors import OracleSetupError, UserError, did_you_mean
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
from heuresis_oracles.host_guest.rescoring import Method, rescored_kcal_per_mol
from heuresis_oracles.host_guest.search import (
    CAVITY_SHARE,
    HostInWater,
    LONGEST_CONTACT_angstrom,
    SearchSettings,
    lowest_complex,
)
from heuresis_oracles.molecules import (
    MMFF94_ELEMENTS,
    parse_single_molecule,
    require_measurable_space,
    unpaired_electrons,
)
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.threads import limit_native_threads

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_UNIT = "kcal/mol"
_OUTPUTS: dict[str, tuple[str, bool]] = {
    "binding_energy_kcal_per_mol": (
        "complex minus host minus guest, each at its lowest minimum; below 0 is bound",
        True,
    ),
    "interaction_energy_kcal_per_mol": (
        "the same with host and guest as they are in the complex",
        False,
    ),
    "host_strain_kcal_per_mol": (
        "what the host pays to take the shape it has in the complex",
        False,
    ),
    "guest_strain_kcal_per_mol": (
        "what the guest pays to take the shape it has in the complex",
        False,
    ),
}
_RESCORED = "rescored_binding_energy_kcal_per_mol"
_HOST_CONFORMERS = 8


class HostGuestBinding:
    """Binding energy of a guest, the candidate, in a host, a setting."""

    class Config(PluginConfig):
        """Host, search and energies; every setting enters the cache key."""

        host: str = Field(min_length=1, examples=["cucurbit[7]uril"])
        """A named host, e.g. ``cucurbit[7]uril`` or ``beta-cyclodextrin``, or a SMILES. A SMILES
        with a ring of twelve atoms or more binds in that ring, another at its surface."""
        placements: int = Field(default=6, ge=1, le=500)
        """In the cavity (of a host that has none: at its surface)."""
        outside_placements: int = Field(default=2, ge=0, le=500)
        """Against the outside of a host with a cavity: if the lowest of these lies lower, the
        result is inconclusive."""
        relaxed: int = Field(default=2, ge=1, le=100)
        """How many of the lowest are minimised fully and relaxed by dynamics."""
        relaxation_ps: float = Field(default=2.0, ge=0.0, le=10_000.0)
        temperature_K: float = Field(default=300.0, gt=0.0, le=1000.0)
        """Of the relaxing dynamics; higher looks further."""
        guest_conformers: int = Field(default=6, ge=1, le=200)
        variant: Literal["MMFF94", "MMFF94s"] = "MMFF94"
        solvent: Literal["water"] | None = "water"
        """Implicit solvent (generalised Born, OBC II); null: vacuum, for neutral pairs only."""
        rescoring: Method | None = None
        """Measure the binding energy also with this Hamiltonian, in ALPB water if ``solvent`` is
        water, at the MMFF94 structures: some ten seconds for 150 atoms."""
        rescoring_relax: bool = False
        """Relax complex, host and guest with it first: a hundred times as costly."""
        force_tolerance_eV_per_angstrom: float = Field(default=0.05, gt=0.0, le=1.0)
        """Of that relaxation."""
        max_steps: int = Field(default=500, ge=1)
        """Of that relaxation."""
        max_atoms: int = Field(default=260, ge=2)
        """Largest complex, with hydrogens."""
        max_charge: int = Field(default=3, ge=0, le=20)
        """Largest charge of a guest, of either sign; a continuum says little of more."""
        platform: Literal["Reference", "CPU"] = "CPU"

        @model_validator(mode="after")
        def _consistent(self) -> HostGuestBinding.Config:
            if self.rescoring is None and self.rescoring_relax:
                raise ValueError("rescoring_relax needs rescoring: GFN2-xTB or GFN1-xTB")
            return self

        @property
        def search(self) -> SearchSettings:
            """How complexes are searched with these settings."""
            wanted = SearchSettings.__dataclass_fields__
            return SearchSettings(**{name: getattr(self, name) for name in wanted})

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics."""
        packages = ["openmm", "rdkit", "ase"]
        outputs = {
            name: OutputDeclaration(unit=_UNIT, description=words, has_uncertainty=uncertain)
            for name, (words, uncertain) in _OUTPUTS.items()
        }
        if config.rescoring is not None:
            packages.append("tblite")
            outputs[_RESCORED] = OutputDeclaration(
                unit=_UNIT,
                description=f"the binding energy with {config.rescoring}, of the lowest complex",
            )
        return OracleDeclaration(
            kind="host-guest-binding",
            version=version_with("1", *packages),
            spaces=("molecule",),
            outputs=outputs,
            checks={
                "bound": (
                    "in the lowest complex a heavy atom of the guest is within"
                    f" {CAVITY_SHARE:g} cavity radii of its centre (a host without a cavity: within"
                    f" {LONGEST_CONTACT_angstrom:g} Å of the host)"
                ),
                "cavity-preferred": "no placement outside the cavity lies lower",
                "same-connectivity": "bonds of the complex equal those of the two SMILES",
                "finite": "every energy is a finite number",
            },
            cost_class=CostClass.MINUTES,
            isolated=True,
            batch_size=1,
            timeout_s=7200.0 if config.rescoring_relax else 1800.0,
            reference=(
                "Muddana, Gilson, J. Chem. Theory Comput. 8, 2023 (2012); Halgren, J. Comput. Chem."
                " 17, 490 (1996); Onufriev, Bashford, Case, Proteins 55, 383 (2004)"
            ),
        )

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:
        """Refuse a host that cannot be built, and a space in which nothing can be measured.

        Raises:
            UserError: says what does not fit.
        """
        require_measurable_space(
            space,
            max_atoms=config.max_atoms,
            elements=MMFF94_ELEMENTS,
            way_out="allow other elements",
        )
        from heuresis_oracles.host_guest.hosts import named_hosts

        if config.host not in named_hosts():
            try:
                parse_single_molecule(config.host, max_atoms=config.max_atoms)
            except OracleSetupError as error:
                raise UserError(
                    f"host '{config.host}' is neither a name nor a SMILES that can be"
                    f" simulated{did_you_mean(config.host, named_hosts())}; names:"
                    f" {', '.join(named_hosts())}; {error}"
                ) from error

    def __init__(self, config: Config) -> None:
        self.config = config
        self._host: HostInWater | None = None

    def prepare(self) -> None:
        """Build and relax the host, once for all guests."""
        from heuresis_oracles.host_guest.hosts import build_host

        if self._host is None:
            limit_native_threads(1)
            host = build_host(
                self.config.host,
                max_atoms=self.config.max_atoms,
                conformers=_HOST_CONFORMERS,
                seed=derived_seed(1, "host"),
            )
            self._host = HostInWater(host, self.config.search)

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,
        workdir: Path,  # noqa: ARG002 - everything stays in memory
    ) -> list[Outcome]:
        """Measure each candidate, in order; the seed reaches conformers, placements, dynamics."""
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(candidate.text, derived_seed(seed, candidate.id)),
        )

    def _measure(self, smiles: str, seed: int) -> Evaluation:
        config = self.config
        guest = parse_single_molecule(smiles, max_atoms=config.max_atoms)
        self._require_fitting(guest, smiles)
        self.prepare()
        assert self._host is not None
        atoms = self._host.atoms + guest.GetNumAtoms()
        if atoms > config.max_atoms:
            raise OracleSetupError(
                f"host and '{smiles}' have {atoms} atoms together; at most {config.max_atoms}"
                " (max_atoms)"
            )
        found = lowest_complex(self._host, guest, config.search, seed)
        values = {
            "binding_energy_kcal_per_mol": found.binding_kcal_per_mol,
            "interaction_energy_kcal_per_mol": found.interaction_kcal_per_mol,
            "host_strain_kcal_per_mol": found.host_strain_kcal_per_mol,
            "guest_strain_kcal_per_mol": found.guest_strain_kcal_per_mol,
        }
        measurements = {
            name: Measurement(
                value=value,
                unit=_UNIT,
                uncertainty=found.search_error_kcal_per_mol if _OUTPUTS[name][1] else None,
            )
            for name, value in values.items()
        }
        if config.rescoring is not None:
            rescored = rescored_kcal_per_mol(
                found,
                config.rescoring,
                config.solvent,
                relaxed=config.rescoring_relax,
                force_tolerance_eV_per_angstrom=config.force_tolerance_eV_per_angstrom,
                max_steps=config.max_steps,
            )
            measurements[_RESCORED] = Measurement(value=rescored, unit=_UNIT)
        return Evaluation(measurements=measurements, checks=tuple(self.declare(config).checks))

    def _require_fitting(self, guest: Mol, smiles: str) -> None:
        """Refuse what the force field or the solvent has no words for, before anything is spent."""
        from rdkit.Chem.rdmolops import GetFormalCharge

        radicals = unpaired_electrons(guest)
        if radicals:
            raise OracleSetupError(
                f"'{smiles}' has {radicals} unpaired electrons; MMFF94 describes closed shells only"
            )
        if guest.GetNumHeavyAtoms() == 0:
            raise OracleSetupError(f"'{smiles}' has no heavy atom; it is no guest")
        charge = int(GetFormalCharge(guest))
        if abs(charge) > self.config.max_charge:
            raise OracleSetupError(
                f"'{smiles}' has a charge of {charge:+d}; at most {self.config.max_charge} of"
                " either sign (max_charge)"
            )
        if charge and self.config.solvent is None:
            raise OracleSetupError(
                f"'{smiles}' has a charge of {charge:+d}, and in vacuum the energy of an ion in a"
                " host is no energy of binding in water; set solvent: water"
            )
