"""What a model writes when it is asked for something: validity, property control, exemplars.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/conditional_generation.py MODEL --data FOLDER

MODEL is a shipped name or a model folder, FOLDER holds zinc250k.smi.gz. Tables in Markdown:

1. plain molecules without and with the grammar mask: valid, unique of valid, molecules per second
   of processor time;
2. one stated property at a time (logP 2, 4, 6; TPSA 40, 80, 120 Å²; QED 0.3, 0.6, 0.9; SA 2, 3, 4):
   mean absolute deviation (MAD) of all valid molecules from the target, and of the nearest of k
   molecules (k = 4, 16, 64), RDKit being the exact checker ("best of k");
3. three properties at once, targets taken from held-out molecules, so that they go together;
4. exemplars: similarity (ECFP4 Tanimoto) to a held-out exemplar, and how often a new molecule has a
   higher QED than it, for exemplar prompts and for prefix regrowth.

A model that was not taught conditions or exemplars gets table 1 and prefix regrowth alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rdkit import Chem

from heuresis.randomness import random_generator
from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.descriptors import properties_of
from heuresis_models.generation import (
    Knowledge,
    Prompt,
    Sampling,
    generate,
    payload,
    prompt,
    quality,
)
from heuresis_models.language import Form, Molecule, Quantile, Quantity, Vocabulary
from heuresis_models.language.augmentation import canonical_or_none, randomized_smiles
from heuresis_models.language.documents import Condition, Entry
from heuresis_models.language.sources import read_rows
from heuresis_models.language.split import row_is_held_out
from heuresis_models.molecules_alike import written_alike
from heuresis_models.neighbours import fingerprint, similarity
from heuresis_models.transformer import Transformer

TARGETS = {
    "logp": (2.0, 4.0, 6.0),
    "tpsa": (40.0, 80.0, 120.0),
    "qed": (0.3, 0.6, 0.9),
    "sa_score": (2.0, 3.0, 4.0),
}
WANTED = {"logp": 0.20, "tpsa": 3.5, "qed": 0.06, "sa_score": 0.13}
TRIPLES = (("logp", "tpsa", "qed"), ("logp", "tpsa", "sa_score"))
BEST_OF = (4, 16, 64)
TRIPLE_TARGETS = 24
EXEMPLARS = 24


class Drawn(NamedTuple):
    """Answers to one question."""

    valid: list[str]
    count: int

    @property
    def share(self) -> float:
        return len(self.valid) / self.count


class Bench:
    def __init__(self, model: Transformer, knowledge: Knowledge, seed: int) -> None:
        self._model, self._knowledge, self._seed, self._number = model, knowledge, seed, 0

    def draw(self, prompts: Sequence[Prompt], settings: Sampling) -> list[str | None]:
        """Return the canonical SMILES of each answer, None where it is no molecule."""
        self._number += 1
        rng = random_generator(self._seed, "conditional generation", self._number)
        samples = generate(self._model, prompts, rng, settings)
        return [canonical_or_none(payload(sample.tokens)) for sample in samples]

    def plain(self, count: int) -> None:
        print("| plain molecules | drawn | valid | unique of valid | restarts | molecules/s |")
        print("| --- | --: | --: | --: | --: | --: |")
        for masked in (False, True):
            rng = random_generator(self._seed, "plain molecules", int(masked))
            start = time.process_time()
            samples = generate(self._model, [prompt()] * count, rng, Sampling(masked=masked))
            rate = count / (time.process_time() - start)
            found = quality([payload(sample.tokens) for sample in samples])
            restarts = sum(sample.restarts for sample in samples) / count
            print(
                f"| {'with' if masked else 'without'} mask | {count:,} | {found.valid_share:.2%} |"
                f" {found.unique_share:.2%} | {restarts:.1%} | {rate:.0f} |"
            )

    def ask(
        self, targets: dict[str, float], count: int, guidance: float, temperature: float
    ) -> Drawn:
        asked = prompt(
            conditions=self._knowledge.worded(
                [Quantity(name, value) for name, value in targets.items()]
            )
        )
        found = self.draw([asked] * count, Sampling(guidance=guidance, temperature=temperature))
        return Drawn([smiles for smiles in found if smiles is not None], count)


def deviations(drawn: Drawn, targets: dict[str, float]) -> np.ndarray:
    """Return |value − target|, shape (valid molecules, properties)."""
    rows = [properties_of(Chem.MolFromSmiles(smiles), targets) for smiles in drawn.valid]
    values = np.array([[row[name] for name in targets] for row in rows]).reshape(-1, len(targets))
    return np.abs(values - np.array(list(targets.values())))


def best_of(deviation: np.ndarray, k: int, scale: np.ndarray) -> np.ndarray:
    """Return the deviations of the nearest of each k, shape (groups, properties)."""
    groups = len(deviation) // k
    if not groups:
        return deviation[:0]
    grouped = deviation[: groups * k].reshape(groups, k, -1)
    nearest = (grouped / scale).sum(-1).argmin(1)
    return grouped[np.arange(groups), nearest]


def control(
    bench: Bench, guidances: Sequence[float], temperatures: Sequence[float], count: int
) -> None:
    nearest_of = " | ".join(f"best of {k}" for k in BEST_OF)
    print(
        f"\n| one property, {count} molecules a target | guidance | temperature | valid | MAD |"
        f" MAD by target | {nearest_of} | wanted |"
    )
    print("| --- | --: | --: | --: | --: | --- |" + " --: |" * (len(BEST_OF) + 1))
    for name, values in TARGETS.items():
        for guidance in guidances:
            for temperature in temperatures:
                valid, all_of, nearest = [], [], {k: [] for k in BEST_OF}
                for value in values:
                    drawn = bench.ask({name: value}, count, guidance, temperature)
                    deviation = deviations(drawn, {name: value})
                    valid.append(drawn.share)
                    all_of.append(deviation.mean())
                    for k in BEST_OF:
                        nearest[k].append(best_of(deviation, k, np.ones(1)).mean())
                each = " / ".join(f"{value:.3g}" for value in all_of)
                best = " | ".join(f"{np.mean(nearest[k]):.3f}" for k in BEST_OF)
                print(
                    f"| {name} | {guidance:g} | {temperature:g} | {np.mean(valid):.1%} |"
                    f" {np.mean(all_of):.3f} | {each} | {best} | {WANTED[name]:g} |",
                    flush=True,
                )


def triples(
    bench: Bench,
    molecules: Sequence[str],
    guidances: Sequence[float],
    temperatures: Sequence[float],
    count: int,
) -> None:
    rng = random_generator(0, "triples", 0)
    chosen = [molecules[int(i)] for i in rng.permutation(len(molecules))[:TRIPLE_TARGETS]]
    nearest_of = " | ".join(f"best of {k}" for k in BEST_OF)
    print(
        f"\n| three properties, {TRIPLE_TARGETS} targets x {count} | guidance | temperature |"
        f" valid | MAD | {nearest_of} |"
    )
    print("| --- | --: | --: | --: | --- |" + " --- |" * len(BEST_OF))
    for names in TRIPLES:
        scale = np.array([WANTED[name] for name in names])
        for guidance in guidances:
            for temperature in temperatures:
                valid, parts = [], {k: [] for k in (1, *BEST_OF)}
                for smiles in chosen:
                    targets = properties_of(Chem.MolFromSmiles(smiles), names)
                    drawn = bench.ask(targets, count, guidance, temperature)
                    deviation = deviations(drawn, targets)
                    valid.append(drawn.share)
                    for k in parts:
                        parts[k].append(best_of(deviation, k, scale))
                cells = " | ".join(
                    " / ".join(f"{value:.3f}" for value in np.concatenate(found).mean(0))
                    for found in parts.values()
                )
                print(
                    f"| {' / '.join(names)} | {guidance:g} | {temperature:g} |"
                    f" {np.mean(valid):.1%} | {cells} |",
                    flush=True,
                )


def exemplars(bench: Bench, molecules: Sequence[str], knowledge: Knowledge, count: int) -> None:
    rng = random_generator(0, "exemplars", 0)
    chosen = [molecules[int(i)] for i in rng.permutation(len(molecules))[:EXEMPLARS]]
    vocabulary = Vocabulary.default()

    def regrown(smiles: str, share: float) -> Prompt:
        tokens = vocabulary.cut(randomized_smiles(smiles, rng))
        given = "".join(tokens[: max(1, int(len(tokens) * share))])
        return prompt(form=Form.RANDOMIZED, given=given)

    def shown(smiles: str, form: Form, condition: Condition, own: tuple[Condition, ...]) -> Prompt:
        text = smiles
        if form is Form.ALIGNED:
            (text,) = written_alike([smiles], rng) or [smiles]
        exemplar = Entry(Molecule(text, form), conditions=own)
        return prompt(form=form, conditions=[condition], exemplars=[exemplar])

    ways: dict[str, tuple[Callable[[str], Prompt], float]] = {"plain": (lambda _: prompt(), 1.0)}
    for share in (0.5, 0.75):
        ways[f"regrow after {share:.0%}"] = (partial(regrown, share=share), 1.0)
    if "exemplars" in knowledge.taught:
        for form in (Form.CANONICAL, Form.ALIGNED):
            for guidance in (1.0, 2.0):
                where = f"{form.strip('<>')} exemplar, guidance {guidance:g}"
                for wanted in (0.4, 0.7):
                    condition = Quantity("similarity", wanted)
                    make = partial(shown, form=form, condition=condition, own=())
                    ways[f"{where}, similarity {wanted:g}"] = (make, guidance)
                make = partial(shown, form=form, condition=Quantile(15), own=(Quantile(8),))
                ways[f"{where}, quantile 8 → 15"] = (make, guidance)
    print(
        f"\n| {EXEMPLARS} held-out exemplars x {count} | valid | unique | copies | similarity |"
        " >= 0.4 | best of all | better QED | better QED at similarity >= 0.4 |"
    )
    print("| --- |" + " --: |" * 8)
    for name, (make, guidance) in ways.items():
        valid, unique, copies, alike, best, better, near_better = 0, 0, 0, [], [], 0, 0
        asked = [make(smiles) for smiles in chosen for _ in range(count)]
        everything = bench.draw(asked, Sampling(guidance=guidance))
        for number, smiles in enumerate(chosen):
            parent = Chem.MolFromSmiles(smiles)
            bits, wanted = fingerprint(parent), properties_of(parent, ["qed"])["qed"]
            found = everything[number * count : (number + 1) * count]
            answers = [answer for answer in found if answer is not None]
            valid += len(answers)
            copies += sum(answer == smiles for answer in answers)
            new = sorted(set(answers) - {smiles})
            unique += len(new)
            own = [0.0]
            for answer in new:
                molecule = Chem.MolFromSmiles(answer)
                own.append(similarity(bits, fingerprint(molecule)))
                higher = properties_of(molecule, ["qed"])["qed"] > wanted
                better += higher
                near_better += higher and own[-1] >= 0.4
            alike += own[1:]
            best.append(max(own))
        total = EXEMPLARS * count
        print(
            f"| {name} | {valid / total:.1%} | {unique / total:.1%} | {copies / total:.1%} |"
            f" {np.mean(alike):.3f} | {np.mean(np.array(alike) >= 0.4):.1%} | {np.mean(best):.3f}"
            f" | {better / total:.1%} | {near_better / total:.1%} |",
            flush=True,
        )


def held_out(folder: Path, most: int) -> list[str]:
    """Return held-out molecules of ZINC250k, canonical."""
    found = []
    for row in read_rows(folder, "zinc250k.smi.gz"):
        if row.entry is not None and isinstance(row.entry.thing, Molecule):
            smiles = canonical_or_none(row.entry.thing.smiles)
            if smiles is not None and row_is_held_out(row):
                found.append(smiles)
        if len(found) == most:
            break
    return found


def main(
    model: Annotated[str, typer.Argument(help="Shipped name or folder.")],
    data: Annotated[Path, typer.Option(help="Folder with zinc250k.smi.gz.")],
    samples: int = 10_000,
    per_target: int = 192,
    per_exemplar: int = 24,
    guidance: Annotated[list[float] | None, typer.Option()] = None,
    temperature: Annotated[list[float] | None, typer.Option()] = None,
    seed: int = 0,
) -> None:
    folder = model_folder(model)
    network, _ = load_model(folder)
    knowledge = Knowledge.of(folder)
    taught = ", ".join(sorted(knowledge.taught)) or "plain objects only"
    print(f"{folder.name}: {network.parameter_count:,} parameters; taught: {taught}\n")
    bench = Bench(network, knowledge, seed)
    if samples:
        bench.plain(samples)
    molecules = held_out(data, 500)
    if "conditions" in knowledge.taught and per_target:
        guidances, temperatures = guidance or [1.0, 1.5, 2.0], temperature or [1.0]
        control(bench, guidances, temperatures, per_target)
        triples(bench, molecules, guidances, temperatures, max(BEST_OF[-1], per_target // 4))
    if per_exemplar:
        exemplars(bench, molecules, knowledge, per_exemplar)


if __name__ == "__main__":
    typer.run(main)
