"""Proposer ``library``: draws candidates from a file, with no regard to scores.

The control arm that any search must beat, and a source of diverse starting points. Each ask walks
through the library in a random order of its own and passes over what the space refuses, what was
measured and what is in flight, so nothing is drawn twice within a campaign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from heuresis.errors import InvalidCandidate, UserError
from heuresis.plugin import PluginConfig
from heuresis.ports import DesignSpace
from heuresis.records import Observation, Prompt, Proposal
from heuresis_agents.libraries import LibraryFile, library_texts, random_order, without_stereo

if TYPE_CHECKING:
    from numpy.random import Generator

MOST_REFUSED_PER_PROPOSAL = 100
"""Texts that an ask may find refused for each proposal; a library of another world is given up."""


class LibraryConfig(PluginConfig):
    """Which file, and how to read it."""

    file: LibraryFile = Field(
        description="one text per line, may be gzipped; a header may name the column"
    )
    strip_stereo: bool = Field(
        False, description="drop stereochemistry from SMILES, so that isomers are one candidate"
    )


class Library:
    """Implements `Proposer` and `Observer` for any space whose texts stand one per line.

    Deterministic given the generator and what was observed. The operator is ``draw``; there are no
    parents.

    Args:
        config: see `LibraryConfig`.
        space: of any kind.

    Raises:
        UserError: the file cannot be read, or stereochemistry should be dropped from what is no
            SMILES.
    """

    Config: ClassVar[type[LibraryConfig]] = LibraryConfig

    def __init__(self, config: LibraryConfig, space: DesignSpace) -> None:
        if config.strip_stereo and space.kind != "molecule":
            raise UserError(
                f"strip_stereo drops stereochemistry from SMILES, but the space is '{space.kind}';"
                " remove this key"
            )
        self._config = config
        self._space = space
        self._texts = library_texts(config.file, space.kind)
        self._measured: set[str] = set()
        # What the space said of the lines drawn so far: a canonical text, or None if refused.
        self._judged: dict[int, str | None] = {}
        self.refused: Counter[str] = Counter()
        """Lines that the space refused, by reason; each line counts once."""

    def __len__(self) -> int:
        """Return the number of lines, repeats and refused ones included."""
        return len(self._texts)

    def observe(self, news: Sequence[Observation]) -> None:
        """Take note of what need not be drawn again, whoever proposed it."""
        self._measured.update(observation.candidate.text for observation in news)

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` canonical texts; fewer when the library is used up.

        Refused texts are passed over. When places stay empty, refused texts of this ask fill them,
        so that the funnel can tell the reason.
        """
        taken = {member.candidate.text for member in prompt.exemplars} | set(prompt.in_flight)
        drawn: list[str] = []
        refused: list[str] = []
        for index in random_order(len(self._texts), rng):
            if len(drawn) == count or len(refused) > count * MOST_REFUSED_PER_PROPOSAL:
                break
            text = self._canonical(index)
            if text is None:
                refused.append(self._text(index))
            elif text not in taken and text not in self._measured:
                taken.add(text)
                drawn.append(text)
        unfit = [text for text in dict.fromkeys(refused) if text not in taken]
        drawn += unfit[: count - len(drawn)]
        return [Proposal(text=text, operator="draw") for text in drawn]

    def _text(self, index: int) -> str:
        text = self._texts[index]
        return without_stereo(text) if self._config.strip_stereo else text

    def _canonical(self, index: int) -> str | None:
        if index not in self._judged:
            try:
                self._judged[index] = self._space.canonical(self._text(index))
            except InvalidCandidate as invalid:
                self._judged[index] = None
                self.refused[invalid.reason] += 1
        return self._judged[index]
