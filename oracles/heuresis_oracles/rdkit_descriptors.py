"""Descriptors of the molecular graph by RDKit: microseconds to milliseconds, no 3D structure."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heuresis.errors import CalculationError
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
from heuresis_oracles.molecules import parse_molecule
from heuresis_oracles.outcomes import evaluate_each, version_with

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_OUTPUTS: dict[str, tuple[str, str]] = {
    "qed": ("1", "quantitative estimate of drug-likeness, 0 to 1 (Bickerton 2012)"),
    "logp": ("1", "octanol-water partition coefficient, log10 (Wildman-Crippen 1999)"),
    "molar_refractivity": ("1", "molar refractivity in cm3/mol (Wildman-Crippen 1999)"),
    "tpsa_angstrom2": ("angstrom2", "topological polar surface area, N and O only (Ertl 2000)"),
    "sa_score": ("1", "synthetic accessibility, 1 easy to 10 hard (Ertl & Schuffenhauer 2009)"),
    "molecular_weight_Da": ("Da", "average molecular weight"),
    "formal_charge": ("1", "sum of formal charges, in elementary charges"),
    "heavy_atoms": ("1", "number of atoms other than hydrogen"),
    "hetero_atoms": ("1", "number of atoms other than hydrogen and carbon"),
    "rings": ("1", "number of rings in the smallest set of smallest rings"),
    "aromatic_rings": ("1", "number of aromatic rings"),
    "largest_ring": ("1", "atoms in the largest ring of that set; 0 without rings"),
    "rotatable_bonds": ("1", "rotatable bonds, RDKit strict definition (amides excluded)"),
    "hydrogen_bond_donors": ("1", "N-H and O-H groups (RDKit NumHDonors)"),
    "hydrogen_bond_acceptors": ("1", "acceptor atoms (RDKit NumHAcceptors)"),
    "fraction_sp3": ("1", "fraction of carbon atoms that are sp3 hybridised"),
    "stereo_centres": ("1", "tetrahedral stereocentres, assigned or not"),
    "bertz_complexity": ("1", "Bertz complexity index (Bertz 1981)"),
}


class RDKitDescriptors:
    """Graph descriptors of molecules.

    Everything is a deterministic function of the molecular graph; the seed is not used.
    """

    class Config(PluginConfig):
        """No settings: the definitions are fixed, so values compare across campaigns."""

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:  # noqa: ARG003 - contract
        """Say what is measured; imports no RDKit."""
        return OracleDeclaration(
            kind="rdkit-descriptors",
            version=version_with("1", "rdkit"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description)
                for name, (unit, description) in _OUTPUTS.items()
            },
            checks={"finite": "every descriptor is a finite number"},
            cost_class=CostClass.NEGLIGIBLE,
            isolated=False,
            seeded=False,
            batch_size=32,
            timeout_s=10.0,
            reference=(
                "Landrum et al., RDKit, https://www.rdkit.org; QED: Bickerton et al., Nat. Chem. 4,"
                " 90 (2012); logP: Wildman & Crippen, J. Chem. Inf. Comput. Sci. 39, 868 (1999);"
                " TPSA: Ertl et al., J. Med. Chem. 43, 3714 (2000); SA: Ertl & Schuffenhauer,"
                " J. Cheminf. 1, 8 (2009)"
            ),
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,  # noqa: ARG002 - nothing here is random
        workdir: Path,  # noqa: ARG002 - nothing is written
    ) -> list[Outcome]:
        """Measure each candidate, in order; an unreadable SMILES is a setup failure."""
        return evaluate_each(candidates, _measure)


def _measure(candidate: Candidate) -> Evaluation:
    molecule = parse_molecule(candidate.text)
    measurements = {}
    for name, function in _functions().items():
        value = float(function(molecule))
        if value != value or value in (float("inf"), float("-inf")):
            raise CalculationError(f"{name} of '{candidate.text}' is {value}, not a finite number")
        measurements[name] = Measurement(value=value, unit=_OUTPUTS[name][0])
    return Evaluation(measurements=measurements, checks=("finite",))


@cache
def _functions() -> dict[str, Callable[[Mol], float]]:
    from rdkit.Chem import QED, GraphDescriptors, rdMolDescriptors
    from rdkit.Chem.rdmolops import GetFormalCharge

    sa_score = synthetic_accessibility()
    return {
        "qed": QED.qed,
        "logp": lambda molecule: rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
        "molar_refractivity": lambda molecule: rdMolDescriptors.CalcCrippenDescriptors(molecule)[1],
        "tpsa_angstrom2": rdMolDescriptors.CalcTPSA,
        "sa_score": sa_score,
        "molecular_weight_Da": rdMolDescriptors._CalcMolWt,
        "formal_charge": GetFormalCharge,
        "heavy_atoms": lambda molecule: molecule.GetNumHeavyAtoms(),
        "hetero_atoms": rdMolDescriptors.CalcNumHeteroatoms,
        "rings": rdMolDescriptors.CalcNumRings,
        "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
        "largest_ring": _largest_ring,
        "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds,
        "hydrogen_bond_donors": rdMolDescriptors.CalcNumHBD,
        "hydrogen_bond_acceptors": rdMolDescriptors.CalcNumHBA,
        "fraction_sp3": rdMolDescriptors.CalcFractionCSP3,
        "stereo_centres": rdMolDescriptors.CalcNumAtomStereoCenters,
        "bertz_complexity": GraphDescriptors.BertzCT,
    }


def _largest_ring(molecule: Mol) -> float:
    return float(max(map(len, molecule.GetRingInfo().AtomRings()), default=0))


@cache
def synthetic_accessibility() -> Callable[[Mol], float]:
    """Load the SA score that RDKit ships in its contributed scripts (not an importable package)."""
    from rdkit.Chem import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("heuresis_rdkit_sascorer", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CalculationError(
            f"the installed RDKit has no SA score at {path}; install the RDKit wheel from PyPI"
        )
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    score: Callable[[Mol], float] = module.calculateScore
    return score
