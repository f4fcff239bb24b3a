from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from heuresis_models.language import (
    Automaton,
    Crystal,
    Document,
    DocumentError,
    Entry,
    Molecule,
    State,
    Vocabulary,
    read_document,
)
from heuresis_models.language.kekule import can_pair
from heuresis_models.language.sources import read_rows
from heuresis_models.language.tokens import LEVELS, SMILES

VOCABULARY = Vocabulary.default()
AUTOMATON = Automaton.default()


def walk_through(ids: list[int]) -> None:
    state = AUTOMATON.start()
    for place, index in enumerate(ids[1:], start=1):
        mask = AUTOMATON.mask(state)
        before = VOCABULARY.decode(ids[max(0, place - 12) : place])
        assert mask[index], f"{VOCABULARY.tokens[index]} is blocked after {before}"
        state = AUTOMATON.advance(state, index, check=False)
    assert state.finished


def allowed_after(text: str) -> frozenset[str]:
    return AUTOMATON.allowed(AUTOMATON.read(VOCABULARY.encode(text)))


def random_document(
    prompt: str, rng: np.random.Generator, limit: int, favoured: str = ""
) -> list[str]:
    state = AUTOMATON.read(VOCABULARY.encode(prompt))
    written = VOCABULARY.cut(prompt)
    while not state.finished:
        assert len(written) < 6 * limit, f"no way out of {''.join(written)}"
        mask = AUTOMATON.mask(state, closing=len(written) >= limit)
        choices = [VOCABULARY.tokens[index] for index in np.flatnonzero(mask)]
        assert choices, f"dead end after {''.join(written)}"
        weights = np.array([50.0 if token in favoured.split() else 1.0 for token in choices])
        token = choices[rng.choice(len(choices), p=weights / weights.sum())]
        state = AUTOMATON.advance(state, VOCABULARY[token], check=False)
        written.append(token)
    return written


def test_every_kind_of_document_is_allowed(example: Document) -> None:
    walk_through(example.ids())


@pytest.mark.parametrize(
    "smiles",
    [
        "C1CC2CCC1C2",
        "c1ccc2ccccc2c1",
        "c1ccc2CCCCc2c1",
        "O=c1[nH]cnc2[nH]cnc12",
        "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
        "C[C@@H](N)C(=O)O",
        "F/C=C\\F",
        "C=1CCCCC=1",
        "C[N+](C)(C)CC(=O)[O-]",
        "CS(=O)(=O)N1CCOCC1",
        "c1ccc(cc1)-c1ccccn1",
        "COc1ccc2c(c1)CCn1c-2cc(Cl)nc1=O",
        "[13CH3][2H].[Na+].[Cl-]",
        "c1ccc2c(c1)=C(C[NH+]=2)C",
        "OP(O)(=O)OC#N",
        "c1cc2cccc3ccc4cccc1c4c23",
    ],
)
def test_real_molecules_are_allowed(smiles: str) -> None:
    walk_through(Document(Entry(Molecule(smiles))).ids())


@pytest.mark.parametrize(
    ("written", "blocked", "why"),
    [
        ("C1CC", "</molecule>", "an open ring"),
        ("CC(C", "</molecule>", "an open branch"),
        ("C", ")", "no branch is open"),
        ("C1", "1", "a ring of one atom"),
        ("C1C", "1", "a ring of two atoms"),
        ("CF", "C", "fluorine has one bond"),
        ("FC(F)(F)C(", ")", "an empty branch"),
        ("C1CC(", "F", None),
        ("C1C", "F", "the ring could not be closed any more"),
        ("C=", "F", "fluorine takes no double bond"),
        ("C=O", "C", "oxygen has no bond left"),
        ("C1S%172(=SO[SH]=", "2", "the double bond would take the bond that ring 17 needs"),
        ("c1cccc1", "</molecule>", "five aromatic carbons have no alternating bonds"),
        ("c", "</molecule>", "an aromatic atom in no ring"),
        ("CC=", "</molecule>", "an open bond"),
        ("[13", "]", "a bracket without element"),
        ("C", "<eos>", "the molecule is not closed"),
    ],
)
def test_illegal_steps_are_blocked(written: str, blocked: str, why: str | None) -> None:
    found = allowed_after(f"<bos><molecule><canonical>{written}")
    assert (blocked in found) is (why is None), why


