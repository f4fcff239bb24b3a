"""Guided search in the space of crystals: features, moves and surrogate fit together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")

from heuresis.records import Candidate, Observation, Prompt
from heuresis.spaces.crystals.rules import CrystalRules
from heuresis.spaces.crystals.space import CrystalSpace
from heuresis_agents.proposers.crystal_moves import CrystalMovesConfig, CrystalMovesProposer
from heuresis_agents.proposers.guided_search import GuidedSearch


def test_lighter_crystals_are_proposed_once_lightness_is_learned() -> None:
    space = CrystalSpace(
        CrystalRules(elements=("Li", "Na", "K", "Rb", "F", "Cl", "Br", "O"), atoms=(2, 8))
    )
    config = GuidedSearch.Config.model_validate(
        {
            "sources": [{"kind": "crystal-moves", "settings": {"random_start": 0.5}}],
            "surrogate": {"covariance": {"counts": {"environments": 0.6}, "descriptors": 0.4}},
            "stages": [{"candidates": 6, "rounds": 1}],
            "control_share": 0.0,
        }
    )
    search = GuidedSearch(config, space)
    start = CrystalMovesProposer(CrystalMovesConfig(), space)
    empty = Prompt(island=0, epoch=0)
    texts = [proposal.text for proposal in start.propose(empty, 14, np.random.default_rng(0))]

    def density(text: str) -> float:
        features = space.features([text])
        return float(features.descriptors[0][features.names.index("density_g_per_cm3")])

    scores = [1.0 / (1.0 + density(text)) for text in texts]
    search.observe(
        [
            Observation(
                candidate=Candidate.of("crystal", text), verdict="completed", score=score,
                bound=score, desirabilities={"light": score},
            )
            for text, score in zip(texts, scores, strict=True)
        ]
    )  # fmt: skip
    proposals = search.propose(empty, 4, np.random.default_rng(1))
    assert len(proposals) == 4
    new = [density(space.canonical(proposal.text)) for proposal in proposals]
    assert not {proposal.text for proposal in proposals} & set(texts)
    assert np.mean(new) < np.mean([density(text) for text in texts])
