"""The state of a half-written SMILES, and how each token changes it.

Bit sets hold atoms: atom k of the current fragment is bit k. Along the path from the first atom to
the current one numbers rise, so "ancestor" is "smaller number on the path".
"""

# ruff: noqa: S105 - "token" is no password here.
from __future__ import annotations

from typing import Final, NamedTuple

from heuresis_models.language.atoms import ATOM_KINDS, AtomKind, Ring, bracket_kind
from heuresis_models.language.kekule import can_pair
from heuresis_models.language.tokens import ELEMENT_SYMBOLS, RING_NUMBERS

BOND_ORDERS: Final = {"": 1, "-": 1, "/": 1, "\\": 1, ":": 1, "=": 2, "#": 3}
RING_SET: Final = frozenset(RING_NUMBERS)
SYMBOLS: Final = frozenset((*ELEMENT_SYMBOLS, "b", "c", "n", "o", "p", "s", "se", "as", "te", "si"))


class RingBond(NamedTuple):
    """A ring number that is open: where it was opened, and with which bond ('' if not stated)."""

    number: str
    atom: int
    bond: str


class Level(NamedTuple):
    """What a closing parenthesis goes back to."""

    current: int
    start: int
    path: int


class Bracket(NamedTuple):
    """A bracket atom that is being spelt. ``stage`` counts through the parts of it."""

    stage: int = 0
    symbol: str = ""
    hydrogens: int = 0
    charge: int = 0
    isotope_digits: int = 0
    text: str = "["


class SmilesState(NamedTuple):
    """A half-written SMILES; see the module docstring for the bit sets."""

    atoms: int = 0
    """Number of atoms so far."""
    left: tuple[int, ...] = ()
    """Bonds that each atom can still take; open ring numbers are already taken off."""
    current: int = -1
    start: int = 0
    """First atom of the innermost open branch."""
    path: int = 0
    levels: tuple[Level, ...] = ()
    rings: tuple[RingBond, ...] = ()
    bond: str = ""
    fresh: bool = True
    """Just after ``(`` or at the start of a fragment: an atom must come."""
    digits_may_follow: bool = False
    bonded: int = 0
    """Neighbours of the current atom that came before it."""
    aromatic: int = 0
    kinds: tuple[Ring, ...] = ()
    satisfied: int = 0
    """Aromatic atoms with a double bond out of the ring."""
    covered: int = 0
    """Atoms that lie in a closed ring."""
    covered_edges: int = 0
    """Bonds to the parent (named by the child) that lie in a closed ring."""
    tree_edges: tuple[tuple[int, int], ...] = ()
    """Aromatic (parent, child)."""
    ring_edges: tuple[tuple[int, int], ...] = ()
    """Aromatic bonds made by ring numbers."""
    bracket: Bracket | None = None


START: Final = SmilesState()


def add_atom(state: SmilesState, kind: AtomKind) -> SmilesState:
    """Attach an atom to the current one by the pending bond."""
    number, parent, bond = state.atoms, state.current, state.bond
    bit = 1 << number
    aromatic = kind.ring is not Ring.NOT_AROMATIC
    left, satisfied = state.left, state.satisfied
    tree_edges = state.tree_edges
    own = kind.bonds
    if parent >= 0:
        parent_aromatic = bool(state.aromatic >> parent & 1)
        order = BOND_ORDERS[bond]
        if parent_aromatic and bond == "=":
            satisfied |= 1 << parent
        if aromatic and bond == "=":
            satisfied |= bit
        left = _less(left, parent, 1 if parent_aromatic else order)
        own -= 1 if aromatic else order
        # An aromatic bond with no ring open above it can never be in a ring: it is a single bond.
        if aromatic and parent_aromatic and bond in ("", ":") and state.rings:
            tree_edges = (*tree_edges, (parent, number))
    return state._replace(
        atoms=number + 1,
        left=(*left, own),
        current=number,
        path=state.path | bit,
        bond="",
        fresh=False,
        digits_may_follow=True,
        bonded=1 << parent if parent >= 0 else 0,
        aromatic=state.aromatic | bit if aromatic else state.aromatic,
        kinds=(*state.kinds, kind.ring),
        satisfied=satisfied,
        tree_edges=tree_edges,
        bracket=None,
    )


