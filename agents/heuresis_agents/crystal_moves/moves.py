"""Children of crystals: which edit, of whom, under which name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.text import Crystal, read_text
from heuresis_agents.crystal_moves import edits
from heuresis_agents.crystal_moves.prototypes import filled, prototypes

if TYPE_CHECKING:
    from numpy.random import Generator

PARENTS_REMEMBERED: Final = 1000
TRIES_PER_CHILD: Final = 20


class Child(NamedTuple):
    """A text that is not yet canonical, the move that made it, and the texts of its parents."""

    text: str
    operator: str
    parents: tuple[str, ...]


class MoveShares(NamedTuple):
    """How often each move is drawn; only ratios count."""

    substitute: float = 4.0
    cosubstitute: float = 2.0
    swap: float = 1.0
    strain: float = 1.0
    order: float = 1.5
    transfer: float = 2.5


class CrystalMoves:
    """Edits that keep to the elements and sizes of a space.

    Args:
        elements: that may be placed.
        required: that each child should hold.
        element_count: least and greatest number of different elements.
        most_atoms: in the primitive cell.
        shares: how often what is done.
        library: texts of crystals to begin from, beside the built-in structure types.
    """

    def __init__(
        self,
        elements: Sequence[str],
        required: Sequence[str],
        element_count: tuple[int, int],
        most_atoms: int,
        shares: MoveShares,
        library: Sequence[str] = (),
    ) -> None:
        self._elements = tuple(elements)
        self._required = tuple(required)
        self._most = (element_count[1], most_atoms)
        self._shares = np.array(shares) / sum(shares)
        self._prototypes = prototypes(*element_count)
        self._library = tuple(library)
        self._read: OrderedDict[str, Crystal | None] = OrderedDict()

    def readable(self, text: str) -> bool:
        """Tell whether a text can be a parent."""
        return self._crystal(text) is not None

    def changed(self, parent: str, partner: str | None, rng: Generator) -> Child | None:
        """Edit a crystal, or put elements of ``partner`` into it; None: that led nowhere."""
        crystal = self._crystal(parent)
        if crystal is None:
            return None
        name = MoveShares._fields[int(rng.choice(len(self._shares), p=self._shares))]
        parents: tuple[str, ...] = (parent,)
        try:
            made = self._edited(name, crystal, partner, rng)
            if name == "transfer" and partner is not None and made is not None:
                parents = (parent, partner)
            return None if made is None else Child(made.payload(), f"mutate:{name}", parents)
        except CrystalTextError:  # too long for its digits, or sites that coincide
            return None

    def started(self, rng: Generator) -> Child | None:
        """Fill a structure type with elements, or draw from the library; None: no luck."""
        count = len(self._library) + len(self._prototypes)
        if not count:
            return None
        place = int(rng.integers(count))
        if place < len(self._library):
            return Child(self._library[place], "start:library", ())
        prototype = self._prototypes[place - len(self._library)]
        try:
            made = filled(prototype, self._elements, self._required, rng)
            return None if made is None else Child(made.payload(), f"start:{prototype.name}", ())
        except CrystalTextError:
            return None

    def offspring(
        self,
        draw: Callable[[Generator], str],
        count: int,
        rng: Generator,
        known: Set[str] = frozenset(),
    ) -> list[Child]:
        """Return up to ``count`` children, all different and none of them known.

        Args:
            draw: returns a parent; called twice for each child.
            count: children wanted.
            rng: of all draws.
            known: texts that are not wanted.
        """
        children: dict[str, Child] = {}
        for _ in range(count * TRIES_PER_CHILD):
            if len(children) >= count:
                break
            first, second = draw(rng), draw(rng)
            child = self.changed(first, second if second != first else None, rng)
            if child is not None and child.text not in known and child.text not in children:
                children[child.text] = child
        return list(children.values())

    def _edited(
        self, name: str, crystal: Crystal, partner: str | None, rng: Generator
    ) -> Crystal | None:
        if name == "substitute":
            return edits.substitute(crystal, self._elements, rng)
        if name == "cosubstitute":
            return edits.cosubstitute(crystal, self._elements, rng)
        if name == "swap":
            return edits.swap(crystal, rng)
        if name == "strain":
            return edits.strain(crystal, rng)
        if name == "order":
            return edits.order(crystal, self._elements, self._most, rng)
        other = None if partner is None else self._crystal(partner)
        if other is not None:
            return edits.transfer(crystal, other, rng)
        # Without a partner the structure comes from a type: same elements, another structure.
        kinds = len(crystal.composition())
        fitting = [p for p in self._prototypes if len(p.charges) == kinds]
        if not fitting:
            return None
        chosen = fitting[int(rng.integers(len(fitting)))]
        return edits.transfer(chosen.crystal, crystal, rng)

    def _crystal(self, text: str) -> Crystal | None:
        if text in self._read:
            self._read.move_to_end(text)
            return self._read[text]
        try:
            found: Crystal | None = read_text(text)
        except CrystalTextError:
            found = None
        self._read[text] = found
        if len(self._read) > PARENTS_REMEMBERED:
            self._read.popitem(last=False)
        return found
