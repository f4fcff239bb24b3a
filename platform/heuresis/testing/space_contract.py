"""What every design space must do, as tests. Subclass `SpaceContract` and override ``case``.

Example::

    class TestMySpace(SpaceContract):
        @pytest.fixture
        def case(self) -> SpaceCase:
            return SpaceCase(
                space=MySpace(MySpace.Config()),
                same=(("OCC", "CCO"), ("c1ccccc1", "C1=CC=CC=C1")),
                refused={"C(": "syntax"},
            )
"""

# The names of the tests are the promises.
# ruff: noqa: D102

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import ValidationError

from heuresis.errors import InvalidCandidate
from heuresis.ports import DesignSpace

REASON = re.compile(r"[a-z][a-z_]*(:[^\s:]+)*")
LONGEST_REFUSAL_S = 2.0
_NONSENSE = 300


@dataclass(frozen=True)
class SpaceCase:
    """A space, and what is known about it."""

    space: DesignSpace
    same: tuple[tuple[str, ...], ...]
    """Groups of texts that mean the same candidate; different groups mean different ones."""
    refused: Mapping[str, str]
    """Texts outside the space, with the reason code that is expected."""


class SpaceContract:
    """Inherit, and override the fixture ``case``."""

    @pytest.fixture
    def case(self) -> SpaceCase:
        raise AssertionError("override the fixture 'case' to name your space")

    def test_settings_are_strict_and_frozen(self, case: SpaceCase) -> None:
        with pytest.raises(ValidationError):
            case.space.Config(no_such_setting=1)
        config = case.space.Config.model_config
        assert config.get("frozen") is True
        assert config.get("extra") == "forbid"

    def test_every_writing_of_a_candidate_has_one_canonical_text(self, case: SpaceCase) -> None:
        assert case.same, "name some members of the space"
        canonical = [{case.space.canonical(text) for text in group} for group in case.same]
        for group, texts in zip(case.same, canonical, strict=True):
            assert len(texts) == 1, f"{group} should be one candidate, gave {sorted(texts)}"
        assert len(set.union(*canonical)) == len(case.same), "two groups gave the same text"

    def test_the_canonical_text_is_its_own_canonical_text(self, case: SpaceCase) -> None:
        for group in case.same:
            text = case.space.canonical(group[0])
            assert case.space.canonical(text) == text

    def test_what_is_outside_is_refused_with_a_reason(self, case: SpaceCase) -> None:
        assert case.refused, "name some texts outside the space"
        for text, reason in case.refused.items():
            with pytest.raises(InvalidCandidate) as caught:
                case.space.canonical(text)
            assert caught.value.reason == reason
            assert REASON.fullmatch(reason), f"'{reason}' is no short stable code"
            assert str(caught.value), "say in a sentence what is wrong"

    def test_any_text_is_a_member_or_refused(self, case: SpaceCase) -> None:
        # Pieces of members, shuffled, get further into a parser than random characters.
        rng = np.random.default_rng(0)
        pieces = [
            *"".join(text for group in case.same for text in group),
            "\0",
            "é",
            "\n",
            "💥",
            "",
        ]
        for _ in range(_NONSENSE):
            text = "".join(pieces[i] for i in rng.integers(len(pieces), size=rng.integers(0, 25)))
            try:
                canonical = case.space.canonical(text)
            except InvalidCandidate as invalid:
                reason = invalid.reason
            else:
                reason = "accepted"
                assert case.space.canonical(canonical) == canonical
            assert REASON.fullmatch(reason), f"{text!r} was refused as '{reason}'"

    def test_huge_texts_are_refused_at_once(self, case: SpaceCase) -> None:
        piece = case.same[0][0]
        for text in (piece * 200_000, "(" * 1_000_000, " " * 1_000_000):
            started = time.monotonic()
            with pytest.raises(InvalidCandidate):
                case.space.canonical(text)
            assert time.monotonic() - started < LONGEST_REFUSAL_S

    def test_pictures_are_self_contained_svg(self, case: SpaceCase) -> None:
        for group in case.same:
            root = ET.fromstring(case.space.depict(case.space.canonical(group[0])))  # noqa: S314
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            for element in root.iter():
                assert not element.tag.endswith(("script", "image", "foreignObject")), element.tag
                for name, value in element.attrib.items():
                    assert not name.endswith("href"), f"the picture refers to {value}"
                    assert "url(http" not in value
