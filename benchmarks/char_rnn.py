"""The baseline that a molecule model must beat: a character RNN, trained on the same split.

Run: OMP_NUM_THREADS=1 nice -n 10 .venv/bin/python benchmarks/char_rnn.py --data FOLDER
         [--minutes 28] [--output char-rnn] [--samples 10000] [--beside MODEL]

Three GRU layers over the language's own tokens (Segler et al., ACS Cent. Sci. 2018, 4, 120), taught
the canonical SMILES of ZINC250k that `heuresis_models.language.split` leaves for training: AdamW,
bfloat16 autocast, length-bucketed batches, a learning rate that falls to zero over the second half
of the time. Time is that of one processor core: other work on the machine takes nothing from
the baseline. Run again after an interruption, it continues from its last checkpoint; when trained,
it draws samples at temperature 1, without any mask, and prints what the functions of ``heuresis
evaluate`` say of them; with ``--beside MODEL``, next to samples of that model drawn the same way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from heuresis.randomness import random_generator
from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.corpus import read_source
from heuresis_models.evaluation.molecule_rows import MoleculeReference, molecule_rows
from heuresis_models.generation import Sampling, generate, payload, prompt
from heuresis_models.language.objects import Molecule
from heuresis_models.language.split import RULE
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.memory import keep_freed_memory
from heuresis_models.recipe import SourceSection
from heuresis_models.transformer import Transformer

HEAD = ("<bos>", "<molecule>", "<canonical>")
END = "</molecule>"
PADDING = 0
POOL_BATCHES = 40
"""Batches whose molecules are sorted by length together."""
CHECKPOINT_EVERY_S = 120.0


@dataclass(frozen=True)
class Settings:
    """What is trained; stated in the results."""

    embedding: int = 128
    hidden: int = 416
    layers: int = 3
    batch: int = 128
    rate: float = 2e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    warmup: float = 0.02
    flat_until: float = 0.5
    seed: int = 0


class CharRNN(nn.Module):
    """Embedding, GRU layers, output matrix."""

    def __init__(self, settings: Settings, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, settings.embedding)
        self.recurrent = nn.GRU(
            settings.embedding, settings.hidden, settings.layers, batch_first=True
        )
        self.output = nn.Linear(settings.hidden, vocabulary_size)

    def forward(self, token_BT: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits of the next token at each position, and the state behind the last one."""
        hidden_BTE, state = self.recurrent(self.embedding(token_BT), state)
        return self.output(hidden_BTE), state


def rate_at(progress: float, settings: Settings) -> float:
    """Return the learning rate at a share of the time: up, flat, down to zero."""
    if progress < settings.warmup:
        return settings.rate * max(progress / settings.warmup, 0.05)
    if progress < settings.flat_until:
        return settings.rate
    return settings.rate * max(1.0 - progress, 0.0) / (1.0 - settings.flat_until)


def padded(documents: list[list[int]]) -> Tensor:
    """Lay documents out as one tensor of the length of the longest."""
    token = torch.full((len(documents), max(map(len, documents))), PADDING)
    for row, ids in enumerate(documents):
        token[row, : len(ids)] = torch.tensor(ids)
    return token


def loss_of(model: CharRNN, token_BT: Tensor, reduction: str) -> Tensor:
    """Return the loss over payload and closing tag; the head is given."""
    logits_BTV, _ = model(token_BT[:, :-1])
    target_BT = token_BT[:, 1:].clone()
    target_BT[:, : len(HEAD) - 1] = PADDING
    return functional.cross_entropy(
        logits_BTV.float().flatten(0, 1),
        target_BT.flatten(),
        ignore_index=PADDING,
        reduction=reduction,
    )


