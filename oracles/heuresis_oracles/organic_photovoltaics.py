"""Oracle ``organic-photovoltaics``: the solar-cell objectives of Tartarus from GFN2-xTB orbitals.

Sources: Tartarus: Nigam et al., NeurIPS 2023 Datasets and Benchmarks, arXiv:2209.12487, and its
code (github.com/aspuru-guzik-group/Tartarus, tartarus/pce.py: calibration of the orbitals, the
Gaussian that stands for the short-circuit current); the model of a cell: Scharber et al., Adv.
Mater. 18, 789 (2006).

Tartarus takes its geometry from Open Babel, GFN0-xTB and a CREST search with GFN-FF; here it comes
from ETKDG, MMFF94 and GFN2-xTB. Values near a threshold of the model may therefore differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from heuresis.ports import PluginConfig
from heuresis.randomness import derived_seed
from heuresis.records import (
    Candidate,
    Evaluation,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis_oracles.outcomes import evaluate_each
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.tight_binding.observables import SPREAD
from heuresis_oracles.xtb import XTB

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_OUTPUTS: dict[str, tuple[str, str]] = {
    "efficiency_donor_percent": (
        "%",
        "power conversion efficiency as donor to PCBM; 0 where the model gives no current",
    ),
    "efficiency_acceptor_percent": (
        "%",
        "power conversion efficiency as acceptor to PCDTBT; 0 where the model gives no current",
    ),
    "synthetic_accessibility": (
        "1",
        "1 easy to 10 hard (Ertl 2009), of the graph with hydrogens as Tartarus takes it",
    ),
    "donor_objective": ("1", "Tartarus: efficiency with PCBM minus synthetic accessibility"),
    "acceptor_objective": ("1", "Tartarus: efficiency with PCDTBT minus synthetic accessibility"),
    "combined_objective": (
        "1",
        "Tartarus: dipole in debye, plus a reward for a gap of 0.89 to 3.26 eV, minus LUMO in eV",
    ),
    "gap_eV": ("eV", "GFN2-xTB orbital gap, not calibrated"),
    "homo_eV": ("eV", "GFN2-xTB orbital energy, not calibrated"),
    "lumo_eV": ("eV", "GFN2-xTB orbital energy, not calibrated"),
    "dipole_debye": ("debye", "GFN2-xTB dipole moment"),
}

_HOMO_SLOPE, _HOMO_OFFSET_eV = 0.8051030400316004, 2.5376777453204133
_LUMO_SLOPE, _LUMO_OFFSET_eV = 0.8787863933542347, 3.7912767464357200
"""Tartarus' linear calibration of xTB orbitals for the cell model."""
_CURRENT_SCALE, _CURRENT_WIDTH_eV2 = 433.11633173034136, 2.3353220382662894
_LARGEST_CURRENT = 415.22529811760637
"""Short-circuit current density in A/m² as a Gaussian of the gap, and its upper limit."""
_INCIDENT_POWER = 900.1393292842149
"""In W/m²."""
_FILL_FACTOR = 0.65
_LOSS_eV = 0.3
"""Both the empirical loss of voltage and the smallest offset that still splits the exciton."""
_PCBM_LUMO_eV = -4.3
_PCDTBT_HOMO_eV, _PCDTBT_LUMO_eV = -5.5, -3.6
_GOOD_GAP_eV = (0.8856, 3.2627)


def calibrated_orbitals_eV(homo_eV: float, lumo_eV: float) -> tuple[float, float]:
    """Return HOMO and LUMO on the scale that the cell model was made for."""
    return (
        homo_eV * _HOMO_SLOPE + _HOMO_OFFSET_eV,
        lumo_eV * _LUMO_SLOPE + _LUMO_OFFSET_eV,
    )


def efficiencies_percent(homo_eV: float, lumo_eV: float) -> tuple[float, float]:
    """Return the efficiency as donor to PCBM and as acceptor to PCDTBT.

    Args:
        homo_eV: GFN2-xTB orbital energy, not calibrated.
        lumo_eV: likewise.
    """
    homo, lumo = calibrated_orbitals_eV(homo_eV, lumo_eV)
    current = min(
        _CURRENT_SCALE * math.exp(-((lumo - homo) ** 2) / _CURRENT_WIDTH_eV2), _LARGEST_CURRENT
    )
    donor_V = max(0.0, abs(homo) - abs(_PCBM_LUMO_eV) - _LOSS_eV)
    acceptor_V = max(0.0, abs(_PCDTBT_HOMO_eV) - abs(lumo) - _LOSS_eV)
    donor = _efficiency(donor_V, current) if lumo - _PCBM_LUMO_eV >= _LOSS_eV else 0.0
    acceptor = _efficiency(acceptor_V, current) if _PCDTBT_LUMO_eV - lumo >= _LOSS_eV else 0.0
    return donor, acceptor


