from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from training_toys import (
    molecule_source,
    peptide_source,
    stopped_clock,
    tiny_recipe,
    trainer_of,
)

from heuresis_models.checkpoint import save_model
from heuresis_models.corpus import Source
from heuresis_models.curriculum import Curriculum
from heuresis_models.errors import RecipeError, WeightsError
from heuresis_models.language.documents import Entry
from heuresis_models.language.objects import Molecule
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.optimizer import orthogonalize
from heuresis_models.recipe import (
    DocumentsSection,
    MoleculeDocuments,
    OpeningSection,
    OptimizationSection,
    Recipe,
    load_recipe,
)
from heuresis_models.stream import OpenedStream
from heuresis_models.training import METRICS_FILE, Metrics, Trainer, make_curriculum
from heuresis_models.transformer import Transformer

SHIPPED_RECIPE = Path(__file__).parents[3] / "models/heuresis_models/recipes/heuresis-base.yaml"
GROUPS = DocumentsSection(
    molecules=MoleculeDocuments(randomized=0.4, exemplars=0.3, conditions=0.4, predictions=0.2)
)


class StopError(Exception):
    """Ends a training from outside, like a kill."""


def _with(recipe: Recipe, **optimization: object) -> Recipe:
    plan = recipe.optimization.model_copy(update=optimization)
    return recipe.model_copy(update={"optimization": plan})


def _assert_equal(first: Trainer, second: Trainer) -> None:
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name


def test_a_few_molecules_are_learned_by_heart(molecules: tuple[str, ...], tmp_path: Path) -> None:
    molecules = molecules[:6]
    recipe = tiny_recipe(
        optimization=OptimizationSection(
            total_tokens=30_000, batch_tokens=128, row_length=64, base_width=32
        ),
        documents=DocumentsSection(molecules=MoleculeDocuments(randomized=0.0)),
        evaluation_documents=10,
    )
    source = molecule_source(molecules=molecules)
    source.training = [Entry(Molecule(smiles)) for smiles in molecules]
    source.heldout = source.training
    final = trainer_of(recipe, tmp_path, source).run()
    assert final.heldout_loss is not None
    # Learned by heart, only the first tokens are open: ln 6 nats over about 25 tokens.
    assert final.heldout_loss["molecules"] < 0.35
    assert final.valid_share is not None
    assert final.valid_share >= 0.5


def test_it_is_measured_whether_stated_properties_are_read(
    molecules: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        model=tiny_recipe().model.model_copy(update={"max_tokens": 128}),
        optimization=OptimizationSection(
            total_tokens=90_000, batch_tokens=512, row_length=128, base_width=32
        ),
        documents=DocumentsSection(molecules=MoleculeDocuments(randomized=0.0, conditions=1.0)),
        evaluation_documents=24,
    )
    source = molecule_source(molecules=molecules[:24])
    source.training = [Entry(Molecule(smiles)) for smiles in molecules[:24]]
    source.heldout = source.training
    trainer = trainer_of(recipe, tmp_path, source)
    before = trainer.evaluate(None)
    after = trainer.run()
    assert before.heeded_nats is not None
    assert abs(before.heeded_nats) < 0.2, "random weights read nothing"
    # Which of 24 it is can be worth 3.2 nats when right, and costs any amount when wrong.
    assert after.heeded_nats is not None
    assert after.heeded_nats > 1.0


def test_without_taught_conditions_none_are_measured(tmp_path: Path) -> None:
    assert trainer_of(tiny_recipe(), tmp_path).evaluate(None).heeded_nats is None


def test_a_training_can_start_from_another_model(random_model: Transformer, tmp_path: Path) -> None:
    save_model(tmp_path / "start", random_model, Vocabulary.default())
    recipe = tiny_recipe(start_from=str(tmp_path / "start"))
    model = trainer_of(recipe, tmp_path / "more").model
    for name, weight in random_model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
    narrow = recipe.model_copy(update={"model": recipe.model.model_copy(update={"layers": 1})})
    with pytest.raises(WeightsError, match="the recipe asks for"):
        trainer_of(narrow, tmp_path / "other")


@pytest.fixture(scope="module")
def mixed() -> tuple[Source, Source]:
    return molecule_source(0.7), peptide_source(0.3)


