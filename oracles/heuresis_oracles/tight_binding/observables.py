"""What the xtb oracle can measure besides orbitals, dipole and energy: names, units, conditions."""

from __future__ import annotations

from typing import Literal, NamedTuple

Observable = Literal[
    "ionisation",
    "adiabatic-ionisation",
    "adiabatic-affinity",
    "hole-reorganisation",
    "electron-reorganisation",
    "oxidation",
    "reduction",
    "polarisability",
    "vibrations",
    "thermochemistry",
    "solvation",
    "conformers",
]


class ObservableDeclaration(NamedTuple):
    """Outputs of one observable, and where it is defined."""

    outputs: dict[str, tuple[str, str]]
    """Name → (unit, description)."""
    medium: Literal["vacuum", "solvent", "any"] = "any"


OBSERVABLES: dict[str, ObservableDeclaration] = {
    "ionisation": ObservableDeclaration(
        {
            "ionisation_potential_eV": (
                "eV",
                "vertical ionisation potential (IPEA-xTB, shifted)",
            ),
            "electron_affinity_eV": ("eV", "vertical electron affinity (IPEA-xTB, shifted)"),
        },
        "vacuum",
    ),
    "adiabatic-ionisation": ObservableDeclaration(
        {
            "adiabatic_ionisation_potential_eV": (
                "eV",
                "vertical potential (IPEA-xTB, shifted) minus the relaxation of the cation",
            )
        },
        "vacuum",
    ),
    "adiabatic-affinity": ObservableDeclaration(
        {
            "adiabatic_electron_affinity_eV": (
                "eV",
                "vertical affinity (IPEA-xTB, shifted) plus the relaxation of the anion",
            )
        },
        "vacuum",
    ),
    "hole-reorganisation": ObservableDeclaration(
        {"hole_reorganisation_energy_eV": ("eV", "four-point, molecule and cation")}, "vacuum"
    ),
    "electron-reorganisation": ObservableDeclaration(
        {"electron_reorganisation_energy_eV": ("eV", "four-point, molecule and anion")}, "vacuum"
    ),
    "oxidation": ObservableDeclaration(
        {
            "oxidation_potential_V": (
                "V",
                "potential of cation to molecule against the standard hydrogen electrode",
            )
        },
        "solvent",
    ),
    "reduction": ObservableDeclaration(
        {
            "reduction_potential_V": (
                "V",
                "potential of molecule to anion against the standard hydrogen electrode",
            )
        },
        "solvent",
    ),
    "polarisability": ObservableDeclaration(
        {
            "polarisability_angstrom3": ("angstrom3", "mean static dipole polarisability"),
            "polarisability_anisotropy_angstrom3": ("angstrom3", "its anisotropy"),
        }
    ),
    "vibrations": ObservableDeclaration(
        {
            "lowest_wavenumber_per_cm": ("1/cm", "softest vibration; negative if imaginary"),
            "zero_point_energy_eV": ("eV", "half the sum of all vibrational quanta"),
        }
    ),
    "thermochemistry": ObservableDeclaration(
        {
            "enthalpy_eV": ("eV", "total energy with zero-point and thermal terms, ideal gas"),
            "entropy_eV_per_K": ("eV/K", "entropy of the ideal gas"),
            "gibbs_energy_eV": ("eV", "enthalpy minus temperature times entropy"),
        }
    ),
    "solvation": ObservableDeclaration(
        {
            "solvation_free_energy_eV": (
                "eV",
                "energy in solvent minus energy in vacuum, each relaxed; 1 mol/L to 1 mol/L",
            )
        },
        "solvent",
    ),
    "conformers": ObservableDeclaration(
        {
            "conformers_relaxed": ("1", "distinct conformers relaxed with xTB"),
            "conformer_spread_eV": ("eV", "energy of the highest of them above the lowest"),
        }
    ),
}

CATION = frozenset({"adiabatic-ionisation", "hole-reorganisation", "oxidation"})
"""Observables that relax the molecule with one electron fewer."""
ANION = frozenset({"adiabatic-affinity", "electron-reorganisation", "reduction"})
"""Observables that relax the molecule with one electron more, which not every molecule binds."""
VIBRATIONAL = frozenset({"vibrations", "thermochemistry"})
AT_A_MINIMUM = CATION | ANION | VIBRATIONAL
"""Observables that mean nothing away from a minimum."""
SPREAD = ("gap_eV", "homo_eV", "lumo_eV", "dipole_debye")
"""Outputs whose uncertainty is their spread over the populated conformers."""
