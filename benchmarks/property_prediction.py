"""How well do surrogates predict measured properties of molecules, and do their intervals hold?

Run: .venv/bin/python benchmarks/property_prediction.py --data FOLDER [--model heuresis-zinc]
     [--seeds 3] [--fine-tuned esol freesolv] [--plain] [--reference]
What a refit costs: ... --data FOLDER --refit

ESOL (log10 mol/L), FreeSolv (kcal/mol) and Lipophilicity (logD) of MoleculeNet (Wu et al., Chem.
Sci. 9, 513 (2018)). Two splits into 80 % training, 10 % validation (not used: nothing is tuned on
it) and 10 % test:

- *scaffold*: molecules by Bemis-Murcko scaffold without stereochemistry, the scaffolds with most
  molecules first (ties: the one that begins later in the file), filled into training, validation
  and test in this order, as DeepChem's ScaffoldSplitter does; one split, nothing random but the
  methods' own folds;
- *random*: permutations by seed; the table has mean and, over seeds, standard deviation.

Every split of random molecules is easy, for near copies fall on both sides: never compare a number
from one split with a number from the other.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heuresis_models.embedding import Encoder
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.objects import Molecule
from heuresis_models.language.quantities import Quantity
from heuresis_models.language.sources import read_rows
from heuresis_models.surrogates import (
    Boosting,
    FineTuned,
    GaussianProcess,
    LinearProbe,
    MeanValue,
    Method,
    Surrogate,
    fit_compared,
    fit_surrogate,
)
from heuresis_models.surrogates.boosting import features

FILES = {"esol": "esol.csv", "freesolv": "freesolv.csv", "lipophilicity": "lipophilicity.csv"}
COVERAGE = 0.9
TRAINING, VALIDATION = 0.8, 0.1

Part = NDArray[np.int64]


def read(data: Path, name: str) -> tuple[list[str], NDArray[np.float64]]:
    """Return canonical SMILES and values of a file."""
    texts, values = [], []
    for row in read_rows(data, FILES[name]):
        assert row.entry is not None
        said = row.entry.annotations[0]
        assert isinstance(row.entry.thing, Molecule)
        assert isinstance(said, Quantity)
        texts.append(canonical_smiles(row.entry.thing.smiles))
        values.append(said.value)
    return texts, np.array(values)


def scaffold_split(texts: Sequence[str]) -> tuple[Part, Part]:
    """Return training and test rows of the scaffold split."""
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    sets: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        scaffold: str = MurckoScaffoldSmiles(smiles=text, includeChirality=False)  # type: ignore[no-untyped-call]
        sets.setdefault(scaffold, []).append(row)
    ordered = sorted(sets.values(), key=lambda rows: (len(rows), rows[0]), reverse=True)
    training: list[int] = []
    validation: list[int] = []
    test: list[int] = []
    for rows in ordered:
        if len(training) + len(rows) <= TRAINING * len(texts):
            training += rows
        elif len(training) + len(validation) + len(rows) <= (TRAINING + VALIDATION) * len(texts):
            validation += rows
        else:
            test += rows
    return np.array(training), np.array(test)


def random_split(count: int, seed: int) -> tuple[Part, Part]:
    """Return training and test rows of a random split."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: int(TRAINING * count)], order[int((TRAINING + VALIDATION) * count) :]


class Table:
    """Rows as they come; several seeds of one row are averaged."""

    def __init__(self) -> None:
        print(
            "| data | split | method | seeds | RMSE | inside 90 % interval | mean width |"
            " fit s | predict ms each |\n| --- | --- | --- | --: | --: | --: | --: | --: | --: |",
            flush=True,
        )

    def row(
        self, name: str, split: str, method: str, runs: Sequence[tuple[float, ...]], note: str = ""
    ) -> None:
        """Print one row from (RMSE, inside, width, fit seconds, predict ms) of each seed."""
        mean = np.mean(runs, axis=0)
        rmse = f"{mean[0]:.3f}"
        if len(runs) > 1:
            rmse += f" ± {np.std([run[0] for run in runs], ddof=1):.3f}"
        shapes = ("{:.1%}", "{:.2f}", "{:.1f}", "{:.1f}")
        inside, width, fit_s, predict_ms = (
            "—" if np.isnan(value) else shape.format(value)
            for shape, value in zip(shapes, mean[1:], strict=True)
        )
        print(
            f"| {name} | {split} | {method}{note} | {len(runs)} | {rmse} | {inside} | {width} |"
            f" {fit_s} | {predict_ms} |",
            flush=True,
        )


def judged(
    surrogate: Surrogate, texts: Sequence[str], truth: NDArray[np.float64], fit_s: float
) -> tuple[float, ...]:
    """Return what `Table.row` wants of one fitted surrogate."""
    start = time.process_time()
    said = surrogate.predict(texts, coverage=COVERAGE)
    predict_ms = 1e3 * (time.process_time() - start) / len(texts)
    return (
        float(np.sqrt(((said.mean_N - truth) ** 2).mean())),
        float(((said.lower_N <= truth) & (truth <= said.upper_N)).mean()),
        float((said.upper_N - said.lower_N).mean()),
        fit_s,
        predict_ms,
    )


