"""``heuresis train``: from a recipe and data files to a model folder, in one command.

Also runs alone: ``python -m heuresis_models.command RECIPE --data FOLDER``.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

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
from heuresis.randomness import random_generator

if TYPE_CHECKING:
    from heuresis_models.corpus import Source
    from heuresis_models.curriculum import Curriculum
    from heuresis_models.monitoring import Metrics
    from heuresis_models.recipe import Recipe
    from heuresis_models.tracked import TrackedTraining
    from heuresis_models.worker import Job

_LINE_EVERY_S = 60.0
"""Between lines of progress where there is no terminal to draw a bar on."""
INTERRUPTED = 130


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
        typer.Option(help="Folder that keeps rewritten data; default: in the output folder."),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes (with cuda: GPUs) that train one model together.", min=1)
    ] = 1,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster for the workers (host:port); default: this machine."),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Follow the training in MLflow (runs/mlflow.sqlite).")
    ] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="MLflow store or server; implies --track.")
    ] = None,
) -> None:
    """Train a language model. Run the same command again to continue an interrupted training."""
    from heuresis_models.memory import keep_freed_memory
    from heuresis_models.recipe import recipe_file
    from heuresis_models.training import CHECKPOINT_FOLDER, check_device, read_state
    from heuresis_models.worker import Job

    keep_freed_memory()
    path = recipe_file(recipe)
    plan = _plan(path, max_minutes=max_minutes, start_from=start_from, device=device)
    folder = (output or Path(plan.name)).resolve()
    # What is wrong is said before all the work.
    read_state(folder / CHECKPOINT_FOLDER, plan)
    if workers == 1 and address is None:
        check_device(plan)
    job = Job(
        recipe=plan,
        data=(data or path.parent).resolve(),
        output=folder,
        cache=(cache or folder / "cache").resolve(),
    )
    console = Console(stderr=True)
    with console.status("reading data") as status:
        sources = job.read_sources(
            lambda name, rows: status.update(f"reading {name}: {rows:,} rows")
        )
        curriculum = job.curriculum(
            sources, lambda done: status.update(f"indexing molecules: {done:,}")
        )
    _keep_recipe(plan, folder)
    followed = _followed(plan, folder, track, tracking_uri)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    ending = "failed"
    try:
        with (
            Progress(*columns, console=console, disable=not console.is_terminal) as progress,
            _polite_interrupt(console) as stop_asked,
        ):
            view = _View(console, progress, progress.add_task("training", total=1.0))

            def report(metrics: Metrics) -> None:
                view.show(metrics)
                if followed is not None:
                    followed.note(metrics)

            if workers > 1 or address is not None:
                final = _together(job, workers, address, report, stop_asked, console)
            else:
                final = _alone(job, sources, curriculum, report, stop_asked, console)
        card, weights_hash = _write_model(job, sources, final)
        ending = "finished"
    except KeyboardInterrupt:
        ending = "interrupted"
        console.print("stopped; the same command continues from the last checkpoint")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if followed is not None:
            done = {"card": card, "weights_hash": weights_hash} if ending == "finished" else {}
            advice = followed.finish(ending, **done)
            if advice is not None:
                console.print(advice, style="yellow", soft_wrap=True)
    console.print(f"wrote [bold]{folder}[/bold]", soft_wrap=True)


def _plan(path: Path, *, max_minutes: float | None, **changes: object) -> Recipe:
    from heuresis_models.recipe import Recipe, load_recipe

    plan = load_recipe(path)
    given = {key: value for key, value in changes.items() if value is not None}
    if max_minutes is not None:
        given["optimization"] = plan.optimization.model_copy(update={"max_minutes": max_minutes})
    return Recipe.model_validate({**plan.model_dump(), **_dumped(given)})


def _dumped(changes: dict[str, object]) -> dict[str, object]:
    return {
        key: value.model_dump() if isinstance(value, BaseModel) else value
        for key, value in changes.items()
    }


def _keep_recipe(plan: Recipe, folder: Path) -> None:
    """Write the recipe as it is trained, options of the command included."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")


def _followed(
    plan: Recipe, folder: Path, track: bool, tracking_uri: str | None
) -> TrackedTraining | None:
    if not track and tracking_uri is None:
        return None
    from heuresis.campaign.tracking import default_tracking_uri, same_store
    from heuresis_models.tracked import TrackedTraining

    uri = same_store(tracking_uri or default_tracking_uri())
    return TrackedTraining(plan, folder, uri, clock=time.time)


