"""Molecules that keep a part: fix a substructure and let the model write the rest.

A scaffold is a SMILES with attachment points, ``[*]``: the model writes what stands there, one
point after the other. Two parts with one point each, ``CCN[*].[*]c1ccccc1``, ask for a linker.
Among many random SMILES of the kept part one is chosen in which as much as possible stands before
the first gap, because a model knows only what it has read (see `slots`).

What SMILES do not allow: later gaps are filled without knowing the kept text that follows; no ring
runs through an attachment point and back into the kept part; the length of a linker is drawn, the
model does not choose it. Every result is checked: the kept atoms must be there, bonded to each
other and to nothing but what grew at the attachment points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from heuresis_models.generation.decoding import Sample, generate
from heuresis_models.generation.prompts import Prompt, payload, prompt
from heuresis_models.generation.settings import Sampling
from heuresis_models.generation.slots import CLOSE, Slot
from heuresis_models.language.augmentation import canonical_or_none
from heuresis_models.language.documents import Condition
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import Form
from heuresis_models.language.tokens import RING_NUMBERS
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

_WRITINGS: Final = 40
"""Random SMILES of a scaffold among which the best is chosen."""
_POINT: Final = "*"


class Scaffold:
    """A part of a molecule that is kept.

    Args:
        smiles: with attachment points ``[*]``; in one piece, or two with one point each.

    Raises:
        DocumentError: not readable, without attachment point, or in too many pieces.
    """

    def __init__(self, smiles: str) -> None:
        from rdkit import Chem
        from rdkit.rdBase import BlockLogs

        with BlockLogs():
            molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or molecule.GetNumAtoms() == 0:
            raise DocumentError(f"RDKit cannot read the scaffold {smiles!r}")
        points = 0
        for atom in molecule.GetAtoms():
            atom.SetAtomMapNum(0)
            if atom.GetAtomicNum() == 0:
                atom.SetIsotope(0)
                points += 1
                if atom.GetDegree() != 1 or atom.GetNeighbors()[0].GetAtomicNum() == 0:
                    raise DocumentError(
                        f"an attachment point [*] of {smiles!r} has {atom.GetDegree()} neighbours;"
                        " it stands at exactly one kept atom"
                    )
        self.parts: tuple[Any, ...] = Chem.GetMolFrags(molecule, asMols=True)
        two = len(self.parts) == 2 and points == 2
        if not points or not (len(self.parts) == 1 or two):
            raise DocumentError(
                f"a scaffold is one piece with attachment points [*], or two pieces with one each;"
                f" {smiles!r} has {len(self.parts)} pieces and {points} points"
            )
        self.smiles: str = Chem.MolToSmiles(molecule)
        self._query = _query(molecule)

    def prompt(
        self,
        rng: Generator,
        *,
        linker_atoms: tuple[int, int] = (1, 8),
        conditions: Sequence[Condition] = (),
    ) -> Prompt:
        """Ask for a molecule that keeps the scaffold.

        Args:
            rng: chooses how the scaffold is written, and the length of a linker.
            linker_atoms: least and greatest number of heavy atoms between two parts.
            conditions: what the molecule should be like.
        """
        given, slots = self._written(rng)
        if len(self.parts) == 2:
            atoms = int(rng.integers(linker_atoms[0], linker_atoms[1] + 1))
            end = Vocabulary.default()[CLOSE]
            slots = (Slot("link", (*slots[0].then, end), slots[0].taken, atoms),)
        asked = prompt(form=Form.RANDOMIZED, given=given, conditions=conditions)
        return asked._replace(slots=slots)

    def kept_in(self, smiles: str) -> bool:
        """Say whether a molecule holds the kept atoms, with no bonds but those asked for."""
        from rdkit import Chem

        molecule = Chem.MolFromSmiles(smiles)
        return molecule is not None and bool(molecule.HasSubstructMatch(self._query))

    def _written(self, rng: Generator) -> tuple[str, tuple[Slot, ...]]:
        """Return the text before the first gap, and the gaps."""
        if len(self.parts) == 2:
            first, second = (self.parts[int(index)] for index in rng.permutation(2))
            tokens = [*_latest_gap(first, rng)[:-1], _POINT, *_from_point(second, rng)]
        else:
            tokens = _latest_gap(self.parts[0], rng)
        ids = Vocabulary.default().ids
        gaps = [place for place, token in enumerate(tokens) if token == _POINT]
        slots = []
        for number, place in enumerate(gaps):
            end = gaps[number + 1] if number + 1 < len(gaps) else len(tokens)
            branch = place + 1 < len(tokens) and tokens[place + 1] == ")"
            then = tokens[place + 1 + branch : end]
            taken = frozenset(ids[token] for token in _open_rings(tokens[:place]))
            slots.append(
                Slot("branch" if branch else "tail", tuple(ids[token] for token in then), taken)
            )
        return "".join(tokens[: gaps[0]]), tuple(slots)


@dataclass(frozen=True)
class Grown:
    """Molecules grown on a scaffold.

    Args:
        samples: all that were drawn.
        molecules: canonical SMILES of each, None where it failed.
        failures: cause → number: ``unfinished``, ``invalid``, ``scaffold lost``.
    """

    samples: list[Sample]
    molecules: list[str | None]
    failures: Counter[str] = field(default_factory=Counter)


def grow(
    model: Transformer,
    scaffold: Scaffold,
    count: int,
    rng: Generator,
    settings: Sampling | None = None,
    *,
    linker_atoms: tuple[int, int] = (1, 8),
    conditions: Sequence[Condition] = (),
) -> Grown:
    """Draw molecules that keep a scaffold; what does not keep it is counted, never returned."""
    prompts = [
        scaffold.prompt(rng, linker_atoms=linker_atoms, conditions=conditions) for _ in range(count)
    ]
    samples = generate(model, prompts, rng, settings)
    grown = Grown(samples, [])
    for sample in samples:
        smiles = canonical_or_none(payload(sample.tokens))
        cause = ""
        if not sample.finished:
            cause = "unfinished"
        elif smiles is None:
            cause = "invalid"
        elif not scaffold.kept_in(smiles):
            cause = "scaffold lost"
        grown.molecules.append(None if cause else smiles)
        grown.failures.update([cause] if cause else [])
    return grown


def scaffold_of(smiles: str, atoms: Collection[int]) -> Scaffold:
    """Return the scaffold that keeps some atoms of a molecule.

    Args:
        smiles: the molecule.
        atoms: indices of the kept atoms, in the order of ``smiles``.

    Raises:
        DocumentError: not readable, nothing or everything is kept, or an aromatic ring is cut.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise DocumentError(f"RDKit cannot read the SMILES {smiles!r}")
    kept = set(atoms)
    wrong = kept - set(range(molecule.GetNumAtoms()))
    if wrong or not kept or len(kept) == molecule.GetNumAtoms():
        raise DocumentError(
            f"kept atoms are some, not all, of 0 to {molecule.GetNumAtoms() - 1}; got"
            f" {sorted(kept)[:8]}"
        )
    writable = Chem.RWMol(molecule)
    for bond in molecule.GetBonds():
        ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        inside = [index for index in ends if index in kept]
        if len(inside) != 1:
            continue
        if bond.GetIsAromatic():
            raise DocumentError(
                f"the kept atoms cut an aromatic ring of {smiles!r} at atom {inside[0]}; keep or"
                " leave the whole ring"
            )
        point = writable.AddAtom(Chem.Atom(0))
        writable.AddBond(inside[0], point, bond.GetBondType())
    writable.BeginBatchEdit()
    for index in range(molecule.GetNumAtoms()):
        if index not in kept:
            writable.RemoveAtom(index)
    writable.CommitBatchEdit()
    return Scaffold(Chem.MolToSmiles(writable))


