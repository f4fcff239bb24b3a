from __future__ import annotations

import numpy as np
import pytest
import torch
from training_toys import tiny_recipe as make_tiny_recipe

from heuresis_models.generation.settings import torch_generator
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.recipe import Recipe
from heuresis_models.transformer import Transformer

MOLECULES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC[C@H]1c1cccnc1",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "CC(C)Cc1ccc([C@@H](C)C(=O)O)cc1",
    "O=C([O-])c1ccccc1",
    "NS(=O)(=O)c1ccc(Cl)cc1",
    "C1CC2CCC1CC2",
    "FC(F)(F)c1ccncc1",
    "C[NH+](C)CCOC(c1ccccc1)c1ccccc1",
    "N#Cc1ccc(Br)s1",
    "COc1cc2c(cc1OC)CCNC2",
    "Clc1ccc2[nH]ccc2c1",
    "CCOC(=O)C1CCN(C)CC1",
    "O=c1cc[nH]c(=O)[nH]1",
    "CS(=O)(=O)N1CCOCC1",
    "OCC1OC(O)C(O)C(O)C1O",
    "CCCCCCCC",
    "c1ccc2ccccc2c1",
    "CC(N)Cc1ccccc1",
    "O=[N+]([O-])c1ccccc1",
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary.default()


@pytest.fixture(scope="session")
def molecules() -> tuple[str, ...]:
    """Twenty molecules as RDKit canonical SMILES."""
    return tuple(canonical_smiles(smiles) for smiles in MOLECULES)


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return make_tiny_recipe(total_tokens=40_000)


@pytest.fixture
def random_model(vocabulary: Vocabulary, tiny_recipe: Recipe) -> Transformer:
    """Small, with random weights everywhere, so that every path carries signal."""
    generator = torch_generator(np.random.default_rng(5))
    model = Transformer(tiny_recipe.model.config(len(vocabulary)), generator)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return model
