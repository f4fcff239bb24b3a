"""A library whose best candidates are looked for by the surrogate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heuresis.errors import UserError
from heuresis.spaces.features import Features, readable
from heuresis_agents.guided.choice import Taken, canonical_or_none
from heuresis_agents.libraries import library_texts, random_order, without_stereo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from heuresis.ports import DesignSpace
    from heuresis_agents.guided.settings import LibrarySettings


class Shelf:
    """A part of a library: its lines at even distances, of which the first is given by a label.

    So which lines they are depends on file and label alone, and different campaigns, whose labels
    differ, rank different lines.

    Args:
        settings: see `LibrarySettings`.
        space: of any kind with features.
        features: computes features of texts.
    """

    def __init__(
        self,
        settings: LibrarySettings,
        space: DesignSpace,
        features: Callable[[Sequence[str]], Features],
    ) -> None:
        self._settings = settings
        self._space = space
        self._compute = features
        self._lines = library_texts(settings.file, space.kind)
        self._texts: list[str] = []
        self._features: Features | None = None
        self._canonical: dict[int, str | None] = {}

    def draw(self, count: int, taken: Taken, rng: Generator) -> list[str]:
        """Return canonical texts drawn evenly from all of the file, none of them taken."""
        drawn: list[str] = []
        for place in random_order(len(self._lines), rng):
            if len(drawn) == count:
                break
            text = canonical_or_none(self._space, self._stripped(self._lines[place]))
            if text is not None and text not in taken:
                taken.add(text)
                drawn.append(text)
        return drawn

    def open(self, label: str) -> Features:
        """Choose the lines by a label, if that is not done; return the features of all."""
        if self._features is None:
            step = max(1, len(self._lines) // self._settings.ranked)
            chosen = self._lines[int(label, 16) % step :: step][: self._settings.ranked]
            texts = [self._stripped(line) for line in chosen]
            places, features = readable(texts, self._compute)
            if features is None:
                raise UserError(
                    f"the library '{self._settings.file}' holds nothing that the space can read"
                )
            self._texts = [texts[place] for place in places]
            self._features = features
        return self._features

    def sample(
        self,
        label: str,
        count: int,
        allows: Callable[[Features], NDArray[np.bool_]],
        rng: Generator,
    ) -> list[str]:
        """Return canonical texts of up to ``count`` opened lines, drawn evenly, that are allowed.

        Args:
            label: opens the shelf, see `open`.
            count: of lines that are looked at.
            allows: says which candidates are, by their features.
            rng: draws them.
        """
        features = self.open(label)
        drawn = rng.permutation(len(features))[:count]
        allowed = drawn[allows(features.take(drawn))]
        texts = (self.text(place) for place in allowed.tolist())
        return [text for text in texts if text is not None]

    def text(self, place: int) -> str | None:
        """Return the canonical text of an opened line; None: the space refuses it."""
        if place not in self._canonical:
            self._canonical[place] = canonical_or_none(self._space, self._texts[place])
        return self._canonical[place]

    def _stripped(self, line: str) -> str:
        return without_stereo(line) if self._settings.strip_stereo else line
