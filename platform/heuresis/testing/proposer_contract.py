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
from heuresis.ports import DesignSpace, Proposer, Trainable
from heuresis.records import Candidate, LearningReport, Prompt, Proposal, ScoredCandidate

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
