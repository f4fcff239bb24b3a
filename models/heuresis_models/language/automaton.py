"""The automaton: which tokens may follow, so that sampling can leave out all others.

Needs numpy alone. A state is immutable, so rows of a batch share and keep them freely; a mask is a
read-only boolean array over the vocabulary, kept per set of tokens::

    automaton = Automaton.default()
    state = automaton.read(prompt_ids)
    logits[~automaton.mask(state)] = -inf
    state = automaton.advance(state, chosen_id)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heuresis_models.language import smiles_automaton
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.frames import MACHINES, Frame, Frames
from heuresis_models.language.smiles_check import surely_allowed, surely_ends
from heuresis_models.language.tokens import BEGIN, END, OBJECTS
from heuresis_models.language.vocabulary import Vocabulary

Mask = NDArray[np.bool_]

_CLOSERS: Final = frozenset(
    (END, "<target>", "<yields>", "<from>", "<and>", "<amide>", "</formula>", "</secondary>",
     "</conservation>", "</contacts>", *(tag for tag in OBJECTS if tag.startswith("</")))
)  # fmt: skip
_KEPT_MASKS: Final = 32768
_LONG_WAYS: Final = {"crystal": 16, "number": 5, "contacts": 9, "formula": 3, "bases": 3}
"""Tokens that closing a frame can need where they are more than one."""


class State(NamedTuple):
    """Where a document stands: the stack of frames, and the number of tokens read."""

    frames: Frames
    length: int

    @property
    def finished(self) -> bool:
        """Whether ``<eos>`` has been read."""
        return not self.frames


class Automaton:
    """Masks for one vocabulary; see the module docstring."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._masks: dict[frozenset[str], Mask] = {}

    @classmethod
    @cache
    def default(cls) -> Automaton:
        """Return the automaton of the default vocabulary; its kept masks are shared."""
        return cls(Vocabulary.default())

    def start(self) -> State:
        """Return the state after ``<bos>``."""
        return State((("start",),), 1)

    def read(self, ids: Iterable[int]) -> State:
        """Return the state after a prompt that begins with ``<bos>``.

        Raises:
            DocumentError: a token of the prompt is not allowed where it stands.
        """
        found = list(ids)
        if not found or self._token(found[0]) != BEGIN:
            raise DocumentError(f"a document begins with {BEGIN}")
        state = self.start()
        for index in found[1:]:
            new = None if state.finished else self.advance_if_allowed(state, index)
            # The slow way is the judge and writes the message.
            state = self.advance(state, index) if new is None else new
        return state

    def allowed(self, state: State, *, closing: bool = False) -> frozenset[str]:
        """Return the tokens that may come next.

        Args:
            state: not finished.
            closing: only those that lead to the end of the document: for a row that has used up
                its length.

        Raises:
            DocumentError: the document is finished.
        """
        if not state.frames:
            raise DocumentError("the document is finished; nothing follows <eos>")
        top = state.frames[-1]
        tokens = _allowed(top)
        return _way_out(top, tokens) if closing else tokens

    def mask(self, state: State, *, closing: bool = False) -> Mask:
        """Return which ids may come next, shape (vocabulary,), read-only; see `allowed`."""
        tokens = self.allowed(state, closing=closing)
        mask = self._masks.get(tokens)
        if mask is None:
            if len(self._masks) >= _KEPT_MASKS:
                self._masks.clear()
            mask = np.zeros(len(self._vocabulary), dtype=bool)
            mask[[self._vocabulary[token] for token in tokens]] = True
            mask.flags.writeable = False
            self._masks[tokens] = mask
        return mask

    def closing_length(self, state: State) -> int:
        """Return how many tokens the way out (``closing=True``) needs at most, nearly always."""
        needed = 1
        for frame in state.frames:
            if frame[0] == "smiles":
                smiles = frame[1]
                needed += 5 + len(smiles.levels) + 6 * len(smiles.rings)
            elif frame[0] == "track":
                needed += 1 + frame[2]
            elif frame[0] == "protein" and frame[5] is not None:
                needed += 1 + len(frame[5]) - len(frame[1])
            elif frame[0] in _LONG_WAYS:
                needed += _LONG_WAYS[frame[0]]
            else:
                needed += 1
        return needed

    def masks(self, states: Sequence[State], *, limit: int | None = None) -> Mask:
        """Return the masks of a batch, shape (rows, vocabulary).

        Args:
            states: one per row; a finished row may only be padded.
            limit: rows of at least this many tokens are led to their end.
        """
        found = np.zeros((len(states), len(self._vocabulary)), dtype=bool)
        for row, state in enumerate(states):
            if state.finished:
                found[row, 0] = True
            else:
                closing = limit is not None and state.length >= limit
                found[row] = self.mask(state, closing=closing)
        return found

    def advance(self, state: State, index: int, *, check: bool = True) -> State:
        """Return the state after one more token.

        Args:
            state: not finished.
            index: id of the token.
            check: False, if the token was drawn under the mask of this very state; halves the cost.

        Raises:
            DocumentError: the token may not come next.
        """
        token = self._token(index)
        if check and token not in self.allowed(state):
            raise DocumentError(
                f"token {state.length}, {token!r}, may not stand here; allowed are"
                f" {' '.join(sorted(self.allowed(state))[:12])} …"
            )
        return State(_step(state.frames, token), state.length + 1)

    def advance_if_allowed(self, state: State, index: int) -> State | None:
        """Return the state after one more token, or None if the mask forbids it.

        The same answer as ``mask(state)[index]``, several times faster for tokens that are
        allowed: only they must be fast, for a trained model draws few others.

        Args:
            state: not finished.
            index: id of the token.
        """
        token = self._token(index)
        top = state.frames[-1]
        if top[0] == "smiles" and top[1].bracket is None:
            written, end = top[1], top[2]
            if token == end:
                if surely_ends(written):
                    return State(state.frames[:-1], state.length + 1)
            elif surely_allowed(written, token):
                new = ("smiles", smiles_automaton.advance(written, token), end)
                return State((*state.frames[:-1], new), state.length + 1)
        if token not in _allowed(top):
            return None
        return State(_step(state.frames, token), state.length + 1)

    def _token(self, index: int) -> str:
        if not 0 <= index < len(self._vocabulary):
            raise DocumentError(f"the id {index} is outside of the vocabulary")
        return self._vocabulary.tokens[index]


