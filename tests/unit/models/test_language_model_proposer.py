from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit import Chem
from training_toys import molecule_source, trainer_of

from heuresis.errors import InvalidCandidate, UserError
from heuresis.ports import PluginConfig, Trainable
from heuresis.records import Candidate, Prompt, Proposal, ScoredCandidate
from heuresis_agents.proposers.language_model import LanguageModel
from heuresis_models.checkpoint import save_model
from heuresis_models.errors import WeightsError
from heuresis_models.finetuning import FineTuning, Policy, replay_chances
from heuresis_models.generation import distance, nearest
from heuresis_models.generation.knowledge import SUBJECTS, Knowledge
from heuresis_models.language import DocumentError, Level, Quantity, Vocabulary
from heuresis_models.recipe import Recipe
from heuresis_models.transformer import Transformer


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

    def canonical(self, text: str) -> str:
        return text


def _teach(folder: Path, *subjects: str) -> None:
    """Write into a model folder what it was taught."""
    path = folder / "config.json"
    document = json.loads(path.read_text())
    document["heuresis"] = {"taught": list(subjects)}
    path.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def prior(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A tiny model that has seen twenty molecules for a few seconds."""
    folder = tmp_path_factory.mktemp("prior")
    trainer = trainer_of(tiny_recipe, folder, molecule_source(molecules=molecules))
    trainer.run()
    save_model(folder / "tiny", trainer.model, trainer.vocabulary)
    return folder / "tiny"


@pytest.fixture
def taught_prior(random_model: Transformer, vocabulary: Vocabulary, tmp_path: Path) -> Path:
    """Says that it was taught everything."""
    save_model(tmp_path / "taught", random_model, vocabulary)
    _teach(tmp_path / "taught", *SUBJECTS)
    return tmp_path / "taught"


def _proposer(prior: Path, **settings: object) -> LanguageModel:
    config = LanguageModel.Config.model_validate({"prior": str(prior), "masked": False, **settings})
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


def test_replay_prefers_good_ranks_and_shows_each_example_once(
    prior: Path, molecules: tuple[str, ...]
) -> None:
    chances = replay_chances(1000, 0.01)
    assert chances.sum() == pytest.approx(1.0)
    assert chances[0] / chances[-1] == pytest.approx((10 + 1000) / (10 + 1))
    policy = Policy(prior)
    settings = FineTuning(replay=0.01, batch=10, randomized_share=0.0, guard_samples=0)
    batch = policy._examples(molecules, settings, np.random.default_rng(1))
    ends = int((batch.target_BT == policy.vocabulary["</molecule>"]).sum())
    assert ends == 10
    assert policy.learn(molecules, settings, np.random.default_rng(2)).updates == 8


def test_a_policy_that_is_held_to_its_prior_forgets_less(
    prior: Path, molecules: tuple[str, ...]
) -> None:
    forgotten = []
    for weight in (0.0, 3.0):
        policy = Policy(prior)
        before = policy.loss(molecules[3:])
        settings = FineTuning(prior_weight=weight, updates=20, guard_samples=0)
        outcome = policy.learn(molecules[:3], settings, np.random.default_rng(0))
        assert outcome.metrics["loss_after"] < outcome.metrics["loss_before"]
        forgotten.append(policy.loss(molecules[3:]) - before)
    assert forgotten[1] < 0.7 * forgotten[0]


def test_spaces_are_served_as_far_as_the_prior_was_taught(prior: Path, taught_prior: Path) -> None:
    with pytest.raises(WeightsError, match=r"was not taught crystals.*plain objects only"):
        LanguageModel(LanguageModel.Config(prior=str(prior)), Crystals())
    proposer = LanguageModel(
        LanguageModel.Config(prior=str(taught_prior), max_tokens=60, guard_samples=4), Crystals()
    )
    rock_salt = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
    exemplars = (ScoredCandidate(candidate=Candidate.of("crystal", rock_salt), score=0.5),)
    proposals = _propose(proposer, Prompt(island=0, epoch=0, exemplars=exemplars), 8)
    assert {item.operator for item in proposals} == {"sample", "regrow"}
    assert all(item.text.startswith("<sg:") for item in proposals)
    assert any(item.text.startswith("<sg:225>'0'5") for item in proposals)
    report = proposer.learn(exemplars, np.random.default_rng(0))
    assert report.metrics["examples"] == 1
    assert report.metrics["loss_after"] < report.metrics["loss_before"]


def test_conditions_and_exemplars_are_written_into_the_prompts(
    taught_prior: Path, molecules: tuple[str, ...]
) -> None:
    proposer = _proposer(
        taught_prior,
        conditions={"logp": 2.0},
        guidance=1.5,
        regrow_share=0.3,
        exemplar_share=0.4,
        max_tokens=90,
    )
    exemplars = _scored(molecules[:3])
    prompt = Prompt(island=0, epoch=0, exemplars=exemplars)
    questions = proposer._questions(prompt, 40, np.random.default_rng(0))
    texts = {
        name: [
            proposer._policy.vocabulary.decode(question.prompt.ids)
            for question in questions
            if question.operator == name
        ]
        for name in ("sample", "regrow", "exemplars")
    }
    asked = "<logp><+>'2'0'0<e+0>"
    assert all(texts.values())
    assert all(f"<bos>{asked}<molecule><canonical>" in text for text in texts["sample"])
    assert all(f"<bos>{asked}<molecule><randomized>" in text for text in texts["regrow"])
    for text in texts["exemplars"]:
        form = text.rpartition("<molecule>")[2]
        assert text.endswith(f"<target><quantile:15>{asked}<molecule>{form}")
        assert form in ("<canonical>", "<aligned>")
        assert text.count(form) == text.count("<molecule>")
        shown = [int(number) for number in re.findall(r"<quantile:(\d+)>", text)]
        assert shown == sorted(shown)
        assert set(shown) <= {2, 8, 13, 15}
    proposals = _propose(proposer, prompt, 12)
    ids = {item.candidate.id for item in exemplars}
    for item in proposals:
        assert set(item.parents) <= ids
        assert (item.operator == "sample") == (not item.parents)


def test_the_nearest_of_several_is_proposed() -> None:
    # This prior was taught no conditions: choosing alone moves the property.
    def mean_logp(**settings: object) -> float:
        config = LanguageModel.Config.model_validate({"prior": "heuresis-zinc", **settings})
        proposals = _propose(LanguageModel(config, Molecules()), Prompt(island=0, epoch=0), 6)
        found = [distance(item.text, {"logp": 0.0}) for item in proposals]
        return float(np.mean([value for value in found if np.isfinite(value)]))

    assert mean_logp(conditions={"logp": 0.0}, best_of=12) < 0.5 < mean_logp()
    with pytest.raises(UserError, match="got gap"):
        _proposer(Path("heuresis-zinc"), conditions={"gap": 2.0}, best_of=2)
    assert nearest(["CCCCCCCC", "not a molecule", "CO"], {"logp": -0.4}) == 2
    assert distance("", {"logp": 1.0}) == float("inf")


def test_scaffolds_are_kept(molecules: tuple[str, ...]) -> None:
    prompt = Prompt(island=0, epoch=0, exemplars=_scored(("COc1ccc(CCN)cc1",)))
    benzene = Chem.MolFromSmarts("c1ccccc1")
    for settings in ({}, {"scaffold": "[*]c1ccccc1"}):
        config = LanguageModel.Config.model_validate(
            {"prior": "heuresis-zinc", "regrow_share": 0, "scaffold_share": 1, **settings}
        )
        proposals = _propose(LanguageModel(config, Molecules()), prompt, 6)
        assert {item.operator for item in proposals} == {"scaffold"}
        assert all(bool(item.parents) != bool(settings) for item in proposals)
        kept = [Chem.MolFromSmiles(item.text).HasSubstructMatch(benzene) for item in proposals]
        assert sum(kept) >= 5
    with pytest.raises(DocumentError, match="0 points"):
        _proposer(Path("heuresis-zinc"), scaffold_share=1, regrow_share=0, scaffold="c1ccccc1")


def test_exemplars_can_be_asked_for_by_similarity(
    taught_prior: Path, molecules: tuple[str, ...]
) -> None:
    proposer = _proposer(taught_prior, exemplar_share=1, regrow_share=0, exemplar_similarity=0.5)
    prompt = Prompt(island=0, epoch=0, exemplars=_scored(molecules[:1]))
    (question,) = proposer._questions(prompt, 1, np.random.default_rng(0))
    text = proposer._policy.vocabulary.decode(question.prompt.ids)
    assert "<target><similarity><+>'5'0'0<e-1><molecule>" in text
    assert "quantile" not in text


def test_conditions_outside_of_what_was_seen_are_refused_or_clipped_and_told(
    taught_prior: Path,
) -> None:
    with pytest.raises(ValidationError, match=r"logp = 40 lies outside .*-4 to 6.5"):
        _proposer(taught_prior, conditions={"logp": 40.0})
    with pytest.raises(DocumentError, match="unknown property 'log_p'"):
        _proposer(taught_prior, conditions={"log_p": 4.0})
    knowledge = Knowledge.of(taught_prior)
    kept, moved = knowledge.clipped([Quantity("logp", 40.0), Quantity("tpsa", 50.0)])
    assert kept == [Quantity("logp", 6.5), Quantity("tpsa", 50.0)]
    assert [str(item) for item in moved] == ["logp 40 was clipped to 6.5"]
    document = json.loads((taught_prior / "config.json").read_text())
    document["heuresis"] = {"taught": ["conditions"], "ranges": {"logp": [0, 50]}}
    (taught_prior / "config.json").write_text(json.dumps(document))
    assert not Knowledge.of(taught_prior).clipped([Quantity("logp", 40.0)])[1]
    document["heuresis"] = {"taught": 7}
    (taught_prior / "config.json").write_text(json.dumps(document))
    with pytest.raises(WeightsError, match="expected an entry 'heuresis'"):
        Knowledge.of(taught_prior)


@pytest.mark.parametrize(
    "settings",
    [
        {"regrow_keep": [0.8, 0.2]},
        {"regrow_keep": [0.5, 1.0]},
        {"temperature": 0},
        {"sed": 1},
        {"regrow_share": 0.7, "exemplar_share": 0.7},
        {"guidance": 2.0},
        {"scaffold": "[*]C"},
        {"best_of": 4},
    ],
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


def test_a_property_that_was_never_stated_cannot_be_asked_for() -> None:
    knowledge = Knowledge("mine", frozenset({"conditions"}), {"logp": (-2.0, 6.0)})
    knowledge.check([Quantity("logp", 2.0)])
    # Not a property of molecules: other rules say what can be asked of it.
    knowledge.check([Quantity("band_gap", 2.0)])
    with pytest.raises(WeightsError, match=r"not taught to heed molar_mass.*was taught: logp"):
        knowledge.check([Quantity("molar_mass", 300.0)])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prior": "heuresis-zonc"}, "no model 'heuresis-zonc'"),
        ({"prior": "heuresis-zinc", "conditions": {"logp": 2.0}}, "was not taught conditions"),
        ({"prior": "heuresis-zinc", "exemplar_share": 0.2}, "was not taught exemplars"),
        ({"prior": "heuresis-base", "conditions": {"logp": 12.0}}, "logp = 12 lies outside"),
        ({"prior": "heuresis-base", "conditions": {"molar_mass": 300.0}}, "not taught to heed"),
    ],
)
def test_what_a_prior_cannot_do_is_said_before_the_run(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        LanguageModel.Config.model_validate(settings)


def test_what_a_prior_can_do_is_accepted() -> None:
    LanguageModel.Config(prior="heuresis-base", exemplar_share=0.2)
    LanguageModel.Config(prior="heuresis-base", conditions={"logp": 2.0})
    LanguageModel.Config(prior="heuresis-zinc", conditions={"logp": 2.0}, best_of=4)


def test_values_are_worded_as_the_model_was_taught_to_read_them(taught_prior: Path) -> None:
    asked = [Quantity("logp", 2.1), Quantity("similarity", 0.4)]
    assert Knowledge.of(taught_prior).worded(asked) == asked
    document = json.loads((taught_prior / "config.json").read_text())
    document["heuresis"]["values"] = "levels"
    (taught_prior / "config.json").write_text(json.dumps(document))
    assert Knowledge.of(taught_prior).worded(asked) == [Level.of("logp", 2.1), asked[1]]
    document["heuresis"]["values"] = "words"
    (taught_prior / "config.json").write_text(json.dumps(document))
    with pytest.raises(WeightsError, match="levels or numbers"):
        Knowledge.of(taught_prior)