def batches(documents: list[list[int]], settings: Settings, start: int) -> Iterator[Tensor]:
    """Yield batches for ever, from a pool on; each pool is drawn and sorted on its own."""
    pool = start
    while True:
        rng = random_generator(settings.seed, "char-rnn pool", pool)
        size = settings.batch * POOL_BATCHES
        chosen = sorted(rng.integers(len(documents), size=size), key=lambda i: len(documents[i]))
        for number in rng.permutation(POOL_BATCHES):
            rows = chosen[number * settings.batch : (number + 1) * settings.batch]
            yield padded([documents[i] for i in rows])
        pool += 1


def heldout_loss(model: CharRNN, documents: list[list[int]]) -> float:
    """Return nats per token of payload and closing tag."""
    ordered = sorted(documents, key=len)
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(ordered), 256):
            token_BT = padded(ordered[start : start + 256])
            total += float(loss_of(model, token_BT, "sum"))
            count += int((token_BT != PADDING).sum()) - len(HEAD) * len(token_BT)
    return total / count


def train(
    model: CharRNN,
    documents: list[list[int]],
    heldout: list[list[int]],
    settings: Settings,
    folder: Path,
    budget_s: float,
    console: Console,
) -> dict[str, float]:
    """Train within a budget of processor time that counts over all runs; return what was used."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.rate, weight_decay=settings.weight_decay, fused=True
    )
    path = folder / "checkpoint.pt"
    state: dict[str, float] = {"cpu_s": 0.0, "tokens": 0, "steps": 0}
    if path.is_file():
        kept = torch.load(path, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        state = kept["state"]
        console.print(f"continuing at step {state['steps']:,.0f}, {state['cpu_s'] / 60:.1f} min")

    def save() -> None:
        partial = path.with_suffix(".partial")
        content = {
            "model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state,
        }  # fmt: skip
        torch.save(content, partial)
        partial.replace(path)

    last, saved = time.process_time(), 0.0
    shown = 0.0
    for token_BT in batches(documents, settings, int(state["steps"]) // POOL_BATCHES):
        progress = state["cpu_s"] / budget_s
        if progress >= 1.0:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate_at(progress, settings)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model, token_BT, "mean")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        now = time.process_time()
        state["cpu_s"] += now - last
        last = now
        state["steps"] += 1
        state["tokens"] += int((token_BT != PADDING).sum())
        if state["cpu_s"] - saved > CHECKPOINT_EVERY_S:
            save()
            saved = state["cpu_s"]
        if state["cpu_s"] - shown > 60.0:
            shown = state["cpu_s"]
            some = heldout_loss(model, heldout[:500])
            console.print(
                f"{progress:6.1%}  {state['tokens'] / 1e6:6.2f} M tokens "
                f" {state['tokens'] / state['cpu_s'] / 1e3:.1f}k tokens/s  loss {loss:.3f},"
                f" held-out {some:.4f} (500 molecules)"
            )
            last = time.process_time()
    save()
    return state


@torch.inference_mode()
def draw(
    model: CharRNN, vocabulary: Vocabulary, count: int, seed: int, longest: int = 120
) -> list[str]:
    """Write molecules at temperature 1, without a mask; a text that does not end is cut off."""
    generator = torch.Generator().manual_seed(seed)
    head = [vocabulary[token] for token in HEAD]
    end = vocabulary[END]
    texts: list[str] = []
    while len(texts) < count:
        rows = min(512, count - len(texts))
        written: list[list[int]] = [[] for _ in range(rows)]
        living = torch.arange(rows)
        logits_BTV, state = model(torch.tensor(head).expand(rows, -1))
        for _ in range(longest):
            probability_BV = logits_BTV[:, -1].double().softmax(-1)
            token = torch.multinomial(probability_BV, 1, generator=generator).squeeze(-1)
            going = token != end
            living, token, state = living[going], token[going], state[:, going]
            if not len(living):
                break
            for row, index in zip(living.tolist(), token.tolist(), strict=True):
                written[row].append(index)
            logits_BTV, state = model(token[:, None], state)
        texts += [vocabulary.decode(ids) for ids in written]
    return texts


def main(
    data: Annotated[Path, typer.Option(help="Folder with the data files.")],
    minutes: Annotated[float, typer.Option(help="Processor time of the training.")] = 28.0,
    output: Path = Path("char-rnn"),
    samples: int = 10_000,
    beside: Annotated[list[str] | None, typer.Option(help="Model to compare with.")] = None,
    seed: int = 0,
) -> None:
    keep_freed_memory()
    console = Console(soft_wrap=True)
    settings = Settings(seed=seed)
    vocabulary = Vocabulary.default()
    section = SourceSection(name="molecules, drug-like", files=("zinc250k.smi.gz",), share=1.0)
    source = read_source(section, data)
    sides = []
    for entries in (source.training, source.heldout):
        molecules = [entry.thing for entry in entries if isinstance(entry.thing, Molecule)]
        sides.append([molecule.smiles for molecule in molecules])
    training, heldout = (
        [[vocabulary[t] for t in (HEAD[0], *Molecule(smiles).tokens())] for smiles in side]
        for side in sides
    )
    torch.manual_seed(seed)
    model = CharRNN(settings, len(vocabulary))
    parameters = sum(weight.numel() for weight in model.parameters())
    output.mkdir(parents=True, exist_ok=True)
    console.print(
        f"{parameters:,} parameters, {len(training):,} molecules to learn from,"
        f" {len(heldout):,} held out; {asdict(settings)}"
    )
    state = train(model, training, heldout, settings, output, minutes * 60.0, console)
    model.eval()
    loss = heldout_loss(model, heldout)
    start = time.perf_counter()
    texts = draw(model, vocabulary, samples, seed)
    rate = samples / (time.perf_counter() - start)
    (output / "samples.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    facts = {
        "parameters": parameters, "settings": asdict(settings), **state,
        "heldout_loss": loss, "samples_per_s": rate,
    }  # fmt: skip
    (output / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    console.print(
        f"{state['tokens'] / 1e6:.1f} M tokens in {state['cpu_s'] / 60:.1f} min; held-out loss"
        f" {loss:.4f} nats per token; {rate:.0f} molecules/s"
    )
    print(f"CharRNN: {json.dumps(facts)}\n")
    reference = MoleculeReference(sides[0], sides[1], f"zinc250k.smi.gz by {RULE}")
    columns = {f"CharRNN, {parameters:,} parameters": texts}
    for name in beside or []:
        network, _ = load_model(model_folder(name))
        console.print(f"drawing from {name}")
        title = f"{model_folder(name).name}, {network.parameter_count:,} parameters"
        columns[title] = drawn_by(network.eval(), samples, seed)
    print(table(columns, reference, samples, seed, console))


def drawn_by(network: Transformer, count: int, seed: int) -> list[str]:
    """Draw molecules from a model of this project, without the grammar mask."""
    rng = random_generator(seed, "evaluation molecule no mask", 0)
    prompts = [prompt("molecule")] * count
    drawn = generate(network, prompts, rng, Sampling(masked=False))
    return [payload(sample.tokens) if sample.finished else "" for sample in drawn]


def table(
    columns: dict[str, list[str]],
    reference: MoleculeReference,
    samples: int,
    seed: int,
    console: Console,
) -> str:
    """Return one column per list of texts, as Markdown."""
    rows = {}
    for name, texts in columns.items():
        # Equal generators: all are compared with the same training and held-out molecules.
        rng = random_generator(seed, "evaluation reference", 0)

        def stage(what: str, name: str = name) -> None:
            console.print(f"{name}: {what}", highlight=False)

        rows[name] = molecule_rows(texts, reference, rng, on=f"{samples:,} samples", stage=stage)
    names = list(rows)
    lines = [
        f"{samples:,} samples each, temperature 1, no mask; against as many training and held-out"
        f" molecules (at most all), {reference.name}",
        "",
        "| measure | " + " | ".join(names) + " |",
        "| --- |" + " --: |" * len(names),
    ]
    lines += [
        f"| {cells[0].measure} | " + " | ".join(cell.text for cell in cells) + " |"
        for cells in zip(*rows.values(), strict=True)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
