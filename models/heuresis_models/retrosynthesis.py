"""From a product to reactants: beam search, several roots, ranks merged.

A model that was taught ``<retro>`` documents reads the product and writes reactants. Beam search
keeps the likeliest texts; the log-probability of each is exact under the model. Written from other
root atoms, the same product gives other beams, and answers that many of them agree on are the
better ones: test-time augmentation as in R-SMILES (Zhong et al., Chem. Sci. 2022, 13, 9023), where
an answer's score is the sum over inputs of 1 / rank.

Axes: P product (or input), W hypothesis of the beam, V vocabulary entry, B = P · W rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.errors import DocumentError, OverlongError
from heuresis_models.language.objects import Form, smiles_tokens
from heuresis_models.language.tokens import BEGIN, SMILES
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

BEAM_WIDTH: Final = 10
LONGEST_DOCUMENT: Final = 320
"""Tokens of product and reactants together; the longest of USPTO-50k's test file has 274."""
Advance = Callable[[int], None]
"""Told that so many more inputs are done."""


@dataclass(frozen=True)
class Hypothesis:
    """One finished text of a beam.

    Args:
        text: what was written before the closing tag.
        log_probability: natural log of the model's probability of text and closing tag.
    """

    text: str
    log_probability: float


@dataclass(frozen=True)
class Proposal:
    """Reactants that may make a product.

    Args:
        reactants: canonical SMILES.
        written: as the likeliest beam wrote them, root-aligned with the product if so asked.
        score: sum over inputs of 1 / rank among the valid, distinct answers of that input.
        log_probability: of ``written``.
    """

    reactants: str
    written: str
    score: float
    log_probability: float


@dataclass(frozen=True)
class Answer:
    """All that was proposed for one product.

    Args:
        proposals: best first.
        beams: the finished texts of each input, best first, invalid ones included.
    """

    proposals: tuple[Proposal, ...]
    beams: tuple[tuple[Hypothesis, ...], ...]


def propose_reactants(
    model: Transformer,
    products: Sequence[str],
    rng: Generator,
    *,
    inputs: int = 1,
    width: int = BEAM_WIDTH,
    form: Form = Form.ALIGNED,
    max_tokens: int = LONGEST_DOCUMENT,
    batch: int = 8,
    advance: Advance = lambda _: None,
) -> list[Answer]:
    """Propose reactants for each product.

    Args:
        model: taught ``<retro>`` documents.
        products: SMILES.
        rng: draws the roots; advances by one permutation for each product.
        inputs: from how many roots each product is written; small molecules have fewer.
        width: hypotheses of each beam.
        form: how the model is told both sides are written; ``CANONICAL`` has one input.
        max_tokens: longest document; unfinished hypotheses end there.
        batch: inputs that are searched together.
        advance: told of inputs that are done (`inputs_of` in all).

    Raises:
        DocumentError: RDKit cannot read a product.
        OverlongError: a product leaves no room for reactants.
    """
    written = [inputs_of(product, rng, inputs, form) for product in products]
    prompts = [_prompt("<retro>", form, text, "<from>") for texts in written for text in texts]
    found = beam_search(
        model, prompts, end="</retro>", width=width, max_tokens=max_tokens, batch=batch,
        advance=advance,
    )  # fmt: skip
    beams = iter(found)
    answers = []
    for texts in written:
        own = tuple(tuple(next(beams)) for _ in texts)
        answers.append(Answer(merged(own), own))
    return answers


def predict_products(
    model: Transformer,
    reactants: Sequence[str],
    *,
    form: Form = Form.ALIGNED,
    width: int = 3,
    max_tokens: int = LONGEST_DOCUMENT,
    batch: int = 16,
    advance: Advance = lambda _: None,
) -> list[str]:
    """Return the likeliest product of each reactants text, written as it is; "" when none ended.

    Raises:
        OverlongError: reactants leave no room for a product.
    """
    prompts = [_prompt("<reaction>", form, text, "<yields>") for text in reactants]
    beams = beam_search(
        model,
        prompts,
        end="</reaction>",
        width=width,
        max_tokens=max_tokens,
        batch=batch,
        advance=advance,
    )
    return [beam[0].text if beam else "" for beam in beams]


