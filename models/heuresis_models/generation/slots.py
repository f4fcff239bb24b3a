"""Documents with gaps: kept text, a slot that the model fills, kept text again.

A SMILES is written from left to right, so a slot is filled knowing only what stands before it, and
it must be closed in itself: rings that are opened in a slot are closed in it, and ring numbers that
the kept text has open are not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from heuresis_models.language.atoms import ATOM_KINDS
from heuresis_models.language.tokens import RING_NUMBERS
from heuresis_models.language.vocabulary import Vocabulary

CLOSE: Final = "</molecule>"


@dataclass(frozen=True)
class Slot:
    """A gap of a SMILES.

    Args:
        kind: ``branch`` ends with the parenthesis that closes it; ``tail`` with the molecule;
            ``link`` as soon as it has ``atoms`` atoms and nothing open.
        then: ids that follow it, without the closing parenthesis.
        taken: ring numbers (ids) that are open in the kept text.
        atoms: of a link.
    """

    kind: Literal["branch", "tail", "link"]
    then: tuple[int, ...] = ()
    taken: frozenset[int] = frozenset()
    atoms: int = 0


@cache
def _ids(*tokens: str) -> frozenset[int]:
    return frozenset(Vocabulary.default()[token] for token in tokens)


@cache
def _rings() -> frozenset[int]:
    return _ids(*RING_NUMBERS)


@cache
def _first_banned() -> frozenset[int]:
    """A slot begins with an atom, or with a bond to one."""
    return _ids("(", ")", CLOSE) | _rings()


@dataclass
class SlotWalk:
    """Where a row stands in its slots."""

    slots: tuple[Slot, ...]
    place: int = 0
    depth: int = 0
    atoms: int = 0
    empty: bool = True
    in_bracket: bool = False
    open_rings: set[int] = field(default_factory=set)
    pending: list[int] = field(default_factory=list)

    @property
    def forced(self) -> int | None:
        """The id that must come next; None: the model is free."""
        return self.pending[0] if self.pending else None

    @property
    def banned(self) -> frozenset[int]:
        """Ids that may not be drawn, whatever the grammar says."""
        if self.place >= len(self.slots):
            return frozenset()
        slot = self.slots[self.place]
        if self.in_bracket:
            return frozenset()
        found = slot.taken | _ids(".")
        if self.empty:
            found |= _first_banned()
        if slot.kind == "link" and self.depth == 0:
            found |= _ids(CLOSE, ")")
        return found

    def bans(self, index: int) -> bool:
        """Whether an id is one of `banned`."""
        return index in self.banned

    def take(self, index: int) -> None:
        """Move on by one id."""
        if self.pending:
            self.pending.pop(0)
            return
        if self.place >= len(self.slots):
            return
        token = Vocabulary.default().tokens[index]
        slot = self.slots[self.place]
        complete = False
        if self.in_bracket:
            self.in_bracket = token != "]"  # noqa: S105
            complete = not self.in_bracket
            self.atoms += complete
        elif token == "[":  # noqa: S105
            self.in_bracket, self.empty = True, False
        elif token == "(":  # noqa: S105
            self.depth += 1
        elif token == ")":  # noqa: S105
            self.depth -= 1
            complete = True
            if self.depth < 0:
                self._close(slot)
                return
        elif index in _rings():
            self.open_rings ^= {index}
            complete = True
        elif token in ATOM_KINDS:
            self.atoms += 1
            self.empty = False
            complete = True
        settled = complete and self.depth == 0 and not self.open_rings
        if slot.kind == "link" and settled and self.atoms >= slot.atoms:
            self._close(slot)

    def _close(self, slot: Slot) -> None:
        self.pending = list(slot.then)
        self.place += 1
        self.depth = self.atoms = 0
        self.empty = True
        self.open_rings = set()
