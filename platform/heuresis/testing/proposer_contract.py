"""What every proposer must do, as tests. Subclass `ProposerContract` and override ``case``.

Example::

    class TestMyProposer(ProposerContract):
        @pytest.fixture
        def case(self) -> ProposerCase:
            return ProposerCase(MyProposer, {}, MoleculeSpace(MoleculeSpace.Config()), ("CCO",))
"""

# The names of the tests are the promises.
# ruff: noqa: D102

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from heuresis.errors import InvalidCandidate, UserError
from heuresis.ports import DesignSpace, Observer, Proposer, Trainable
from heuresis.records import (
    Candidate,
    LearningReport,
    Observation,
    Prompt,
    Proposal,
    ScoredCandidate,
)

COUNT = 12


@dataclass(frozen=True)
class ProposerCase:
    """A proposer class, and what to ask it."""

    proposer: Any
    """The class."""
    config: Mapping[str, Any]
    space: DesignSpace
    exemplars: tuple[str, ...]
    """At least three members of the space."""
    valid_share: float = 0.5
    """Least share of proposals that the space must accept."""
    only_kind: bool = True
    """It works in spaces of this kind only, and must refuse others."""


def global_state() -> tuple[object, str]:
    """Return the states of the global random generators, which no plug-in may touch."""
    return random.getstate(), repr(np.random.get_state(legacy=False))  # noqa: NPY002


def make(case: ProposerCase) -> Proposer:
    """Build the proposer as a worker would."""
    proposer: Proposer = case.proposer(case.proposer.Config(**case.config), case.space)
    return proposer


def scored(case: ProposerCase, count: int) -> tuple[ScoredCandidate, ...]:
    """Return the first exemplars in rising order of score."""
    return tuple(
        ScoredCandidate(
            candidate=Candidate.of(case.space.kind, case.space.canonical(text)),
            score=(position + 1) / (count + 1),
        )
        for position, text in enumerate(case.exemplars[:count])
    )


def prompt(case: ProposerCase, exemplars: int, in_flight: tuple[str, ...] = ()) -> Prompt:
    """Return a prompt of the case's exemplars."""
    return Prompt(island=1, epoch=2, exemplars=scored(case, exemplars), in_flight=in_flight)


def canonical(space: DesignSpace, proposals: list[Proposal]) -> list[str]:
    """Return the canonical texts of those proposals that the space accepts."""
    texts = []
    for proposal in proposals:
        try:
            texts.append(space.canonical(proposal.text))
        except InvalidCandidate:
            continue
    return texts


def observations(case: ProposerCase, count: int = 40) -> list[Observation]:
    """Return a made-up history: the exemplars and what the proposer itself gives, all verdicts."""
    texts = [case.space.canonical(text) for text in case.exemplars]
    for seed in range(20):
        if len(texts) >= count:
            break
        proposals = make(case).propose(prompt(case, 3), COUNT, np.random.default_rng(100 + seed))
        texts += canonical(case.space, proposals)
    history = []
    for place, text in enumerate(dict.fromkeys(texts[:count])):
        candidate = Candidate.of(case.space.kind, text)
        score = (7 * place % 31) / 31
        known = {"first": score**0.5}
        if place % 8 == 7:
            told = Observation(candidate=candidate, verdict="failed")
        elif place % 8 == 5:
            told = Observation(
                candidate=candidate, verdict="infeasible", bound=score, desirabilities=known
            )
        elif place % 8 == 3:
            told = Observation(
                candidate=candidate, verdict="dropped", bound=score, desirabilities=known
            )
        else:
            known["second"] = score**1.5
            told = Observation(
                candidate=candidate, verdict="completed", score=score, bound=score,
                desirabilities=known,
            )  # fmt: skip
        history.append(told)
    return history


def observer(case: ProposerCase) -> Any:
    """Build the proposer; skip the test if it does not observe."""
    proposer = make(case)
    if not isinstance(proposer, Observer):
        pytest.skip("this proposer does not observe")
    return proposer


