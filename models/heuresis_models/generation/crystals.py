"""Crystals that meet a stated requirement: written, checked, and written again until enough pass.

What is kept follows the model's own distribution, given that it passes: rejection sampling. Nothing
is repaired, and what was refused is counted by its cause. A share that is reached by rejection says
nothing about the model; the acceptance does, so it is always returned beside the crystals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Final

from heuresis_models.crystal_checks import CrystalChecks, Requirement, read_crystal
from heuresis_models.errors import DataError
from heuresis_models.generation.decoding import Sample, generate
from heuresis_models.generation.formulas import reduced
from heuresis_models.generation.prompts import payload, prompt
from heuresis_models.generation.settings import Sampling
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.documents import Condition
from heuresis_models.language.quantities import Formula
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

UNFINISHED: Final = "unfinished"
OTHER_FORMULA: Final = "another formula"
TRIES: Final = 20
"""Texts written for one crystal that is asked for, before it is given up."""
_SMALLEST_ROUND: Final = 8


@dataclass
class CheckedCrystals:
    """What passed, and what it took.

    Args:
        crystals: those that passed, at most as many as were asked for.
        samples: the document of each.
        drawn: texts that were written.
        passed: texts that passed; more than crystals, if the last round gave more than needed.
        refused: cause → texts: ``unfinished``, ``another formula``, or a `crystal_checks.Fault`.
        missing: crystals that the limit of tries left open.
    """

    crystals: list[Crystal] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    drawn: int = 0
    passed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    missing: int = 0

    @property
    def acceptance(self) -> float:
        """Share of the written texts that passed.

        Raises:
            DataError: nothing was written.
        """
        if not self.drawn:
            raise DataError("no acceptance: no crystal was asked for")
        return self.passed / self.drawn


def checked_crystals(
    model: Transformer,
    count: int,
    rng: Generator,
    require: Requirement = Requirement.BALANCED,
    settings: Sampling | None = None,
    *,
    conditions: Sequence[Condition] = (),
    tries: int = TRIES,
) -> CheckedCrystals:
    """Draw crystals until ``count`` of them meet a requirement, or tries run out.

    Args:
        model: taught crystals.
        count: crystals wanted.
        rng: source of randomness.
        require: what each must pass.
        settings: how to sample.
        conditions: what is asked of every crystal; not checked.
        tries: texts written for each wanted crystal at most, ``count × tries`` in all.

    Raises:
        MissingExtraError: charges are asked for, but pymatgen is not installed.
    """
    asked = prompt("crystal", conditions=conditions)
    found = CheckedCrystals(missing=count)
    while found.missing and found.drawn < count * tries:
        # As many as the acceptance so far promises, a few more so that the last rounds are few.
        share = (found.passed + 1) / (found.drawn + 2) if found.drawn else 1.0
        wanted = max(ceil(found.missing / share), _SMALLEST_ROUND)
        wanted = min(wanted, count * tries - found.drawn)
        for sample in generate(model, [asked] * wanted, rng, settings):
            crystal = _judge(sample, require, None, found)
            if crystal is not None and found.missing:
                _keep(found, crystal, sample)
    return found


def crystals_of_formulas(
    model: Transformer,
    formulas: Sequence[Formula],
    rng: Generator,
    require: Requirement = Requirement.BALANCED,
    settings: Sampling | None = None,
    *,
    exact: bool = True,
    tries: int = TRIES,
) -> tuple[list[Crystal | None], CheckedCrystals]:
    """Draw one crystal for each formula that has it and meets a requirement.

    Args:
        model: taught crystals.
        formulas: charge-balanced ones, if ``require`` says so; see `formulas.FormulaPool`.
        rng: source of randomness.
        require: what each must pass beside its formula.
        settings: how to sample.
        exact: leave out tokens that lead away from the formula. False: only ask for it, and refuse
            what has another; use it for models that heed formulas.
        tries: texts written for each formula at most.

    Returns:
        For each formula its crystal, None where the tries ran out; and what it took.

    Raises:
        DocumentError: a formula breaks its rules, or is too large for ``exact``.
        MissingExtraError: charges are asked for, but pymatgen is not installed.
    """
    placed: list[Crystal | None] = [None] * len(formulas)
    found = CheckedCrystals(missing=len(formulas))
    asked = [prompt("crystal", conditions=[formula], exact_formula=exact) for formula in formulas]
    for _ in range(tries):
        left = [place for place, crystal in enumerate(placed) if crystal is None]
        if not left:
            break
        samples = generate(model, [asked[place] for place in left], rng, settings)
        for place, sample in zip(left, samples, strict=True):
            crystal = _judge(sample, require, formulas[place], found)
            if crystal is not None:
                placed[place] = crystal
                _keep(found, crystal, sample)
    return placed, found


def _judge(
    sample: Sample, require: Requirement, formula: Formula | None, found: CheckedCrystals
) -> Crystal | None:
    """Return the crystal if it passes; count it either way."""
    found.drawn += 1
    crystal = read_crystal(payload(sample.tokens, "crystal"))
    fault: str | None
    if not sample.finished:
        fault = UNFINISHED
    elif crystal is not None and formula is not None and not _has(crystal, formula):
        fault = OTHER_FORMULA
    else:
        fault = CrystalChecks(crystal).fault(require)
    if fault is not None:
        found.refused[str(fault)] += 1
        return None
    found.passed += 1
    return crystal


def _keep(found: CheckedCrystals, crystal: Crystal, sample: Sample) -> None:
    found.crystals.append(crystal)
    found.samples.append(sample)
    found.missing -= 1


def _has(crystal: Crystal, formula: Formula) -> bool:
    """Whether a crystal has a formula, given in any order of elements and in any multiple."""
    return reduced(crystal.composition()) == reduced(dict(formula.counts))
