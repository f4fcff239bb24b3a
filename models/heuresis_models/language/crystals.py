"""From CIF rows and pymatgen structures to crystal records, and back; all of it in the core."""

from heuresis.spaces.crystals.standard import (
    MAX_REWRITES,
    SYMMETRY_TOLERANCE_ANGSTROM,
    crystal_of,
    is_stable,
    read_p1_cif,
)
from heuresis.spaces.crystals.structures import from_structure, to_structure

__all__ = [
    "MAX_REWRITES",
    "SYMMETRY_TOLERANCE_ANGSTROM",
    "crystal_of",
    "from_structure",
    "is_stable",
    "read_p1_cif",
    "to_structure",
]
