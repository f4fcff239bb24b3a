"""The training loop: a recipe and sources in, a model folder out, resumable at any time.

The loop knows no files but its own folder and no clock but the one it is given. Its state after
each step is: weights, optimiser state, position in the document stream, tokens seen, seconds spent.
A checkpoint holds all of it, so an interrupted training continues as if nothing had happened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional

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
from heuresis_models.errors import WeightsError
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import Form, Molecule
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.neighbours import NeighbourIndex
from heuresis_models.optimizer import (
    optimizer_tensors,
    pretraining_optimizers,
    restore_optimizers,
    set_rate,
)
from heuresis_models.packing import IGNORED, Batch, ScoredTokens, batch_of, pack
from heuresis_models.recipe import Recipe
from heuresis_models.sampling import sample, torch_generator
from heuresis_models.stream import DocumentStream, Position
from heuresis_models.transformer import Transformer

CHECKPOINT_FOLDER = "checkpoint"
METRICS_FILE = "metrics.jsonl"
_OPTIMIZER_FILE = "optimizer.safetensors"
_STATE_FILE = "state.json"
_EVALUATION_ROWS = 16
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


class Metrics(BaseModel):
    """One line of ``metrics.jsonl``. Losses are mean nats per token of text, end included."""

    model_config = ConfigDict(frozen=True)

    steps: int
    tokens: int
    elapsed_s: float
    progress: float
    training_loss: float
    heldout_loss: dict[str, float] | None = None
    """Source → loss of its held-out things, each written alone; for reactions root-aligned."""
    valid_share: float | None = None
    """Of molecules drawn from scratch, temperature 1, no mask; None without molecules."""
    unique_share: float | None = None
    """Of the valid."""


Report = Callable[[Metrics], None]


def batch_loss(model: Callable[[Tensor, Tensor], Tensor], batch: Batch) -> Tensor:
    """Return the mean cross-entropy of a batch in nats per scored token, in 32 bits."""
    logits_BTV = model(batch.token_BT, batch.document_BT)
    return functional.cross_entropy(
        logits_BTV.float().flatten(0, 1), batch.target_BT.flatten(), ignore_index=IGNORED
    )


@torch.no_grad()
def mean_loss(model: Transformer, documents: Sequence[ScoredTokens], row_length: int) -> float:
    """Return the mean loss over documents in nats per scored token; 32-bit arithmetic."""
    rows = pack(documents, row_length)
    total, count = 0.0, 0
    for start in range(0, len(rows), _EVALUATION_ROWS):
        batch = batch_of(rows[start : start + _EVALUATION_ROWS], row_length).to(model.lm_head.weight.device)
        scored = int((batch.target_BT != IGNORED).sum())
        total += float(batch_loss(model, batch)) * scored
        count += scored
    return total / max(1, count)


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
    """Trains one model.

    Args:
        recipe: what to do.
        sources: what to learn from and what measures the loss.
        folder: work folder; ``checkpoint/`` and ``metrics.jsonl`` appear in it.
        clock: seconds that only grow, e.g. ``time.monotonic``.
        curriculum: made of recipe and sources if not given.
        report: told after every step.

    A checkpoint in the folder is continued.

    Raises:
        WeightsError: the checkpoint is damaged or belongs to another recipe.
        RecipeError: a source gives no document that fits into a row.
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
    ) -> None:
        self.recipe = recipe
        self.vocabulary = Vocabulary.default()
        self.folder = folder
        self.sources = sources
        self._clock = clock
        self._report = report
        self._curriculum = curriculum or make_curriculum(recipe, sources)
        generator = torch_generator(random_generator(recipe.seed, "weights", 0))
        self.model = Transformer(recipe.model.config(len(self.vocabulary)), generator)
        if recipe.start_from is not None:
            self._start_from(recipe.start_from)
        self.device = torch.device(recipe.device)
        self.model.to(self.device)
        self.optimizers = pretraining_optimizers(
            self.model,
            matrix_rate=recipe.optimization.matrix_rate,
            other_rate=recipe.optimization.other_rate,
        )
        self.state = TrainingState(recipe=recipe)
        self.stream = DocumentStream(
            sources,
            self._curriculum,
            row_length=recipe.optimization.row_length,
            rows=recipe.optimization.batch_tokens // recipe.optimization.row_length,
            seed=recipe.seed,
        )
        recover_folder(folder / CHECKPOINT_FOLDER)
        self.resumed = (folder / CHECKPOINT_FOLDER / _STATE_FILE).is_file()
        if self.resumed:
            self._restore(folder / CHECKPOINT_FOLDER)

    def _start_from(self, source: str) -> None:
        start = load_model(model_folder(source))
        if start.model.config != self.model.config:
            raise WeightsError(
                f"{source} has the shape {start.model.config}, the recipe asks for"
                f" {self.model.config}; make them equal"
            )
        self.model.load_state_dict(start.model.state_dict())

    def progress(self) -> float:
        """Return the share of the training that is done, by tokens or by time."""
        plan = self.recipe.optimization
        by_tokens = self.state.tokens / plan.total_tokens
        by_time = self.state.elapsed_s / (plan.max_minutes * 60) if plan.max_minutes else 0.0
        return min(1.0, max(by_tokens, by_time))

    def run(self) -> Metrics:
        """Train to the end; returns the last evaluation."""
        torch.set_num_threads(self.recipe.threads)
        model = torch.compile(self.model) if self.recipe.compile else self.model
        began = self._clock() - self.state.elapsed_s
        saved_at = self._clock()
        self.folder.mkdir(parents=True, exist_ok=True)
        position = Position(self.state.pool, self.state.batch)
        for position, batch in self.stream.batches(position):
            progress = self.progress()
            if progress >= 1.0:
                break
            loss = self._step(model, batch, self.recipe.optimization.rate_factor(progress))
            self.state.steps += 1
            self.state.tokens += batch.token_count
            self.state.pool, self.state.batch = position.pool, position.batch
            self.state.elapsed_s = self._clock() - began
            due = (self.state.evaluations + 1) / (self.recipe.evaluations + 1)
            if self.recipe.evaluations > self.state.evaluations and self.progress() >= due:
                self.state.evaluations += 1
                self._note(self.evaluate(loss))
                self.state.elapsed_s = self._clock() - began
            else:
                self._report(self._metrics(loss))
            if self._clock() - saved_at > self.recipe.checkpoint_minutes * 60:
                self.save()
                saved_at = self._clock()
        self.save()
        final = self.evaluate(None)
        self._note(final)
        return final

    def _step(
        self, model: Callable[[Tensor, Tensor], Tensor], batch: Batch, rate_factor: float
    ) -> float:
        plan = self.recipe.optimization
        bf16 = self.recipe.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            loss = batch_loss(model, batch.to(self.device))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip_norm)
        for optimizer, rate in zip(
            self.optimizers, (plan.matrix_rate, plan.other_rate), strict=True
        ):
            set_rate(optimizer, rate * rate_factor)
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())

    def evaluate(self, training_loss: float | None) -> Metrics:
        """Measure held-out loss and the quality of a fresh sample.

        Draws from streams of their own, so evaluating does not change the training.
        """
        losses = {
            source.name: mean_loss(self.model, documents, self.recipe.optimization.row_length)
            for source in self.sources
            if (documents := self._heldout(source))
        }
        shares = dict(zip(losses, self._shares(losses), strict=True))
        average = sum(losses[name] * share for name, share in shares.items())
        metrics = self._metrics(average if training_loss is None else training_loss)
        valid, unique = self._molecule_quality()
        return metrics.model_copy(
            update={"heldout_loss": losses, "valid_share": valid, "unique_share": unique}
        )

    def _shares(self, names: Collection[str]) -> list[float]:
        share = {source.name: source.share for source in self.sources}
        total = sum(share[name] for name in names)
        return [share[name] / total for name in names]

    def _heldout(self, source: Source) -> list[ScoredTokens]:
        """Return the same documents every time."""
        rng = random_generator(self.recipe.seed, f"held out {source.name}", 0)
        count = min(len(source.heldout), self.recipe.evaluation_documents)
        chosen = rng.permutation(len(source.heldout))[:count]
        written = [self._curriculum.plain(source.heldout[int(i)], rng) for i in chosen]
        return [document for document in written if document is not None]

    def _molecule_quality(self) -> tuple[float | None, float | None]:
        """Draw molecules and return the shares of valid ones and, of these, unique ones."""
        if not any(isinstance(source.training[0].thing, Molecule) for source in self.sources):
            return None, None
        rng = random_generator(self.recipe.seed, "evaluation", self.state.steps)
        ids = self.vocabulary.ids
        head = [ids["<bos>"], ids["<molecule>"], ids[Form.CANONICAL.value]]
        drawn = sample(
            self.model,
            [head] * self.recipe.evaluation_documents,
            rng,
            head_length=len(head),
            end=ids["</molecule>"],
            max_tokens=self.recipe.optimization.row_length,
        )
        texts = [self.vocabulary.decode(item.tokens[len(head) : -1]) for item in drawn]
        valid = [text for text in map(_canonical_or_none, texts) if text is not None]
        return len(valid) / len(texts), len(set(valid)) / max(1, len(valid))

    def _metrics(self, training_loss: float) -> Metrics:
        return Metrics(
            steps=self.state.steps,
            tokens=self.state.tokens,
            elapsed_s=self.state.elapsed_s,
            progress=self.progress(),
            training_loss=training_loss,
        )

    def _note(self, metrics: Metrics) -> None:
        with (self.folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(metrics.model_dump_json() + "\n")
        self._report(metrics)

    def save(self) -> None:
        """Write the checkpoint; a crash leaves the old one or the new one."""
        partial = self.folder / f"{CHECKPOINT_FOLDER}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        save_model(partial, self.model, self.vocabulary)
        save_tensors(partial / _OPTIMIZER_FILE, optimizer_tensors(self.model, self.optimizers))
        (partial / _STATE_FILE).write_text(self.state.model_dump_json(indent=1), encoding="utf-8")
        replace_folder(partial, self.folder / CHECKPOINT_FOLDER)

    def _restore(self, checkpoint: Path) -> None:
        try:
            state = TrainingState.model_validate_json(
                (checkpoint / _STATE_FILE).read_text(encoding="utf-8")
            )
        except (OSError, ValueError) as error:
            raise WeightsError(f"{checkpoint / _STATE_FILE} cannot be read: {error}") from error
        if state.recipe != self.recipe:
            old, new = state.recipe.model_dump(mode="json"), self.recipe.model_dump(mode="json")
            changed = [key for key in new if json.dumps(old[key]) != json.dumps(new[key])]
            raise WeightsError(
                f"{checkpoint} was begun with another recipe (different: {', '.join(changed)});"
                " restore the recipe or give another --output folder"
            )
        load_weights(self.model, checkpoint / WEIGHTS_FILE)
        restore_optimizers(self.model, self.optimizers, load_tensors(checkpoint / _OPTIMIZER_FILE))
        self.state = state


def _canonical_or_none(text: str) -> str | None:
    try:
        return canonical_smiles(text)
    except DocumentError:
        return None