def inputs_of(product: str, rng: Generator, count: int, form: Form = Form.ALIGNED) -> list[str]:
    """Write a product from up to ``count`` different root atoms, as `augmentation.aligned` does.

    Raises:
        DocumentError: RDKit cannot read the product.
    """
    from rdkit import Chem

    canonical = canonical_smiles(product)
    if form is not Form.ALIGNED:
        return [canonical]
    molecule = Chem.MolFromSmiles(canonical)
    atoms: list[tuple[int, ...]] = []
    pieces = Chem.GetMolFrags(molecule, asMols=True, fragsMolAtomMapping=atoms)
    texts = []
    for root in rng.permutation(molecule.GetNumAtoms())[:count]:
        main = next(number for number, piece in enumerate(atoms) if int(root) in piece)
        place = atoms[main].index(int(root))
        written = str(Chem.MolToSmiles(pieces[main], rootedAtAtom=place))
        rest = [
            str(Chem.MolToSmiles(piece, rootedAtAtom=0))
            for number, piece in enumerate(pieces)
            if number != main
        ]
        texts.append(".".join([written, *sorted(rest)]))
    # Equivalent atoms give equal texts, which would only vote twice.
    return list(dict.fromkeys(texts))


def merged(beams: Sequence[Sequence[Hypothesis]]) -> tuple[Proposal, ...]:
    """Merge the beams of several inputs by the sum of reciprocal ranks, best first.

    Within each beam invalid texts and repeats take no rank. Equal sums go by log-probability.
    """
    best: dict[str, Hypothesis] = {}
    score: dict[str, float] = {}
    for beam in beams:
        seen: set[str] = set()
        for hypothesis in beam:
            try:
                reactants = canonical_smiles(hypothesis.text)
            except DocumentError:
                continue
            if reactants in seen:
                continue
            seen.add(reactants)
            score[reactants] = score.get(reactants, 0.0) + 1.0 / len(seen)
            known = best.get(reactants)
            if known is None or hypothesis.log_probability > known.log_probability:
                best[reactants] = hypothesis
    order = sorted(score, key=lambda text: (-score[text], -best[text].log_probability, text))
    return tuple(
        Proposal(text, best[text].text, score[text], best[text].log_probability) for text in order
    )


def beam_search(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    end: str,
    width: int = BEAM_WIDTH,
    max_tokens: int | None = None,
    batch: int = 8,
    advance: Advance = lambda _: None,
) -> list[list[Hypothesis]]:
    """Find the likeliest SMILES texts that continue each prompt up to a closing tag.

    A finished hypothesis leaves the beam, so ``width`` are always being written. The search of a
    prompt ends when no unfinished hypothesis can still beat the finished ones: probabilities only
    fall, so this cuts nothing off. There is no normalisation by length.

    Args:
        model: the language model.
        prompts: token ids that are given.
        end: the closing tag.
        width: hypotheses that are kept; at most so many are returned, best first.
        max_tokens: longest document, prompt included; never more than the model can hold.
        batch: prompts that are searched together.
        advance: told of prompts that are done.

    Raises:
        OverlongError: a prompt leaves no room to write.
        ValueError: a width below 1.
    """
    if width < 1:
        raise ValueError(f"a beam has a width from 1 on, got {width}")
    capacity = model.config.max_position_embeddings
    limit = min(max_tokens or capacity, capacity)
    for prompt in prompts:
        if len(prompt) >= limit:
            raise OverlongError(len(prompt) + 1, limit, "prompt and one token to write")
    # Prompts of like length share batches.
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    found: dict[int, list[Hypothesis]] = {}
    for start in range(0, len(order), batch):
        some = order[start : start + batch]
        beams = _search(model, [prompts[index] for index in some], end, width, limit)
        found.update(zip(some, beams, strict=True))
        advance(len(some))
    return [found[index] for index in range(len(prompts))]


