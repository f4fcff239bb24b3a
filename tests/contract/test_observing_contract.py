"""The contract's tests of observing proposers accept a sound one and catch those that cheat."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

pytest.register_assert_rewrite("heuresis.testing.proposer_contract")

from heuresis.records import Observation
from heuresis.testing.fakes import ObservingProposer, TextSpace
from heuresis.testing.proposer_contract import ProposerCase, ProposerContract

SPACE: Any = TextSpace(TextSpace.Config())
EXEMPLARS = ("one", "two", "three")


def case_of(proposer: Any) -> ProposerCase:
    return ProposerCase(proposer, {}, SPACE, EXEMPLARS, only_kind=False)


class TestObservingProposer(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        return case_of(ObservingProposer)


class CountsCalls(ObservingProposer):
    """Lets the portions shine through."""

    def observe(self, news: Sequence[Observation]) -> None:
        super().observe([*news, news[0]])


class RemembersAnswers(ObservingProposer):
    """Lets an earlier answer colour the next."""

    def propose(self, prompt: Any, count: int, rng: Any) -> Any:
        if self._told:
            self._told.append(self._told[0])
        return super().propose(prompt, count, rng)


@pytest.mark.parametrize(
    ("proposer", "message"),
    [(CountsCalls, "told one by one"), (RemembersAnswers, "asked in between")],
)
def test_who_cheats_is_caught(proposer: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        ProposerContract().test_told_the_same_in_other_portions_it_proposes_the_same(
            case_of(proposer)
        )


class Repeats(ObservingProposer):
    """Proposes what it was told of."""

    def propose(self, prompt: Any, count: int, rng: Any) -> Any:
        proposals = super().propose(prompt, count, rng)
        known = [told.candidate.text for told in self._told[: len(proposals)]]
        again = [
            p.model_copy(update={"text": text}) for text, p in zip(known, proposals, strict=False)
        ]
        return again + proposals[len(known) :]


def test_who_repeats_what_is_known_is_caught() -> None:
    with pytest.raises(AssertionError):
        ProposerContract().test_what_it_was_told_of_is_not_proposed_again(case_of(Repeats))