@pytest.fixture(scope="module")
def groups(mixed: tuple[Source, Source]) -> Curriculum:
    """Every kind of document; the index behind it takes a second."""
    return make_curriculum(tiny_recipe(documents=GROUPS), mixed)


@pytest.fixture(scope="module")
def whole(
    mixed: tuple[Source, Source], groups: Curriculum, tmp_path_factory: pytest.TempPathFactory
) -> Trainer:
    """A training that nothing interrupted."""
    recipe = tiny_recipe(total_tokens=10_000, documents=GROUPS)
    trainer = trainer_of(recipe, tmp_path_factory.mktemp("whole"), *mixed, curriculum=groups)
    trainer.run()
    return trainer


@pytest.mark.parametrize("stop_at", [1, 16, 17])
def test_an_interrupted_training_ends_with_the_same_weights(
    stop_at: int,
    whole: Trainer,
    mixed: tuple[Source, Source],
    groups: Curriculum,
    tmp_path: Path,
) -> None:
    # 16 batches are about one pool: the stops lie within a pool and on both sides of its end.
    def stop(metrics: Metrics) -> None:
        if metrics.steps == stop_at:
            raise StopError

    first = trainer_of(whole.recipe, tmp_path, *mixed, report=stop, curriculum=groups)
    with pytest.raises(StopError):
        first.run()
    first.save()
    second = trainer_of(whole.recipe, tmp_path, *mixed, curriculum=groups)
    assert second.resumed
    assert second.state.steps == stop_at
    second.run()
    assert second.state.steps == whole.state.steps > 18
    _assert_equal(whole, second)


