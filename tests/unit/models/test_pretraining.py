from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from heuresis_models.checkpoint import save_model
from heuresis_models.errors import RecipeError, WeightsError
from heuresis_models.optimizer import orthogonalize
from heuresis_models.recipe import Recipe, load_recipe
from heuresis_models.training import METRICS_FILE, Metrics, Trainer
from heuresis_models.transformer import Transformer
from heuresis_models.vocabulary import Vocabulary

SHIPPED_RECIPE = Path(__file__).parents[3] / "models/heuresis_models/recipes/heuresis-base.yaml"


class StopError(Exception):
    """Ends a training from outside, like a kill."""


def stopped_clock() -> float:
    return 0.0


def _with(recipe: Recipe, **optimization: object) -> Recipe:
    plan = recipe.optimization.model_copy(update=optimization)
    return recipe.model_copy(update={"optimization": plan})


def _trainer(
    recipe: Recipe,
    molecules: tuple[str, ...],
    folder: Path,
    report: Callable[[Metrics], None] = lambda _: None,
    clock: Callable[[], float] = stopped_clock,
) -> Trainer:
    vocabulary = Vocabulary.default()
    return Trainer(recipe, molecules, molecules[:4], vocabulary, folder, clock=clock, report=report)


def test_twenty_molecules_are_learned_by_heart(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = _with(tiny_recipe, total_tokens=150_000)
    recipe = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"randomized_share": 0.0})}
    )
    final = _trainer(recipe, molecules, tmp_path).run()
    assert final.heldout_loss_canonical is not None
    assert final.heldout_loss_canonical < 0.35
    assert final.valid_share is not None
    assert final.valid_share >= 0.5


def test_a_training_can_start_from_another_model(
    tiny_recipe: Recipe, molecules: tuple[str, ...], random_model: Transformer, tmp_path: Path
) -> None:
    save_model(tmp_path / "start", random_model, Vocabulary.default())
    recipe = tiny_recipe.model_copy(update={"start_from": str(tmp_path / "start")})
    model = _trainer(recipe, molecules, tmp_path / "more").model
    for name, weight in random_model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
    narrow = recipe.model_copy(update={"model": recipe.model.model_copy(update={"layers": 1})})
    with pytest.raises(WeightsError, match="the recipe asks for"):
        _trainer(narrow, molecules, tmp_path / "other")


def test_an_interrupted_training_ends_with_the_same_weights(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = _with(tiny_recipe, total_tokens=12_000)
    whole = _trainer(recipe, molecules, tmp_path / "whole")
    whole.run()

    def stop_at_ten(metrics: Metrics) -> None:
        if metrics.steps == 10:
            raise StopError

    first = _trainer(recipe, molecules, tmp_path / "cut", stop_at_ten)
    with pytest.raises(StopError):
        first.run()
    first.save()
    second = _trainer(recipe, molecules, tmp_path / "cut")
    assert second.resumed
    assert second.state.steps == 10
    second.run()
    assert second.state.steps == whole.state.steps > 15
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name


def test_a_checkpoint_survives_a_crash_between_the_two_renames(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    trainer = _trainer(tiny_recipe, molecules, tmp_path)
    trainer.save()
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    assert _trainer(tiny_recipe, molecules, tmp_path).resumed


def test_another_recipe_does_not_continue_a_checkpoint(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    _trainer(tiny_recipe, molecules, tmp_path).save()
    with pytest.raises(WeightsError, match=r"another recipe \(different: seed\)"):
        _trainer(tiny_recipe.model_copy(update={"seed": 4}), molecules, tmp_path)


def test_a_slow_machine_gets_the_whole_schedule_with_fewer_tokens(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    seconds = iter(range(100_000))
    recipe = _with(tiny_recipe, total_tokens=10**9, max_minutes=1.0)
    trainer = _trainer(recipe, molecules, tmp_path, clock=lambda: float(next(seconds)))
    final = trainer.run()
    assert final.progress == 1.0
    assert final.steps < 60
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert max(rates) < 0.1 * recipe.optimization.matrix_rate


def test_evaluations_are_written_and_leave_the_training_unchanged(
    tiny_recipe: Recipe, molecules: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = _with(tiny_recipe, total_tokens=6_000)
    plain = _trainer(recipe, molecules, tmp_path / "plain")
    plain.run()
    watched = _trainer(recipe.model_copy(update={"evaluations": 3}), molecules, tmp_path / "seen")
    watched.run()
    lines = (tmp_path / "seen" / METRICS_FILE).read_text().splitlines()
    assert len(lines) == 4
    losses = [json.loads(line)["heldout_loss_canonical"] for line in lines]
    assert losses[-1] < losses[0]
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(weight, watched.model.state_dict()[name]), name


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 32, 32), (2, 48, 20), (2, 20, 48)):
        values = torch.linalg.svdvals(orthogonalize(torch.randn(shape, generator=generator)))
        assert float(values.min()) > 0.3
        assert float(values.max()) < 1.4


def test_the_rate_rises_stays_and_falls_to_zero(tiny_recipe: Recipe) -> None:
    plan = tiny_recipe.optimization
    factors = [plan.rate_factor(progress) for progress in (0.0, 0.015, 0.03, 0.5, 0.75, 1.0)]
    assert 0.0 < factors[0] < 0.05
    assert factors[1:] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0])


def test_the_shipped_recipe_is_valid() -> None:
    recipe = load_recipe(SHIPPED_RECIPE)
    assert recipe.name == "heuresis-base"
    assert recipe.data.sha256 is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: a\nmodel: {layers: 1}\n", "model.width: Field required"),
        ("- 1\n", "expected keys and values, got list"),
        ("a: [", "is not YAML"),
        ("name: a\nsede: 3\n", "did you mean 'seed'"),
        ("!!python/object/apply:os.system ['true']\n", "is not YAML"),
        (
            "name: a\nmodel: {layers: 1, width: 8, heads: 2, feed_forward: 8}\n"
            "optimization: {total_tokens: 5, batch_tokens: 100, row_length: 64}\n",
            "must be a multiple of row_length",
        ),
        (
            "name: a\nmodel: {layers: 1, width: 8, heads: 2, feed_forward: 8}\n"
            "optimization: {total_tokens: -5}\n",
            "optimization.total_tokens",
        ),
    ],
)
def test_a_wrong_recipe_names_the_key(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_missing_recipe_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(tmp_path / "none.yaml")
