"""The 230 space groups; they live in the core, where design spaces and oracles find them, too."""

from heuresis.spaces.crystals.symmetry import (
    LATTICE_PARAMETERS,
    Floats,
    SpaceGroup,
    WyckoffPosition,
    crystal_family,
    parse_triplet,
    space_group,
)

__all__ = [
    "LATTICE_PARAMETERS",
    "Floats",
    "SpaceGroup",
    "WyckoffPosition",
    "crystal_family",
    "parse_triplet",
    "space_group",
]
