"""Water as a continuum: generalised Born (OBC II) with a surface term, on MMFF94's charges.

Sources: OBC: Onufriev, Bashford, Case, Proteins 55, 383 (2004); radii (mbondi2) and screening
factors as in Amber and OpenMM; surface term: Schaefer, Bartels, Karplus, J. Mol. Biol. 284, 835
(1998). The parameters were made for Amber charges of biomolecules: with MMFF94's they damp charges
as water does, and give no free energies of hydration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis_oracles.units import ANGSTROM_TO_NANOMETRE

if TYPE_CHECKING:
    import openmm
    from rdkit.Chem import Mol

WATER_DIELECTRIC = 78.5
_RADII_angstrom = {
    "H": 1.2, "C": 1.7, "N": 1.55, "O": 1.5, "F": 1.5, "Si": 2.1, "P": 1.85, "S": 1.8, "Cl": 1.7,
    "Br": 1.85, "I": 1.98,
}  # fmt: skip
"""mbondi2; bromine and iodine, which it lacks, from Bondi, J. Phys. Chem. 68, 441 (1964)."""
_HYDROGEN_ON_NITROGEN_angstrom = 1.3
_SCREENING = {"H": 0.85, "C": 0.72, "N": 0.79, "O": 0.85, "F": 0.88, "P": 0.86, "S": 0.96}
_OTHER_SCREENING = 0.8


def born_radii_angstrom(molecule: Mol) -> np.ndarray:
    """Return the intrinsic radius of each atom, shape (atoms,), in Å.

    Raises:
        OracleSetupError: there is no radius for an element.
    """
    radii = []
    for atom in molecule.GetAtoms():
        symbol = atom.GetSymbol()
        if symbol not in _RADII_angstrom:
            raise OracleSetupError(
                f"the implicit solvent has no radius for {symbol}; it covers"
                f" {', '.join(_RADII_angstrom)}: simulate in vacuum (remove solvent)"
            )
        on_nitrogen = symbol == "H" and any(n.GetSymbol() == "N" for n in atom.GetNeighbors())
        radii.append(_HYDROGEN_ON_NITROGEN_angstrom if on_nitrogen else _RADII_angstrom[symbol])
    return np.array(radii)


def water_force(molecule: Mol, charges_e: np.ndarray) -> openmm.GBSAOBCForce:
    """Return the force that stands for water around one molecule.

    Args:
        molecule: with explicit hydrogens.
        charges_e: partial charges, shape (atoms,).

    Raises:
        OracleSetupError: there is no radius for an element.
    """
    import openmm

    force = openmm.GBSAOBCForce()
    force.setNonbondedMethod(openmm.GBSAOBCForce.NoCutoff)
    force.setSolventDielectric(WATER_DIELECTRIC)
    force.setSoluteDielectric(1.0)
    for atom, charge, radius in zip(
        molecule.GetAtoms(), charges_e.tolist(), born_radii_angstrom(molecule).tolist(), strict=True
    ):
        screening = _SCREENING.get(atom.GetSymbol(), _OTHER_SCREENING)
        force.addParticle(charge, radius * ANGSTROM_TO_NANOMETRE, screening)
    return force
