from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from heuresis_models.embedding import Encoder
from heuresis_models.generation.settings import torch_generator
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer, TransformerConfig

HEADS = ("C", "CC", "CCC", "CC(C)", "OC", "NC", "FC", "ClC")
MIDDLES = ("", "C", "O", "CC(=O)", "c1ccc(cc1)", "C1CCC(CC1)", "N(C)")
TAILS = ("O", "N", "C#N", "C(=O)O")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def smiles() -> tuple[str, ...]:
    """Sixty different small molecules."""
    from rdkit import Chem

    found = (
        Chem.MolToSmiles(Chem.MolFromSmiles("".join(parts)))
        for parts in product(HEADS, MIDDLES, TAILS)
    )
    every = list(dict.fromkeys(found))
    return tuple(np.random.default_rng(0).permutation(every)[:60].tolist())


@pytest.fixture(scope="session")
def sizes(smiles: tuple[str, ...]) -> np.ndarray:
    """A linear function of the number of heavy atoms, one value per molecule."""
    from rdkit import Chem

    return np.array([2.0 - 0.5 * Chem.MolFromSmiles(one).GetNumHeavyAtoms() for one in smiles])


@pytest.fixture(scope="session")
def tiny_model() -> Transformer:
    """Three layers with random weights everywhere, so that every path carries signal."""
    generator = torch_generator(np.random.default_rng(5))
    config = TransformerConfig(
        vocab_size=len(Vocabulary.default()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    model = Transformer(config, generator)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model


@pytest.fixture
def encoder(tiny_model: Transformer) -> Encoder:
    return Encoder(tiny_model, Vocabulary.default(), name="tiny")
