"""Metrics of reactions on hand-made answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from heuresis_models.errors import DataError
from heuresis_models.evaluation import reactions
from heuresis_models.language.augmentation import canonical_or_none

ESTER = ("CCOC(C)=O", "CCO.CC(=O)Cl")
AMIDE = ("CNC(C)=O", "CN.CC(=O)O")


def test_top_k_compares_molecules_not_texts() -> None:
    answers = [
        # Right at once, other order and spelling.
        ["C(C)(=O)Cl.OCC", "CCO.CC(=O)O"],
        # An invalid answer and a repeat take no rank: the truth is the second distinct one.
        ["c1cc", "CN.CC(=O)Cl", "NC.ClC(C)=O", "OC(C)=O.NC"],
    ]
    truths = [ESTER[1], AMIDE[1]]
    assert reactions.top_k(answers, truths, (1, 2, 3)) == {1: 0.5, 2: 1.0, 3: 1.0}


def test_the_truth_as_answer_is_always_right() -> None:
    truths = [ESTER[1], AMIDE[1]]
    assert reactions.top_k([[t] for t in truths], truths) == {1: 1.0, 3: 1.0, 5: 1.0, 10: 1.0}
    assert reactions.top_k([[], []], truths) == {1: 0.0, 3: 0.0, 5: 0.0, 10: 0.0}


def test_the_largest_fragment_forgives_the_leaving_group() -> None:
    truth = "CN.O=C(Cl)c1ccccc1"
    answers = [["CNCC.O=C(Cl)c1ccccc1"]]
    assert reactions.top_k(answers, [truth], (1,)) == {1: 0.0}
    assert reactions.top_k(answers, [truth], (1,), largest_only=True) == {1: 1.0}
    assert reactions.largest_fragment("CC.CCCC.C") == "CCCC"


def test_atom_maps_do_not_matter() -> None:
    assert canonical_or_none("[CH3:1][OH:2]") == "CO"
    assert canonical_or_none("C(") is None
    assert canonical_or_none("") is None


def test_invalid_share_counts_missing_answers() -> None:
    assert reactions.invalid_share([["CCO", "C("], ["C1C"]], rank=1) == 0.5
    assert reactions.invalid_share([["CCO", "C("], ["CN"]], rank=2) == 0.5


def test_round_trip_asks_the_forward_model_for_the_product() -> None:
    asked: list[str] = []

    def forward(reactants: Sequence[str]) -> list[str]:
        asked.extend(reactants)
        return ["CCOC(=O)C" if text == ESTER[1] else "C(" for text in reactants]

    answers = [[ESTER[1]], [AMIDE[1]], ["c1c"]]
    products = [ESTER[0], AMIDE[0], "CC"]
    assert reactions.round_trip(answers, products, forward) == pytest.approx(1 / 3)
    # What is no molecule is not asked for, but counts as failed.
    assert asked == [ESTER[1], AMIDE[1]]


def test_wrong_input_is_an_error() -> None:
    with pytest.raises(DataError, match="2 lists of answers for 1 reactions"):
        reactions.top_k([[], []], ["CC"])
    with pytest.raises(DataError, match="cannot read the true reactants"):
        reactions.top_k([[]], ["C("])
    with pytest.raises(DataError, match="rank 0"):
        reactions.invalid_share([["CC"]], rank=0)