class ProposerContract:
    """Inherit, and override the fixture ``case``."""

    @pytest.fixture
    def case(self) -> ProposerCase:
        raise AssertionError("override the fixture 'case' to name your proposer")

    def test_settings_are_strict_and_frozen(self, case: ProposerCase) -> None:
        with pytest.raises(ValidationError):
            case.proposer.Config(**case.config, no_such_setting=1)
        config = case.proposer.Config.model_config
        assert config.get("frozen") is True
        assert config.get("extra") == "forbid"

    @pytest.mark.parametrize("exemplars", [0, 1, 3])
    def test_answers_any_prompt_with_at_most_as_many_as_asked(
        self, case: ProposerCase, exemplars: int
    ) -> None:
        question = prompt(case, exemplars)
        proposals = make(case).propose(question, COUNT, np.random.default_rng(1))
        assert 0 < len(proposals) <= COUNT
        ids = {member.candidate.id for member in question.exemplars}
        for proposal in proposals:
            assert isinstance(proposal, Proposal)
            assert proposal.text
            assert proposal.operator
            assert set(proposal.parents) <= ids, "a parent is not in the prompt"
        assert len(make(case).propose(question, 1, np.random.default_rng(1))) <= 1

    def test_enough_proposals_are_members_of_the_space(self, case: ProposerCase) -> None:
        proposals = make(case).propose(prompt(case, 3), COUNT, np.random.default_rng(2))
        members = canonical(case.space, proposals)
        assert len(members) >= case.valid_share * len(proposals), [p.text for p in proposals]

    def test_nothing_known_is_proposed_again(self, case: ProposerCase) -> None:
        first = canonical(
            case.space, make(case).propose(prompt(case, 3), COUNT, np.random.default_rng(3))
        )
        assert len(set(first)) == len(first), "repeats in one answer"
        question = prompt(case, 3, in_flight=tuple(first))
        again = canonical(case.space, make(case).propose(question, COUNT, np.random.default_rng(3)))
        assert not set(again) & set(first), "proposed what is in flight"
        parents = {member.candidate.text for member in question.exemplars}
        assert not (set(first) | set(again)) & parents, "proposed its own parents"

    def test_the_generator_given_decides_alone(self, case: ProposerCase) -> None:
        before = global_state()
        instance = make(case)
        answers = [
            instance.propose(prompt(case, 3), COUNT, np.random.default_rng(seed))
            for seed in (4, 5, 4)
        ]
        assert answers[0] == answers[2], "the same generator gave other proposals"
        assert answers[0] != answers[1], "another generator gave the same proposals"
        assert answers[0] == make(case).propose(prompt(case, 3), COUNT, np.random.default_rng(4))
        after = global_state()
        assert before == after, "a global random generator was used"

    def test_a_space_of_another_kind_is_refused(self, case: ProposerCase) -> None:
        if not case.only_kind:
            pytest.skip("this proposer works in any space")

        class Elsewhere:
            kind = "somewhere-else"
            Config = case.space.Config

            def canonical(self, text: str) -> str:
                return text

            def depict(self, text: str) -> str:
                return text

        with pytest.raises(UserError, match="somewhere-else"):
            case.proposer(case.proposer.Config(**case.config), Elsewhere())

    def test_what_is_learned_is_saved_and_restored(
        self, case: ProposerCase, tmp_path: Path
    ) -> None:
        pupil = make(case)
        if not isinstance(pupil, Trainable):
            pytest.skip("this proposer does not learn")
        report = pupil.learn(scored(case, 3)[::-1], np.random.default_rng(6))
        assert isinstance(report, LearningReport)
        assert report.model_version
        pupil.save(tmp_path)
        assert any(tmp_path.iterdir()), "nothing was saved"
        assert not list(tmp_path.rglob("*.pkl")), "pickles are not safe to load"
        restored = make(case)
        assert isinstance(restored, Trainable)
        restored.load(tmp_path)
        question = prompt(case, 3)
        assert restored.propose(question, COUNT, np.random.default_rng(7)) == pupil.propose(
            question, COUNT, np.random.default_rng(7)
        )

    def test_told_the_same_in_other_portions_it_proposes_the_same(self, case: ProposerCase) -> None:
        at_once, one_by_one, asked_between = observer(case), observer(case), observer(case)
        history = observations(case)
        before = global_state()
        at_once.observe(history)
        for place, observation in enumerate(history):
            one_by_one.observe([observation])
            asked_between.observe([observation])
            if place % 11 == 4:  # what it works out for one answer must not colour the next
                asked_between.propose(prompt(case, 1), COUNT, np.random.default_rng(place))
        for exemplars in (0, 3):
            answers = [
                told.propose(prompt(case, exemplars), COUNT, np.random.default_rng(8))
                for told in (at_once, one_by_one, asked_between)
            ]
            assert answers[0], "told of everything, it has nothing to propose"
            assert answers[0] == answers[1], "told one by one it proposes something else"
            assert answers[0] == answers[2], "asked in between it proposes something else"
        assert before == global_state(), "a global random generator was used"

    def test_what_it_was_told_of_is_not_proposed_again(self, case: ProposerCase) -> None:
        proposer = observer(case)
        history = observations(case)
        proposer.observe(history)
        again = canonical(
            case.space, proposer.propose(prompt(case, 3), COUNT, np.random.default_rng(100))
        )
        assert not set(again) & {observation.candidate.text for observation in history}
