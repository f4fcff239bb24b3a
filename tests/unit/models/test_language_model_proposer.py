from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from rdkit import Chem

from heuresis.errors import InvalidCandidate, UserError
from heuresis.ports import PluginConfig, Trainable
from heuresis.records import Candidate, Prompt, Proposal, ScoredCandidate
from heuresis_agents.proposers.language_model import LanguageModel
from heuresis_models.checkpoint import save_model
from heuresis_models.errors import WeightsError
from heuresis_models.finetuning import FineTuning, Policy
from heuresis_models.recipe import Recipe
from heuresis_models.training import Trainer
from heuresis_models.vocabulary import Vocabulary


class Molecules:
    """The least that the proposer needs of a space."""

    kind: ClassVar[str] = "molecule"
    Config: ClassVar[type[PluginConfig]] = PluginConfig

    def canonical(self, text: str) -> str:
        molecule = Chem.MolFromSmiles(text)
        if molecule is None or not text:
            raise InvalidCandidate("syntax", "not a molecule")
        return str(Chem.MolToSmiles(molecule))

    def depict(self, text: str) -> str:
        return f"<svg>{text}</svg>"


class Crystals(Molecules):
    kind: ClassVar[str] = "crystal"


@pytest.fixture(scope="module")
def prior(
    tiny_recipe: Recipe,
    molecules: tuple[str, ...],
    vocabulary: Vocabulary,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A tiny model that has seen twenty molecules for a second."""
    folder = tmp_path_factory.mktemp("prior")
    trainer = Trainer(tiny_recipe, molecules, molecules[:2], vocabulary, folder, clock=lambda: 0.0)
    trainer.run()
    save_model(folder / "tiny", trainer.model, vocabulary)
    return folder / "tiny"


def _proposer(prior: Path, **settings: object) -> LanguageModel:
    config = LanguageModel.Config.model_validate({"prior": str(prior), **settings})
    return LanguageModel(config, Molecules())


def _scored(molecules: tuple[str, ...]) -> tuple[ScoredCandidate, ...]:
    return tuple(
        ScoredCandidate(candidate=Candidate.of("molecule", smiles), score=number / 100)
        for number, smiles in enumerate(molecules)
    )


def _propose(
    proposer: LanguageModel, prompt: Prompt, count: int = 40, seed: int = 0
) -> list[Proposal]:
    return proposer.propose(prompt, count, np.random.default_rng(seed))


def test_without_exemplars_everything_is_sampled(prior: Path) -> None:
    proposals = _propose(_proposer(prior), Prompt(island=0, epoch=0))
    assert len(proposals) > 20
    assert {item.operator for item in proposals} == {"sample"}
    assert all(item.parents == () for item in proposals)
    assert all(item.log_likelihood is not None and item.log_likelihood < 0 for item in proposals)


def test_same_generator_same_proposals(prior: Path, molecules: tuple[str, ...]) -> None:
    prompt = Prompt(island=0, epoch=0, exemplars=_scored(molecules[:3]))
    one, two, other = (_propose(_proposer(prior), prompt, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_regrown_molecules_share_a_part_with_their_parent(
    prior: Path, molecules: tuple[str, ...]
) -> None:
    exemplars = _scored(molecules[:3])
    prompt = Prompt(island=0, epoch=0, exemplars=exemplars)
    proposals = _propose(_proposer(prior, regrow_share=1.0), prompt, 60)
    assert {item.operator for item in proposals} == {"regrow"}
    ids = {item.candidate.id for item in exemplars}
    used = [parent for item in proposals for parent in item.parents]
    assert set(used) <= ids
    assert len(used) == len(proposals)
    best, worst = exemplars[-1].candidate.id, exemplars[0].candidate.id
    assert used.count(best) > used.count(worst)


def test_both_ways_are_mixed_in_the_wanted_share(prior: Path, molecules: tuple[str, ...]) -> None:
    prompt = Prompt(island=0, epoch=0, exemplars=_scored(molecules[:3]))
    proposals = _propose(_proposer(prior, regrow_share=0.5), prompt, 100)
    share = sum(item.operator == "regrow" for item in proposals) / len(proposals)
    assert 0.3 < share < 0.7


def test_nothing_known_is_proposed_again(prior: Path, molecules: tuple[str, ...]) -> None:
    # The tiny model has learned these by heart, so it would repeat them without end.
    prompt = Prompt(island=0, epoch=0, exemplars=_scored(molecules[:10]), in_flight=molecules[10:])
    space = Molecules()
    seen = set()
    for proposal in _propose(_proposer(prior, regrow_share=0.3), prompt, 80):
        try:
            text = space.canonical(proposal.text)
        except InvalidCandidate:
            continue
        assert text not in molecules
        assert text not in seen
        seen.add(text)


def test_an_exemplar_that_the_vocabulary_cannot_write_is_no_parent(prior: Path) -> None:
    exotic = _scored(("C[Sg]", "C" * 200))
    prompt = Prompt(island=0, epoch=0, exemplars=exotic)
    proposals = _propose(_proposer(prior, regrow_share=1.0), prompt, 10)
    assert {item.operator for item in proposals} == {"sample"}


def test_learning_raises_the_likelihood_of_the_examples(
    prior: Path, molecules: tuple[str, ...]
) -> None:
    proposer = _proposer(prior, guard_samples=0)
    assert isinstance(proposer, Trainable)
    before = proposer.model_version
    report = proposer.learn(_scored(molecules[:6]), np.random.default_rng(0))
    assert report.updates == 8
    assert report.metrics["examples"] == 6
    assert report.metrics["loss_after"] < report.metrics["loss_before"] - 0.05
    assert report.model_version != before
    assert report.model_version == proposer.model_version


def test_only_the_best_are_learned(prior: Path, molecules: tuple[str, ...]) -> None:
    report = _proposer(prior, learn_best=3, guard_samples=0).learn(
        _scored(molecules), np.random.default_rng(0)
    )
    assert report.metrics["examples"] == 3


def test_a_control_arm_learns_nothing(prior: Path, molecules: tuple[str, ...]) -> None:
    proposer = _proposer(prior, learning=False)
    before = proposer.model_version
    report = proposer.learn(_scored(molecules), np.random.default_rng(0))
    assert report.updates == 0
    assert proposer.model_version == before


def test_without_usable_examples_nothing_changes(prior: Path) -> None:
    proposer = _proposer(prior)
    before = proposer.model_version
    report = proposer.learn(_scored(("C[Sg]", "C" * 200)), np.random.default_rng(0))
    assert report.updates == 0
    assert report.metrics == {"examples": 0.0, "skipped": 2.0}
    assert proposer.model_version == before


def test_saved_and_loaded_policies_go_on_bit_for_bit(
    prior: Path, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    first = _proposer(prior)
    examples = _scored(molecules[:8])
    first.learn(examples, np.random.default_rng(0))
    first.save(tmp_path / "state")
    second = _proposer(prior)
    second.load(tmp_path / "state")
    assert second.model_version == first.model_version
    reports = [item.learn(examples, np.random.default_rng(1)) for item in (first, second)]
    assert reports[0] == reports[1]
    prompt = Prompt(island=0, epoch=0, exemplars=examples)
    assert _propose(first, prompt) == _propose(second, prompt)


def test_an_untrained_policy_can_be_saved_too(prior: Path, tmp_path: Path) -> None:
    first, second = _proposer(prior), _proposer(prior)
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    assert second.model_version == first.model_version


def test_a_saved_policy_can_serve_as_prior(
    prior: Path, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    first = _proposer(prior)
    first.learn(_scored(molecules), np.random.default_rng(0))
    first.save(tmp_path / "state")
    prompt = Prompt(island=0, epoch=0)
    assert _propose(_proposer(tmp_path / "state"), prompt) == _propose(first, prompt)


def test_state_of_another_prior_or_damaged_state_is_refused(
    prior: Path, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    proposer = _proposer(prior)
    proposer.learn(_scored(molecules), np.random.default_rng(0))
    proposer.save(tmp_path / "state")
    with pytest.raises(WeightsError, match="grew from the prior"):
        _proposer(tmp_path / "state").load(tmp_path / "state")
    weights = tmp_path / "state" / "optimizer.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(WeightsError, match="is damaged"):
        _proposer(prior).load(tmp_path / "state")
    (tmp_path / "state" / "policy.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"policy\.json is missing or damaged"):
        _proposer(prior).load(tmp_path / "state")


def test_a_policy_that_repeats_itself_steps_back_towards_the_prior(
    prior: Path, molecules: tuple[str, ...]
) -> None:
    settings = {"updates": 40, "best": 1, "learning_rate": 5e-3, "randomized_share": 0.0}
    policies = {guard: Policy(prior) for guard in (0, 32)}
    metrics = {
        guard: policy.learn(
            molecules,
            FineTuning.model_validate({**settings, "guard_samples": guard}),
            np.random.default_rng(0),
        ).metrics
        for guard, policy in policies.items()
    }
    assert metrics[32]["stepped_back"] == 1.0
    assert metrics[32]["fresh_share"] < 0.5
    assert metrics[0]["loss_after"] < 0.1
    assert metrics[32]["loss_after"] > metrics[0]["loss_after"]


def test_a_space_without_molecules_is_refused(prior: Path) -> None:
    with pytest.raises(UserError, match="the space is 'crystal'"):
        LanguageModel(LanguageModel.Config(prior=str(prior)), Crystals())


@pytest.mark.parametrize(
    "settings",
    [{"regrow_keep": [0.8, 0.2]}, {"regrow_keep": [0.5, 1.0]}, {"temperature": 0}, {"sed": 1}],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LanguageModel.Config.model_validate(settings)


def test_reading_the_settings_loads_no_torch() -> None:
    code = (
        "import sys; from heuresis_agents.proposers.language_model import LanguageModel;"
        "LanguageModel.Config(); import heuresis_models.command;"
        "sys.exit(int('torch' in sys.modules or 'rdkit' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
