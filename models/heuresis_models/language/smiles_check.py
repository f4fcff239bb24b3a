"""Whether one token may come next in a SMILES, found without listing all that may.

While decoding nearly every token that a trained model draws is allowed, so it pays to answer the
one question "may this token stand here?". `surely_allowed` answers with the rules of
`smiles_automaton.allowed` and leaves out the search for double bonds where it cannot fail:

- an atom, bond or end after a non-aromatic atom changes nothing for aromatic atoms;
- a new aromatic neighbour inside an open ring can always pair with the atom before it;
- a ring number opened at an aromatic carbon only adds possibilities.

All three hold in states whose aromatic atoms can still be paired, which the mask guarantees. Where
no shortcut holds the search runs; where the answer is False, only the full mask is the judge.
"""

# ruff: noqa: S105 - "token" is no password here.
from __future__ import annotations

from heuresis_models.language.atoms import ATOM_KINDS, AtomKind, Ring
from heuresis_models.language.smiles_automaton import (
    closes,
    is_obliged,
    may_bond,
    parent_is_open,
)
from heuresis_models.language.smiles_state import (
    BOND_ORDERS,
    RING_SET,
    SmilesState,
    add_atom,
    close_branch,
    has_pairs,
)

_ALIPHATIC = AtomKind(8)
_NEXT_BONDS = {"=": 2, "-": 1, "/": 1, "\\": 1, "#": 3}


def surely_allowed(state: SmilesState, token: str) -> bool:
    """Return True only for tokens that `smiles_automaton.allowed` lists; not for all of them.

    Args:
        state: outside of a spelt bracket atom.
        token: any token but the closing tag of the object.
    """
    kind = ATOM_KINDS.get(token)
    if kind is not None:
        return _atom(state, kind)
    here = state.current
    if here < 0:
        return False
    if token in RING_SET:
        return not state.fresh and state.digits_may_follow and _ring(state, token)
    if token in _NEXT_BONDS:
        return not state.bond and _bond(state, _NEXT_BONDS[token])
    if state.fresh or state.bond:
        return False
    if token == "(":
        return _branch(state)
    if token == ")":
        if not state.levels or is_obliged(state, state.start):
            return False
        return not state.aromatic >> state.start or has_pairs(close_branch(state))
    return False


def surely_ends(state: SmilesState) -> bool:
    """Return True only if the SMILES may end here."""
    if state.current < 0 or state.fresh or state.bond or state.levels or state.rings:
        return False
    if is_obliged(state, state.start):
        return False
    aromatic_here = state.aromatic >> state.current & 1
    return not aromatic_here or has_pairs(state._replace(current=-1))


def _atom(state: SmilesState, kind: AtomKind) -> bool:
    here, bond = state.current, state.bond
    aromatic = kind.ring is not Ring.NOT_AROMATIC
    if here < 0:
        return not aromatic or kind.bonds >= 2
    if not parent_is_open(state):
        return False
    # Just after "(" the current atom is not left; a non-aromatic one leaves no debt.
    free = (state.fresh and bond != "=") or not state.aromatic >> here & 1
    if not aromatic:
        left = kind.bonds - BOND_ORDERS[bond]
        if left > 0:
            return free or has_pairs(add_atom(state, _ALIPHATIC))
        if left < 0 or is_obliged(state, state.start):
            return False
        if not state.aromatic:
            return True
        if not free and not has_pairs(add_atom(state, _ALIPHATIC)):
            return False
        if not state.levels:
            # The last atom of the whole: its non-aromatic neighbour was settled before.
            return not state.aromatic >> here & 1 or _leaves(state, kind)
        return not state.aromatic >> state.levels[-1].start or _leaves(state, kind)
    if bond == "#" or (bond == "=" and kind.ring is not Ring.OWES):
        return False
    if kind.bonds - 1 < (1 if state.rings else 2):
        return False
    if free:
        return True
    if kind.ring is Ring.GIVES:
        return has_pairs(add_atom(state, _ALIPHATIC))
    return not bond and _pairs_with_next(state)


def _leaves(state: SmilesState, kind: AtomKind) -> bool:
    after = add_atom(state, kind)
    return has_pairs(close_branch(after) if after.levels else after._replace(current=-1))


def _pairs_with_next(state: SmilesState) -> bool:
    """Whether an aromatic atom can surely be paired with an aromatic neighbour yet to come."""
    here = state.current
    if not state.rings or state.satisfied >> here & 1:
        # With its double bond out of the ring stated, the atom must not keep a hydrogen.
        return False
    # A third neighbour would take the lone pair of nitrogen, and with it the pairing.
    return state.kinds[here] is not Ring.OWES_IF_FREE or state.left[here] > 1


def _ring(state: SmilesState, number: str) -> bool:
    for ring in state.rings:
        if ring.number == number:
            return closes(state, ring, pairs_checked=True)
    here = state.current
    order = BOND_ORDERS[state.bond]
    if not state.aromatic >> here & 1:
        return order <= 2 and state.left[here] - order >= 1
    if order > 2 or state.left[here] < 2 or not may_bond(state, here, order):
        return False
    return state.kinds[here] is Ring.OWES


def _bond(state: SmilesState, order: int) -> bool:
    here = state.current
    if state.aromatic >> here & 1 or not parent_is_open(state):
        return False
    kept = 1 if state.fresh and is_obliged(state, state.levels[-1].start) else 0
    return state.left[here] - order >= kept


def _branch(state: SmilesState) -> bool:
    here = state.current
    spare = state.left[here]
    if spare < 1 or not parent_is_open(state):
        return False
    aromatic = state.aromatic >> here & 1
    obliged = is_obliged(state, state.start)
    if spare == 1:
        if obliged:
            return False
        return not aromatic or has_pairs(add_atom(state, _ALIPHATIC))
    if not obliged or not aromatic:
        return True
    return state.kinds[here] is Ring.OWES and _pairs_with_next(state)


__all__ = ["surely_allowed", "surely_ends"]