def test_a_nitrogen_that_must_go_on_is_no_partner() -> None:
    # The second n of the branch could pair only with the first, whose last bond the ring needs.
    text = "Oc%12C2[nH][n+]2[n+][nH]C2c3o[nH+]nN=N[S@]On(no/2)"
    with pytest.raises(DocumentError, match="may not stand here"):
        AUTOMATON.read(VOCABULARY.encode(f"<bos><molecule><canonical>{text}"))


def test_crystals_are_blocked_from_impossible_sites() -> None:
    head = "<bos><crystal><sg:225>'0'5'6'4"
    assert "|a" not in allowed_after(head)  # an element comes first
    assert "</crystal>" not in allowed_after(head + "{Na}")
    after = allowed_after(head + "{Na}|a")
    assert {"|b", "{Cl}", "</crystal>"} <= after
    assert "|a" not in after  # position a is full
    assert "{K}" not in after  # elements go from electropositive to electronegative
    assert "|a" not in allowed_after(head + "{Na}|a{Cl}")
    # 24e of Fm-3m is (x, 0, 0): x = 0 would be position a.
    assert "'0" not in allowed_after(head + "{Na}|e'0")


def test_numbers_have_one_normal_form() -> None:
    head = "<bos><logp>"
    assert allowed_after("<bos><band_gap>") == {"<+>", "<->"}
    # A property of molecules may also be a level: one token, and the value is complete.
    assert allowed_after(head) == {"<+>", "<->", *LEVELS}
    assert "<molecule>" in allowed_after(head + "<level:9>")
    assert not set(LEVELS) & allowed_after(head + "<+>")
    assert "'0" not in allowed_after(head + "<->")
    assert allowed_after(head + "<+>'0'0") == {"'0"}
    assert allowed_after(head + "<+>'0'0'0") == {"<e+0>"}
    assert len(allowed_after(head + "<+>'1'0'0")) == 19


def test_a_searched_chain_is_repeated() -> None:
    head = "<bos><protein>_M_K</protein><search><protein>"
    assert allowed_after(head) == {"_M"}
    assert "_K" in allowed_after(head + "_M")
    assert "_M" not in allowed_after(head + "_M")
    assert "</protein>" in allowed_after(head + "_M_K<pocket>")


def test_contacts_stay_within_the_chain() -> None:
    head = "<bos><protein>" + "_A" * 12 + "</protein><contacts>"
    assert "'0" not in allowed_after(head)
    assert allowed_after(head + "'1'1") == {"<and>"}
    assert allowed_after(head + "'1'1<and>'1") == {"'2"}


def test_a_prompt_that_breaks_the_grammar_is_refused() -> None:
    with pytest.raises(DocumentError, match="'</molecule>', may not stand here"):
        AUTOMATON.read(VOCABULARY.encode("<bos><molecule><canonical>C1</molecule>"))
    with pytest.raises(DocumentError, match="begins with <bos>"):
        AUTOMATON.read([])
    state = AUTOMATON.read(VOCABULARY.encode("<bos><dna>^A</dna><eos>"))
    with pytest.raises(DocumentError, match="finished"):
        AUTOMATON.mask(state)
    with pytest.raises(DocumentError, match="outside of the vocabulary"):
        AUTOMATON.advance(AUTOMATON.start(), len(VOCABULARY))


def test_masks_of_a_batch_are_the_rows_masks() -> None:
    texts = ["<bos>", "<bos><molecule><canonical>C1", "<bos><dna>^A</dna><eos>"]
    states = [AUTOMATON.read(VOCABULARY.encode(text)) for text in texts]
    masks = AUTOMATON.masks(states)
    assert masks.shape == (3, len(VOCABULARY))
    assert masks.dtype == np.bool_
    assert (masks[0] == AUTOMATON.mask(states[0])).all()
    assert masks[2].sum() == 1  # a finished row is padded
    assert masks[2, 0]
    assert not AUTOMATON.mask(states[1]).flags.writeable
    # Led to its end, the open ring goes on with a chain atom.
    closing = AUTOMATON.masks(states, limit=2)[1]
    assert closing.sum() < masks[1].sum()


