"""Loss against size: trains one recipe at several sizes, fits a law, checks a prediction.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scaling.py train --data FOLDER --output FOLDER
     .venv/bin/python benchmarks/scaling.py fit docs/model/scaling.csv [--plot FILE.svg]
     OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scaling.py single --data FOLDER --output FOLDER

``train`` runs every size on the same tokens in the same order (fixed data, less than one epoch of
the large sources) and appends a row a run to ``runs.csv``; runs that are there are not repeated, an
interrupted one continues. Before the size ``PREDICTED`` is trained, the law fitted to the smaller
sizes is written to ``prediction.json``; the file is never overwritten.

``fit`` prints L(N) = E + A N**-a for each source and for the mixture with bootstrap intervals over
runs (resampling seeds within a size), N counting matrices of blocks and the head, and the miss of
the prediction.

``single`` trains the size ``ABLATION`` on one source at a time, with as many tokens of that source
as the mixed model saw, and prints mixed against single.
"""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy.optimize import least_squares

from heuresis_models.corpus import Source, read_source
from heuresis_models.recipe import Recipe, load_recipe
from heuresis_models.training import Trainer, make_curriculum

SIZES: dict[str, tuple[int, int, int, int]] = {
    # name: layers, width, heads, feed-forward
    "55k": (2, 32, 2, 96),
    "126k": (3, 48, 2, 128),
    "260k": (4, 64, 2, 176),
    "640k": (5, 96, 3, 256),
    "1.3M": (6, 128, 4, 352),
    "2.8M": (6, 192, 4, 512),
    "6.7M": (8, 256, 4, 704),
}
SEEDS = {"55k": 2, "126k": 2}
PREDICTED = "2.8M"
ABLATION = "1.3M"
TOKENS = 1_800_000
MIXTURE = "mixture"

app = typer.Typer(add_completion=False)
Data = Annotated[Path, typer.Option(help="Folder with the data files.")]


def counted_parameters(layers: int, width: int, feed_forward: int, vocabulary: int = 900) -> int:
    """Return matrices of the blocks and the head: what a token is multiplied with."""
    return layers * (4 * width**2 + 3 * width * feed_forward) + width * vocabulary


def recipe_of(size: str, seed: int, tokens: int, sources: list[str] | None = None) -> Recipe:
    layers, width, heads, feed_forward = SIZES[size]
    base = load_recipe(Path(__file__).with_suffix(".yaml")).model_dump()
    base["seed"] = 100 + seed
    base["model"] = {
        "layers": layers, "width": width, "heads": heads, "feed_forward": feed_forward,
        "max_tokens": 1024,
    }  # fmt: skip
    base["optimization"] |= {"total_tokens": tokens, "max_minutes": None}
    base["evaluations"] = 0
    base["evaluation_documents"] = 512
    base["compile"] = True
    if sources is not None:
        base["sources"] = [source for source in base["sources"] if source["name"] in sources]
    return Recipe.model_validate(base)


def run_one(recipe: Recipe, sources: list[Source], folder: Path, cache: Path) -> dict[str, float]:
    """Train one model; returns the held-out loss of each source and of the mixture."""
    curriculum = make_curriculum(recipe, sources, cache=cache)
    final = Trainer(recipe, sources, folder, clock=time.monotonic, curriculum=curriculum).run()
    assert final.heldout_loss is not None
    share = {source.name: source.share for source in sources}
    total = sum(share[name] for name in final.heldout_loss)
    mixture = sum(loss * share[name] for name, loss in final.heldout_loss.items()) / total
    return {**final.heldout_loss, MIXTURE: mixture}


