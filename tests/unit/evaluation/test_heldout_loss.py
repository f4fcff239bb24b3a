"""Held-out loss: which tokens count, and that packing changes nothing."""

from __future__ import annotations

import math

import pytest
import torch

from heuresis_models.errors import DataError
from heuresis_models.evaluation.heldout import ALIGNED, FLOORS, heldout_losses
from heuresis_models.language import Entry, Form, Molecule, Peptide, Protein, Reaction, Vocabulary
from heuresis_models.language.floors import DOMAINS
from heuresis_models.transformer import Transformer, TransformerConfig

MOLECULES = [Entry(Molecule(text, Form.CANONICAL)) for text in ("CCO", "c1ccccc1", "CC(=O)NC")]


def _model(*, drawn: bool) -> Transformer:
    config = TransformerConfig(
        vocab_size=len(Vocabulary.default()), hidden_size=16, intermediate_size=16,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    model = Transformer(config, generator)
    if drawn:
        with torch.no_grad():
            model.lm_head.weight.normal_(0.0, 0.3, generator=generator)
    return model


def test_a_model_that_knows_nothing_loses_the_logarithm_of_the_vocabulary() -> None:
    found = heldout_losses(_model(drawn=False), {"molecules, small": MOLECULES})[0]
    assert found.nats == pytest.approx(math.log(len(Vocabulary.default())), rel=1e-5)
    # Payload and closing tag of each: 3 + 1, 8 + 1, 8 + 1; neither tags before nor <eos>.
    assert (found.tokens, found.documents) == (22, 3)
    assert (found.left_out, found.available) == (0, 3)


def test_packing_changes_no_loss() -> None:
    model = _model(drawn=True)
    together = heldout_losses(model, {"x": MOLECULES}, row_length=64)[0]
    alone = [heldout_losses(model, {"x": [entry]}, row_length=64)[0] for entry in MOLECULES]
    expected = sum(one.nats * one.tokens for one in alone) / sum(one.tokens for one in alone)
    assert together.nats == pytest.approx(expected, rel=1e-5)


def test_reactions_are_measured_backwards_in_both_forms() -> None:
    reaction = Entry(Reaction("CCO.CC(=O)Cl", "CCOC(C)=O", retro=True))
    rows = {"reactions, retro": [reaction], "reactions, retro" + ALIGNED: [reaction]}
    plain, aligned = heldout_losses(_model(drawn=False), rows)
    # 9 of the product, the arrow, 11 of the reactants, the closing tag.
    assert plain.tokens == 22
    assert aligned.documents == 1


def test_long_chains_are_cut_and_long_molecules_are_counted_as_left_out() -> None:
    model = _model(drawn=False)
    chain = [Entry(Protein("MKV" * 60)), Entry(Peptide("KRW"))]
    found = heldout_losses(model, {"chains": chain}, row_length=64)[0]
    assert found.documents == 2
    assert found.tokens < 64
    molecules = [*MOLECULES, Entry(Molecule("C" * 80, Form.CANONICAL))]
    found = heldout_losses(model, {"molecules": molecules}, row_length=64)[0]
    assert (found.documents, found.left_out) == (3, 1)
    with pytest.raises(DataError, match="none of 1 held-out entries fits"):
        heldout_losses(model, {"molecules": molecules[-1:]}, row_length=64)


def test_the_number_of_tokens_is_limited() -> None:
    found = heldout_losses(_model(drawn=False), {"x": MOLECULES * 20}, tokens=30)[0]
    assert 30 <= found.tokens < 40


def test_every_domain_has_a_floor() -> None:
    assert FLOORS.keys() == DOMAINS.keys()
    assert all(low > high for low, high in FLOORS.values())
