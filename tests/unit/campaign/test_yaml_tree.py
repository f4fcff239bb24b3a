from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuresis.campaign.yaml_tree import parse_value, parse_yaml, write_yaml
from heuresis.errors import SpecError

FILE = Path("campaign.yaml")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, min_size=1))
def test_what_is_written_is_read_back(data: dict[str, object]) -> None:
    assert parse_yaml(write_yaml(data), FILE).data == data


@pytest.mark.parametrize("text", ["0E0", "1e3", "-2.5E+7", ".5e-1", "1_000", "yes", "0x1f", "1:30"])
def test_a_text_that_looks_like_a_number_stays_a_text(text: str) -> None:
    assert parse_yaml(write_yaml({"a": text}), FILE).data == {"a": text}


@settings(max_examples=120, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(st.sampled_from(list("abc:-[]{}&*!|>'\"#%@\n\t ,1.")), max_size=80)
)
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        told = str(parse_yaml(text, FILE).data)
    except SpecError as error:
        told = str(error)
    assert told.startswith(("{", "campaign.yaml:")), told


def test_every_key_and_item_knows_its_line() -> None:
    text = "a: 1\nb:\n  c:\n    - x\n    - y: 2\n\n      z: 3\nd: {e: 4, f: [5, 6]}\n"
    lines = parse_yaml(text, FILE).lines
    assert lines == {
        ("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 0): 4, ("b", "c", 1): 5,
        ("b", "c", 1, "y"): 5, ("b", "c", 1, "z"): 7, ("d",): 8, ("d", "e"): 8, ("d", "f"): 8,
        ("d", "f", 0): 8, ("d", "f", 1): 8,
    }  # fmt: skip


def test_the_surprises_of_yaml_1_1_are_texts() -> None:
    text = "a: no\nb: on\nc: 10:30\nd: 2026-11-21\ne: 1e-3\nf: '1e-3'\ng: 1E5\nno: y\n1: x\n"
    assert parse_yaml(text, FILE).data == {
        "a": "no", "b": "on", "c": "10:30", "d": "2026-11-21", "e": 1e-3, "f": "1e-3", "g": 1e5,
        "no": "y", "1": "x",
    }  # fmt: skip


def test_small_anchors_are_allowed() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\n", FILE).data == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("3.5", 3.5), ("[a, 1]", ["a", 1]), ("", None), ("x y", "x y")]
)
def test_values_of_the_command_line(text: str, value: object) -> None:
    assert parse_value(text, "a.b") == value
