from __future__ import annotations

import numpy as np
import pytest
import torch

from heuresis_models.embedding import MOST_LAYERS, Encoder, batches
from heuresis_models.language.errors import DocumentError, OverlongError, UnknownTokenError
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer

VOCABULARY = Vocabulary.default()
CRYSTAL = "<crystal><sg:225>'0'5'6'4{Na}|a{Cl}|b</crystal>"
PROTEIN = "<protein>_M_K_T</protein>"


def test_an_embedding_is_the_mean_of_the_residual_stream(
    tiny_model: Transformer, encoder: Encoder
) -> None:
    ids = VOCABULARY.encode("<bos><molecule><canonical>CCO</molecule>")
    x_BTE = tiny_model.model.embed_tokens(torch.tensor([ids]))
    rotary = (tiny_model.cos_PD[: len(ids)], tiny_model.sin_PD[: len(ids)])
    wanted = []
    with torch.no_grad():
        for block in tiny_model.model.layers:
            x_BTE = block(x_BTE, rotary, None, None)
            wanted.append(x_BTE[0, 1:].mean(0).numpy())
    found_NW = encoder.embed(["CCO"])
    assert found_NW.shape == (1, encoder.width) == (1, 3 * 32)
    np.testing.assert_allclose(found_NW[0], np.concatenate(wanted), rtol=1e-4, atol=1e-5)


def test_company_in_the_batch_changes_nothing(tiny_model: Transformer) -> None:
    texts = ["C", "CC(=O)Oc1ccccc1C(=O)O", CRYSTAL, PROTEIN, "CCO"]
    together = Encoder(tiny_model, VOCABULARY).embed(texts)
    alone = np.concatenate([Encoder(tiny_model, VOCABULARY).embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert len({row.tobytes() for row in together}) == len(texts)


def test_order_and_repetition_of_texts_are_kept(encoder: Encoder) -> None:
    first = encoder.embed(["CCO", "CCN"])
    assert np.array_equal(encoder.embed(["CCN", "CCO", "CCN"]), first[[1, 0, 1]])


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    assert encoder.embed([]).shape == (0, encoder.width)


def test_all_ways_to_write_a_molecule_are_one(encoder: Encoder) -> None:
    assert np.array_equal(encoder.embed(["OCC"]), encoder.embed(["CCO"]))


def test_random_smiles_depend_on_the_text_alone(tiny_model: Transformer) -> None:
    texts = ["CC(C)Oc1ccccc1", "NCCO"]
    first = Encoder(tiny_model, VOCABULARY, randomizations=3).embed(texts)
    again = Encoder(tiny_model, VOCABULARY, randomizations=3).embed(texts[::-1])[::-1]
    plain = Encoder(tiny_model, VOCABULARY).embed(texts)
    np.testing.assert_allclose(first, again, rtol=1e-4, atol=1e-5)
    assert np.abs(first - plain).max() > 1e-3


def test_random_smiles_are_averaged(tiny_model: Transformer) -> None:
    encoder = Encoder(tiny_model, VOCABULARY, randomizations=2)
    views = encoder.views("CC(C)Oc1ccccc1", 2)
    assert len(views) == 3
    with torch.no_grad():
        wanted = np.stack([encoder.pool([view])[0].numpy() for view in views]).mean(0)
    np.testing.assert_allclose(encoder.embed(["CC(C)Oc1ccccc1"])[0], wanted, rtol=1e-4, atol=1e-5)


def test_what_is_no_molecule_has_one_view(tiny_model: Transformer) -> None:
    assert len(Encoder(tiny_model, VOCABULARY).views(CRYSTAL, 4)) == 1


def test_layers_can_be_chosen(tiny_model: Transformer, encoder: Encoder) -> None:
    last = Encoder(tiny_model, VOCABULARY, layers=[2])
    assert last.width == 32
    np.testing.assert_allclose(
        last.embed(["CCO"]), encoder.embed(["CCO"])[:, -32:], rtol=1e-4, atol=1e-5
    )
    with pytest.raises(DocumentError, match="within 0 and 2"):
        Encoder(tiny_model, VOCABULARY, layers=[3])


def test_few_layers_of_a_deep_model_are_taken() -> None:
    from heuresis_models.transformer import TransformerConfig

    config = TransformerConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=20,
        num_attention_heads=1,
    )
    encoder = Encoder(Transformer(config, device="meta"), VOCABULARY)
    assert len(encoder.layers) == MOST_LAYERS
    assert encoder.layers[-1] == 19


def test_gradients_reach_the_network(tiny_model: Transformer, encoder: Encoder) -> None:
    tiny_model.zero_grad()
    loss = encoder.pool(encoder.views("CCO", 1)).square().sum()
    torch.autograd.backward(loss)
    gradient = tiny_model.model.embed_tokens.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    tiny_model.zero_grad(set_to_none=True)


def test_an_overlong_object_is_named(encoder: Encoder) -> None:
    with pytest.raises(OverlongError, match=r"C{20}.* 104 tokens, the limit is 64"):
        encoder.embed(["CCO", "C" * 100])


@pytest.mark.parametrize("text", ["C1CC", "", "not a molecule", "<protein>_M", "<crystal>"])
def test_what_is_no_object_is_refused(encoder: Encoder, text: str) -> None:
    with pytest.raises((DocumentError, UnknownTokenError)):
        encoder.embed([text])


def test_batches_stay_within_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heuresis_models.embedding.BATCH_TOKENS", 10)
    assert list(batches([0, 1, 2, 3], [3, 3, 4, 20])) == [[0, 1], [2], [3]]
