"""The crystal rows of the table: as written, under a requirement, and of stated formulas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from heuresis_models.composition import charge_balanced
from heuresis_models.crystal_checks import CrystalChecks, Requirement, key
from heuresis_models.evaluation.crystals import (
    CrystalSample,
    checks_of,
    counted,
    evaluate_crystals,
)
from heuresis_models.evaluation.table import Row
from heuresis_models.generation.crystals import crystals_of_formulas
from heuresis_models.generation.formulas import reduced
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.quantities import Formula
from heuresis_models.language.split import RULE
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

DOMAIN: Final = "crystals"
LEAST_REAL: Final = 500
FORMULAS: Final = 200
"""Formulas that are asked for, at most: each takes as long as a crystal, twice."""
_BALANCED: Final = "charge-balanced composition (strict)"
_UNIQUE: Final = "unique (formula, space group) of the parsed"
_NOVEL: Final = "novel (formula, space group) of the unique"
_BY_CONSTRUCTION: Final = "by construction"


@dataclass(frozen=True)
class CrystalReference:
    """Both sides of the split."""

    training: Sequence[Crystal]
    heldout: Sequence[Crystal]

    def shuffled(self, rng: Generator) -> CrystalReference:
        """Return the same with the held-out side in random order."""
        order = rng.permutation(len(self.heldout))
        return CrystalReference(self.training, [self.heldout[int(i)] for i in order])

    @cached_property
    def keys(self) -> frozenset[str]:
        """Formula and space group of each training crystal."""
        return frozenset(key(crystal) for crystal in self.training)


def crystal_rows(
    masked: Sequence[str],
    plain: Sequence[str],
    reference: CrystalReference | None,
    *,
    no_reference: str = "no data",
) -> list[Row]:
    """Measure a sample: all of it, then what passes each `Requirement`.

    Args:
        masked: texts that were written under the grammar mask.
        plain: texts that were written without.
        reference: what to compare with; None: rows that need it say so.
        no_reference: why there is no reference.
    """
    on = f"{len(masked):,} samples under the grammar mask, temperature 1"
    keys = None if reference is None else reference.keys
    checks = checks_of(masked)
    found = counted(checks, keys)
    real = None
    if reference is not None:
        some = reference.heldout[: max(len(masked), LEAST_REAL)]
        real = evaluate_crystals([crystal.payload() for crystal in some])
    rows = [
        Row(DOMAIN, "parse to a structure, no mask", evaluate_crystals(plain).share("parsed"),
            on=f"{len(plain):,} samples, no mask, temperature 1"),
    ]  # fmt: skip
    for name, measure in (
        ("parsed", "parse to a structure"),
        ("structurally_valid", "structurally valid (CDVAE)"),
        ("smact", "compositionally valid (SMACT's rule)"),
        ("balanced", _BALANCED),
        ("valid", "valid in structure and composition"),
    ):
        beside = f"real, held out: {real.share(name):.1%}" if real is not None else ""
        rows.append(Row(DOMAIN, measure, found.share(name), beside=beside, on=on))
    rows += _variety(DOMAIN, found, real, on, reference, no_reference)
    for require in Requirement:
        rows += _required(checks, require, reference, no_reference)
    return rows


def _required(
    checks: Sequence[CrystalChecks],
    require: Requirement,
    reference: CrystalReference | None,
    no_reference: str,
) -> list[Row]:
    """Return what a caller of `generation.checked_crystals` gets, and what it costs."""
    faults = [check.fault(require) for check in checks]
    kept = [check for check, fault in zip(checks, faults, strict=True) if fault is None]
    refused = Counter(str(fault) for fault in faults if fault is not None)
    domain = f"{DOMAIN}, {require.value} required"
    on = f"{len(checks):,} samples, mask, temperature 1"
    causes = ", ".join(f"{count:,} {cause}" for cause, count in refused.most_common())
    rows = [
        Row(domain, "acceptance: kept of all written", len(kept) / len(checks),
            beside=f"refused: {causes or 'none'}", on=on),
    ]  # fmt: skip
    on = f"the {len(kept):,} kept of {len(checks):,}"
    if not kept:
        return [*rows, Row(domain, _BALANCED, None, on=on, reason="nothing was kept")]
    found = counted(kept, None if reference is None else reference.keys)
    built = _BY_CONSTRUCTION if require is Requirement.BALANCED else ""
    rows += [
        Row(domain, "structurally valid (CDVAE)", found.share("structurally_valid"),
            beside=_BY_CONSTRUCTION, on=on),
        Row(domain, _BALANCED, found.share("balanced"), beside=built, on=on),
    ]  # fmt: skip
    return rows + _variety(domain, found, None, on, reference, no_reference)


def _variety(
    domain: str,
    found: CrystalSample,
    real: CrystalSample | None,
    on: str,
    reference: CrystalReference | None,
    no_reference: str,
) -> list[Row]:
    """Return how many are different, and how many of these are new."""
    nothing = "nothing parsed"
    if not found.parsed:
        return [Row(domain, name, None, on=on, reason=nothing) for name in (_UNIQUE, _NOVEL)]
    beside = f"real, held out: {real.share('distinct'):.1%}" if real is not None else ""
    unique = Row(domain, _UNIQUE, found.share("distinct"), beside=beside, on=on)
    if reference is None:
        return [unique, Row(domain, _NOVEL, None, on=on, reason=no_reference)]
    on = f"{on}; {len(reference.keys):,} training crystals by {RULE}"
    return [unique, Row(domain, _NOVEL, found.share("novel"), on=on)]


def formula_rows(
    model: Transformer, reference: CrystalReference, count: int, rng: Generator
) -> list[Row]:
    """Ask for crystals of held-out balanced formulas: only asked for, then enforced.

    Args:
        model: taught crystals.
        reference: formulas are those of its held-out side that no training crystal has.
        count: formulas, at most.
        rng: of the drawn texts.
    """
    domain = f"{DOMAIN}, formula given"
    known = {reduced(crystal.composition()) for crystal in reference.training}
    chosen: dict[Formula, Crystal] = {}
    for crystal in reference.heldout:
        formula = reduced(crystal.composition())
        if len(chosen) == count:
            break
        if formula not in known and charge_balanced(crystal.composition()):
            chosen.setdefault(formula, crystal)
    if not chosen:
        reason = "no held-out charge-balanced formula that training does not have"
        return [Row(domain, "acceptance: kept of all written", None, reason=reason)]
    formulas = list(chosen)
    rows = []
    for exact in (False, True):
        placed, found = crystals_of_formulas(
            model, formulas, rng, Requirement.BALANCED, exact=exact, tries=1
        )
        how = "formula enforced" if exact else "formula only asked for"
        on = f"{found.drawn:,} held-out balanced formulas, one text each, {how}"
        causes = ", ".join(f"{n:,} {cause}" for cause, n in found.refused.most_common())
        rows.append(
            Row(domain, f"valid, balanced, of the formula; {how}", found.acceptance,
                beside=f"refused: {causes or 'none'}", on=on)
        )  # fmt: skip
        if exact and found.crystals:
            pairs = zip(placed, formulas, strict=True)
            off = [_volume_error(c, chosen[f]) for c, f in pairs if c is not None]
            rows.append(
                Row(domain, "volume per atom, median difference from the real crystal",
                    float(np.median(off)), on=f"{on}, the {len(off):,} that passed")
            )  # fmt: skip
    return rows


def _volume_error(written: Crystal, real: Crystal) -> float:
    """Return by how much the volume per atom differs, relative to the real one."""
    volumes = [_volume_per_atom_angstrom3(crystal) for crystal in (written, real)]
    return abs(volumes[0] / volumes[1] - 1.0)


def _volume_per_atom_angstrom3(crystal: Crystal) -> float:
    cell = crystal.cell()
    return abs(float(np.linalg.det(cell.lattice_angstrom))) / len(cell.elements)
