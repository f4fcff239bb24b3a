"""Can the aromatic atoms written so far still get their double bonds?

An aromatic ring is written without double bonds; a reader must be able to place them: every atom
that owes a double bond needs a partner among its aromatic neighbours, each partner serving once (a
matching that covers all owing atoms). Atoms whose neighbours are not all written yet may wait.
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=65536)
def can_pair(owing: int, free: int, neighbours: tuple[int, ...]) -> bool:
    """Whether every owing atom can be paired with a neighbour of its own.

    Args:
        owing: bit set of atoms that must be paired.
        free: bit set of atoms that may be paired; contains ``owing``.
        neighbours: for each atom the bit set of its aromatic neighbours.
    """
    while owing:
        # The atom with the fewest partners first: with none we are done, with one it is forced.
        best, partners, rest = -1, 0, owing
        while rest:
            bit = rest & -rest
            rest ^= bit
            found = neighbours[bit.bit_length() - 1] & free
            if not found:
                return False
            if best < 0 or found.bit_count() < partners.bit_count():
                best, partners = bit, found
                if found & (found - 1) == 0:
                    break
        if partners & (partners - 1):
            while partners:
                partner = partners & -partners
                partners ^= partner
                gone = ~(best | partner)
                if can_pair(owing & gone, free & gone, neighbours):
                    return True
            return False
        gone = ~(best | partners)
        owing &= gone
        free &= gone
    return True
