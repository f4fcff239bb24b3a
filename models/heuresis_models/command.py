"""``heuresis train``: from a recipe and a data file to a model folder, in one command.

Also runs alone: ``python -m heuresis_models.command RECIPE --data FILE``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from heuresis.errors import UserError
from heuresis_models.errors import DataError, RecipeError

_LINE_EVERY_S = 60.0
"""Between lines of progress where there is no terminal to draw a bar on."""


def train(
    recipe: Annotated[
        str, typer.Argument(help="Recipe file (YAML), or the name of a shipped one.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="SMILES file (.smi, .smi.gz); overrides the recipe.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; default: the recipe's name.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Finish the schedule within this time.", min=0.01)
    ] = None,
    start_from: Annotated[
        str | None, typer.Option(help="Model (name or folder) to start from; overrides the recipe.")
    ] = None,
) -> None:
    """Train a language model. Run the same command again to continue an interrupted training."""
    from heuresis_models.checkpoint import save_model
    from heuresis_models.data import read_molecules, split
    from heuresis_models.memory import keep_freed_memory
    from heuresis_models.model_card import card
    from heuresis_models.recipe import load_recipe, recipe_file
    from heuresis_models.training import Trainer
    from heuresis_models.vocabulary import Vocabulary

    keep_freed_memory()
    path = recipe_file(recipe)
    plan = load_recipe(path)
    if max_minutes is not None:
        shorter = plan.optimization.model_copy(update={"max_minutes": max_minutes})
        plan = plan.model_copy(update={"optimization": shorter})
    if start_from is not None:
        plan = plan.model_copy(update={"start_from": start_from})
    source = data or (path.parent / plan.data.file if plan.data.file else None)
    if source is None:
        raise RecipeError(f"{recipe} names no data file; give one with --data FILE.smi[.gz]")
    folder = output or Path(plan.name)
    console = Console(stderr=True)
    with console.status("reading molecules") as status:
        corpus = read_molecules(source, lambda lines: status.update(f"reading: {lines:,} lines"))
    if plan.data.sha256 is not None and corpus.sha256 != plan.data.sha256:
        raise DataError(
            f"{source} has SHA-256 {corpus.sha256[:16]}…, the recipe expects"
            f" {plan.data.sha256[:16]}…; use the file the recipe was made for or remove data.sha256"
        )
    training, heldout = split(corpus.molecules, plan.data.heldout_share)
    if not training or not heldout:
        raise DataError(
            f"{source} holds {len(corpus.molecules)} molecules, too few to hold out"
            f" {plan.data.heldout_share:.2%}; raise data.heldout_share or give more"
        )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        view = _View(console, progress, progress.add_task("training", total=1.0))
        trainer = Trainer(
            plan,
            training,
            heldout,
            Vocabulary.default(),
            folder,
            clock=time.monotonic,
            report=view.show,
        )
        console.print(
            f"{trainer.model.parameter_count:,} parameters, {len(training):,} molecules to learn"
            f" from, {len(heldout):,} held out"
            + (f", continuing at step {trainer.state.steps:,}" if trainer.resumed else "")
        )
        try:
            final = trainer.run()
        except KeyboardInterrupt:
            console.print("stopped; the same command continues from the last checkpoint")
            raise typer.Exit(130) from None
    save_model(folder, trainer.model, trainer.vocabulary)
    (folder / "MODEL_CARD.md").write_text(
        card(
            plan,
            corpus,
            parameters=trainer.model.parameter_count,
            split=(len(training), len(heldout)),
            too_long=trainer.stream.too_long,
            final=final,
        ),
        encoding="utf-8",
    )
    console.print(f"wrote [bold]{folder}[/bold]")


class _View:
    """Shows progress: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, progress: Progress, task: TaskID) -> None:
        self._console = console
        self._progress = progress
        self._task = task
        self._last_s = 0.0

    def show(self, metrics: object) -> None:
        """Show one step's metrics; called after each."""
        from heuresis_models.training import Metrics

        assert isinstance(metrics, Metrics)
        rate = metrics.tokens / metrics.elapsed_s if metrics.elapsed_s else 0.0
        self._progress.update(
            self._task,
            completed=metrics.progress,
            description=f"loss {metrics.training_loss:.3f}  {rate / 1e3:.1f}k tokens/s",
        )
        if metrics.valid_share is not None:
            self._console.print(
                f"{metrics.progress:6.1%}  {metrics.tokens / 1e6:6.2f} M tokens "
                f" {metrics.elapsed_s / 60:5.1f} min  {rate / 1e3:.1f}k tokens/s  held-out loss"
                f" {metrics.heldout_loss_canonical:.3f} canonical,"
                f" {metrics.heldout_loss_randomized:.3f} randomized;"
                f" valid {metrics.valid_share:.1%}, unique {metrics.unique_share:.1%}",
                soft_wrap=True,
            )
        elif not self._console.is_terminal and metrics.elapsed_s - self._last_s > _LINE_EVERY_S:
            self._last_s = metrics.elapsed_s
            self._console.print(
                f"{metrics.progress:6.1%}  step {metrics.steps:,}  loss {metrics.training_loss:.3f}"
                f"  {rate / 1e3:.1f}k tokens/s"
            )


def main() -> None:
    """Run the command; errors of the user are one sentence and exit code 2."""
    try:
        typer.run(train)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
