from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuresis_models.language import (
    BindingSite,
    CodingDNA,
    Conservation,
    CrystalTextError,
    Document,
    DocumentError,
    Entry,
    Form,
    Formula,
    Label,
    Level,
    Molecule,
    OverlongError,
    Peptide,
    Protein,
    Quantile,
    Quantity,
    Reaction,
    TokenizerFileError,
    UnknownTokenError,
    Vocabulary,
    fragment,
    read_document,
    read_text,
)
from heuresis_models.language.documents import Contacts
from heuresis_models.language.quantities import LARGEST, LEVEL_SCALES, read_number, write_number
from heuresis_models.language.tokens import GROUPS, PROPERTIES

VOCABULARY = Vocabulary.default()


def test_text_tokens_text_is_the_identity(example: Document) -> None:
    text = example.text()
    ids = VOCABULARY.encode(text)
    assert ids == example.ids()
    assert VOCABULARY.decode(ids) == text
    assert read_text(text).text() == text


def test_reading_gives_the_document_back(example: Document) -> None:
    assert read_document(example.tokens()) == example


def test_the_examples_are_spelt_as_the_specification_says(examples: dict[str, Document]) -> None:
    assert examples["crystal"].text() == (
        "<bos><formula>{Na}'1{Cl}'1</formula><crystal><sg:225>'0'5'6'4{Na}|a{Cl}|b</crystal>"
        "<band_gap><+>'5'0'0<e+0><eos>"
    )
    assert examples["coding DNA"].text() == (
        "<bos><coding>^ATG^A^N^T^TAA</coding><gene_family><label:4><eos>"
    )
    assert examples["best-shot prompt"].text() == (
        "<bos><exemplar><quantile:3><molecule><canonical>CCC</molecule>"
        "<exemplar><quantile:9><molecule><canonical>CCO</molecule>"
        "<target><quantile:15><molecule><randomized>CCN</molecule><eos>"
    )


def test_the_vocabulary_has_every_group_once() -> None:
    assert 800 < len(VOCABULARY) <= 1000
    assert len(set(VOCABULARY.tokens)) == len(VOCABULARY) == sum(map(len, GROUPS.values()))
    # The order is a contract with trained weights: a change must be noticed.
    assert VOCABULARY.tokens[:3] == ("<pad>", "<bos>", "<eos>")
    assert VOCABULARY["<molecule>"] == 8


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(VOCABULARY.tokens), max_size=30))
def test_whatever_is_cut_joins_again(tokens: list[str]) -> None:
    text = "".join(tokens)
    try:
        cut = VOCABULARY.cut(text)
    except UnknownTokenError as error:
        assert error.position <= len(text)  # noqa: PT017 - the place must lie in the text
    else:
        assert "".join(cut) == text
        assert all(token in VOCABULARY.ids for token in cut)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_three_digits_and_are_clipped(value: float) -> None:
    tokens = write_number(value)
    back = read_number(tokens)
    assert write_number(back) == tokens
    if abs(value) >= 9.995e9:
        assert back == math.copysign(LARGEST, value)
    elif abs(value) < 9.994e-10:
        assert back == 0.0
    else:
        assert back == pytest.approx(value, rel=5.1e-3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.34, "<+>'2'3'4<e+0>"),
        (-0.05, "<->'5'0'0<e-2>"),
        (9.999, "<+>'1'0'0<e+1>"),
        (0.0, "<+>'0'0'0<e+0>"),
        (-0.0, "<+>'0'0'0<e+0>"),
        (1e300, "<+>'9'9'9<e+9>"),
        (-1e-300, "<+>'0'0'0<e+0>"),
    ],
)
def test_numbers_by_example(value: float, text: str) -> None:
    assert "".join(write_number(value)) == text


@given(st.text(alphabet="ACDEFGHIKLMNPQRSTVWYUOX", min_size=1, max_size=60), st.data())
def test_marked_chains_round_trip(residues: str, data: st.DataObject) -> None:
    places = data.draw(st.sets(st.integers(0, len(residues) - 1), max_size=10))
    thing = BindingSite(Protein(residues, dict.fromkeys(sorted(places), "<binds:ms>")))
    document = Document(Entry(thing))
    assert read_text(document.text()) == document


@given(st.text(alphabet="ACGTN", min_size=1, max_size=40).map(lambda s: s * 3))
def test_coding_dna_round_trips_with_unknown_bases(bases: str) -> None:
    document = Document(Entry(CodingDNA(bases)))
    assert read_text(document.text()) == document
    assert len(document.tokens()) >= 4 + len(bases) // 3