def _allowed(frame: Frame) -> frozenset[str]:
    if frame[0] == "after" and len(frame) == 4:
        return MACHINES["after"][0](frame[:3]) | {"<search>"}
    return MACHINES[frame[0]][0](frame)


def _step(frames: Frames, token: str) -> Frames:
    *below, top = frames
    if top[0] == "after" and len(top) == 4:
        if token == "<search>":  # noqa: S105 - a tag
            # The same chain again, residue by residue, now with marks.
            copy = ("protein", "", "", False, False, top[3])
            return (*below, ("after", top[1], 0), copy, ("arrow", "<protein>"))
        top = top[:3]
    new = MACHINES[top[0]][1](top, token)
    if new and new[-1][0] == "protein-end":
        # A closed protein tells the entry how many residues tracks have, and what to search.
        _, residues, chain = new[-1]
        if below and below[-1][0] == "after":
            entry = ("after", below[-1][1], residues, *((chain,) if chain else ()))
            return (*below[:-1], entry)
        return tuple(below)
    return (*below, *new)


def _way_out(frame: Frame, tokens: frozenset[str]) -> frozenset[str]:
    closers = tokens & _CLOSERS
    if closers:
        return closers
    if frame[0] == "smiles":
        return smiles_automaton.shortest_way_out(frame[1]) or frozenset((frame[2],))
    if frame[0] in ("start", "before", "node"):
        return frozenset(("<molecule>",)) & tokens or tokens
    return tokens
