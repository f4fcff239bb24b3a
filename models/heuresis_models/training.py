"""The training loop: a recipe and sources in, a model folder out, resumable at any time.

The loop knows no files but its own folder and no clock but the one it is given. Its state after
each step is: weights, optimiser state, position in the document stream, tokens seen, seconds spent.
A checkpoint holds all of it, so an interrupted training continues as if nothing had happened, also
with another number of workers: the checkpoint is always that of the whole model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from heuresis.randomness import random_generator
from heuresis_models.checkpoint import (
    WEIGHTS_FILE,
    load_model,
    load_tensors,
    load_weights,
    model_folder,
    recover_folder,
    replace_folder,
    save_model,
    save_tensors,
)
from heuresis_models.corpus import Source
from heuresis_models.curriculum import Curriculum, population_of
from heuresis_models.errors import RecipeError, WeightsError
from heuresis_models.generation.settings import torch_generator
from heuresis_models.language.objects import Molecule
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.monitoring import (
    Metrics,
    Monitor,
    Report,
    batch_loss,
    mean_loss,
    scored_count,
    summed_loss,
)
from heuresis_models.neighbours import NeighbourIndex
from heuresis_models.optimizer import (
    optimizer_tensors,
    pretraining_optimizers,
    restore_optimizers,
    scale_rates,
)
from heuresis_models.ordered_tokens import order_embeddings
from heuresis_models.packing import Batch
from heuresis_models.recipe import Recipe
from heuresis_models.stream import POOL_BATCHES, DocumentStream, OpenedStream, Position
from heuresis_models.team import Team
from heuresis_models.transformer import Transformer
from heuresis_models.width_scaling import adam_groups, scaled_rates

__all__ = ["Metrics", "Trainer", "TrainingState", "batch_loss", "make_curriculum", "mean_loss"]

CHECKPOINT_FOLDER = "checkpoint"
METRICS_FILE = "metrics.jsonl"
_OPTIMIZER_FILE = "optimizer.safetensors"
_STATE_FILE = "state.json"
_POPULATION = 2000


class TrainingState(BaseModel):
    """Where a training stands; everything but the tensors."""

    model_config = ConfigDict(extra="forbid")

    recipe: Recipe
    steps: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    pool: int = 0
    batch: int = 0
    """Place in the document stream (`stream.Position`)."""
    evaluations: int = 0


def check_device(recipe: Recipe) -> None:
    """Refuse a GPU that is not there.

    Raises:
        RecipeError: torch sees no such device.
    """
    device = torch.device(recipe.device)
    if device.type != "cuda":
        return
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= found:
        raise RecipeError(
            f"device {recipe.device}: torch {torch.__version__} sees {found} GPU(s) here; use"
            " --device cpu, or install a torch with CUDA on a machine with a GPU"
        )


def make_curriculum(
    recipe: Recipe,
    sources: Sequence[Source],
    report: Callable[[int], None] = lambda _: None,
    cache: Path | None = None,
) -> Curriculum:
    """Prepare how documents are made; indexes the molecules if exemplar groups are asked for."""
    molecules = [
        entry.thing.smiles
        for source in sources
        for entry in source.training
        if isinstance(entry.thing, Molecule)
    ]
    neighbours, population = None, None
    if recipe.documents.molecules.exemplars and molecules:
        rng = random_generator(recipe.seed, "neighbours", 0)
        neighbours = NeighbourIndex(molecules, rng, report, cache)
        chosen = rng.integers(len(molecules), size=_POPULATION)
        population = population_of([molecules[int(index)] for index in chosen])
    return Curriculum(
        recipe.documents,
        row_length=recipe.optimization.row_length,
        molecules=molecules,
        neighbours=neighbours,
        population=population,
    )


class Trainer:
    """Trains one model, alone or as one worker of a team (`team.Team`).

    Args:
        recipe: what to do.
        sources: what to learn from and what measures the loss.
        folder: work folder, the same for all workers; ``checkpoint/`` and ``metrics.jsonl`` appear
            in it.
        clock: seconds that only grow, e.g. ``time.monotonic``.
        curriculum: made of recipe and sources if not given.
        report: told after every step, in the lead only.
        stop_asked: asked after every step; True ends the training after saving it.

    A checkpoint in the folder is continued.

    Raises:
        WeightsError: the checkpoint is damaged or belongs to another recipe.
        RecipeError: there is no such device, a source gives no document that fits into a row, or a
            batch cannot be dealt out to the workers.
    """

    def __init__(
        self,
        recipe: Recipe,
        sources: Sequence[Source],
        folder: Path,
        *,
        clock: Callable[[], float],
        curriculum: Curriculum | None = None,
        report: Report = lambda _: None,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> None:
        check_device(recipe)
        self.recipe = recipe
        self.vocabulary = Vocabulary.default()
        self.folder = folder
        self.sources = sources
        self._clock = clock
        self._report = report
        self._stop_asked = stop_asked
        curriculum = curriculum or make_curriculum(recipe, sources)
        plan = recipe.optimization
        rows = plan.batch_tokens // plan.row_length
        self.device = torch.device(recipe.device)
        self.team = Team(self.device)
        self.team.check(rows)
        self.state = TrainingState(recipe=recipe)
        checkpoint = folder / CHECKPOINT_FOLDER
        if self.team.leads:
            recover_folder(checkpoint)
        self.team.agree([0.0])  # nobody looks before the lead has repaired it
        state = read_state(checkpoint, recipe)
        self.resumed = state is not None
        if state is not None:
            self.state = state
        self.stream = self._stream(curriculum, rows)
        self._monitor = Monitor(recipe, sources, curriculum) if self.team.leads else None
        self.model = self.team.shard(self._starting_model(checkpoint))
        rates = scaled_rates(
            recipe.model.width,
            matrix_rate=plan.matrix_rate,
            other_rate=plan.other_rate,
            base_width=plan.base_width,
            tied=self.model.config.tie_word_embeddings,
        )
        self.optimizers = pretraining_optimizers(
            self.model, matrix_rate=rates.matrices, other_groups=adam_groups(self.model, rates)
        )
        if self.resumed:
            stored = load_tensors(checkpoint / _OPTIMIZER_FILE)
            restore_optimizers(self.model, self.optimizers, stored)

    def _stream(self, curriculum: Curriculum, rows: int) -> DocumentStream | OpenedStream:
        recipe, opening = self.recipe, self.recipe.opening

        def stream(sources: Sequence[Source], curriculum: Curriculum) -> DocumentStream:
            return DocumentStream(
                sources,
                curriculum,
                row_length=recipe.optimization.row_length,
                rows=rows,
                seed=recipe.seed,
                pool_workers=recipe.pool_workers,
                team=self.team,
            )

        everything = stream(self.sources, curriculum)
        if opening is None:
            return everything
        first = stream(
            [source for source in self.sources if source.name in opening.sources],
            curriculum.with_settings(opening.documents),
        )
        pools = round(opening.tokens / (recipe.optimization.batch_tokens * POOL_BATCHES))
        return OpenedStream(first, max(1, pools), everything)

    def _starting_model(self, checkpoint: Path) -> Transformer:
        config = self.recipe.model.config(len(self.vocabulary))
        if self.resumed:
            model = Transformer(config)
            load_weights(model, checkpoint / WEIGHTS_FILE)
            return model
        generator = torch_generator(random_generator(self.recipe.seed, "weights", 0))
        if self.recipe.start_from is None:
            model = Transformer(config, generator)
            order_embeddings(model.model.embed_tokens.weight, self.vocabulary, generator)
            return model
        start = load_model(model_folder(self.recipe.start_from)).model
        if start.config != config:
            raise WeightsError(
                f"{self.recipe.start_from} has the shape {start.config}, the recipe asks for"
                f" {config}; make them equal"
            )
        return start

    def progress(self) -> float:
        """Return the share of the training that is done, by tokens or by time."""
        plan = self.recipe.optimization
        by_tokens = self.state.tokens / plan.total_tokens
        by_time = self.state.elapsed_s / (plan.max_minutes * 60) if plan.max_minutes else 0.0
        return min(1.0, max(by_tokens, by_time))

    def run(self) -> Metrics:
        """Train to the end; returns the last evaluation (in the lead; else the bare metrics).

        Raises:
            KeyboardInterrupt: stop was asked; the checkpoint is written.
        """
        try:
            return self._run()
        finally:
            self.stream.close()

    def _run(self) -> Metrics:
        torch.set_num_threads(self.recipe.threads)
        model = torch.compile(self.model) if self.recipe.compile else self.model
        began = self._clock() - self.state.elapsed_s
        saved_at = self._clock()
        self.folder.mkdir(parents=True, exist_ok=True)
        batches = self.stream.batches(Position(self.state.pool, self.state.batch))
        upcoming = next(batches)
        value: float | None = None
        measured: Metrics | None = None
        while (progress := self.progress()) < 1.0:
            position, batch = upcoming
            loss = self._step(model, batch, self.recipe.optimization.rate_factor(progress))
            upcoming = next(batches)  # made while the device works
            value = float(loss)
            now = self._clock()
            elapsed_s, save_due, stop = self.team.agree(
                (
                    now - began,
                    now - saved_at > self.recipe.checkpoint_minutes * 60,
                    self._stop_asked(),
                )
            )
            self.state.steps += 1
            self.state.tokens += batch.token_count
            self.state.pool, self.state.batch = position.pool, position.batch
            self.state.elapsed_s = elapsed_s
            due = (self.state.evaluations + 1) / (self.recipe.evaluations + 1)
            if self.recipe.evaluations > self.state.evaluations and self.progress() >= due:
                self.state.evaluations += 1
                measured = self.evaluate(value)
                self._note(measured)
                (self.state.elapsed_s,) = self.team.agree((self._clock() - began,))
            elif self.team.leads:
                self._report(self._metrics(value))
            if save_due or stop:
                self.save()
                saved_at = self._clock()
            if stop:
                raise KeyboardInterrupt
        self.save()
        if measured is None or measured.steps != self.state.steps:
            measured = self.evaluate(value)
            self._note(measured)
        return measured

    def _step(
        self, model: Callable[[Tensor, Tensor], Tensor], batch: Batch, rate_factor: float
    ) -> Tensor:
        plan = self.recipe.optimization
        bf16 = self.recipe.precision == "bf16"
        scored = scored_count(batch)
        mine = self._on_device(self.team.share(batch))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            loss = summed_loss(model, mine) / scored
        # FSDP averages gradients over the team; the mean over the batch is their sum.
        (loss * self.team.size).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip_norm)
        for optimizer in self.optimizers:
            scale_rates(optimizer, rate_factor)
            optimizer.step()
            optimizer.zero_grad()
        return self.team.total(loss.detach())

    def _on_device(self, batch: Batch) -> Batch:
        return (batch.pinned() if self.device.type == "cuda" else batch).to(self.device)

    def evaluate(self, training_loss: float | None) -> Metrics:
        """Measure held-out loss and the quality of a fresh sample; all workers must ask together.

        The lead measures; the others return what they know without.
        """
        metrics = self._metrics(training_loss)
        model = self.team.whole(self.model)
        if model is None or self._monitor is None:
            return metrics
        return self._monitor.measure(model, metrics)

    def _metrics(self, training_loss: float | None) -> Metrics:
        return Metrics(
            steps=self.state.steps,
            tokens=self.state.tokens,
            elapsed_s=self.state.elapsed_s,
            progress=self.progress(),
            training_loss=training_loss,
        )

    def _note(self, metrics: Metrics) -> None:
        if not self.team.leads:
            return
        with (self.folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(metrics.model_dump_json() + "\n")
        self._report(metrics)

    def save(self) -> None:
        """Write the checkpoint; a crash leaves the old one or the new one.

        All workers must ask together; the lead writes.
        """
        model = self.team.whole(self.model)
        stored = optimizer_tensors(self.model, self.optimizers, keep=self.team.leads)
        if model is None:
            return
        partial = self.folder / f"{CHECKPOINT_FOLDER}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        save_model(partial, model, self.vocabulary)
        save_tensors(partial / _OPTIMIZER_FILE, stored)
        (partial / _STATE_FILE).write_text(self.state.model_dump_json(indent=1), encoding="utf-8")
        replace_folder(partial, self.folder / CHECKPOINT_FOLDER)


def read_state(checkpoint: Path, recipe: Recipe) -> TrainingState | None:
    """Return where the training of a checkpoint stands; None without a checkpoint.

    Raises:
        WeightsError: it cannot be read, or was begun with another recipe.
    """
    path = checkpoint / _STATE_FILE
    if not path.is_file():
        return None
    try:
        state = TrainingState.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    old, new = (_settings(plan) for plan in (state.recipe, recipe))
    free = (*FREE_TO_CHANGE, *(f"optimization.{key}" for key in EXTENT))
    changed = [key for key in new if key not in free and old[key] != new[key]]
    if changed:
        raise WeightsError(
            f"{checkpoint} was begun with another recipe (different: {', '.join(changed)});"
            " restore the recipe or give another --output folder; how long to train"
            " (optimization.max_minutes, optimization.total_tokens) may change"
        )
    return state.model_copy(update={"recipe": recipe})


def _settings(recipe: Recipe) -> dict[str, str]:
    """Return what a recipe says, by key, those of the optimisation one by one."""
    plan = recipe.model_dump(mode="json")
    nested = {f"optimization.{key}": value for key, value in plan.pop("optimization").items()}
    return {key: json.dumps(value) for key, value in {**plan, **nested}.items()}


FREE_TO_CHANGE = ("device", "threads", "compile", "pool_workers", "checkpoint_minutes")
"""Keys of a recipe that say how and where, not what: another machine may continue."""
EXTENT = ("max_minutes", "total_tokens")
"""Keys of its optimisation that say how long: more may be granted, the schedule is stretched."""