def test_a_kill_between_checkpoints_costs_the_steps_since_then_and_nothing_else(
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(checkpoint_minutes=0.05)  # every third second of the clock below
    whole = trainer_of(recipe, tmp_path / "whole")
    whole.run()
    seconds = iter(range(10_000))

    def stop(metrics: Metrics) -> None:
        if metrics.steps == 9:
            raise StopError

    cut = trainer_of(recipe, tmp_path / "cut", report=stop, clock=lambda: float(next(seconds)))
    with pytest.raises(StopError):
        cut.run()
    again = trainer_of(recipe, tmp_path / "cut")
    assert 0 < again.state.steps < 9
    again.run()
    _assert_equal(whole, again)


def test_a_checkpoint_survives_a_crash_between_the_two_renames(tmp_path: Path) -> None:
    trainer_of(tiny_recipe(), tmp_path).save()
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    assert trainer_of(tiny_recipe(), tmp_path).resumed


def test_another_recipe_does_not_continue_a_checkpoint(tmp_path: Path) -> None:
    trainer_of(tiny_recipe(), tmp_path).save()
    with pytest.raises(WeightsError, match=r"another recipe \(different: seed\)"):
        trainer_of(tiny_recipe(seed=4), tmp_path)


def test_more_time_may_be_granted_and_other_settings_are_named(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    trainer_of(recipe, tmp_path).save()
    plan = recipe.optimization
    longer = plan.model_copy(
        update={"max_minutes": 90.0, "total_tokens": 2 * plan.total_tokens},
    )
    again = trainer_of(recipe.model_copy(update={"optimization": longer}), tmp_path)
    assert again.resumed
    assert again.state.recipe.optimization.max_minutes == 90.0
    wilder = plan.model_copy(update={"matrix_rate": 2 * plan.matrix_rate})
    with pytest.raises(WeightsError, match=r"\(different: optimization\.matrix_rate\)"):
        trainer_of(recipe.model_copy(update={"optimization": wilder}), tmp_path)


def test_a_checkpoint_of_a_recipe_without_the_newest_keys_is_continued(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    trainer_of(recipe, tmp_path).save()
    state = tmp_path / "checkpoint" / "state.json"
    document = json.loads(state.read_text())
    oldest = {"name", "seed", "model", "sources", "documents", "optimization", "precision",
              "evaluations", "evaluation_documents"}  # fmt: skip
    document["recipe"] = {key: document["recipe"][key] for key in oldest}
    state.write_text(json.dumps(document))
    assert trainer_of(recipe, tmp_path).resumed


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    trainer_of(tiny_recipe(), tmp_path).save()
    (tmp_path / "checkpoint" / "state.json").write_text('{"recipe": 1}')
    with pytest.raises(WeightsError, match=r"state\.json cannot be read"):
        trainer_of(tiny_recipe(), tmp_path)


def test_a_slow_machine_gets_the_whole_schedule_with_fewer_tokens(tmp_path: Path) -> None:
    seconds = iter(range(100_000))
    recipe = _with(tiny_recipe(), total_tokens=10**9, max_minutes=1.0)
    trainer = trainer_of(recipe, tmp_path, clock=lambda: float(next(seconds)))
    final = trainer.run()
    assert final.progress == 1.0
    assert final.steps < 60
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert max(rates) < 0.1 * recipe.optimization.matrix_rate


def test_evaluations_are_written_and_leave_the_training_unchanged(
    whole: Trainer, mixed: tuple[Source, Source], groups: Curriculum, tmp_path: Path
) -> None:
    recipe = whole.recipe.model_copy(update={"evaluations": 3})
    watched = trainer_of(recipe, tmp_path, *mixed, curriculum=groups)
    watched.run()
    written = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert len(written) == 4
    for name in ("molecules", "peptides"):
        assert written[-1]["heldout_loss"][name] < written[0]["heldout_loss"][name]
    assert all(0.0 <= line["valid_share"] <= 1.0 for line in written)
    _assert_equal(whole, watched)


def test_an_evaluation_due_at_the_last_step_is_made_once(tmp_path: Path) -> None:
    # One step past every due point: the last evaluation of the schedule falls on the last step.
    recipe = tiny_recipe(total_tokens=1, evaluations=3)
    final = trainer_of(recipe, tmp_path).run()
    lines = (tmp_path / METRICS_FILE).read_text().splitlines()
    assert [json.loads(line)["steps"] for line in lines] == [1]
    assert final.heldout_loss is not None


def test_evaluating_twice_gives_the_same_numbers(tmp_path: Path) -> None:
    trainer = trainer_of(tiny_recipe(), tmp_path, molecule_source(0.7), peptide_source(0.3))
    assert trainer.evaluate(None) == trainer.evaluate(None)


def test_without_molecules_no_validity_is_claimed(tmp_path: Path) -> None:
    final = trainer_of(tiny_recipe(total_tokens=1_000), tmp_path, peptide_source()).run()
    assert final.heldout_loss is not None
    assert list(final.heldout_loss) == ["peptides"]
    assert final.valid_share is None
    assert final.unique_share is None


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 32, 32), (2, 48, 20), (2, 20, 48)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape, generator=generator)))
        assert float(values.min()) > 0.3
        assert float(values.max()) < 1.4


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    plan = OptimizationSection(total_tokens=10)
    factors = [plan.rate_factor(progress) for progress in (0.0, 0.015, 0.03, 0.5, 0.75, 1.0)]
    assert 0.0 < factors[0] < 0.05
    assert factors[1:] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0])


def test_rates_follow_the_width(tmp_path: Path) -> None:
    trainer = trainer_of(_with(tiny_recipe(total_tokens=400), base_width=192), tmp_path)
    trainer.run()
    plan = trainer.recipe.optimization
    rates = {
        name: group["base_rate"]
        for optimizer in trainer.optimizers
        for group in optimizer.param_groups
        for name, weight in trainer.model.named_parameters()
        if any(weight is member for member in group["params"])
    }
    assert rates.keys() == dict(trainer.model.named_parameters()).keys()
    assert rates["lm_head.weight"] == pytest.approx(plan.other_rate * 192 / 32)
    assert rates["model.embed_tokens.weight"] == plan.other_rate
    assert rates["model.layers.0.mlp.up_proj.weight"] == plan.matrix_rate


@pytest.mark.parametrize("path", sorted(SHIPPED_RECIPE.parent.glob("*.yaml")), ids=str)
def test_the_shipped_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path).name == path.stem