def read_runs(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append_run(path: Path, row: dict[str, Any]) -> None:
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


@app.command()
def train(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for runs.csv and checkpoints.")],
    sizes: Annotated[str, typer.Option(help="Which, separated by commas; default all.")] = "",
    tokens: int = TOKENS,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps prepared data.")] = None,
) -> None:
    """Train the sizes, smallest first."""
    output.mkdir(parents=True, exist_ok=True)
    kept = cache or output / "cache"
    sections = recipe_of("55k", 0, tokens).sources
    sources = [read_source(section, data, cache=kept) for section in sections]
    done = {(row["size"], int(row["seed"])) for row in read_runs(output / "runs.csv")}
    for size in sizes.split(",") if sizes else SIZES:
        if size == PREDICTED:
            predict(output)
        for seed in range(SEEDS.get(size, 1)):
            if (size, seed) in done:
                continue
            began = time.monotonic()
            losses = run_one(
                recipe_of(size, seed, tokens), sources, output / f"{size}-{seed}", kept
            )
            layers, width, _, feed_forward = SIZES[size]
            row = {
                "size": size,
                "seed": seed,
                "tokens": tokens,
                "parameters": counted_parameters(layers, width, feed_forward),
                **{name: round(loss, 5) for name, loss in losses.items()},
            }
            append_run(output / "runs.csv", row)
            minutes = (time.monotonic() - began) / 60
            print(f"{size} seed {seed}: {losses[MIXTURE]:.4f} ({minutes:.1f} min)", flush=True)


def law(parameters: np.ndarray, losses: np.ndarray) -> tuple[float, float, float]:
    """Fit L = E + A N**-a by least squares on the logarithm; returns (E, A, a)."""

    def miss(theta: np.ndarray) -> np.ndarray:
        floor, scale, exponent = np.exp(theta)
        return np.log(floor + scale * parameters**-exponent) - np.log(losses)

    best = min(
        (
            least_squares(miss, np.log([floor * losses.min(), scale, exponent]))
            for floor in (0.3, 0.7, 0.95)
            for exponent in (0.1, 0.3)
            for scale in ((losses.max() - floor * losses.min()) * parameters.min() ** exponent,)
        ),
        key=lambda found: found.cost,
    )
    floor, scale, exponent = np.exp(best.x)
    return float(floor), float(scale), float(exponent)


def table_of(runs: list[dict[str, Any]], source: str) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for row in runs:
        found.setdefault(int(row["parameters"]), []).append(float(row[source]))
    return dict(sorted(found.items()))


def fitted(table: dict[int, list[float]]) -> tuple[float, float, float]:
    sizes = np.array([float(size) for size in table])
    return law(sizes, np.array([float(np.mean(losses)) for losses in table.values()]))


def predict(output: Path) -> None:
    """Write what the smaller sizes say of the next, before it is trained."""
    path = output / "prediction.json"
    if path.is_file():
        return
    runs = read_runs(output / "runs.csv")
    layers, width, _, feed_forward = SIZES[PREDICTED]
    size = counted_parameters(layers, width, feed_forward)
    said = {}
    for source in sources_of(runs):
        smaller = {n: losses for n, losses in table_of(runs, source).items() if n < size}
        floor, scale, exponent = fitted(smaller)
        said[source] = floor + scale * size**-exponent
    path.write_text(json.dumps({"size": PREDICTED, "parameters": size, **said}, indent=1) + "\n")
    print(f"predicted for {PREDICTED}: {said}", flush=True)


def sources_of(runs: list[dict[str, Any]]) -> list[str]:
    return [name for name in runs[0] if name not in ("size", "seed", "tokens", "parameters")]


@app.command()
def fit(
    runs_file: Annotated[Path, typer.Argument(help="runs.csv")],
    plot: Annotated[Path | None, typer.Option(help="Picture to write (.svg, .png).")] = None,
    resamples: int = 500,
    seed: int = 0,
) -> None:
    """Print the laws; draw them."""
    runs = read_runs(runs_file)
    rng = np.random.default_rng(seed)
    laws = {}
    print("| source | E | A | exponent a | 90 % interval of a | loss, smallest → largest |")
    print("| --- | --: | --: | --: | --- | --- |")
    for source in sources_of(runs):
        table = table_of(runs, source)
        floor, scale, exponent = laws[source] = fitted(table)
        spread = float(
            np.mean([np.std(losses, ddof=1) for losses in table.values() if len(losses) > 1])
        )
        exponents = [
            fitted({n: [float(np.mean(x)) + rng.normal() * spread / len(x) ** 0.5]
                    for n, x in table.items()})[2]
            for _ in range(resamples)
        ]  # fmt: skip
        low, high = np.quantile(exponents, [0.05, 0.95])
        losses = [float(np.mean(x)) for x in table.values()]
        print(
            f"| {source} | {floor:.3f} | {scale:.3g} | {exponent:.3f} | {low:.3f}–{high:.3f} |"
            f" {losses[0]:.3f} → {losses[-1]:.3f} |"
        )
    prediction = runs_file.with_name("prediction.json")
    if prediction.is_file():
        said = json.loads(prediction.read_text(encoding="utf-8"))
        print(f"\n| source | predicted for {said['size']} | measured | miss |")
        print("| --- | --: | --: | --: |")
        for source in sources_of(runs):
            measured = table_of(runs, source).get(said["parameters"])
            if measured:
                miss = float(np.mean(measured)) - said[source]
                print(f"| {source} | {said[source]:.3f} | {np.mean(measured):.3f} | {miss:+.3f} |")
    if plot is not None:
        draw(runs, laws, plot)


def draw(
    runs: list[dict[str, Any]], laws: dict[str, tuple[float, float, float]], path: Path
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for source, (floor, scale, exponent) in laws.items():
        table = table_of(runs, source)
        sizes = np.array(list(table))
        line = np.geomspace(sizes.min(), sizes.max() * 2, 100)
        width = 3.0 if source == MIXTURE else 1.2
        (drawn,) = axes.plot(line, floor + scale * line**-exponent, lw=width)
        points = [(n, loss) for n, losses in table.items() for loss in losses]
        axes.plot(*zip(*points, strict=True), "o", color=drawn.get_color(), ms=4, label=source)
    axes.set(xscale="log", yscale="log", xlabel="parameters (blocks and head)",
             ylabel="held-out loss, nats per token")  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_yticks([0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4], minor=False)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(visible=True, which="both", alpha=0.25)
    figure.tight_layout()
    figure.savefig(path)


@app.command()
def single(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder of the runs of `train`.")],
    tokens: int = TOKENS,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps prepared data.")] = None,
) -> None:
    """Train one source at a time on its share of the tokens."""
    kept = cache or output / "cache"
    mixed = recipe_of(ABLATION, 0, tokens)
    total = sum(section.share for section in mixed.sources)
    done = {row["source"]: row for row in read_runs(output / "single.csv")}
    for section in mixed.sources:
        if section.name in done:
            continue
        own = max(100_000, int(tokens * section.share / total))
        recipe = recipe_of(ABLATION, 0, own, [section.name])
        source = read_source(section, data, cache=kept)
        losses = run_one(
            recipe, [source], output / f"single-{section.name}".replace(" ", "-"), kept
        )
        append_run(
            output / "single.csv",
            {"source": section.name, "tokens": own, "loss": round(losses[section.name], 5)},
        )
        print(f"{section.name}: {losses[section.name]:.4f}", flush=True)
    rows = [row for row in read_runs(output / "runs.csv") if row["size"] == ABLATION]
    print("| source | tokens of it | alone | in the mixture | difference |")
    print("| --- | --: | --: | --: | --: |")
    for row in read_runs(output / "single.csv"):
        alone, mixture = float(row["loss"]), float(rows[0][row["source"]]) if rows else np.nan
        print(
            f"| {row['source']} | {int(row['tokens']):,} | {alone:.3f} | {mixture:.3f} |"
            f" {mixture - alone:+.3f} |"
        )


if __name__ == "__main__":
    app()
