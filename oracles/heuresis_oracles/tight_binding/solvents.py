"""Implicit solvents that the tblite wheel knows, by model and method.

ALPB and GBSA carry parameters fitted for each solvent (Ehlert, Stahn, Spicher, Grimme, J. Chem.
Theory Comput. 17, 4250, 2021). CPCM and COSMO know a solvent by its dielectric constant alone: they
give the electrostatic part, no cavity and no dispersion.
"""

from __future__ import annotations

from typing import Literal

SolvationModel = Literal["alpb", "gbsa", "cpcm", "cosmo"]

# fmt: off
_GBSA = [
    "acetone", "acetonitrile", "benzene", "ch2cl2", "chcl3", "cs2", "dmso", "ether", "methanol",
    "thf", "toluene", "water",
]
_ALPB = sorted([
    *_GBSA, "aniline", "benzaldehyde", "dioxane", "dmf", "ethanol", "ethylacetate", "furane",
    "hexadecane", "hexane", "nitromethane", "octanol", "phenol", "woctanol",
])
# fmt: on
SOLVENTS: dict[tuple[str, str], list[str]] = {
    ("alpb", "GFN2-xTB"): _ALPB,
    ("alpb", "GFN1-xTB"): _ALPB,
    ("gbsa", "GFN2-xTB"): sorted([*_GBSA, "dmf", "hexane"]),
    ("gbsa", "GFN1-xTB"): _GBSA,
    ("cpcm", "GFN2-xTB"): _ALPB,
    ("cpcm", "GFN1-xTB"): _ALPB,
    ("cosmo", "GFN2-xTB"): _ALPB,
    ("cosmo", "GFN1-xTB"): _ALPB,
}
"""(solvation model, method) → solvents that tblite takes."""


def tblite_solvation(model: str, solvent: str) -> tuple[str, ...]:
    """Return the arguments of tblite's ``solvation``."""
    return (model, solvent) if model in ("alpb", "gbsa") else ("ddX", solvent, model)
