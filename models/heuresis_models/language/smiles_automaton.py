r"""Which token may come next in a SMILES.

The rules look one step ahead where a wrong step could not be undone: an atom that can take no more
bonds is not written while a ring of its branch is open; a ring is not closed when the aromatic
atoms in it could no longer get their double bonds; a branch does not end with an aromatic atom that
is in no ring. What is not checked: three-dimensional possibility, and the marks ``/ \ @``.

Not written although SMILES knows them: ``: ~ $ -> <-``, ring numbers after a branch, and ring
numbers opened within a branch and closed outside (no program that writes SMILES does that).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final, NamedTuple

from heuresis_models.language.atoms import ATOM_KINDS, AtomKind, Ring, bracket_kind
from heuresis_models.language.smiles_state import (
    BOND_ORDERS,
    SYMBOLS,
    Bracket,
    RingBond,
    SmilesState,
    add_atom,
    advance,
    close_branch,
    has_pairs,
    must_go_on,
    ring_number,
    spelt,
)
from heuresis_models.language.tokens import RING_NUMBERS

MAX_ISOTOPE_DIGITS: Final = 3
_DIGITS: Final = frozenset("0123456789")
_COUNTS: Final = "23456789"
_ALIPHATIC: Final = AtomKind(8)
_PARTNER: Final = AtomKind(3, Ring.EITHER)
_LONG_CHAIN: Final = 18
_STEREO_BONDS: Final = ("/", "\\")


class _Context(NamedTuple):
    """What decides which atoms may be attached; the key under which the answer is kept."""

    attached: bool
    """False for the first atom of a fragment."""
    bond: str
    parent_open: bool
    """The parent may be left: it is no aromatic atom that still needs a ring number."""
    obliged: bool
    """The branch has open ring numbers, or aromatic atoms that are in no ring yet."""
    rings_open: bool
    aliphatic: bool
    partner: bool
    last: bool
    """Double bonds remain possible after an aliphatic atom; after an aromatic one that can be a
    partner; after an aliphatic one that ends the branch."""


def allowed(state: SmilesState) -> tuple[frozenset[str], bool]:
    """Return the tokens that may come next, and whether the SMILES may end here."""
    found = _allowed(state, check_pairs=True)
    if not found[0] and not found[1]:
        # A dead end that the look-ahead missed: better a text that may be wrong than none.
        found = _allowed(state, check_pairs=False)
    return found


def _allowed(state: SmilesState, *, check_pairs: bool) -> tuple[frozenset[str], bool]:
    context = _context(state, check_pairs)
    if state.bracket is not None:
        return _bracket_tokens(context, state.bracket), False
    atoms = _atom_tokens(context)
    here = state.current
    if here < 0:
        return atoms, False
    pairs_checked = check_pairs and bool(state.aromatic)
    bonds = _bonds(state, context, pairs_checked) if not state.bond else frozenset[str]()
    if state.fresh:
        return atoms | bonds, False
    rings = _ring_tokens(state, pairs_checked) if state.digits_may_follow else frozenset[str]()
    if state.bond:
        return atoms | rings, False
    more: list[str] = []
    spare = state.left[here]
    if spare >= 1 and context.parent_open and _may_branch(state, context, pairs_checked):
        more.append("(")
    ends = False
    if not context.obliged:
        if state.levels:
            if not pairs_checked or has_pairs(close_branch(state)):
                more.append(")")
        elif not state.rings:
            ends = not pairs_checked or has_pairs(state._replace(current=-1))
            if ends:
                more.append(".")
    return atoms | bonds | rings | _few(tuple(more)), ends


@cache
def _few(tokens: tuple[str, ...]) -> frozenset[str]:
    return frozenset(tokens)


def _may_branch(state: SmilesState, context: _Context, pairs_checked: bool) -> bool:
    here = state.current
    spare = state.left[here]
    if spare == 1:
        return context.aliphatic and not context.obliged
    if not context.obliged or not pairs_checked or not state.aromatic >> here & 1:
        return True
    # The branch takes one bond, and the way to the open ring another.
    left = (*state.left[:here], spare - 1, *state.left[here + 1 :])
    return has_pairs(add_atom(state._replace(left=left), _PARTNER))


def is_obliged(state: SmilesState, start: int) -> bool:
    """Whether atoms from ``start`` on have open ring numbers, or are aromatic and in no ring."""
    if any(ring.atom >= start for ring in state.rings):
        return True
    return bool((state.aromatic & ~state.covered & state.path) >> start)


def _context(state: SmilesState, check_pairs: bool) -> _Context:
    here = state.current
    bare = state._replace(bracket=None) if state.bracket is not None else state
    aliphatic = partner = last = True
    if check_pairs and state.aromatic and here >= 0:
        # Just after "(" the current atom is not left: it comes back when the branch closes.
        if not state.fresh or state.bond == "=":
            aliphatic = has_pairs(add_atom(bare, _ALIPHATIC))
            partner = aliphatic or has_pairs(add_atom(bare, _PARTNER))
        last = aliphatic and _can_leave(add_atom(bare, AtomKind(BOND_ORDERS[state.bond])))
    return _Context(
        attached=here >= 0,
        bond=state.bond,
        parent_open=parent_is_open(state),
        obliged=is_obliged(state, state.start),
        rings_open=bool(state.rings),
        aliphatic=aliphatic,
        partner=partner,
        last=last,
    )


def parent_is_open(state: SmilesState) -> bool:
    """Whether the current atom may be left: it is no aromatic atom that needs a ring number."""
    here = state.current
    if here < 0:
        return True
    if state.left[here] < 1 and not state.bond:
        return False
    return bool(state.rings) or not state.aromatic & ~state.covered & 1 << here


def _fits(context: _Context, kind: AtomKind | None) -> bool:
    """Whether an atom of this kind may be attached."""
    if kind is None:
        return False
    aromatic = kind.ring is not Ring.NOT_AROMATIC
    if not context.attached:
        return kind.bonds >= 2 if aromatic else True
    if not context.parent_open:
        return False
    if not aromatic:
        left = kind.bonds - BOND_ORDERS[context.bond]
        if left == 0:
            return context.last and not context.obliged
        return context.aliphatic and left > 0
    if context.bond == "#" or (context.bond == "=" and kind.ring is not Ring.OWES):
        return False
    if not (context.aliphatic if kind.ring is Ring.GIVES else context.partner):
        return False
    return kind.bonds - 1 >= (1 if context.rings_open else 2)


@lru_cache(maxsize=4096)
def _atom_tokens(context: _Context) -> frozenset[str]:
    found = {token for token, kind in ATOM_KINDS.items() if _fits(context, kind)}
    if _fits(context, AtomKind(4)):
        found.add("[")
    return frozenset(found)


@lru_cache(maxsize=16384)
def _bracket_tokens(context: _Context, bracket: Bracket) -> frozenset[str]:
    """Return what may follow in a spelt bracket atom, such that ``]`` can still be reached.

    A bracket that is a token of its own is not spelt: cutting its text would give that token.
    """
    return frozenset(
        token
        for token in _bracket_steps(context, bracket)
        if token == "]"  # noqa: S105
        or (token in _DIGITS and bracket.stage == 0)
        or _bracket_tokens(context, spelt(bracket, token))
    )


def _bracket_steps(context: _Context, bracket: Bracket) -> set[str]:
    stage, symbol, hydrogens, charge, digits, text = bracket
    if stage == 0:
        found = {name for name in SYMBOLS if _fits(context, bracket_kind(name, 0, 0))}
        return found | _DIGITS if digits < MAX_ISOTOPE_DIGITS else found
    now: set[str] = set()
    if _fits(context, bracket_kind(symbol, hydrogens, charge)) and f"{text}]" not in ATOM_KINDS:
        now.add("]")
    if stage == 1 and symbol[0].isupper():
        now |= {"@", "@@"}
    if stage <= 2 and _fits(context, bracket_kind(symbol, 1, 0)):
        now.add("H")
    if stage == 3:
        now |= {n for n in _COUNTS if _fits(context, bracket_kind(symbol, int(n), 0))}
    if stage <= 4:
        for sign, value in (("+", 1), ("-", -1)):
            if _fits(context, bracket_kind(symbol, hydrogens, value)):
                now.add(sign)
    if stage == 5:
        now |= {
            n for n in _COUNTS if _fits(context, bracket_kind(symbol, hydrogens, charge * int(n)))
        }
    return now


def _bonds(state: SmilesState, context: _Context, pairs_checked: bool) -> frozenset[str]:
    """Return the bond tokens that may follow the current atom."""
    here = state.current
    spare = state.left[here]
    if spare < 1 or not context.parent_open:
        return frozenset()
    # After a branch the atom must keep a bond for what its own branch still owes.
    kept = 1 if state.fresh and is_obliged(state, state.levels[-1].start) else 0
    more: list[str] = []
    if spare - 1 >= kept:
        if context.aliphatic:
            more += ["-", *_STEREO_BONDS]
        elif state.digits_may_follow:
            # A single bond between aromatic rings that closes a third: c-2.
            single = state._replace(bond="-")
            if any(closes(single, ring, pairs_checked) for ring in state.rings):
                more.append("-")
    if state.aromatic >> here & 1:
        kind = state.kinds[here]
        free = not state.satisfied >> here & 1 and kind in (Ring.OWES, Ring.EITHER)
        if free and spare - 1 >= kept:
            double = add_atom(state._replace(bond="="), _ALIPHATIC)
            if not pairs_checked or has_pairs(double):
                more.append("=")
    elif context.aliphatic:
        more += [bond for bond in ("=", "#") if spare - BOND_ORDERS[bond] >= kept]
    return _few(tuple(more))


def _ring_tokens(state: SmilesState, pairs_checked: bool) -> frozenset[str]:
    """Return the ring numbers that may be opened or closed at the current atom."""
    here, bond = state.current, state.bond
    aromatic = bool(state.aromatic >> here & 1)
    spare = state.left[here]
    order = BOND_ORDERS[bond]
    used = tuple(sorted(ring.number for ring in state.rings))
    closed = tuple(ring.number for ring in state.rings if closes(state, ring, pairs_checked))
    may_open = spare - (1 if aromatic else order) >= 1 and order <= 2
    if aromatic and may_open:
        may_open = may_bond(state, here, order)
        if may_open and pairs_checked:
            # The ring must come back from a next atom; that must leave the double bonds possible.
            may_open = has_pairs(add_atom(ring_number(state, _unused(used)), _PARTNER))
    return _numbers(used if may_open else None, closed)


def _unused(used: tuple[str, ...]) -> str:
    return next((number for number in RING_NUMBERS if number not in used), RING_NUMBERS[0])


@lru_cache(maxsize=16384)
def _numbers(used: tuple[str, ...] | None, closed: tuple[str, ...]) -> frozenset[str]:
    opened = frozenset(RING_NUMBERS).difference(used) if used is not None else frozenset[str]()
    return opened | frozenset(closed)


def closes(state: SmilesState, ring: RingBond, pairs_checked: bool) -> bool:
    """Whether an open ring number may be closed at the current atom."""
    here, there, bond = state.current, ring.atom, state.bond
    if there == here or state.bonded >> there & 1 or state.left[here] < 1:
        return False
    if bond and ring.bond and BOND_ORDERS[bond] != BOND_ORDERS[ring.bond]:
        return False
    order = BOND_ORDERS[bond or ring.bond]
    for atom in (here, there):
        if state.aromatic >> atom & 1 and not may_bond(state, atom, order, stated=ring.bond):
            return False
    if not state.aromatic >> here & 1 and state.left[here] < order:
        return False
    more = order - BOND_ORDERS[ring.bond]
    if more and not state.aromatic >> there & 1:
        # A higher order than was stated at the opening must leave what the atom has promised.
        promised = must_go_on(state) >> there & 1
        if state.left[there] - more < promised:
            return False
    after = ring_number(state, ring.number)
    obliged = is_obliged(after, after.start)
    if after.left[here] == 0:
        return not obliged and (not pairs_checked or _can_leave(after))
    if not pairs_checked:
        return True
    # An open ring must be reached from here, over one more neighbour.
    return has_pairs(add_atom(after, _PARTNER) if obliged else after)


def _can_leave(state: SmilesState) -> bool:
    """Whether the branch, or the SMILES, could end here as far as double bonds go."""
    return has_pairs(close_branch(state) if state.levels else state._replace(current=-1))


def may_bond(state: SmilesState, atom: int, order: int, stated: str = "") -> bool:
    """Whether an aromatic atom can take part in a ring bond of this order."""
    if order == 1:
        return True
    if order > 2 or state.kinds[atom] is not Ring.OWES:
        return False
    # With the double bond stated at the opening, that end is satisfied already.
    opened_here = stated == "=" and atom != state.current
    return opened_here or not state.satisfied >> atom & 1


def shortest_way_out(state: SmilesState) -> frozenset[str]:
    """Return tokens that lead to the end of the SMILES; empty, if it may end here."""
    tokens, ends = allowed(state)
    wandering = _wanders(state)
    if state.aromatic and state.bracket is None and (wandering or not has_pairs(state)):
        # Lost already: only rings and branches remain to be closed.
        tokens, ends = _allowed(state, check_pairs=False)
    if ends:
        return frozenset()
    if state.bracket is not None:
        for wanted in ("]", "C"):
            if wanted in tokens:
                return frozenset((wanted,))
        return tokens
    if ")" in tokens:
        return frozenset((")",))
    numbers = {ring.number for ring in state.rings}
    closing = tokens & numbers
    if closing:
        return closing
    aromatic_left = state.aromatic & ~state.covered & state.path
    if aromatic_left and not state.rings:
        opening = tokens.intersection(RING_NUMBERS)
        if opening:
            return frozenset((min(opening),))
    owing = any(state.aromatic >> ring.atom & 1 for ring in state.rings)
    first, second = ("c", "C") if aromatic_left or owing else ("C", "c")
    if wandering and state.atoms % 2:
        # Between two open rings only an atom with more bonds helps: never the same one for ever.
        first, second = second, first
    for wanted in (first, second, "=", "N", "n", *sorted(tokens.intersection(RING_NUMBERS))):
        if wanted in tokens:
            return frozenset((wanted,))
    return tokens


def _wanders(state: SmilesState) -> bool:
    """Whether the last atoms are a chain without a ring or branch: the way out finds no end."""
    first = state.atoms - _LONG_CHAIN
    if first < 0 or state.path >> first != (1 << _LONG_CHAIN) - 1 or state.covered >> first:
        return False
    return all(ring.atom < first for ring in state.rings)


__all__ = [
    "advance",
    "allowed",
    "closes",
    "is_obliged",
    "may_bond",
    "parent_is_open",
    "shortest_way_out",
]