def compare(
    table: Table, name: str, split: str, parts: Sequence[tuple[Part, Part]],
    data: tuple[list[str], NDArray[np.float64]], encoder: Encoder, arguments: argparse.Namespace,
) -> None:  # fmt: skip
    """Fit everything on one kind of split and print its rows."""
    texts, values = data
    runs: dict[str, list[tuple[float, ...]]] = {}
    weights = []
    for seed, (training, test) in enumerate(parts):
        known, new = [texts[row] for row in training], [texts[row] for row in test]

        def note(label: str, surrogate: Surrogate, fit_s: float, new: Sequence[str] = new,
                 test: Part = test) -> None:  # fmt: skip
            runs.setdefault(label, []).append(judged(surrogate, new, values[test], fit_s))

        methods = (Boosting(), GaussianProcess(encoder), LinearProbe(encoder))
        labels = ("fingerprints + boosting", "Gaussian process", "linear probe")
        mean = fit_surrogate(MeanValue(), known, values[training], np.random.default_rng(seed))
        note("mean predictor", mean, 0.0)
        start = time.process_time()
        ensemble, alone = fit_compared(
            methods, known, values[training], np.random.default_rng(seed)
        )
        fit_s = time.process_time() - start
        for label, surrogate in zip(labels, alone, strict=True):
            note(label, surrogate, float("nan"))
        note("ensemble of the three", ensemble, fit_s)
        weights.append(ensemble.weight_M)
        if arguments.plain:
            start = time.process_time()
            plain = fit_surrogate(
                GaussianProcess(None), known, values[training], np.random.default_rng(seed)
            )
            note("Gaussian process without embedding", plain, time.process_time() - start)
        if name in arguments.fine_tuned and seed < arguments.fine_tuned_seeds:
            start = time.process_time()
            tuned = fit_surrogate(
                FineTuned(encoder), known, values[training], np.random.default_rng(seed),
                calibration="split",
            )  # fmt: skip
            note("fine-tuned (split calibration)", tuned, time.process_time() - start)
        if arguments.reference:
            runs.setdefault("histogram boosting, one fit", []).append(
                reference(known, values[training], new, values[test])
            )
    for label, found in runs.items():
        table.row(name, split, label, found)
    said = ", ".join(
        f"{label} {weight:.2f}" for label, weight in zip(labels, np.mean(weights, 0), strict=True)
    )
    print(f"<!-- {name} {split}: ensemble weights {said} -->", flush=True)


def reference(
    known: list[str], known_values: NDArray[np.float64], new: list[str], truth: NDArray[np.float64]
) -> tuple[float, ...]:
    """Judge scikit-learn's histogram boosting on the same features, fitted once on all points."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    start = time.process_time()
    model = HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.07, max_leaf_nodes=12, min_samples_leaf=5, max_features=0.3,
        max_bins=32, early_stopping=False, random_state=0,
    ).fit(features(known), known_values)  # fmt: skip
    fit_s = time.process_time() - start
    miss = float(np.sqrt(((model.predict(features(new)) - truth) ** 2).mean()))
    return miss, float("nan"), float("nan"), fit_s, float("nan")


def refit(data: tuple[list[str], NDArray[np.float64]], encoder: Encoder) -> None:
    """Print CPU time of a fit (five folds) and of a prediction against the number of points."""
    texts, values = data
    order = np.random.default_rng(0).permutation(len(texts))
    new = [texts[row] for row in order[-500:]]
    features(texts)  # features of known texts are remembered; a refit in a loop computes none
    print("| method | points | fit, CPU s | predict, CPU ms each |\n| --- | --: | --: | --: |")
    methods: dict[str, Method] = {
        "fingerprints + boosting": Boosting(),
        "Gaussian process": GaussianProcess(encoder),
        "linear probe": LinearProbe(encoder),
    }
    for label, method in methods.items():
        # The first call alone pays for imports.
        fit_surrogate(method, texts[:20], values[:20], np.random.default_rng(0)).predict(new)
        for count in (100, 300, 1000, 3000):
            rows = order[:count]
            known = [texts[row] for row in rows]
            start = time.process_time()
            surrogate = fit_surrogate(method, known, values[rows], np.random.default_rng(0))
            fit_s = time.process_time() - start
            start = time.process_time()
            surrogate.predict(new)
            each_ms = 1e3 * (time.process_time() - start) / len(new)
            print(f"| {label} | {count} | {fit_s:.2f} | {each_ms:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--model", default="heuresis-zinc", help="shipped name or model folder")
    parser.add_argument("--only", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--splits", nargs="+", choices=("scaffold", "random"),
                        default=["scaffold", "random"])  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="random splits")
    parser.add_argument("--randomizations", type=int, default=0, help="random SMILES averaged")
    parser.add_argument("--fine-tuned", nargs="*", choices=FILES, default=[], help="slow")
    parser.add_argument("--fine-tuned-seeds", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="also without the language model")
    parser.add_argument("--reference", action="store_true", help="also histogram boosting")
    parser.add_argument("--refit", action="store_true", help="only what a refit costs")
    arguments = parser.parse_args()
    encoder = Encoder.load(arguments.model, randomizations=arguments.randomizations)
    config = encoder.model.config
    print(
        f"{arguments.model}: {encoder.model.parameter_count:,} parameters,"
        f" {config.num_hidden_layers} layers x {config.hidden_size}; embedding"
        f" {encoder.width}, {arguments.randomizations} randomisations;"
        f" weights {encoder.weights_hash[:12]}\n"
    )
    if arguments.refit:
        known = read(arguments.data, "lipophilicity")
        encoder.embed(known[0])
        refit(known, encoder)
        return
    table = Table()
    for name in arguments.only:
        data = read(arguments.data, name)
        start = time.process_time()
        encoder.embed(data[0])
        each_ms = 1e3 * (time.process_time() - start) / len(data[0])
        print(f"<!-- {name}: {len(data[0])} molecules, {each_ms:.2f} ms to embed each -->")
        splits = {
            "scaffold": [scaffold_split(data[0])],
            "random": [random_split(len(data[0]), seed) for seed in range(arguments.seeds)],
        }
        for split in arguments.splits:
            compare(table, name, split, splits[split], data, encoder, arguments)


if __name__ == "__main__":
    main()
