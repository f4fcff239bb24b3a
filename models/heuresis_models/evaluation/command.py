"""``heuresis evaluate``: one model, one table.

Also runs alone: ``python -m heuresis_models.evaluation.command MODEL --data FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from heuresis.errors import UnknownNameError, UserError


def evaluate(
    model: Annotated[str, typer.Argument(help="Shipped model, or folder of one.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with the data files; without: what needs none.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Documents to draw of each kind.", min=1)] = 1000,
    domains: Annotated[
        str, typer.Option(help="Comma-separated: molecules, crystals, reactions, language.")
    ] = "molecules,crystals,reactions,language",
    reactions: Annotated[int, typer.Option(help="Held-out reactions to decode.", min=1)] = 100,
    inputs: Annotated[int, typer.Option(help="Roots each product is written from.", min=1)] = 1,
    heldout_tokens: Annotated[
        int, typer.Option(help="Tokens per domain for the held-out loss.", min=1)
    ] = 50_000,
    temperature: Annotated[
        float, typer.Option(help="Of what is drawn; 1: as the model learned it.", min=0.05, max=5.0)
    ] = 1.0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps rewritten crystals.")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Also measure held-out molecules as if drawn.")
    ] = False,
    seed: int = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a language model: one table with sample size, data and split."""
    from heuresis_models.checkpoint import load_model, model_folder
    from heuresis_models.evaluation.measuring import PARTS, Evaluation, measured
    from heuresis_models.evaluation.table import Report
    from heuresis_models.language.split import RULE

    wanted = [name.strip() for name in domains.split(",") if name.strip()]
    for name in wanted:
        if name not in PARTS:
            raise UnknownNameError("domain of evaluation", name, PARTS)
    if not wanted:
        raise UserError(f"--domains names nothing; known: {', '.join(PARTS)}")
    errors = Console(stderr=True)
    folder = model_folder(model)
    network, _ = load_model(folder)
    network.eval()
    if data is not None and not data.is_dir():
        errors.print(f"no folder {data}: what needs data is not measured", soft_wrap=True)
        data = None
    with _Shown(errors) as view:
        job = Evaluation(
            model=network,
            samples=samples,
            reactions=reactions,
            inputs=inputs,
            heldout_tokens=heldout_tokens,
            seed=seed,
            data=data,
            cache=cache,
            view=view,
            real=real,
            temperature=temperature,
        )
        rows = [row for name in wanted for row in measured(job, name)]
    report = Report(
        title=f"{folder.name}, {network.parameter_count:,} parameters",
        facts={
            "parameters": f"{network.parameter_count:,}",
            "samples": f"{samples:,}",
            "temperature": f"{temperature:g}",
            "data": str(data) if data is not None else "none",
            "split": RULE,
            "seed": seed,
        },
        rows=tuple(rows),
    )
    if as_json:
        sys.stdout.write(report.json() + "\n")
    elif markdown:
        sys.stdout.write(report.markdown() + "\n")
    else:
        Console(highlight=False).print(report.rich())


class _Shown:
    """A bar for each stage on a terminal, one line for each elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, what: str, total: int | None) -> None:
        """Begin a stage."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total)
        if not self._console.is_terminal:
            self._console.print(f"{what} …", highlight=False, soft_wrap=True)

    def advance(self, steps: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, steps)


def main() -> None:
    """Run the command; errors of the user are one sentence and exit code 2."""
    try:
        typer.run(evaluate)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