@pytest.mark.parametrize(
    "prompt",
    ["<bos>", "<bos><crystal>", "<bos><protein>", "<bos><peptide>", "<bos><coding>", "<bos><dna>",
     "<bos><complex>", "<bos><framework>", "<bos><formula>", "<bos><exemplar>"],
)  # fmt: skip
def test_random_walks_end_in_documents_that_read_back(prompt: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        tokens = random_document(prompt, rng, limit=60)
        document = read_document(tokens)
        assert document.tokens() == tokens
        if isinstance(document.entry.thing, Crystal):
            cell = document.entry.thing.cell()
            assert len(cell.elements) == len(cell.coordinates) > 0


def test_random_molecules_are_nearly_always_valid() -> None:
    rng = np.random.default_rng(5)
    favoured = "C c N n O o ( ) 1 2 = F S s [nH] </molecule>"
    valid = 0
    with BlockLogs():
        for _ in range(120):
            tokens = random_document("<bos><molecule><canonical>", rng, 40, favoured)
            thing = read_document(tokens).entry.thing
            assert isinstance(thing, Molecule)
            valid += Chem.MolFromSmiles(thing.smiles) is not None
    assert valid >= 110


def test_pairs_are_found_or_refused() -> None:
    ring = tuple(1 << (k - 1) % 6 | 1 << (k + 1) % 6 for k in range(6))
    assert can_pair(0b111111, 0b111111, ring)
    path = (0b010, 0b101, 0b010)
    assert not can_pair(0b111, 0b111, path)
    assert can_pair(0b011, 0b111, path)
    assert can_pair(0, 0, ())


@pytest.mark.parametrize(
    "name",
    ["zinc250k.smi.gz", "qm9.smi.gz", "uspto50k-valid.smi.gz", "lipophilicity.csv",
     "flip-bind.zip", "flip-conservation.zip", "dbaasp-peptides.csv.gz", "coding-dna.tsv.gz"],
)  # fmt: skip
def test_no_row_of_the_data_is_blocked(name: str, data_folder: Path) -> None:
    every = {"zinc250k.smi.gz": 1500, "qm9.smi.gz": 700, "uspto50k-valid.smi.gz": 60,
             "lipophilicity.csv": 30, "flip-bind.zip": 60, "flip-conservation.zip": 500,
             "dbaasp-peptides.csv.gz": 60, "coding-dna.tsv.gz": 120}[name]  # fmt: skip
    walked = 0
    for row in read_rows(data_folder, name):
        if row.number % every == 0:
            assert row.entry is not None
            walk_through(Document(row.entry).ids())
            walked += 1
    assert walked > 10


def _states_along(text: str) -> list[State]:
    ids = VOCABULARY.encode(f"<bos><molecule><canonical>{text}")
    states = [AUTOMATON.read(ids[:3])]
    for index in ids[3:]:
        states.append(AUTOMATON.advance(states[-1], index, check=False))
    return states


@pytest.mark.parametrize(
    "smiles",
    [
        "COc1ccc2c(c1)CCn1c-2cc(Cl)nc1=O",
        "C[C@@H](NC(=O)c1cc2c(s1)CCC2)C(=O)[O-]",
        "O=S(=O)(N1CCOCC1)c1ccc2[nH]cc(/C=C3/C(=O)Nc4ccccc43)c2c1",
        "[13CH3]n1c(=O)c2c(ncn2C)n(C)c1=O",
    ],
)
def test_the_quick_check_says_what_the_mask_says(smiles: str) -> None:
    written = [VOCABULARY[token] for token in (*SMILES, "</molecule>", "<eos>", "'1")]
    for state in _states_along(smiles):
        mask = AUTOMATON.mask(state)
        for index in written[:: 1 if state.length % 4 == 0 else 5]:
            found = AUTOMATON.advance_if_allowed(state, index)
            assert (found is not None) == mask[index], VOCABULARY.tokens[index]
            if found is not None:
                assert found == AUTOMATON.advance(state, index, check=False)


def test_the_quick_check_agrees_along_random_walks() -> None:
    rng = np.random.default_rng(8)
    tokens = [
        VOCABULARY[token]
        for token in [
            "C",
            "c",
            "N",
            "n",
            "O",
            "o",
            "(",
            ")",
            "1",
            "2",
            "=",
            "F",
            "S",
            "s",
            "[nH]",
            "[n+]",
            "-",
            "3",
        ]
    ]
    every = [*tokens, VOCABULARY["</molecule>"], VOCABULARY["[C@H]"], VOCABULARY["%10"]]
    for _ in range(40):
        state = AUTOMATON.read(VOCABULARY.encode("<bos><molecule><canonical>"))
        for _ in range(25):
            mask = AUTOMATON.mask(state)
            for index in every:
                assert (AUTOMATON.advance_if_allowed(state, index) is not None) == mask[index]
            choices = [index for index in tokens if mask[index]]
            if not choices:
                break
            state = AUTOMATON.advance(state, choices[rng.integers(len(choices))], check=False)
