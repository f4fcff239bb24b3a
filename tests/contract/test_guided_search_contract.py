"""What every proposer promises, kept by guided search with and without a library."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("heuresis.testing.proposer_contract")

from tiny_prior import save_tiny_prior

from heuresis import registry
from heuresis.spaces.molecule import MoleculeSpace
from heuresis.testing.proposer_contract import ProposerCase, ProposerContract

SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(4, 40)))
EXEMPLARS = ("CC(=O)Oc1ccccc1C(=O)O", "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1", "N#Cc1ccc(-c2ccsc2)cc1")
FEW: dict[str, Any] = {"stages": [{"candidates": 3, "rounds": 3}]}


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_prior(tmp_path_factory.mktemp("prior"))


class TestGuidedSearch(ProposerContract):
    @pytest.fixture
    def case(self) -> ProposerCase:
        proposer = registry.load(registry.PROPOSERS, "guided-search")
        return ProposerCase(proposer, FEW, SPACE, EXEMPLARS, valid_share=1.0)


class TestGuidedSearchThroughThePortAlone(ProposerContract):
    """A source that only knows the port `Proposer`; refits on the way."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> ProposerCase:
        path = tmp_path / "source.smi"
        path.write_text("\n".join(f"{'C' * n}{end}" for n in range(4, 30) for end in "NOF"))
        proposer = registry.load(registry.PROPOSERS, "guided-search")
        sources = [
            {"kind": "library", "share": 0.3, "settings": {"file": str(path)}},
            {"kind": "graph-moves"},
        ]
        config = {
            "stages": [{"candidates": 2, "rounds": 1}],
            "sources": sources,
            "surrogate": {"most_points": 12, "refit_every": 5},
            "bursts": {"patience": 3, "length": 2, "gain": 1.0},  # always on the way or back
        }
        return ProposerCase(proposer, config, SPACE, EXEMPLARS, valid_share=1.0)


class TestGuidedSearchWithALanguageModelThatLearns(ProposerContract):
    """Lessons and a bandit over the sources, all of it while the history is told."""

    @pytest.fixture
    def case(self, prior: Path) -> ProposerCase:
        proposer = registry.load(registry.PROPOSERS, "guided-search")
        settings = {
            "prior": str(prior),
            "masked": False,
            "max_tokens": 40,
            "redraws": 0,
            "learn_replay": 0.01,
            "learn_updates": 1,
            "learn_batch": 4,
            "guard_samples": 0,
        }
        language = {
            "kind": "language-model",
            "settings": settings,
            "every": 8,
            "lessons": {"every": 15},
        }
        config = {
            "sources": [{"kind": "graph-moves"}, language],
            "source_bandit": {"top": 5, "window": 20},
            "stages": [{"candidates": 3, "rounds": 1}],
        }
        return ProposerCase(proposer, config, SPACE, EXEMPLARS, valid_share=1.0)


class TestGuidedSearchInItsLibrary(ProposerContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> ProposerCase:
        path = tmp_path / "library.smi"
        # Some lines are outside the space; the last is no SMILES.
        lines = [f"{'C' * n}{end}" for n in range(1, 30) for end in ("N", "O", "F", "C(=O)C#N")]
        path.write_text("\n".join([*lines, "C1CC"]))
        proposer = registry.load(registry.PROPOSERS, "guided-search")
        library = {"file": str(path), "random": 3, "ranked": 100, "until": 1000}
        return ProposerCase(proposer, {**FEW, "library": library}, SPACE, EXEMPLARS, 1.0)
