"""Does the language keep what the data say? Round trips, masks and their cost.

Run: .venv/bin/python benchmarks/grammar_round_trip.py --data FOLDER [--cache FOLDER] [--every 100]

For every row of every file: document → text → ids → text must be the identity, and reading the text
must give the document again. Every ``--every``-th row is also walked through the automaton, which
must allow each of its tokens. Then random walks under the mask, per domain: how many are valid.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from heuresis_models.language.automaton import Automaton, State
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.crystals import is_stable
from heuresis_models.language.datafiles import FILES
from heuresis_models.language.documents import Document
from heuresis_models.language.errors import CrystalTextError, DocumentError, UnknownTokenError
from heuresis_models.language.objects import Molecule
from heuresis_models.language.parsing import read_document
from heuresis_models.language.sources import read_rows
from heuresis_models.language.vocabulary import Vocabulary

VOCABULARY = Vocabulary.default()
AUTOMATON = Automaton.default()


def round_trips(data: Path, cache: Path | None, every: int, only: list[str]) -> None:
    print("| file | rows | identity | tokens a row | blocked / walked | µs a token | exceptions |")
    print("| --- | --: | --: | --: | --: | --: | --- |")
    for file in FILES:
        if only and file.name not in only:
            continue
        rows = good = tokens = walked = steps = 0
        seconds = 0.0
        reasons: Counter[str] = Counter()
        blocked: Counter[str] = Counter()
        unstable = 0
        for row in read_rows(data, file.name, cache=cache):
            rows += 1
            if row.entry is None:
                reasons[row.problem.split(";")[0][:60]] += 1
                continue
            try:
                written = Document(row.entry).tokens()
                text = "".join(written)
                ids = VOCABULARY.encode(text, where=row.where)
                again = VOCABULARY.decode(ids)
                same = again == text and read_document(VOCABULARY.cut(again)).text() == text
                good += same
                reasons["text changed"] += not same
                tokens += len(ids)
            except (UnknownTokenError, DocumentError, CrystalTextError) as error:
                reasons[str(error)[:80]] += 1
                continue
            if row.number % every:
                continue
            if isinstance(row.entry.thing, Crystal):
                unstable += not is_stable(row.entry.thing)
            started = time.process_time()
            try:
                state = AUTOMATON.start()
                for index in ids[1:]:
                    if not AUTOMATON.mask(state)[index]:
                        raise DocumentError(f"{VOCABULARY.tokens[index]} in {row.where}")
                    state = AUTOMATON.advance(state, index, check=False)
            except DocumentError as error:
                blocked[str(error)] += 1
            seconds += time.process_time() - started
            walked += 1
            steps += len(ids)
        listed = "; ".join(f"{count}× {reason}" for reason, count in reasons.items() if count)
        if unstable:
            listed += f"; {unstable} of {walked} not a fixed point of structure → text"
        print(
            f"| {file.name} | {rows:,} | {good:,} | {tokens / max(good, 1):.1f} |"
            f" {sum(blocked.values())} / {walked} | {seconds / max(steps, 1) * 1e6:.0f} |"
            f" {listed or 'none'}; blocked: {list(blocked)[:3] or 'none'} |",
            flush=True,
        )


Weights = Callable[[list[str]], Counter[str]]


def uniform(before: list[str]) -> Counter[str]:
    return Counter()


def trigrams(documents: Iterator[list[str]]) -> Weights:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for tokens in documents:
        for place in range(2, len(tokens)):
            key = (tokens[place - 2], tokens[place - 1])
            counts.setdefault(key, Counter())[tokens[place]] += 1
    return lambda before: counts.get((before[-2], before[-1]), Counter())


def walk(
    prompt: list[str], weights: Weights, limit: int, rng: np.random.Generator
) -> tuple[list[str], int, float]:
    """Draw tokens under the mask; the weight of a token without a count is a thousandth."""
    written = list(prompt)
    state: State = AUTOMATON.read(VOCABULARY[token] for token in prompt)
    seconds, steps = 0.0, 0
    while not state.finished and len(written) < 4 * limit:
        started = time.process_time()
        mask = AUTOMATON.mask(state, closing=len(written) >= limit)
        seconds += time.process_time() - started
        choices = np.flatnonzero(mask)
        counts = weights(written)
        weight = np.array([counts.get(VOCABULARY.tokens[i], 0.0) + 1e-3 for i in choices])
        index = int(choices[rng.choice(len(choices), p=weight / weight.sum())])
        started = time.process_time()
        state = AUTOMATON.advance(state, index, check=False)
        seconds += time.process_time() - started
        steps += 1
        written.append(VOCABULARY.tokens[index])
    return written, steps, seconds


def is_valid(tokens: list[str]) -> bool:
    """Parsed by the grammar; molecules by RDKit; crystals expand to a cell."""
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    try:
        thing = read_document(tokens).entry.thing
        if isinstance(thing, Crystal):
            thing.cell()
        if isinstance(thing, Molecule):
            with BlockLogs():
                return Chem.MolFromSmiles(thing.smiles) is not None
    except (DocumentError, CrystalTextError, UnknownTokenError):
        return False
    return True


def walks(data: Path, cache: Path | None, count: int) -> None:
    sources = {
        "<molecule>": ("zinc250k.smi.gz", 80),
        "<crystal>": ("mp20-biternary-val.csv.gz", 120),
        "<protein>": ("flip-conservation.zip", 200),
        "<peptide>": ("dbaasp-peptides.csv.gz", 60),
        "<coding>": ("coding-dna.tsv.gz", 200),
    }
    print("\n| domain | weights | walks | valid | ended | µs a token |")
    print("| --- | --- | --: | --: | --: | --: |")
    for tag, (name, limit) in sources.items():
        documents = (
            Document(row.entry).tokens()
            for row in read_rows(data, name, cache=cache)
            if row.entry is not None and row.number % 10 == 0
        )
        for label, weights in (("none", uniform), ("trigrams", trigrams(documents))):
            rng = np.random.default_rng(7)
            found = [walk(["<bos>", tag], weights, limit, rng) for _ in range(count)]
            valid = sum(is_valid(tokens) for tokens, _, _ in found)
            ended = sum(tokens[-1] == "<eos>" for tokens, _, _ in found)
            steps = sum(steps for _, steps, _ in found)
            cost = sum(seconds for _, _, seconds in found) / steps * 1e6
            print(
                f"| {tag} | {label} | {count} | {valid / count:.1%} | {ended / count:.1%} |"
                f" {cost:.0f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--walks", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    print(f"vocabulary: {len(VOCABULARY)} tokens, hash {VOCABULARY.content_hash[:12]}\n")
    round_trips(options.data, options.cache, options.every, options.only)
    if not options.only:
        walks(options.data, options.cache, options.walks)


if __name__ == "__main__":
    main()
