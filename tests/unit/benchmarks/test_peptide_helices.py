"""The table of peptide helices: propensities, seeds side by side, failures told."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.peptide_helices import COLUMNS, PEPTIDES, mean_propensity, table


def test_propensities_are_means_over_residues() -> None:
    assert mean_propensity("AAAA") == 0.0
    assert mean_propensity("AG") == pytest.approx(0.5)
    assert mean_propensity("PPPPPPPP") == pytest.approx(3.16)


def test_the_table_ranks_seeds_by_their_mean_and_tells_failures() -> None:
    by_propensity = sorted(PEPTIDES, key=mean_propensity)
    results: dict[tuple[str, int], dict[str, Any]] = {}
    for place, sequence in enumerate(by_propensity):
        for seed in (1, 2):
            value = 1.0 - 0.1 * place + 0.01 * seed
            results[sequence, seed] = dict.fromkeys(COLUMNS, value)
    text = table(results, [1, 2])
    assert "Spearman's correlation of propensity and helicity: -1.00" in text
    assert f"| {by_propensity[0]} |" in text
    assert "1.01 · 1.02" in text

    results[by_propensity[-1], 1] = results[by_propensity[-1], 2] = {"failure": "setup: too long"}
    text = table(results, [1, 2])
    assert "no measurement" in text
    assert f"{by_propensity[-1]}: setup: too long" in text
    assert "and helicity: -1.00" in text, "of those that were measured"
