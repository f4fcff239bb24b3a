"""Sources of guided search that learn, that save up, and that are chosen by what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.random import Generator
from pydantic import ValidationError
from tiny_prior import save_tiny_prior

from heuresis.plugin import PluginConfig
from heuresis.ports import DesignSpace
from heuresis.records import (
    Candidate,
    LearningReport,
    Observation,
    Prompt,
    Proposal,
    ScoredCandidate,
)
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.guided.makers import Makers
from heuresis_agents.guided.settings import (
    GuidedSearchConfig,
    SourceBanditSettings,
    SourceSettings,
)
from heuresis_agents.guided.sources import Source
from heuresis_agents.proposers.guided_search import GuidedSearch

SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(2, 30), stereo="strip"))
PROMPT = Prompt(island=0, epoch=0)


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_prior(tmp_path_factory.mktemp("prior"))


def told(text: str, score: float | None, verdict: Any = "completed") -> Observation:
    candidate = Candidate.of("molecule", text)
    return Observation(candidate=candidate, verdict=verdict, score=score, bound=score)


def history(count: int) -> list[Observation]:
    """Chains, the longer the better; some could not be measured."""
    ends = ("O", "N", "F", "Cl", "C=O", "C#N")
    texts = [SPACE.canonical(f"{'C' * (1 + n // 6)}{ends[n % 6]}") for n in range(count)]
    return [
        told(text, None, "failed") if n % 7 == 3 else told(text, (13 * n % 41) / 41)
        for n, text in enumerate(texts)
    ]


def with_language(prior: Path, **source: Any) -> GuidedSearch:
    language = {
        "kind": "language-model",
        "settings": {
            "prior": str(prior),
            "masked": False,
            "max_tokens": 40,
            "learn_batch": 8,
            "learn_updates": 2,
            "learn_replay": 0.01,
            "learn_prior_weight": 0.1,
            "guard_samples": 4,
        },
        "every": 8,
        "lessons": {"every": 10},
        **source,
    }
    config = GuidedSearch.Config.model_validate(
        {
            "sources": [{"kind": "graph-moves"}, language],
            "source_bandit": {"window": 20},
            "stages": [{"candidates": 6, "rounds": 2}],
        }
    )
    return GuidedSearch(config, SPACE)


def test_an_answer_says_by_which_weights(prior: Path) -> None:
    assert GuidedSearch(GuidedSearch.Config(), SPACE).model_version is None
    proposer = with_language(prior, lessons={"every": 5})
    version = proposer.model_version
    assert version is not None
    assert version.startswith("tiny@")
    proposer.observe(history(5))
    assert proposer.model_version != version


def language_of(proposer: GuidedSearch) -> Any:
    return proposer._sources[1]._proposer


def test_whoever_is_told_the_same_has_learned_the_same_bit_for_bit(prior: Path) -> None:
    at_once, asked_between = with_language(prior), with_language(prior)
    past = history(40)
    at_once.observe(past)
    for place, observation in enumerate(past):
        asked_between.observe([observation])
        if place % 9 == 5:
            asked_between.propose(PROMPT, 3, np.random.default_rng(place))
    versions = [language_of(one).model_version for one in (at_once, asked_between)]
    assert versions[0].endswith("+4"), "a lesson after every ten"
    assert versions[0] == versions[1] == at_once.model_version
    answers = [
        one.propose(PROMPT, 12, np.random.default_rng(1)) for one in (at_once, asked_between)
    ]
    assert answers[0] == answers[1]
    other = with_language(prior)
    other.observe([*past[:5], told("CCSCC", 0.99), *past[5:39]])
    assert language_of(other).model_version != versions[0]


def test_without_lessons_nothing_is_learned_and_what_cannot_learn_gets_none(prior: Path) -> None:
    proposer = with_language(prior, lessons=None)
    proposer.observe(history(30))
    assert language_of(proposer).model_version.endswith("+0")
    with pytest.raises(ValidationError, match="'graph-moves' cannot learn"):
        SourceSettings.model_validate({"kind": "graph-moves", "lessons": {}})


class Scribe:
    """Writes numbered chains, backwards, and remembers what it was asked and taught."""

    Config: ClassVar[Any] = PluginConfig

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.lessons: list[list[float]] = []
        self.written = 0

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        self.asked.append(count)
        proposals = []
        for _ in range(count):
            self.written += 1
            parents = tuple(one.candidate.id for one in prompt.exemplars[-1:])
            proposals.append(
                Proposal(text=f"F{'C' * self.written}", operator="write", parents=parents)
            )
        return [*proposals, Proposal(text="C1CC", operator="write")]

    def learn(self, examples: Sequence[ScoredCandidate], rng: Generator) -> LearningReport:
        self.lessons.append([example.score for example in examples])
        return LearningReport(model_version="scribe", updates=1)

    def save(self, folder: Path) -> None:
        """Nothing is worth keeping."""

    def load(self, folder: Path) -> None:
        """Nothing was kept."""


def with_scribe(scribe: Scribe, space: DesignSpace = SPACE, **settings: Any) -> GuidedSearch:
    config = {"stages": [{"candidates": 4, "rounds": 2}], "control_share": 0.0}
    proposer = GuidedSearch(GuidedSearch.Config.model_validate(config), space)
    source = SourceSettings.model_validate({"kind": "language-model", **settings})
    proposer._sources[:] = [Source(source, scribe, space)]
    return proposer


def test_candidates_are_saved_up_and_made_at_once() -> None:
    scribe = Scribe()
    with_scribe(scribe, every=8).observe(history(33))
    assert scribe.asked == [32 - 4, 32, 32, 32]
    often = Scribe()
    with_scribe(often).observe(history(33))
    assert often.asked == [2, 2] * 33


def test_lessons_show_the_best_that_was_measured_best_first() -> None:
    scribe = Scribe()
    past = history(25)
    with_scribe(scribe, every=8, lessons={"every": 10, "examples": 6}).observe(past)
    assert len(scribe.lessons) == 2
    scores = sorted((one.score for one in past[:20] if one.score is not None), reverse=True)
    assert scribe.lessons[1] == scores[:6]


def test_one_molecule_is_one_candidate_however_it_was_written() -> None:
    proposer = with_scribe(Scribe())
    proposer.observe([told("CCCF", 0.5), told("CCO", 0.4)])
    pool = proposer._pool
    assert pool is not None
    texts = [pool[place].text for place in range(len(pool))]
    assert texts[:3] == ["CF", "CCF", "CCCCF"], "in canonical form, without what is known"
    proposer.observe([told("CCF", 0.9)])
    assert pool._living[:3].tolist() == [True, False, True]


def test_who_makes_the_best_makes_more_and_is_forgotten_in_time() -> None:
    settings = SourceBanditSettings(top=3, window=50, floor=0.1)
    makers = Makers([1.0, 1.0], settings)
    rng = np.random.default_rng(2)
    for n in range(40):
        makers.made(0, 10)
        makers.made(1, 10)
        # Source 1 sets records; source 0 never does.
        makers.measured(0.5 + n / 100 if n % 2 else 0.1, n % 2)
    won = makers.divided(2000, rng)
    assert won.sum() == 2000
    # The floor deals a tenth out evenly.
    assert 0.9 < won[1] / 2000 < 0.98
    for _ in range(60):
        makers.made(0, 10)
        makers.made(1, 10)
        makers.measured(0.2, None)
    again = makers.divided(2000, rng)
    assert 0.35 < again[1] / 2000 < 0.65


def test_success_is_counted_against_all_that_was_made() -> None:
    makers = Makers([1.0, 1.0], SourceBanditSettings(top=3, window=500, floor=0.0))
    for n in range(60):
        makers.made(0, 100)
        makers.made(1, 5)
        makers.measured(n / 100, n % 2)
    won = makers.divided(1000, np.random.default_rng(3))
    assert won[1] > 950, "as many successes from a twentieth of the candidates"


def test_without_a_bandit_shares_decide() -> None:
    makers = Makers([3.0, 1.0], None)
    makers.measured(0.9, 1)
    one = makers.divided(4000, np.random.default_rng(4))
    assert one.tolist() == np.random.default_rng(4).multinomial(4000, [0.75, 0.25]).tolist()


def test_the_settings_read_as_a_campaign_file_would_state_them() -> None:
    config = GuidedSearchConfig.model_validate(
        {
            "source_bandit": {},
            "sources": [
                {"kind": "graph-moves"},
                {"kind": "language-model", "every": 16, "lessons": {"every": 100}},
            ],
        }
    )
    assert config.source_bandit is not None
    assert config.sources[1].lessons is not None
    assert GuidedSearchConfig().source_bandit is None


@pytest.mark.parametrize(
    ("settings", "operators"),
    [
        # Taught to read exemplars: the best two or so are shown, and a better one is asked for.
        ({"prior": "heuresis-base", "exemplar_share": 1, "regrow_share": 0}, {"exemplars"}),
        # Knows ZINC250k and no exemplars: it writes on from a part of a parent.
        (
            {"prior": "heuresis-zinc", "regrow_share": 0.5, "scaffold_share": 0.5},
            {"regrow", "scaffold"},
        ),
    ],
)
def test_shipped_models_are_shown_parents_as_they_were_taught(
    settings: dict[str, Any], operators: set[str]
) -> None:
    language = {"kind": "language-model", "settings": {"masked": False, "redraws": 0, **settings}}
    stages = [{"until": 2, "candidates": 1, "every": 2}, {"candidates": 8, "every": 3}]
    proposer = GuidedSearch(
        GuidedSearch.Config.model_validate({"sources": [language], "stages": stages}), SPACE
    )
    past = [
        told(SPACE.canonical(text), score)
        for text, score in (("CC(=O)Nc1ccc(OC)cc1", 0.3), ("O=C(O)c1ccccc1", 0.9), ("CCO", None))
    ]
    proposer.observe([*past[:2], told("CC(=O)Nc1ccc(O)cc1", 0.6), past[2]])
    assert proposer._pool is not None
    made = [proposer._pool[place] for place in range(len(proposer._pool))]
    assert {one.operator for one in made if one.parents} == operators
    measured = {one.candidate.id for one in past[:2]} | {
        Candidate.of("molecule", "CC(=O)Nc1ccc(O)cc1").id
    }
    assert {parent for one in made for parent in one.parents} <= measured
    with pytest.raises(ValidationError, match="was not taught exemplars"):
        SourceSettings.model_validate(
            {
                "kind": "language-model",
                "settings": {"prior": "heuresis-zinc", "exemplar_share": 0.5},
            }
        )