@torch.inference_mode()
def _search(
    model: Transformer, prompts: Sequence[Sequence[int]], end: str, width: int, limit: int
) -> list[list[Hypothesis]]:
    vocabulary = Vocabulary.default()
    device = model.lm_head.weight.device
    closing = vocabulary[end]
    outside_V = torch.ones(len(vocabulary), dtype=torch.bool, device=device)
    outside_V[[vocabulary[token] for token in SMILES]] = False
    longest = max(map(len, prompts))
    token_PT = torch.zeros((len(prompts), longest), dtype=torch.long)
    padding_PT = torch.ones((len(prompts), longest), dtype=torch.bool)
    for row, ids in enumerate(prompts):
        token_PT[row, longest - len(ids) :] = torch.tensor(ids)
        padding_PT[row, longest - len(ids) :] = False
    # Rows with a shorter prompt write longer: to the limit from their own start.
    cache = model.new_cache(len(prompts), longest + limit - min(map(len, prompts)))
    padding = padding_PT.to(device) if bool(padding_PT.any()) else None
    logits_PV = model(token_PT.to(device), cache=cache, padding_BT=padding)[:, -1]
    # Every prompt begins with one hypothesis; the others are impossible.
    cache.repeat(torch.arange(len(prompts), device=device).repeat_interleave(width))
    logits_BV = logits_PV.repeat_interleave(width, dim=0)
    score_PW = torch.full((len(prompts), width), -torch.inf, dtype=torch.float64, device=device)
    score_PW[:, 0] = 0.0
    written: list[list[list[int]]] = [[[] for _ in range(width)] for _ in prompts]
    finished: list[list[Hypothesis]] = [[] for _ in prompts]
    living = list(range(len(prompts)))
    """Numbers of the prompts that the rows of the cache belong to."""
    while living:
        log_BV = logits_BV.float().log_softmax(-1)[:, : len(vocabulary)].double()
        ending_PW = score_PW + log_BV[:, closing].view_as(score_PW)
        log_BV[:, outside_V] = -torch.inf
        total_PX = (score_PW.flatten()[:, None] + log_BV).view(len(living), -1)
        best_PW, place_PW = total_PX.topk(width, dim=1)
        parent_PW, token_PW = place_PW // len(vocabulary), place_PW % len(vocabulary)
        going: list[int] = []
        rows: list[list[int]] = []
        listed = zip(
            ending_PW.tolist(), best_PW.tolist(), parent_PW.tolist(), token_PW.tolist(),
            strict=True,
        )  # fmt: skip
        for place, (endings, bests, parents, tokens) in enumerate(listed):
            prompt = living[place]
            texts = written[prompt]
            finished[prompt] = _best_finished(finished[prompt], texts, endings, width)
            written[prompt] = [
                [*texts[parent], token] for parent, token in zip(parents, tokens, strict=True)
            ]
            length = len(prompts[prompt]) + len(written[prompt][0])
            worst = finished[prompt][-1].log_probability if finished[prompt] else -torch.inf
            hopeless = len(finished[prompt]) == width and bests[0] <= worst
            # One place stays for the closing tag.
            if not hopeless and length < limit and bests[0] > -torch.inf:
                going.append(place)
                rows.append([place * width + parent for parent in parents])
        if not going:
            break
        chosen = torch.tensor(going, device=device)
        cache.keep(torch.tensor(rows, device=device).flatten())
        score_PW = best_PW[chosen]
        living = [living[place] for place in going]
        logits_BV = model(token_PW[chosen].reshape(-1, 1), cache=cache)[:, -1]
    return finished


def _best_finished(
    known: list[Hypothesis], texts: list[list[int]], endings: list[float], width: int
) -> list[Hypothesis]:
    vocabulary = Vocabulary.default()
    worst = known[-1].log_probability if len(known) == width else -torch.inf
    new = [
        Hypothesis(vocabulary.decode(text), score)
        for text, score in zip(texts, endings, strict=True)
        # An empty text is no answer.
        if text and score > worst
    ]
    return sorted([*known, *new], key=lambda item: -item.log_probability)[:width]


def _prompt(tag: str, form: Form, smiles: str, arrow: str) -> list[int]:
    vocabulary = Vocabulary.default()
    tokens = (BEGIN, tag, form.value, *smiles_tokens(smiles), arrow)
    return [vocabulary[token] for token in tokens]