def _alone(
    job: Job,
    sources: list[Source],
    curriculum: Curriculum,
    report: Callable[[Metrics], None],
    stop_asked: Callable[[], bool],
    console: Console,
) -> Metrics:
    from heuresis_models.training import Trainer

    trainer = Trainer(
        job.recipe,
        sources,
        job.output,
        clock=time.monotonic,
        curriculum=curriculum,
        report=report,
        stop_asked=stop_asked,
    )
    learned = sum(len(source.training) for source in sources)
    heldout = sum(len(source.heldout) for source in sources)
    console.print(
        f"{trainer.model.parameter_count:,} parameters, {learned:,} things to learn"
        f" from, {heldout:,} held out"
        + (f", continuing at step {trainer.state.steps:,}" if trainer.resumed else "")
    )
    return trainer.run()


def _together(
    job: Job,
    workers: int,
    address: str | None,
    report: Callable[[Metrics], None],
    stop_asked: Callable[[], bool],
    console: Console,
) -> Metrics:
    from heuresis.execution.ray_team import TeamError, run_team
    from heuresis_models.errors import TrainingError
    from heuresis_models.monitoring import Metrics
    from heuresis_models.worker import FUNCTION, STOPPED

    told: list[str] = []

    def on_message(text: str) -> None:
        told[:] = [text]
        if text != STOPPED:
            report(Metrics.model_validate_json(text))

    console.print(f"starting {workers} workers {f'at {address}' if address else 'here'}")
    try:
        run_team(
            FUNCTION,
            job.model_dump_json(),
            workers=workers,
            scratch=job.output / "workers",
            gpus=job.recipe.device != "cpu",
            address=address,
            on_message=on_message,
            stop_asked=stop_asked,
        )
    except TeamError as error:
        raise TrainingError(
            f"{error}; the same command continues from the last checkpoint in {job.output}"
        ) from error
    if told == [STOPPED]:
        raise KeyboardInterrupt
    return Metrics.model_validate_json(told[0])


def _write_model(job: Job, sources: list[Source], final: Metrics) -> tuple[str, str]:
    """Write the model folder from the last checkpoint; returns the card and the weights' hash."""
    from heuresis_models.checkpoint import load_model, save_model, tensors_hash
    from heuresis_models.model_card import card, seen_ranges, taught
    from heuresis_models.training import CHECKPOINT_FOLDER

    model, vocabulary = load_model(job.output / CHECKPOINT_FOLDER)
    skills = taught(job.recipe, sources, final.heeded_nats)
    ranges = None
    if "conditions" in skills:
        ranges = seen_ranges(job.recipe, sources, random_generator(job.recipe.seed, "ranges", 0))
    values = job.recipe.documents.molecules.values if ranges is not None else None
    save_model(job.output, model, vocabulary, taught=skills, ranges=ranges, values=values)
    text = card(job.recipe, sources, parameters=model.parameter_count, final=final)
    (job.output / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    return text, tensors_hash(model.state_dict())


@contextlib.contextmanager
def _polite_interrupt(console: Console) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the training after a checkpoint, the second at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_number: int, _frame: FrameType | None) -> Any:
        asked.set()
        signal.signal(signal.SIGINT, before)
        console.print("stopping after a checkpoint; Ctrl-C again to stop without")

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


class _View:
    """Shows progress: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, progress: Progress, task: TaskID) -> None:
        self._console = console
        self._progress = progress
        self._task = task
        self._last_s = 0.0

    def show(self, metrics: Metrics) -> None:
        """Show one step's metrics; called after each."""
        rate = metrics.tokens / metrics.elapsed_s if metrics.elapsed_s else 0.0
        self._progress.update(
            self._task,
            completed=metrics.progress,
            description=f"loss {_shown(metrics.training_loss)}  {rate / 1e3:.1f}k tokens/s",
        )
        if metrics.heldout_loss is not None:
            losses = ", ".join(f"{name} {loss:.3f}" for name, loss in metrics.heldout_loss.items())
            quality = (
                f"; molecules {metrics.valid_share:.1%} valid, {metrics.unique_share:.1%} unique"
                if metrics.valid_share is not None
                else ""
            )
            if metrics.heeded_nats is not None:
                quality += f"; stated properties worth {metrics.heeded_nats:+.2f} nats a molecule"
            self._console.print(
                f"{metrics.progress:6.1%}  {metrics.tokens / 1e6:6.2f} M tokens "
                f" {metrics.elapsed_s / 60:5.1f} min  {rate / 1e3:.1f}k tokens/s  held out:"
                f" {losses or 'nothing'}{quality}",
                soft_wrap=True,
            )
        elif not self._console.is_terminal and metrics.elapsed_s - self._last_s > _LINE_EVERY_S:
            self._last_s = metrics.elapsed_s
            self._console.print(
                f"{metrics.progress:6.1%}  step {metrics.steps:,}"
                f"  loss {_shown(metrics.training_loss)}  {rate / 1e3:.1f}k tokens/s"
            )


def _shown(loss: float | None) -> str:
    return "–" if loss is None else f"{loss:.3f}"


def main() -> None:
    """Run the command; errors of the user are one sentence and exit code 2."""
    try:
        typer.run(train)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
