"""The molecule space: one canonical form or one reason, never another exception."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rdkit import Chem

from heuresis.errors import InvalidCandidate
from heuresis.spaces.molecule import MoleculeSpace


def space(**rules: Any) -> MoleculeSpace:
    return MoleculeSpace(MoleculeSpace.Config(**rules))


def refusal(text: str, **rules: Any) -> str:
    with pytest.raises(InvalidCandidate) as caught:
        space(**rules).canonical(text)
    assert str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OCC", "CCO"),
        ("C1=CC=CC=C1O", "Oc1ccccc1"),
        ("[Na+].CC(=O)[O-]", "CC(=O)O"),  # salt: largest fragment, then neutralised
        ("C[NH3+].[Cl-]", "CN"),
        ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),  # zwitterion
        ("C[N+](=O)[O-]", "C[N+](=O)[O-]"),  # a nitro group is neutral as it stands
        ("[CH3:7][OH:8]", "CO"),  # atom maps are no chemistry
        ("[H]OC", "CO"),
        ("C[C@H](N)C(=O)O", "C[C@H](N)C(=O)O"),
        ("F/C=C/F", "F/C=C/F"),
    ],
)
def test_canonical(text: str, expected: str) -> None:
    assert space().canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("CC O", "syntax"),
        ("CC\tname", "syntax"),
        ("C1CC", "syntax"),
        ("C(", "syntax"),
        ("Ⅽ", "syntax"),
        ("C" * 501, "too_long"),
        ("CC(C)(C)(C)C", "valence"),
        ("c1cccc1", "kekulize"),
        ("[CH3]", "radical"),
        ("[O][O]", "radical"),
        ("[2H]C", "isotope"),
        ("*C", "element"),
        ("C[Se]C", "element"),
        ("C[N+](C)(C)C", "charge"),
        ("[Li+].[F-]", "element"),
    ],
)
def test_refusals_have_a_reason(text: str, reason: str) -> None:
    assert refusal(text) == reason


@pytest.mark.parametrize(
    ("rules", "text", "reason"),
    [
        ({"heavy_atoms": (4, 9)}, "CCO", "size"),
        ({"heavy_atoms": (1, 3)}, "CCCC", "size"),
        ({"molecular_weight_Da": (100, 200)}, "CCO", "weight"),
        ({"rings": (1, 2)}, "CCO", "rings"),
        ({"ring_size": (5, 6)}, "C1CC1C", "ring_size"),
        ({"rotatable_bonds": (0, 1)}, "CCCCCC", "rotatable_bonds"),
        ({"elements": ("C", "N")}, "CCO", "element"),
        ({"salts": "refuse"}, "[Na+].CC(=O)[O-]", "multiple_fragments"),
        ({"charges": "refuse"}, "CC(=O)[O-]", "charge"),
        ({"alerts": ("PAINS",)}, "O=C1C=CC(=O)C=C1", "alert:PAINS"),
        ({"alerts": ("BRENK",)}, "CC(=O)Cl", "alert:BRENK"),
        ({"forbid_smarts": {"acid": "C(=O)[OX2H]"}}, "CC(=O)O", "alert:own:acid"),
        ({"require_smarts": {"ring": "[R]"}}, "CCO", "missing:ring"),
    ],
)
def test_rules(rules: dict[str, Any], text: str, reason: str) -> None:
    assert refusal(text, **rules) == reason


def test_rules_that_transform() -> None:
    assert space(stereo="strip").canonical("C[C@H](N)C(=O)O") == "CC(N)C(=O)O"
    assert space(isotopes="strip").canonical("[2H]C([2H])([2H])O") == "CO"
    assert space(charges="keep").canonical("C[N+](C)(C)C") == "C[N+](C)(C)C"
    assert space(heavy_atoms=(1, 4)).canonical("CC(=O)[O-].[Na+]") == "CC(=O)O"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"heavy_atoms": (20, 10)}, r"heavy_atoms expects \[lowest, highest\], got \[20, 10\]"),
        ({"elements": ("C", "Xx")}, "'Xx' is no chemical element"),
        ({"elements": ("H",)}, "needs an element besides H"),
        ({"alerts": ("PAIN",)}, "did you mean 'PAINS'"),
        ({"alerts": ("brenk",)}, "did you mean 'BRENK'"),
        ({"molecular_weight_Da": (-5, 0)}, "no positive weight"),
        ({"molecular_weight_Da": (0, float("nan"))}, "finite number"),
        ({"rings": (1, 3), "ring_size": (0, 2)}, "rings are required, but ring_size allows none"),
        ({"forbid_smarts": {"bad": "C(("}}, "'bad: C\\(\\(' is not a readable SMARTS"),
        ({"heavy_atom": (1, 2)}, "Extra inputs are not permitted"),
        (
            {"forbid_smarts": {"a": "N"}, "require_smarts": {"b": "N"}},
            "'N' is required and forbidden",
        ),
    ],
)
def test_impossible_rules_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        space(**rules)


FRAGMENTS = ["C", "N", "O", "c1ccccc1", "C(=O)", "(", ")", "=", "#", "[nH]", "1", "2", "%10", "[",
             "]", "+", "-", "@", "/", "\\", ".", "Cl", "S(=O)(=O)", "\x00", " ", "é"]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_any_text_is_canonical_or_refused_and_canonical_is_a_fixed_point(text: str) -> None:
    molecules = space()
    try:
        canonical = molecules.canonical(text)
    except InvalidCandidate:
        return
    assert molecules.canonical(canonical) == canonical
    assert "." not in canonical


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"])
def test_every_writing_of_a_molecule_has_one_canonical_form(smiles: str) -> None:
    molecules = space()
    molecule = Chem.MolFromSmiles(smiles)
    writings = {Chem.MolToSmiles(molecule, doRandom=True, canonical=False) for _ in range(30)} | {
        smiles
    }
    assert len(writings) > 5
    assert len({molecules.canonical(text) for text in writings}) == 1


def test_pictures() -> None:
    svg = space().depict("Oc1ccccc1")
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert space().depict_png("Oc1ccccc1").startswith(b"\x89PNG")
    with pytest.raises(InvalidCandidate, match="cannot be drawn"):
        space().depict("C1CC")


def test_the_space_describes_itself() -> None:
    words = space(alerts=("PAINS", "BRENK"), heavy_atoms=(10, 28)).describe()
    assert words == (
        "molecules: elements C H N O F P S Cl Br I, 10–28 heavy atoms, no PAINS/BRENK alerts,"
        " neutral"
    )


def test_what_was_accepted_is_remembered_and_the_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heuresis.spaces.molecule._REMEMBERED", 3)
    molecules = space()
    texts = ["CCO", "CCN", "CCC", "CCCC", "OCC"]
    once = [molecules.canonical(text) for text in texts]
    assert [molecules.canonical(text) for text in texts] == once
    assert once[0] == once[-1] == "CCO"
    assert len(molecules._accepted) <= 3
    with pytest.raises(InvalidCandidate):
        molecules.canonical("C(C)(C)(C)(C)C")
    with pytest.raises(InvalidCandidate):
        molecules.canonical("C(C)(C)(C)(C)C")
