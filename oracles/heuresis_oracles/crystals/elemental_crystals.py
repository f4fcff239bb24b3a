"""Crystals of the elements as starting points for references: facts, relaxed before they are used.

Close-packed, body-centred and diamond elements come from ASE's table of reference states; the
others stand here as texts, from Wyckoff, Crystal Structures (1963), rounded, or as simple models of
molecular crystals whose energy is mostly that of the molecule (F₂, O₂, N₂, H₂).
Several structures may compete; the most stable one by the potential becomes the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from heuresis.spaces.crystals.elements import ELEMENT_SYMBOLS
from heuresis.spaces.crystals.text import read_text
from heuresis_oracles.crystals.reading import primitive_atoms

if TYPE_CHECKING:
    from ase import Atoms

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    # Molecules along a hexagonal axis, H–H 0.75 Å.
    "H": ("<sg:194>'0'3'7'6'0'6'1'3{H}|f'1'8'9",),
    # α-boron, twelve-atom icosahedra.
    "B": ("<sg:166>'0'4'9'1'1'2'5'7{B}|h'1'1'9'8'9'1|h'1'9'7'0'2'4",),
    # Graphite; diamond comes from the table.
    "C": ("<sg:194>'0'2'4'6'0'6'7'1{C}|b|c",),
    # α-nitrogen, and the same with oxygen.
    "N": ("<sg:205>'0'5'6'6{N}|c'0'5'6",),
    "O": (
        "<sg:205>'0'5'4'0{O}|c'0'6'5",
        "<sg:12>'0'5'4'0'0'3'4'3'0'5'0'9'1'3'2'5{O}|i'0'9'6'1'6'2",
        "<sg:166>'0'3'3'0'1'1'2'0{O}|c'0'5'5",
    ),
    "F": ("<sg:64>'0'5'2'0'0'3'5'0'0'7'1'0{F}|f'1'5'0'0'7'2", "<sg:205>'0'5'2'0{F}|c'0'7'9"),
    # Black phosphorus.
    "P": ("<sg:64>'0'3'3'1'1'0'4'8'0'4'3'8{P}|f'1'0'2'0'8'1",),
    "Cl": ("<sg:64>'0'6'1'5'0'4'4'0'0'8'1'5{Cl}|f'1'1'7'1'0'2",),
    "Ga": ("<sg:64>'0'4'5'2'0'7'6'6'0'4'5'3{Ga}|f'1'5'5'0'8'1",),
    "As": ("<sg:166>'0'3'7'6'1'0'5'5{As}|c'2'2'7",),
    "Se": ("<sg:152>'0'4'3'7'0'4'9'5{Se}|a'2'2'5",),
    "Br": ("<sg:64>'0'6'7'4'0'4'5'5'0'8'7'6{Br}|f'1'3'5'1'1'0",),
    "In": ("<sg:139>'0'3'2'5'0'4'9'5{In}|a",),
    # White tin; grey tin comes from the table.
    "Sn": ("<sg:141>'0'5'8'3'0'3'1'8{Sn}|a", "<sg:227>'0'6'4'9{Sn}|a"),
    "Sb": ("<sg:166>'0'4'3'1'1'1'2'7{Sb}|c'2'3'4",),
    "Te": ("<sg:152>'0'4'4'6'0'5'9'3{Te}|a'2'6'4",),
    "I": ("<sg:64>'0'7'2'7'0'4'7'9'0'9'8'0{I}|f'1'5'4'1'1'7",),
    "Hg": ("<sg:166>'0'3'4'7'0'6'7'4{Hg}|a", "<sg:139>'0'4'0'0'0'2'8'3{Hg}|a"),
    "Bi": ("<sg:166>'0'4'5'5'1'1'8'6{Bi}|c'2'3'4",),
    # α-samarium for the lanthanoids that take it; others are hexagonal in the table.
    "Sm": ("<sg:166>'0'3'6'3'2'6'2'1{Sm}|a|c'2'2'2",),
    "La": ("<sg:194>'0'3'7'7'1'2'1'7{La}|a|c",),
    "Ce": ("<sg:225>'0'4'8'5{Ce}|a",),
    "Pr": ("<sg:194>'0'3'6'7'1'1'8'3{Pr}|a|c",),
    "Nd": ("<sg:194>'0'3'6'6'1'1'8'0{Nd}|a|c",),
    "Pm": ("<sg:194>'0'3'6'5'1'1'6'5{Pm}|a|c",),
    "Pa": ("<sg:139>'0'3'9'3'0'3'2'4{Pa}|a",),
    "U": ("<sg:63>'0'2'8'5'0'5'8'7'0'4'9'6{U}|c'1'0'3",),
    "Np": ("<sg:229>'0'3'5'2{Np}|a",),
    "Pu": ("<sg:225>'0'4'6'4{Pu}|a",),
    # Face-centred and body-centred stand in for the 58-atom cell of α-manganese.
    "Mn": ("<sg:225>'0'3'5'0{Mn}|a", "<sg:229>'0'2'8'0{Mn}|a"),
    # Cyclic S₈ has 128 atoms; helices differ from it by some 20 meV per atom.
    "S": ("<sg:152>'0'4'2'0'0'4'5'0{S}|a'2'3'0",),
}


_SIMPLE: Final = ("fcc", "bcc", "hcp", "diamond", "sc")


def elemental_crystals(symbols: tuple[str, ...] | list[str]) -> Iterator[tuple[str, Atoms, str]]:
    """Yield (element, primitive cell, name of the structure) for each structure of each element."""
    from ase.build import bulk
    from ase.data import reference_states

    for symbol in symbols:
        for number, text in enumerate(TEXTS.get(symbol, ())):
            yield symbol, primitive_atoms(read_text(text).cell()), f"built-in {symbol} {number + 1}"
        state = reference_states[ELEMENT_SYMBOLS.index(symbol) + 1]
        name = state["symmetry"] if state else None
        try:
            atoms = bulk(symbol) if name in _SIMPLE else None
        except ValueError:  # ASE's table has the lattice, but not what stands on it
            atoms = None
        if atoms is not None:
            yield symbol, atoms, f"built-in {symbol} {name}"
