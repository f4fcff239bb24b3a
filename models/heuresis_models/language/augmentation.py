"""Other ways to write the same thing: canonical, randomised and root-aligned SMILES.

Every function takes its random generator; equal generators give equal texts.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import Form, Molecule, Reaction

if TYPE_CHECKING:
    from numpy.random import Generator

_ATOM_MAP: Final = re.compile(r":[0-9]+\]")
_WIDEST: Final = 3
"""Bonds over which the surroundings of atoms are compared."""


def _read(smiles: str) -> Any:
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise DocumentError(f"RDKit cannot read the SMILES {smiles!r}")
    if _ATOM_MAP.search(smiles):
        # Atom maps would tell which atom of one side is which of the other.
        for atom in molecule.GetAtoms():
            atom.SetAtomMapNum(0)
    return molecule


def canonical_smiles(smiles: str) -> str:
    """Return RDKit's canonical SMILES.

    Raises:
        DocumentError: RDKit cannot read the text.
    """
    from rdkit import Chem

    text: str = Chem.MolToSmiles(_read(smiles))
    return text


def canonical_or_none(text: str) -> str | None:
    """Return RDKit's canonical SMILES; None where the text is no molecule, as models may write."""
    try:
        return canonical_smiles(text) if text else None
    except DocumentError:
        return None


def _written_from(molecule: Any, root: int, rng: Generator) -> str:
    """Write a connected molecule from one atom on, branches in random order."""
    from rdkit import Chem

    order = [int(index) for index in rng.permutation(molecule.GetNumAtoms())]
    shuffled = Chem.RenumberAtoms(molecule, order)
    text: str = Chem.MolToSmiles(
        shuffled, canonical=False, rootedAtAtom=order.index(root), doRandom=False
    )
    return text


def randomized_smiles(smiles: str, rng: Generator) -> str:
    """Write each fragment from a random atom, with random branch order, in random order.

    Raises:
        DocumentError: RDKit cannot read the text.
    """
    from rdkit import Chem

    fragments = list(Chem.GetMolFrags(_read(smiles), asMols=True))
    texts = [
        _written_from(fragment, int(rng.integers(fragment.GetNumAtoms())), rng)
        for fragment in fragments
    ]
    return ".".join(texts[int(index)] for index in rng.permutation(len(texts)))


def canonical(thing: Molecule) -> Molecule:
    """Return the molecule in canonical form."""
    return Molecule(canonical_smiles(thing.smiles), Form.CANONICAL)


def randomized(thing: Molecule, rng: Generator) -> Molecule:
    """Return the molecule in a random form."""
    return Molecule(randomized_smiles(thing.smiles, rng), Form.RANDOMIZED)


def aligned(reaction: Reaction, rng: Generator) -> Reaction:
    """Write product and reactants from the same atom, so that most of both texts is equal.

    Root-aligned SMILES (Zhong et al., Chem. Sci. 2022, 13, 9023), without atom maps: a random atom
    of the product is the root. Each reactant is written from the atom whose surroundings agree
    with a product atom's over the largest number of bonds; the reactant that agrees best with the
    root comes first. Atom order in the given texts has no influence: product atoms and reactants
    are drawn from their canonical order, so no hidden numbering leaks from one side to the other.

    Raises:
        DocumentError: RDKit cannot read a side.
    """
    from rdkit import Chem

    product = _read(canonical_smiles(reaction.product))
    root = int(rng.integers(product.GetNumAtoms()))
    pieces = Chem.GetMolFrags(product)
    main = next(piece for piece in pieces if root in piece)
    rest = sorted(_rooted(product, piece[0], piece) for piece in pieces if piece is not main)
    order = _order_in(product, root)
    numbers: dict[Hashable, int] = {}
    codes = _surroundings(product, numbers)
    parts = []
    for fragment in Chem.GetMolFrags(_read(canonical_smiles(reaction.reactants)), asMols=True):
        place, other = _best_agreement(order, codes, _surroundings(fragment, numbers))
        whole = tuple(range(fragment.GetNumAtoms()))
        parts.append((place, _rooted(fragment, other, whole)))
    return replace(
        reaction,
        product=".".join([_rooted(product, root, main), *rest]),
        reactants=".".join(text for _, text in sorted(parts)),
        form=Form.ALIGNED,
    )


def _rooted(molecule: Any, root: int, atoms: tuple[int, ...]) -> str:
    """Write one fragment, given by its atoms, from one of them on."""
    from rdkit import Chem

    if len(atoms) == molecule.GetNumAtoms():
        text: str = Chem.MolToSmiles(molecule, rootedAtAtom=root)
        return text
    places: list[tuple[int, ...]] = []
    fragments = Chem.GetMolFrags(molecule, asMols=True, fragsMolAtomMapping=places)
    for fragment, place in zip(fragments, places, strict=True):
        if root in place:
            return str(Chem.MolToSmiles(fragment, rootedAtAtom=place.index(root)))
    raise ValueError(f"atom {root} is in no fragment")  # cannot be: every atom is in one


def _order_in(molecule: Any, root: int) -> list[int]:
    """Return all atoms by their distance from the root, then by canonical number."""
    from rdkit import Chem

    distance = Chem.GetDistanceMatrix(molecule)[root]
    return sorted(range(molecule.GetNumAtoms()), key=lambda atom: (distance[atom], atom))


def _best_agreement(
    order: list[int], codes: list[list[int]], others: list[list[int]]
) -> tuple[int, int]:
    """Return the place in ``order`` and the atom of the other side that agree over most bonds.

    Ties go to the earliest place, then to the lowest atom. Without any equal atom the place is
    beyond the last.
    """
    for level in reversed(range(len(codes))):
        first: dict[int, int] = {}
        for atom, code in enumerate(others[level]):
            first.setdefault(code, atom)
        for place, atom in enumerate(order):
            if codes[level][atom] in first:
                return place, first[codes[level][atom]]
    return len(order), 0


def _surroundings(molecule: Any, numbers: dict[Hashable, int]) -> list[list[int]]:
    """Return, for 0 to `_WIDEST` bonds, a number for the surroundings of each atom.

    Equal numbers mean equal surroundings among all molecules that share ``numbers``; being equal
    within some bonds includes being equal within fewer.
    """
    bonds: list[list[tuple[int, int]]] = [[] for _ in range(molecule.GetNumAtoms())]
    for bond in molecule.GetBonds():
        begin, end, kind = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), int(bond.GetBondType())
        bonds[begin].append((kind, end))
        bonds[end].append((kind, begin))
    level = [
        _number((a.GetAtomicNum(), a.GetFormalCharge(), a.GetIsAromatic()), numbers)
        for a in molecule.GetAtoms()
    ]
    levels = [level]
    for _ in range(_WIDEST):
        last = levels[-1]
        levels.append(
            [
                _number((last[atom], *sorted((kind, last[end]) for kind, end in joined)), numbers)
                for atom, joined in enumerate(bonds)
            ]
        )
    return levels


def _number(key: Hashable, numbers: dict[Hashable, int]) -> int:
    return numbers.setdefault(key, len(numbers))
