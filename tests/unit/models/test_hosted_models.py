"""A model of another library with words of its own: read, asked, and refused where it must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_models import save_foreign_model

from heuresis_models.errors import WeightsError
from heuresis_models.hosting import HostedModel, LinePrompt, find_smiles, load_hosted
from heuresis_models.language.errors import OverlongError

pytestmark = pytest.mark.filterwarnings("ignore")

PROMPTS = ("CCO\nCCN\n", "N", "CC(=O)Oc1ccccc1C(=O)O\n", "N")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("foreign")
    return folder, save_foreign_model(folder)


@pytest.fixture(scope="module")
def hosted(saved: tuple[Path, Any]) -> HostedModel:
    return load_hosted(saved[0])


@torch.no_grad()
def test_logits_are_those_of_the_library_that_saved_it(
    saved: tuple[Path, Any], hosted: HostedModel
) -> None:
    assert (saved[0] / "model.safetensors.index.json").is_file()
    ids = hosted.encode("CC(=O)Oc1ccccc1C(=O)O\nC1CCNCC1\n")
    assert ids[0] == 0
    assert ids[-1] not in hosted.ends
    wanted_TV = saved[1](torch.tensor([ids])).logits[0]
    got_TV = hosted.model(torch.tensor([ids]))[0]
    torch.testing.assert_close(got_TV, wanted_TV, rtol=1e-5, atol=1e-5)
    assert hosted.decode(ids) == "CC(=O)Oc1ccccc1C(=O)O\nC1CCNCC1\n"


@torch.no_grad()
def test_what_it_writes_has_the_stated_likelihood(hosted: HostedModel) -> None:
    written = hosted.complete(PROMPTS, np.random.default_rng(2), max_tokens=12, stop="\0")
    assert len({item.text for item in written}) > 1
    for prompt, item in zip(PROMPTS, written, strict=True):
        before = hosted.encode(prompt)
        whole = [*before, *item.tokens]
        log_TV = hosted.model(torch.tensor([whole]))[0].log_softmax(-1)
        wanted = sum(float(log_TV[at - 1, whole[at]]) for at in range(len(before), len(whole)))
        assert item.log_likelihood == pytest.approx(wanted, abs=1e-3)
        assert item.finished is (item.tokens[-1] in hosted.ends)


def test_a_row_does_not_depend_on_the_others(hosted: HostedModel) -> None:
    both = hosted.complete(PROMPTS[:2], np.random.default_rng(3), max_tokens=8)
    again = hosted.complete(PROMPTS[:2], np.random.default_rng(3), max_tokens=8)
    assert both == again
    alone = hosted.complete(PROMPTS[:1], _First(np.random.default_rng(3)), max_tokens=8)  # type: ignore[arg-type]
    assert alone[0].text == both[0].text
    assert alone[0].log_likelihood == pytest.approx(both[0].log_likelihood, abs=1e-4)


class _First:
    """Deals the first of two columns of random numbers."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def random(self, shape: tuple[int, int]) -> np.ndarray:
        return self._rng.random((shape[0], 2))[:, :1]


def test_a_row_ends_at_the_stop_text_or_the_end_token(hosted: HostedModel) -> None:
    written = hosted.complete(["CC"] * 64, np.random.default_rng(4), max_tokens=60, stop="C")
    assert all("C" not in item.text for item in written)
    assert sum(item.finished for item in written) > 32


def test_it_runs_in_half_precision(saved: tuple[Path, Any]) -> None:
    model = load_hosted(saved[0], dtype=torch.bfloat16)
    assert model.model.lm_head.weight.dtype == torch.bfloat16
    assert len(model.complete(["CC", "CCCN"], np.random.default_rng(0), max_tokens=4)) == 2


def test_a_prompt_shows_exemplars_in_order() -> None:
    template = LinePrompt("Molecules:\n", "{rank}. {text} {score:.1f}\n", "{rank}. ")
    assert template.render([("CCO", 0.25), ("CCN", 0.5)]) == (
        "Molecules:\n1. CCO 0.2\n2. CCN 0.5\n3. "
    )


@pytest.mark.parametrize(
    ("text", "smiles"),
    [
        (" CCO", "CCO"),
        ("3. c1ccccc1O (score 0.9)", "c1ccccc1O"),
        ("I suggest `CC(C)N`.", "CC(C)N"),
        ("CCO.", "CCO"),
        ("no idea?!", None),
        ("", None),
    ],
)
def test_smiles_are_found_in_text(text: str, smiles: str | None) -> None:
    assert find_smiles(text) == smiles


def test_an_overlong_prompt_is_refused(hosted: HostedModel) -> None:
    assert not hosted.fits("C1" * 200, 10)
    with pytest.raises(OverlongError, match="the limit is 256"):
        hosted.complete(["C1" * 200], np.random.default_rng(0), max_tokens=10)


def _edited(saved: tuple[Path, Any], target: Path, **changes: Any) -> Path:
    for path in saved[0].iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


def test_folders_that_do_not_fit_are_refused(saved: tuple[Path, Any], tmp_path: Path) -> None:
    folder = _edited(saved, tmp_path, model_type="qwen3")
    with pytest.raises(WeightsError, match="model_type is 'qwen3'; known: llama, mistral"):
        load_hosted(folder)
    folder = _edited(saved, tmp_path, vocab_size=200)
    with pytest.raises(WeightsError, match=r"tokenizer\.json has \d+ words, the network 200"):
        load_hosted(folder)
    folder = _edited(saved, tmp_path, intermediate_size=96)
    with pytest.raises(WeightsError, match=r"has shape .*config\.json says"):
        load_hosted(folder)
    folder = _edited(saved, tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="is not a tokenizer"):
        load_hosted(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json is missing"):
        load_hosted(folder)