MODEL = "model: {layers: 1, width: 8, heads: 2, feed_forward: 8}\n"
SOURCES = "sources: [{name: a, files: [a.smi]}]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: a\nmodel: {layers: 1}\n", "model.width: Field required"),
        ("- 1\n", "expected keys and values, got list"),
        ("a: [", "is not YAML"),
        ("name: a\nsede: 3\n", "sede: .*did you mean 'seed'"),
        (f"name: a\n{MODEL}{SOURCES}documents: {{molecules: {{exemplar: 0.1}}}}\n"
         "optimization: {total_tokens: 5}\n",
         r"documents\.molecules\.exemplar: .*did you mean 'exemplars'"),
        (f"name: a\n{MODEL}sources: [{{name: a, file: [a.smi]}}]\n"
         "optimization: {total_tokens: 5}\n",
         r"sources\.0\.file: .*did you mean 'files'"),
        (f"name: a\n{MODEL}sources: []\noptimization: {{total_tokens: 5}}\n", "sources"),
        (f"name: a\n{MODEL}{SOURCES}documents: {{molecules: {{conditions: 0.8, predictions: 0.4}}}}"
         "\noptimization: {total_tokens: 5}\n", "shares must not exceed 1"),
        ("!!python/object/apply:os.system ['true']\n", "is not YAML"),
        (f"name: a\n{MODEL}{SOURCES}"
         "optimization: {total_tokens: 5, batch_tokens: 100, row_length: 64}\n",
         "must be a multiple of row_length"),
        (f"name: a\n{MODEL}{SOURCES}optimization: {{total_tokens: -5}}\n",
         "optimization.total_tokens"),
        (f"name: a\n{MODEL}{SOURCES}optimization: {{total_tokens: 5, row_length: 512}}\n",
         "must not be above model.max_tokens 256"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_names_the_key(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_shape_is_given_by_name_or_by_numbers(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    rest = f"{SOURCES}optimization: {{total_tokens: 5}}\n"
    path.write_text(f"name: a\nmodel: {{preset: 3m}}\n{rest}")
    named = load_recipe(path).model
    path.write_text("name: a\nmodel: {layers: 6, width: 192, heads: 4, feed_forward: 512}\n" + rest)
    assert named.config(900) == load_recipe(path).model.config(900)
    path.write_text(f"name: a\nmodel: {{preset: 3M, max_tokens: 512}}\n{rest}")
    longer = load_recipe(path)
    assert longer.model.max_tokens == 512
    assert Recipe.model_validate(longer.model_dump(mode="json")) == longer
    path.write_text(f"name: a\nmodel: {{preset: 3M, layers: 7}}\n{rest}")
    with pytest.raises(RecipeError, match="preset 3M has layers 6, the recipe says 7"):
        load_recipe(path)
    path.write_text(f"name: a\nmodel: {{preset: 2M}}\n{rest}")
    with pytest.raises(RecipeError, match=r"no size '2M'.*3M"):
        load_recipe(path)


def test_an_opening_names_sources_of_the_recipe() -> None:
    document = load_recipe(SHIPPED_RECIPE).model_dump()
    document["opening"] = {"tokens": 1000, "sources": ["molecules, drug-lik"]}
    with pytest.raises(ValueError, match=r"no source 'molecules, drug-lik'.*molecules, drug-like"):
        Recipe.model_validate(document)


def test_an_opening_is_resumed_in_its_middle(tmp_path: Path) -> None:
    opening = OpeningSection(tokens=4_000, sources=("molecules",))
    recipe = _with(tiny_recipe(total_tokens=24_000, opening=opening), batch_tokens=256)
    sources = (molecule_source(0.5), peptide_source(0.5))
    whole = trainer_of(recipe, tmp_path / "whole", *sources)
    assert isinstance(whole.stream, OpenedStream)
    whole.run()
    for steps in (3, 30):
        folder = tmp_path / str(steps)
        answers = [False] * steps + [True]
        stopped = Trainer(
            recipe,
            sources,
            folder,
            clock=stopped_clock,
            stop_asked=partial(next, iter(answers)),
        )
        with pytest.raises(KeyboardInterrupt):
            stopped.run()
        resumed = trainer_of(recipe, folder, *sources)
        resumed.run()
        _assert_equal(whole, resumed)


def test_a_missing_recipe_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_sources_that_fit_into_no_row_are_refused(tmp_path: Path) -> None:
    source = peptide_source()
    recipe = tiny_recipe(
        optimization=OptimizationSection(total_tokens=100, batch_tokens=64, row_length=8)
    )
    with pytest.raises(RecipeError, match="no document of source 'peptides' fits"):
        Trainer(recipe, (source,), tmp_path, clock=stopped_clock)
