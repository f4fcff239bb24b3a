"""The only unit conversions of the oracles (CODATA 2018). Inside, oracles speak eV, Å, K, ps.

Source: Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021).
"""

from __future__ import annotations

from typing import Final

HARTREE_TO_EV: Final = 27.211386245988
BOHR_TO_ANGSTROM: Final = 0.529177210903
ELEMENTARY_CHARGE_ANGSTROM_TO_DEBYE: Final = 4.803204712570263
"""1 e·Å in debye: 1.602176634e-19 C × 1e-10 m × 299792458 m/s / 1e-21 C·m²/s."""

EV_TO_KILOJOULE_PER_MOL: Final = 96.48533212331002
"""Faraday constant in kC/mol, exact in the SI of 2019."""
KILOCALORIE_TO_KILOJOULE: Final = 4.184
"""Thermochemical calorie, the one of MMFF94 and RDKit."""
ANGSTROM_TO_NANOMETRE: Final = 0.1
NANOMETRE_TO_ANGSTROM: Final = 10.0
GAS_CONSTANT_KJ_PER_MOL_K: Final = 0.00831446261815324
"""Exact in the SI of 2019: Boltzmann constant × Avogadro constant."""
