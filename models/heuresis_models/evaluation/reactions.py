"""How good proposed reactants are: exact match among the first k, round trip, largest fragment.

All comparisons are between RDKit's canonical SMILES without atom maps. Largest fragment ("MaxFrag")
is that of R-SMILES and the Augmented Transformer (Tetko et al., Nat. Commun. 2020, 11, 5575): only
the largest reactant must agree, so reagents and leaving groups do not count. Round trip: Schwaller
et al., Chem. Sci. 2020, 11, 3316.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from heuresis_models.errors import DataError
from heuresis_models.language.augmentation import canonical_or_none

RANKS: Final = (1, 3, 5, 10)
Forward = Callable[[Sequence[str]], Sequence[str]]
"""Reactants → the product that a forward model writes first, one for each."""


def largest_fragment(smiles: str) -> str:
    """Return the fragment with most heavy atoms; of equal ones the longer, then later text."""
    from rdkit import Chem

    def size(fragment: str) -> tuple[int, int, str]:
        return Chem.MolFromSmiles(fragment).GetNumHeavyAtoms(), len(fragment), fragment

    return max(smiles.split("."), key=size)


def top_k(
    answers: Sequence[Sequence[str]],
    truths: Sequence[str],
    ranks: Sequence[int] = RANKS,
    *,
    largest_only: bool = False,
) -> dict[int, float]:
    """Return, for each k, the share of products whose reactants are among the first k answers.

    Answers are made canonical; invalid ones and repeats do not take a rank.

    Args:
        answers: for each product, reactants from likely to unlikely.
        truths: for each product, the reactants of the data.
        ranks: the k to look at.
        largest_only: compare the largest fragment only.

    Raises:
        DataError: nothing to compare, other lengths, or a truth that RDKit cannot read.
    """
    if not truths or len(answers) != len(truths):
        raise DataError(
            f"{len(answers)} lists of answers for {len(truths)} reactions; give one each"
        )
    found: list[int | None] = []
    for texts, truth in zip(answers, truths, strict=True):
        wanted = canonical_or_none(truth)
        if wanted is None:
            raise DataError(f"RDKit cannot read the true reactants {truth!r}; leave the row out")
        candidates = distinct_canonical(texts)
        if largest_only:
            wanted = largest_fragment(wanted)
            candidates = list(dict.fromkeys(largest_fragment(text) for text in candidates))
        found.append(candidates.index(wanted) if wanted in candidates else None)
    return {k: sum(place is not None and place < k for place in found) / len(found) for k in ranks}


def distinct_canonical(texts: Sequence[str]) -> list[str]:
    """Return the canonical form of the valid texts, each once, in their order."""
    canonical = (canonical_or_none(text) for text in texts)
    return list(dict.fromkeys(text for text in canonical if text is not None))


def invalid_share(answers: Sequence[Sequence[str]], rank: int = 1) -> float:
    """Return the share of invalid texts among the first ``rank`` answers of each product.

    A missing answer counts as invalid.

    Raises:
        DataError: no product is given, or a rank below 1.
    """
    if not answers or rank < 1:
        raise DataError(f"the invalid share needs products and a rank from 1 on, got rank {rank}")
    valid = sum(
        canonical_or_none(text) is not None for texts in answers for text in list(texts)[:rank]
    )
    return 1.0 - valid / (rank * len(answers))


def round_trip(
    answers: Sequence[Sequence[str]], products: Sequence[str], forward: Forward, rank: int = 1
) -> float:
    """Return the share of first answers from which the forward model makes the product again.

    An answer that is invalid, repeated or missing counts as failed: the denominator is ``rank``
    for every product. The forward model reads an answer as it was written.

    Args:
        answers: for each product, reactants from likely to unlikely.
        products: SMILES.
        forward: writes the product of each of many reactants.
        rank: how many answers of each product are tried.

    Raises:
        DataError: nothing to try, other lengths, or a product that RDKit cannot read.
    """
    if not products or len(answers) != len(products) or rank < 1:
        raise DataError(
            f"{len(answers)} lists of answers for {len(products)} products at rank {rank};"
            " give one list each and a rank from 1 on"
        )
    tried: list[tuple[str, str]] = []
    for texts, product in zip(answers, products, strict=True):
        wanted = canonical_or_none(product)
        if wanted is None:
            raise DataError(f"RDKit cannot read the product {product!r}; leave the row out")
        first = {canonical_or_none(text): text for text in reversed(list(texts)[:rank])}
        tried += [(text, wanted) for canonical, text in first.items() if canonical is not None]
    made = forward([text for text, _ in tried]) if tried else []
    agreed = sum(
        canonical_or_none(text) == wanted for text, (_, wanted) in zip(made, tried, strict=True)
    )
    return agreed / (rank * len(products))