@pytest.mark.parametrize(
    ("smiles", "piece"),
    [
        ("CC<eos>", "<eos>"),
        ("C</molecule><molecule>", "</molecule>"),
        ("C_M", "_M"),
        ("C'1", "'1"),
        ("CCXe", "X"),
        ("C C", " C"),
        ("C[Qq]", "Q"),
        ("C<nonsense>", "<nonsense>"),
        ("Cé", "é"),
        ("C\n", "\n"),
        ("[", ""),
    ],
)
def test_hostile_smiles_are_named_or_stay_plain_text(smiles: str, piece: str) -> None:
    if not piece:  # a lone bracket is a token; the grammar does not judge chemistry
        assert Molecule(smiles).tokens()
        return
    with pytest.raises(UnknownTokenError) as caught:
        Molecule(smiles).tokens()
    assert caught.value.piece.startswith(piece.strip(" ")) or caught.value.piece == " "
    assert f"position {caught.value.position}" in str(caught.value)


def test_an_unknown_token_names_its_row() -> None:
    with pytest.raises(UnknownTokenError, match=r"some\.csv:17: no token for 'X"):
        VOCABULARY.encode("<molecule><canonical>CX</molecule>", where="some.csv:17")


def test_an_overlong_document_is_refused_with_advice() -> None:
    document = Document(Entry(Protein("M" * 600)))
    with pytest.raises(OverlongError, match=r"604 tokens, the limit is 512.*fragment"):
        document.ids(limit=512, where="proteins:3")
    thing = fragment(Protein("MKSLV", {3: "<pocket>"}), 2, 3)
    assert thing == Protein("SLV", {1: "<pocket>"}, fragment=True)
    assert fragment(CodingDNA("ATGAAATAA"), 1, 2) == CodingDNA("AAATAA", fragment=True)
    with pytest.raises(DocumentError, match="does not lie within"):
        fragment(Protein("MK"), 1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<bos>",
        "<bos><eos>",
        "<bos><molecule>CC</molecule><eos>",
        "<bos><molecule><canonical></molecule><eos>",
        "<bos><molecule><canonical>CC<eos>",
        "<bos><molecule><canonical>CC</molecule>",
        "<bos><molecule><canonical>CC</molecule><eos><eos>",
        "<bos><molecule><canonical>C_M</molecule><eos>",
        "<bos><logp><+>'1'2<e+0><molecule><canonical>C</molecule><eos>",
        "<bos><logp><+>'0'1'2<e+0><molecule><canonical>C</molecule><eos>",
        "<bos><logp><->'0'0'0<e+0><molecule><canonical>C</molecule><eos>",
        "<bos><logp><label:1><molecule><canonical>C</molecule><eos>",
        "<bos><exemplar><molecule><canonical>C</molecule><eos>",
        "<bos><target><molecule><canonical>C</molecule><eos>",
        "<bos><protein></protein><eos>",
        "<bos><protein><pocket>_M</protein><eos>",
        "<bos><protein>_M<pocket><pocket></protein><eos>",
        "<bos><protein>_M_K</protein><search><protein>_M_S</protein><eos>",
        "<bos><protein>_M</protein><secondary><ss:h><ss:h></secondary><eos>",
        "<bos><molecule><canonical>C</molecule><secondary><ss:h></secondary><eos>",
        "<bos><coding>^ATG^A^A^A</coding><eos>",
        "<bos><coding>^ATG^A</coding><eos>",
        "<bos><dna>_A</dna><eos>",
        "<bos><peptide>_K<amide>_K</peptide><eos>",
        "<bos><formula>{Na}'0</formula><dna>^A</dna><eos>",
        "<bos><crystal>{Na}|a</crystal><eos>",
    ],
)
def test_what_the_grammar_does_not_write_is_not_read(text: str) -> None:
    with pytest.raises((DocumentError, UnknownTokenError, CrystalTextError)) as caught:
        read_text(text)
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Quantity("logP", 1.0).tokens(), "did you mean 'logp'"),
        (lambda: Quantity("logp", math.nan).tokens(), "finite"),
        (lambda: Level.of("logp", math.nan), "finite"),
        (lambda: Level.of("band_gap", 1.0), "levels are written of"),
        (lambda: Level("logp", 32).tokens(), "levels are 0 to 31"),
        (lambda: Quantity("gene_family", 1.0).tokens(), "use Label"),
        (lambda: Label("logp", 1).tokens(), "use Quantity"),
        (lambda: Label("gene_family", 16).tokens(), "0 to 15"),
        (lambda: Quantile(16).tokens(), "0 to 15"),
        (lambda: Quantile.of(1.01), "within 0 and 1"),
        (lambda: Formula((("Na", 1), ("Na", 2))).tokens(), "each element once"),
        (lambda: Formula((("Qq", 1),)).tokens(), "known elements"),
        (lambda: CodingDNA("ATGA").tokens(), "whole codons"),
        (lambda: Peptide("").tokens(), "empty"),
        (lambda: Protein("MK", {2: "<pocket>"}).tokens(), "below 2"),
        (lambda: Entry(Protein("MK"), (), (Conservation("1"),)).tokens(), "1 values for 2"),
        (lambda: Entry(Protein("MK"), (), (Contacts(((1, 3, 0),)),)).tokens(), "beyond the last"),
        (lambda: Entry(Molecule("C"), (), (Conservation("1"),)).tokens(), "after a protein"),
        (lambda: Reaction("", "C").tokens(), "empty SMILES"),
    ],
)
def test_broken_rules_are_explained(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(DocumentError, match=message):
        build()


def test_quantiles_and_distance_bins() -> None:
    assert [Quantile.of(rank).quantile for rank in (0.0, 0.0624, 0.5, 1.0)] == [0, 0, 8, 15]
    assert [Contacts.bin_of(d) for d in (3.9, 4.0, 7.9, 11.0, 12.0)] == [0, 1, 2, 4, 5]


@given(st.sampled_from(sorted(LEVEL_SCALES)), st.integers(0, 31), st.floats(-0.49, 0.49))
def test_levels_are_the_nearest_step_of_their_scale(name: str, level: int, off: float) -> None:
    middle, step = Level(name, level).value, LEVEL_SCALES[name][1]
    assert Level.of(name, middle + off * step) == Level(name, level)
    beyond = Level.of(name, middle + 40 * step), Level.of(name, middle - 40 * step)
    assert [end.level for end in beyond] == [31, 0]


def test_every_property_has_a_unit_and_a_token() -> None:
    for name, unit in PROPERTIES.items():
        assert unit
        tag = Label(name, 0) if unit == "label" else Quantity(name, 1.0)
        assert VOCABULARY.cut("".join(tag.tokens())) == tag.tokens()


def test_saved_vocabulary_is_read_back_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    VOCABULARY.save(path)
    assert Vocabulary.load(path) is VOCABULARY
    layout = json.loads(path.read_text())
    assert layout["model"]["unk_token"] not in layout["model"]["vocab"]
    for change in ("hash", "swap", "schema", "pattern"):
        other = json.loads(path.read_text())
        if change == "hash":
            other["model"]["unk_token"] = other["model"]["unk_token"][:-4] + "0000"
        elif change == "swap":
            other["model"]["vocab"]["<molecule>"], other["model"]["vocab"]["<crystal>"] = (
                other["model"]["vocab"]["<crystal>"],
                other["model"]["vocab"]["<molecule>"],
            )
        elif change == "schema":
            stamp = other["model"]["unk_token"].replace("language-1", "language-0")
            other["model"]["unk_token"] = stamp
        else:
            other["pre_tokenizer"]["pattern"]["Regex"] = "."
        target = tmp_path / f"{change}.json"
        target.write_text(json.dumps(other))
        with pytest.raises(TokenizerFileError, match=r"another vocabulary|has schema"):
            Vocabulary.load(target)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"model": 3}', "\x00", '{"model": {"unk_token": "x"}}']
)
def test_a_damaged_tokenizer_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(TokenizerFileError, match="is not a tokenizer of this language"):
        Vocabulary.load(path)
    with pytest.raises(TokenizerFileError, match="is missing"):
        Vocabulary.load(tmp_path / "none.json")


def test_decoding_an_id_outside_of_the_vocabulary_is_an_error() -> None:
    with pytest.raises(UnknownTokenError, match="id 100000"):
        VOCABULARY.decode([1, 100000])


def test_forms_are_part_of_the_text() -> None:
    texts = {Molecule("CCO", form).tokens()[1] for form in Form}
    assert texts == {"<canonical>", "<randomized>", "<aligned>"}