def ring_scaffold(smiles: str) -> Scaffold | None:
    """Return the scaffold of all rings and what joins them; None: no ring, or nothing else.

    Bemis and Murcko, J. Med. Chem. 1996, 39, 2887.
    """
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    molecule = Chem.MolFromSmiles(smiles)
    core = MurckoScaffold.GetScaffoldForMol(molecule)  # type: ignore[no-untyped-call]
    kept = molecule.GetSubstructMatch(core) if core.GetNumAtoms() else ()
    if not kept or len(kept) == molecule.GetNumAtoms():
        return None
    return scaffold_of(smiles, kept)


def _latest_gap(part: Any, rng: Generator) -> list[str]:
    """Return tokens of a writing with the first point as late as possible, and not at the start."""
    best: list[str] = []
    latest = -1
    roots = [atom.GetIdx() for atom in part.GetAtoms() if atom.GetAtomicNum()]
    for _ in range(_WRITINGS):
        tokens = _random_writing(part, roots[int(rng.integers(len(roots)))], rng)
        place = tokens.index(_POINT)
        if place > latest:
            best, latest = tokens, place
            if place == len(tokens) - 1:
                break
    return best


def _from_point(part: Any, rng: Generator) -> list[str]:
    """Return tokens of a writing from the attachment point on, without the point."""
    (root,) = (atom.GetIdx() for atom in part.GetAtoms() if not atom.GetAtomicNum())
    return _random_writing(part, root, rng)[1:]


def _random_writing(part: Any, root: int, rng: Generator) -> list[str]:
    from rdkit import Chem

    order = [int(index) for index in rng.permutation(part.GetNumAtoms())]
    text = Chem.MolToSmiles(
        Chem.RenumberAtoms(part, order), canonical=False, rootedAtAtom=order.index(root)
    )
    return Vocabulary.default().cut(text)


def _open_rings(tokens: Sequence[str]) -> set[str]:
    opened: set[str] = set()
    inside = False
    for token in tokens:
        inside = token == "[" or (inside and token != "]")  # noqa: S105
        if token in RING_NUMBERS and not inside:
            opened ^= {token}
    return opened


def _query(molecule: Any) -> Any:
    """Return a query of the kept atoms, each with exactly the neighbours that it has here."""
    from rdkit import Chem

    settings: Any = Chem.AdjustQueryParameters.NoAdjustments()
    settings.adjustDegree = True
    settings.adjustDegreeFlags = Chem.ADJUST_IGNOREDUMMIES
    query = Chem.RWMol(Chem.AdjustQueryProperties(molecule, settings))
    query.BeginBatchEdit()
    for atom in molecule.GetAtoms():
        if atom.GetAtomicNum() == 0:
            query.RemoveAtom(atom.GetIdx())
    query.CommitBatchEdit()
    return query.GetMol()
