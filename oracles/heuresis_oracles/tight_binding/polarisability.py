"""Static dipole polarisability from the dipole in a weak electric field.

For H, C, N, O and F the minimal basis has no functions to polarise into: values are about half of
what is measured, and rank molecules. Heavier elements have polarisation functions without the
rest of a basis and overshoot (up to 1.8 times), so a search would find nothing but chlorine: they
are refused. Measured in the calibration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis_oracles.electronic import ElectronicState, scf_failure
from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian
from heuresis_oracles.tight_binding.solvents import tblite_solvation
from heuresis_oracles.units import BOHR_TO_ANGSTROM

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

RANKABLE_ELEMENTS = ("H", "C", "N", "O", "F")
_FIELD_au = 0.001
"""From 0.0005 to 0.005 au the result is the same to four digits."""
_ACCURACY = 0.01
_KELVIN_TO_HARTREE = 3.166811563e-6


def require_rankable(molecule: Mol) -> None:
    """Refuse a molecule with elements whose polarisability the method overestimates.

    Raises:
        OracleSetupError: names them.
    """
    symbols = {atom.GetSymbol() for atom in molecule.GetAtoms()}
    beyond = sorted(symbols - set(RANKABLE_ELEMENTS))
    if beyond:
        raise OracleSetupError(
            f"xTB overestimates the polarisability of {', '.join(beyond)} beside that of lighter"
            " elements, so that values do not compare; it is given for molecules of"
            f" {', '.join(RANKABLE_ELEMENTS)} alone"
        )


def polarisability_tensor_angstrom3(
    atoms: Atoms, hamiltonian: Hamiltonian, state: ElectronicState
) -> np.ndarray:
    """Return the symmetric tensor in Å³, shape (3, 3), by central differences of the dipole.

    Raises:
        CalculationError: a self-consistent field failed.
    """
    tensor = np.empty((3, 3))
    for axis in range(3):
        field = np.zeros(3)
        field[axis] = _FIELD_au
        change = _dipole_au(atoms, hamiltonian, state, field) - _dipole_au(
            atoms, hamiltonian, state, -field
        )
        tensor[axis] = change / (2.0 * _FIELD_au)
    symmetric: np.ndarray = 0.5 * (tensor + tensor.T) * BOHR_TO_ANGSTROM**3
    return symmetric


def mean_and_anisotropy(tensor: np.ndarray) -> tuple[float, float]:
    """Return a third of the trace, and sqrt((3 tr A² - (tr A)²) / 2), in the tensor's unit."""
    trace = float(np.trace(tensor))
    squared = (3.0 * float(np.trace(tensor @ tensor)) - trace**2) / 2.0
    return trace / 3.0, float(np.sqrt(max(squared, 0.0)))


def _dipole_au(
    atoms: Atoms, hamiltonian: Hamiltonian, state: ElectronicState, field_au: np.ndarray
) -> np.ndarray:
    # Not through ASE: the wheel's calculator hands the field on as an array, where tblite's
    # interface expects a C pointer.
    from tblite import library
    from tblite.interface import Calculator

    field = np.ascontiguousarray(field_au, dtype=float)
    pointer: Any = library.ffi.cast("double*", field.ctypes.data)
    try:
        calculator = Calculator(
            hamiltonian.method,
            atoms.numbers,
            atoms.positions / BOHR_TO_ANGSTROM,
            state.charge,
            state.unpaired,
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", min(hamiltonian.accuracy, _ACCURACY))
        calculator.set("max-iter", hamiltonian.max_scf_iterations)
        calculator.set("temperature", hamiltonian.electronic_temperature_K * _KELVIN_TO_HARTREE)
        if hamiltonian.solvent is not None:
            model, *details = tblite_solvation(hamiltonian.solvation_model, hamiltonian.solvent)
            calculator.add(f"{model}-solvation", *details)
        calculator.add("electric-field", pointer)
        return np.asarray(calculator.singlepoint().get("dipole"), dtype=float)
    except Exception as error:
        raise scf_failure(error) from error