def ring_number(state: SmilesState, number: str) -> SmilesState:
    """Open or close a ring number at the current atom."""
    here, bond = state.current, state.bond
    ring = next((ring for ring in state.rings if ring.number == number), None)
    if ring is None:
        aromatic = state.aromatic >> here & 1
        cost = 1 if aromatic else BOND_ORDERS[bond]
        return state._replace(
            left=_less(state.left, here, cost),
            rings=(*state.rings, RingBond(number, here, bond)),
            bond="",
            satisfied=state.satisfied | 1 << here if aromatic and bond == "=" else state.satisfied,
        )
    there = ring.atom
    stated = bond or ring.bond
    order = BOND_ORDERS[stated]
    here_aromatic, there_aromatic = state.aromatic >> here & 1, state.aromatic >> there & 1
    both_aromatic = bool(here_aromatic & there_aromatic)
    left = _less(state.left, here, 1 if here_aromatic else order)
    if not there_aromatic:
        # The opening took off what it knew of; the closing may have stated a higher order.
        left = _less(left, there, order - BOND_ORDERS[ring.bond])
    satisfied = state.satisfied
    if stated == "=":
        satisfied |= here_aromatic << here | there_aromatic << there
    ring_edges = state.ring_edges
    if both_aromatic and stated in ("", ":"):
        ring_edges = (*ring_edges, (there, here))
    loop = state.path >> there << there
    return state._replace(
        left=left,
        rings=tuple(other for other in state.rings if other.number != number),
        bond="",
        bonded=state.bonded | 1 << there,
        covered=state.covered | loop,
        covered_edges=state.covered_edges | (loop & ~(1 << there)),
        satisfied=satisfied,
        ring_edges=ring_edges,
    )


def open_branch(state: SmilesState) -> SmilesState:
    """Open a parenthesis."""
    level = Level(state.current, state.start, state.path)
    return state._replace(
        levels=(*state.levels, level), start=state.atoms, fresh=True, digits_may_follow=False
    )


def close_branch(state: SmilesState) -> SmilesState:
    """Close a parenthesis: go back to the atom it was opened at."""
    level = state.levels[-1]
    return state._replace(
        levels=state.levels[:-1],
        current=level.current,
        start=level.start,
        path=level.path,
        digits_may_follow=False,
        bonded=0,
    )


def spell(state: SmilesState, token: str) -> SmilesState:
    """Take one token of a spelt bracket atom: ``[``, isotope, symbol, ``@``, H, charge, ``]``."""
    bracket = state.bracket
    if bracket is None:
        return state._replace(bracket=Bracket())
    if token != "]":
        return state._replace(bracket=spelt(bracket, token))
    kind = bracket_kind(bracket.symbol, bracket.hydrogens, bracket.charge)
    if kind is None:
        raise ValueError(f"the bracket atom {bracket.text}] has more hydrogens than bonds")
    return add_atom(state._replace(bracket=None), kind)


def spelt(bracket: Bracket, token: str) -> Bracket:
    """Return the bracket after one more token other than ``]``."""
    stage = bracket.stage
    now = bracket._replace(text=bracket.text + token)
    if stage == 0 and token in RING_SET:
        # Which isotope it is decides nothing; one text for all keeps the number of states small.
        return now._replace(text="[0", isotope_digits=bracket.isotope_digits + 1)
    if stage == 0:
        return now._replace(stage=1, symbol=token)
    if token in ("@", "@@"):
        return now._replace(stage=2)
    if token == "H":
        return now._replace(stage=3, hydrogens=1)
    if token in "+-":
        return now._replace(stage=5, charge=1 if token == "+" else -1)
    if stage == 3:
        return now._replace(stage=4, hydrogens=int(token))
    return now._replace(stage=6, charge=bracket.charge * int(token))


