"""The training loop: a recipe and molecules in, a model folder out, resumable at any time.

The loop knows no files but its own folder and no clock but the one it is given. Its state after
each step is: weights, optimiser state, position in the document stream, tokens seen, seconds spent.
A checkpoint holds all of it, so an interrupted training continues as if nothing had happened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
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
from heuresis_models.data import IGNORED, Batch, DocumentStream, batch_of, pack, randomized
from heuresis_models.errors import WeightsError
from heuresis_models.grammar import Form, Grammar
from heuresis_models.molecules import quality, sample_molecules
from heuresis_models.optimizer import (
    optimizer_tensors,
    pretraining_optimizers,
    restore_optimizers,
    set_rate,
)
from heuresis_models.recipe import Recipe
from heuresis_models.sampling import torch_generator
from heuresis_models.transformer import Transformer
from heuresis_models.vocabulary import Vocabulary

CHECKPOINT_FOLDER = "checkpoint"
METRICS_FILE = "metrics.jsonl"
_OPTIMIZER_FILE = "optimizer.safetensors"
_STATE_FILE = "state.json"
_EVALUATION_ROWS = 64


class TrainingState(BaseModel):
    """Where a training stands; everything but the tensors."""

    model_config = ConfigDict(extra="forbid")

    recipe: Recipe
    steps: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    pool: int = 0
    batch_index: int = 0
    evaluations: int = 0


class Metrics(BaseModel):
    """One line of ``metrics.jsonl``. Losses are mean nats per token of text, end included."""

    model_config = ConfigDict(frozen=True)

    steps: int
    tokens: int
    elapsed_s: float
    progress: float
    training_loss: float
    heldout_loss_canonical: float | None = None
    heldout_loss_randomized: float | None = None
    valid_share: float | None = None
    unique_share: float | None = None
    novel_share: float | None = None


Report = Callable[[Metrics], None]


def batch_loss(model: Callable[[Tensor, Tensor], Tensor], batch: Batch) -> Tensor:
    """Return the mean cross-entropy of a batch in nats per scored token, in 32 bits."""
    logits_BTV = model(batch.token_BT, batch.document_BT)
    return functional.cross_entropy(
        logits_BTV.float().flatten(0, 1), batch.target_BT.flatten(), ignore_index=IGNORED
    )


@torch.no_grad()
def heldout_loss(
    model: Transformer, grammar: Grammar, texts: Sequence[str], form: Form, row_length: int
) -> float:
    """Return the mean loss over texts in nats per token; 32-bit arithmetic.

    Texts that do not fit into a row are left out.
    """
    documents = [grammar.document(text, form) for text in texts]
    rows = pack([document for document in documents if len(document) <= row_length], row_length)
    total, count = 0.0, 0
    for start in range(0, len(rows), _EVALUATION_ROWS):
        batch = batch_of(rows[start : start + _EVALUATION_ROWS], row_length, grammar.head_length)
        scored = int((batch.target_BT != IGNORED).sum())
        total += float(batch_loss(model, batch)) * scored
        count += scored
    return total / max(1, count)


class Trainer:
    """Trains one model.

    Args:
        recipe: what to do.
        training: canonical SMILES to learn from.
        heldout: canonical SMILES that measure the loss.
        vocabulary: language of the model.
        folder: work folder; ``checkpoint/`` and ``metrics.jsonl`` appear in it.
        clock: seconds that only grow, e.g. ``time.monotonic``.
        report: told after every step.

    A checkpoint in the folder is continued.

    Raises:
        WeightsError: the checkpoint is damaged or belongs to another recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: Sequence[str],
        heldout: Sequence[str],
        vocabulary: Vocabulary,
        folder: Path,
        *,
        clock: Callable[[], float],
        report: Report = lambda _: None,
    ) -> None:
        self.recipe = recipe
        self.vocabulary = vocabulary
        self.folder = folder
        self.grammar = Grammar(vocabulary)
        self._clock = clock
        self._report = report
        self._training = training
        self._heldout = tuple(heldout[: recipe.evaluation_molecules])
        generator = torch_generator(random_generator(recipe.seed, "weights", 0))
        self.model = Transformer(recipe.model.config(len(vocabulary)), generator)
        if recipe.start_from is not None:
            self._start_from(recipe.start_from)
        self.optimizers = pretraining_optimizers(
            self.model,
            matrix_rate=recipe.optimization.matrix_rate,
            other_rate=recipe.optimization.other_rate,
        )
        self.state = TrainingState(recipe=recipe)
        self.stream = DocumentStream(
            training,
            self.grammar,
            row_length=recipe.optimization.row_length,
            rows=recipe.optimization.batch_tokens // recipe.optimization.row_length,
            randomized_share=recipe.data.randomized_share,
            seed=recipe.seed,
        )
        self._known = frozenset(training)
        recover_folder(folder / CHECKPOINT_FOLDER)
        self.resumed = (folder / CHECKPOINT_FOLDER / _STATE_FILE).is_file()
        if self.resumed:
            self._restore(folder / CHECKPOINT_FOLDER)

    def _start_from(self, source: str) -> None:
        start = load_model(model_folder(source))
        if start.vocabulary.tokens != self.vocabulary.tokens:
            raise WeightsError(f"{source} speaks another vocabulary; it cannot be trained on")
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
        for pool, index, batch in self.stream.batches(self.state.pool, self.state.batch_index):
            progress = self.progress()
            if progress >= 1.0:
                break
            loss = self._step(model, batch, self.recipe.optimization.rate_factor(progress))
            self.state.steps += 1
            self.state.tokens += batch.token_count
            self.state.pool, self.state.batch_index = pool, index
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
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            loss = batch_loss(model, batch)
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
        rng = random_generator(self.recipe.seed, "evaluation", self.state.steps)
        texts = {
            Form.CANONICAL: list(self._heldout),
            Form.RANDOMIZED: [randomized(smiles, rng) for smiles in self._heldout],
        }
        losses = {
            form: heldout_loss(
                self.model, self.grammar, texts[form], form, self.recipe.optimization.row_length
            )
            for form in Form
        }
        drawn = sample_molecules(self.model, self.vocabulary, self.recipe.evaluation_molecules, rng)
        found = quality([self.grammar.text(item.tokens) for item in drawn], self._known)
        return self._metrics(
            losses[Form.CANONICAL] if training_loss is None else training_loss
        ).model_copy(
            update={
                "heldout_loss_canonical": losses[Form.CANONICAL],
                "heldout_loss_randomized": losses[Form.RANDOMIZED],
                "valid_share": found.valid_share,
                "unique_share": found.unique_share,
                "novel_share": found.novel_share,
            }
        )

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
