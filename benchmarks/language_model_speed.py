"""How fast the network writes and learns, beside transformers with the same weights.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/language_model_speed.py [MODEL]

Times are processor seconds of one thread (the machine may be shared), the best of several
interleaved repeats. Both sides run in one process under the same allocator setting; they write from
the same prompt, at temperature 1, from the whole distribution, until the closing tag or 80 tokens.
The training step is forward, loss, backward, clipping and fused AdamW on packed documents that see
only themselves, under bf16 autocast. Prints Markdown tables.
"""

from __future__ import annotations

import importlib
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch.nn import functional

from heuresis_models.checkpoint import load_model, model_folder, save_model
from heuresis_models.generation import Prompt, Sampling, generate
from heuresis_models.generation.settings import Precision
from heuresis_models.memory import keep_freed_memory
from heuresis_models.presets import cost
from heuresis_models.transformer import Transformer

NEW_TOKENS = 80
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
DOCUMENT_TOKENS = 43
"""Mean length of a molecule's document, for the packed rows of the training step."""


def timed(cases: dict[str, Callable[[], float]], repeats: int) -> dict[str, tuple[float, float]]:
    """Return the best processor time of each case and what it returned."""
    best: dict[str, tuple[float, float]] = {}
    for repeat in range(repeats + 1):
        for name, case in cases.items():
            start = time.process_time()
            value = case()
            seconds = time.process_time() - start
            # The first round only warms up.
            if repeat and (name not in best or seconds < best[name][0]):
                best[name] = (seconds, value)
    return best


def writing(
    ours: Transformer, theirs: dict[str, Any], head: list[int], end: int, rows: int, repeats: int
) -> None:
    """Print tokens a second for one number of rows."""

    def write(precision: Precision) -> float:
        samples = generate(
            ours,
            [Prompt(tuple(head), len(head))] * rows,
            np.random.default_rng(0),
            Sampling(
                masked=False,
                precision=precision,
                batch=rows,
                max_tokens=len(head) + NEW_TOKENS,
            ),
        )
        return float(sum(len(sample.tokens) - len(head) for sample in samples))

    def write_there(precision: str) -> float:
        torch.manual_seed(0)
        prompt_BT = torch.tensor([head] * rows)
        written_BT = theirs[precision].generate(
            prompt_BT,
            attention_mask=torch.ones_like(prompt_BT),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=NEW_TOKENS,
            eos_token_id=end,
            pad_token_id=0,
        )
        return float((written_BT[:, len(head) :] != 0).sum())

    cases: dict[str, Callable[[], float]] = {}
    for precision in PRECISIONS:
        cases[f"heuresis {precision}"] = lambda p=precision: write(p)  # type: ignore[misc]
        cases[f"transformers {precision}"] = lambda p=precision: write_there(p)  # type: ignore[misc]
    found = timed(cases, repeats)
    written_tokens = {name: tokens / seconds for name, (seconds, tokens) in found.items()}
    for name, rate in written_tokens.items():
        ratios = [
            f"{rate / written_tokens[f'transformers {other}']:.2f}" for other in ("fp32", "bf16")
        ]
        length = found[name][1] / rows
        print(f"| {rows} | {name} | {rate:,.0f} | {length:.1f} | {' | '.join(ratios)} |")


def learning(
    ours: Transformer, theirs: Any, rows: int, length: int, repeats: int, compiled: bool
) -> None:
    """Print tokens a second of a training step."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = ours.config.vocab_size
    token_BT = torch.randint(3, vocabulary, (rows, length), generator=generator)
    target_BT = torch.randint(3, vocabulary, (rows, length), generator=generator)
    document_BT = (torch.arange(length) // DOCUMENT_TOKENS).expand(rows, -1)
    allowed_B1TS = (document_BT[:, :, None] == document_BT[:, None, :]).tril()[:, None]
    mine = torch.compile(ours) if compiled else ours
    other = torch.compile(theirs) if compiled else theirs

    def step(
        forward: Callable[[], Any], model: torch.nn.Module, adam: torch.optim.Optimizer
    ) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            logits_BTV = forward()
            loss = functional.cross_entropy(logits_BTV.float().flatten(0, 1), target_BT.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        return float(rows * length)

    adams = [torch.optim.AdamW(m.parameters(), lr=1e-5, fused=True) for m in (ours, theirs)]
    found = timed(
        {
            "heuresis": lambda: step(lambda: mine(token_BT, document_BT), ours, adams[0]),
            "transformers": lambda: step(
                lambda: other(token_BT, attention_mask=allowed_B1TS, use_cache=False).logits,
                theirs,
                adams[1],
            ),
        },
        repeats,
    )
    rates = {name: tokens / seconds for name, (seconds, tokens) in found.items()}
    how = "compiled" if compiled else "as written"
    print(
        f"| {rows} × {length} | {how} | {rates['heuresis']:,.0f} | {rates['transformers']:,.0f}"
        f" | {rates['heuresis'] / rates['transformers']:.2f} |"
    )


def main(
    model: Annotated[str, typer.Argument(help="Shipped name or folder.")] = "heuresis-zinc",
    rows: Annotated[
        str, typer.Option(help="Batches to write, separated by commas.")
    ] = "1,32,128,512",
    repeats: int = 3,
    compiled: Annotated[bool, typer.Option(help="Also compare compiled training steps.")] = False,
) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    keep_freed_memory()
    transformers = importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    network, vocabulary = load_model(model_folder(model))
    costs = cost(network.config)
    print(
        f"{model}: {costs.parameters:,} parameters; weights {costs.weights_bytes / 1e6:.1f} MB in"
        f" fp32; cache {2 * costs.cache_bytes_per_token:,} bytes a token in fp32,"
        f" {costs.cache_bytes_per_token:,} in bf16; training keeps"
        f" {costs.activation_bytes_per_token:,} bytes a token and"
        f" {costs.score_bytes_per_token_and_position:,} for each position that it can see;"
        f" {costs.training_flops_per_token:.3g} FLOP a token; torch {torch.__version__},"
        f" transformers {transformers.__version__}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), network, vocabulary)
        types = {"fp32": torch.float32, "bf16": torch.bfloat16}
        theirs = {
            name: transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
            for name, dtype in types.items()
        }
    head = vocabulary.encode("<bos><molecule><canonical>")
    print("| rows | who | tokens/s | tokens a row | × transformers fp32 | × transformers bf16 |")
    print("| --: | --- | --: | --: | --: | --: |")
    for count in rows.split(","):
        writing(network, theirs, head, vocabulary["</molecule>"], int(count), repeats)
    print("\n| rows × length | | heuresis, tokens/s | transformers, tokens/s | ratio |")
    print("| --- | --- | --: | --: | --: |")
    for kind in (False, True) if compiled else (False,):
        for packed, length in ((32, 128), (16, 256)):
            learning(network, theirs["fp32"], packed, length, 2 * repeats, kind)


if __name__ == "__main__":
    typer.run(main)