def combined_objective(gap_eV: float, lumo_eV: float, dipole_debye: float) -> float:
    """Return Tartarus' third objective, from orbitals that are not calibrated."""
    low, high = _GOOD_GAP_eV
    if gap_eV < low:
        reward = gap_eV + (1.0 - low)
    elif gap_eV > high:
        reward = (1.0 + high) - gap_eV
    else:
        reward = 1.0
    return dipole_debye + reward - lumo_eV


def _efficiency(voltage_V: float, current: float) -> float:
    return 100.0 * voltage_V * _FILL_FACTOR * current / _INCIDENT_POWER


class OrganicPhotovoltaics:
    """Tartarus' solar-cell objectives: how good a donor or acceptor, and how hard to make."""

    class Config(PluginConfig):
        """Settings of the geometry; the cell model is fixed, so that values compare."""

        relax: bool = True
        """``false``: orbitals of the MMFF94 structure, a tenth of the cost and off by 1 to 2 %
        of efficiency: a rung below."""
        conformers: int = Field(default=10, ge=1, le=200)
        relaxed_conformers: int = Field(default=1, ge=1, le=50)
        force_tolerance_eV_per_angstrom: float = Field(default=0.05, gt=0.0, le=1.0)
        max_steps: int = Field(default=500, ge=1)
        max_atoms: int = Field(default=150, ge=1)
        """Largest molecule, with hydrogens."""
        threads: int = Field(default=1, ge=1)

        @property
        def xtb(self) -> XTB.Config:
            """The calculation of the orbitals."""
            return XTB.Config(**self.model_dump())

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics."""
        beneath = XTB.declare(config.xtb)
        return OracleDeclaration(
            kind="organic-photovoltaics",
            version=f"1+{beneath.version}",
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(
                    unit=unit,
                    description=description,
                    has_uncertainty=config.relaxed_conformers > 1 and name in SPREAD,
                )
                for name, (unit, description) in _OUTPUTS.items()
            },
            checks=beneath.checks,
            cost_class=beneath.cost_class,
            isolated=True,
            batch_size=1,
            timeout_s=beneath.timeout_s,
            reference=(
                "Nigam et al., NeurIPS 2023, arXiv:2209.12487 (Tartarus); Scharber et al., Adv."
                " Mater. 18, 789 (2006); Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15,"
                " 1652 (2019)"
            ),
        )

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:
        """Refuse a space in which nothing can be measured; loads no physics.

        Raises:
            UserError: says what does not fit.
        """
        XTB.check_space(config.xtb, space)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._xtb = config.xtb

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,
        workdir: Path,  # noqa: ARG002 - tblite writes no files
    ) -> list[Outcome]:
        """Measure each candidate, in order; the seed reaches the 3D embedding only."""
        limit_native_threads(self.config.threads)
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(candidate.text, derived_seed(seed, candidate.id)),
        )

    def _measure(self, smiles: str, seed: int) -> Evaluation:
        from heuresis_oracles.rdkit_descriptors import synthetic_accessibility
        from heuresis_oracles.tight_binding.measuring import Measuring

        measuring = Measuring(smiles, self._xtb, seed)
        found = measuring.values()
        with_hydrogens: Mol = measuring.molecule
        accessibility = float(synthetic_accessibility()(with_hydrogens))
        orbitals = {name: found[name] for name in ("gap_eV", "homo_eV", "lumo_eV", "dipole_debye")}
        donor, acceptor = efficiencies_percent(found["homo_eV"].value, found["lumo_eV"].value)
        values = {
            "efficiency_donor_percent": donor,
            "efficiency_acceptor_percent": acceptor,
            "synthetic_accessibility": accessibility,
            "donor_objective": donor - accessibility,
            "acceptor_objective": acceptor - accessibility,
            "combined_objective": combined_objective(
                found["gap_eV"].value, found["lumo_eV"].value, found["dipole_debye"].value
            ),
        }
        measurements = {
            name: Measurement(value=value, unit=_OUTPUTS[name][0]) for name, value in values.items()
        } | {
            name: Measurement(
                value=estimate.value, unit=_OUTPUTS[name][0], uncertainty=estimate.uncertainty
            )
            for name, estimate in orbitals.items()
        }
        return Evaluation(measurements=measurements, checks=tuple(self.declare(self.config).checks))