def advance(state: SmilesState, token: str) -> SmilesState:
    """Return the state after a token, which the mask must have allowed."""
    if state.bracket is not None or token == "[":
        return spell(state, token)
    kind = ATOM_KINDS.get(token)
    if kind is not None:
        return add_atom(state, kind)
    if token in RING_SET:
        return ring_number(state, token)
    if token == "(":
        return open_branch(state)
    if token == ")":
        return close_branch(state)
    if token == ".":
        return START
    return state._replace(bond=token)


def has_pairs(state: SmilesState) -> bool:
    """Whether all aromatic atoms that are finished can have their double bonds."""
    if not state.aromatic:
        return True
    lowest = state.atoms
    live = 0
    for ring in state.rings:
        live |= 1 << ring.atom
        lowest = min(lowest, ring.atom)
    for atom in (state.current, *(level.current for level in state.levels)):
        # A later neighbour can be its partner, if that bond can come to lie in a ring; carbon and
        # neutral nitrogen can also take a neighbour that settles them without one.
        settles = atom >= 0 and (lowest <= atom or state.kinds[atom] is not Ring.OWES_ALWAYS)
        if settles and state.left[atom]:
            live |= 1 << atom
    spent = _spent(state)
    # Bonds on the path below an open ring number can still come to lie in a ring.
    usable = state.covered_edges | (state.path >> (lowest + 1) << (lowest + 1))
    # A carbon whose double bond leaves the ring must have three neighbours: with two, readers take
    # the hydrogen for missing and look for a second double bond.
    bits = state.satisfied & ~live
    while bits:
        bit = bits & -bits
        bits ^= bit
        if state.left[bit.bit_length() - 1]:
            return False
    place: dict[int, int] = {}
    owing = free = 0
    bits = state.aromatic & ~state.satisfied
    while bits:
        bit = bits & -bits
        bits ^= bit
        atom = bit.bit_length() - 1
        kind = state.kinds[atom]
        waits = bool(live & bit)
        if kind is Ring.GIVES or (kind is Ring.OWES_IF_FREE and state.left[atom] == 0):
            # With three neighbours, an open ring number counted, nitrogen has no double bond.
            continue
        if spent >> atom & 1:
            continue
        here = 1 << len(place)
        place[atom] = len(place)
        free |= here
        if not waits and kind is not Ring.EITHER:
            owing |= here
    if not owing:
        return True
    neighbours = [0] * len(place)
    for first, second in state.tree_edges:
        if usable >> second & 1 and first in place and second in place:
            neighbours[place[first]] |= 1 << place[second]
            neighbours[place[second]] |= 1 << place[first]
    for first, second in state.ring_edges:
        if first in place and second in place:
            neighbours[place[first]] |= 1 << place[second]
            neighbours[place[second]] |= 1 << place[first]
    return can_pair(owing, free, tuple(neighbours))


def must_go_on(state: SmilesState) -> int:
    """Return the atoms that get one more neighbour: their branch has something open.

    These are the current atom and those that a closing parenthesis goes back to.
    """
    found = 0
    upper = state.atoms
    begins = [state.start, *(level.start for level in reversed(state.levels))]
    atoms = [state.current, *(level.current for level in reversed(state.levels))]
    for atom, begin in zip(atoms, begins, strict=True):
        within = (1 << upper) - (1 << begin)
        opened = any(begin <= ring.atom < upper for ring in state.rings)
        if atom >= 0 and (opened or state.aromatic & ~state.covered & state.path & within):
            found |= 1 << atom
        upper = begin
    return found


def _spent(state: SmilesState) -> int:
    """Return nitrogens whose last bond is promised, so that they take part in no double bond."""
    atoms = (state.current, *(level.current for level in state.levels))
    if not any(
        atom >= 0 and state.kinds[atom] is Ring.OWES_IF_FREE and state.left[atom] == 1
        for atom in atoms
    ):
        return 0
    promised = must_go_on(state)
    return sum(
        1 << atom
        for atom in set(atoms)
        if atom >= 0
        and promised >> atom & 1
        and state.kinds[atom] is Ring.OWES_IF_FREE
        and state.left[atom] == 1
    )


def _less(left: tuple[int, ...], atom: int, amount: int) -> tuple[int, ...]:
    return (*left[:atom], left[atom] - amount, *left[atom + 1 :]) if amount else left
