from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from heuresis_models.errors import TokenError, WeightsError
from heuresis_models.grammar import Form, Grammar
from heuresis_models.vocabulary import CONTROL_TOKENS, Vocabulary

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1",
        "F/C=C/F",
        "F/C=C\\F",
        "[Na+].[Cl-]",
        "[13CH3][C@@](F)(Cl)Br",
        "C%10CCCC%10",
        "[2H]C([2H])[2H]",
        "[Fe+2]",
        "CSn1cccc1",
        "C[Sn](C)C",
        "[se]1cccc1",
        "[nH]1cccc1",
        "[CH3:7]O",
        "N->[Cu]",
        "*C",
        "c1cc2cccc3ccc1c23",
        "[U+4]",
        "[S@@+](C)(N)O",
        "C$C",
    ],
)
def test_text_to_tokens_to_text_is_the_identity(smiles: str, vocabulary: Vocabulary) -> None:
    assert vocabulary.decode(vocabulary.encode(smiles)) == smiles


def test_element_symbols_are_read_as_elements_only_inside_brackets(vocabulary: Vocabulary) -> None:
    def cut(smiles: str) -> list[str]:
        return [vocabulary.tokens[index] for index in vocabulary.encode(smiles)]

    assert cut("CSn1cccc1")[:3] == ["C", "S", "n"]
    assert cut("C[Sn]C") == ["C", "[Sn]", "C"]
    assert cut("[Sn+4]") == ["[", "Sn", "+", "4", "]"]
    assert cut("[C@@H]Cl") == ["[C@@H]", "Cl"]


@pytest.mark.parametrize(
    ("text", "position"), [("CCXC", 2), ("C C", 1), ("CCRu", 2), ("C[Qq]", 2), ("CCé", 2)]
)
def test_what_no_token_covers_is_named_with_its_position(
    text: str, position: int, vocabulary: Vocabulary
) -> None:
    with pytest.raises(TokenError, match=f"position {position}") as caught:
        vocabulary.encode(text)
    assert caught.value.position == position


def test_control_tokens_cannot_be_smuggled_in_as_text(vocabulary: Vocabulary) -> None:
    for token in CONTROL_TOKENS:
        with pytest.raises(TokenError):
            vocabulary.encode(f"C{token}")


def test_a_document_begins_with_its_head_and_ends(grammar: Grammar) -> None:
    document = grammar.document("CCO", Form.RANDOMIZED)
    names = [grammar.vocabulary.tokens[index] for index in document]
    assert names == ["<bos>", "<molecule>", "<randomized>", "C", "C", "O", "<eos>"]
    assert document[: grammar.head_length] == grammar.head(Form.RANDOMIZED)
    assert grammar.text(document) == "CCO"


def test_saved_and_loaded_vocabulary_is_the_same(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "tokenizer.json")
    again = Vocabulary.load(tmp_path / "tokenizer.json")
    assert again.tokens == vocabulary.tokens
    assert again.content_hash == vocabulary.content_hash


def test_another_order_of_tokens_is_another_vocabulary(vocabulary: Vocabulary) -> None:
    swapped = Vocabulary(reversed(vocabulary.tokens[len(CONTROL_TOKENS) :]))
    assert swapped.content_hash != vocabulary.content_hash


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"model": {"vocab": {"<pad>": 0, "C": 5}}}', '{"model": 3}', "\x00"],
)
def test_a_damaged_vocabulary_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(WeightsError, match=r"tokenizer\.json is not a vocabulary"):
        Vocabulary.load(path)


def test_saved_pattern_is_plain_json(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path / "tokenizer.json")
    document = json.loads((tmp_path / "tokenizer.json").read_text())
    assert document["pre_tokenizer"]["pattern"]["Regex"] == vocabulary.pattern
    assert len(document["model"]["vocab"]) == len(vocabulary)


@pytest.mark.parametrize("name", ["zinc250k.smi.gz", "qm9.smi.gz", "uspto50k-valid.smi.gz"])
def test_identity_on_the_data_files(name: str, vocabulary: Vocabulary) -> None:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"the data file {name} is not on this machine")
    checked = 0
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines):
            if number % 20 or number == 0:
                continue
            for text in line.strip().rpartition(",")[2].split(">>"):
                smiles = text.strip()
                assert vocabulary.decode(vocabulary.encode(smiles)) == smiles
                checked += 1
    assert checked > 100
