"""``heuresis train``: from a recipe and a data file to a model folder, in one command.

Also runs alone: ``python -m heuresis_models.command RECIPE --data FOLDER``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
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
from heuresis_models.recipe import Recipe

_LINE_EVERY_S = 60.0
"""Between lines of progress where there is no terminal to draw a bar on."""


def train(
    recipe: Annotated[
        str, typer.Argument(help="Recipe file (YAML), or the name of a shipped one.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="Folder with the data files; default: the recipe's folder.")
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
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; overrides the recipe.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps rewritten crystals; default: in the output folder."),
    ] = None,
) -> None:
    """Train a language model. Run the same command again to continue an interrupted training."""
    from heuresis_models.checkpoint import save_model
    from heuresis_models.corpus import read_source
    from heuresis_models.memory import keep_freed_memory
    from heuresis_models.model_card import card
    from heuresis_models.recipe import load_recipe, recipe_file
    from heuresis_models.training import Trainer, make_curriculum

    keep_freed_memory()
    path = recipe_file(recipe)
    plan = load_recipe(path)
    changes: dict[str, object] = {}
    if max_minutes is not None:
        changes["optimization"] = plan.optimization.model_copy(update={"max_minutes": max_minutes})
    if start_from is not None:
        changes["start_from"] = start_from
    if device is not None:
        changes["device"] = device
    plan = Recipe.model_validate({**plan.model_dump(), **_dumped(changes)})
    folder = output or Path(plan.name)
    console = Console(stderr=True)
    with console.status("reading data") as status:
        sources = [
            read_source(
                section,
                data or path.parent,
                cache=cache or folder / "cache",
                report=lambda name, rows: status.update(f"reading {name}: {rows:,} rows"),
            )
            for section in plan.sources
        ]
        curriculum = make_curriculum(
            plan,
            sources,
            lambda done: status.update(f"indexing molecules: {done:,}"),
            cache or folder / "cache",
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
            plan, sources, folder, clock=time.monotonic, curriculum=curriculum, report=view.show
        )
        learned = sum(len(source.training) for source in sources)
        heldout = sum(len(source.heldout) for source in sources)
        console.print(
            f"{trainer.model.parameter_count:,} parameters, {learned:,} things to learn"
            f" from, {heldout:,} held out"
            + (f", continuing at step {trainer.state.steps:,}" if trainer.resumed else "")
        )
        try:
            final = trainer.run()
        except KeyboardInterrupt:
            console.print("stopped; the same command continues from the last checkpoint")
            raise typer.Exit(130) from None
    save_model(folder, trainer.model, trainer.vocabulary)
    (folder / "MODEL_CARD.md").write_text(
        card(plan, sources, parameters=trainer.model.parameter_count, final=final),
        encoding="utf-8",
    )
    console.print(f"wrote [bold]{folder}[/bold]")


def _dumped(changes: dict[str, object]) -> dict[str, object]:
    return {
        key: value.model_dump() if isinstance(value, BaseModel) else value
        for key, value in changes.items()
    }


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
        if metrics.heldout_loss is not None:
            losses = ", ".join(f"{name} {loss:.3f}" for name, loss in metrics.heldout_loss.items())
            quality = (
                f"; molecules {metrics.valid_share:.1%} valid, {metrics.unique_share:.1%} unique"
                if metrics.valid_share is not None
                else ""
            )
            self._console.print(
                f"{metrics.progress:6.1%}  {metrics.tokens / 1e6:6.2f} M tokens "
                f" {metrics.elapsed_s / 60:5.1f} min  {rate / 1e3:.1f}k tokens/s  held out:"
                f" {losses}{quality}",
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
