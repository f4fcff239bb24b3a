"""Binding energies of host and guest against measured free energies: a calibration section."""

# The prose of a page stands here in lines of the page.
# ruff: noqa: E501

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, spearmanr

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.host_guest_binding import HostGuestBinding

SEED = 1
MEASURED = Path(__file__).parents[1] / "tests/physics/host_guest_binding_free_energies.csv"
SETTINGS: dict[str, Any] = {
    "placements": 4,
    "outside_placements": 1,
    "relaxed": 1,
    "relaxation_ps": 0.5,
}
"""A search at a third of the default cost."""
RESAMPLES = 300
FEWEST_TO_RANK = 5
WAYS = {
    "MMFF94 in OBC water (`binding_energy_kcal_per_mol`)": "binding_energy_kcal_per_mol",
    "… host and guest as in the complex (`interaction_energy_kcal_per_mol`)": (
        "interaction_energy_kcal_per_mol"
    ),
}
PREFACE = """\
Energies of binding in kcal/mol against measured standard free energies of binding in water: cucurbit[7]uril
with adamantanes and with aromatic guests (Liu et al., J. Am. Chem. Soc. 127, 15959, 2005; Cao et al., Angew.
Chem. Int. Ed. 53, 988, 2014) and beta-cyclodextrin (Rekharsky et al., J. Phys. Chem. B 101, 87, 1997), as
collected by Mobley and Gilson (Annu. Rev. Biophys. 46, 531, 2017, and the repository that goes with it;
`tests/physics/host_guest_binding_free_energies.csv`). Intervals: 95 %, bootstrap over guests. Oracle `host-guest-binding` with four placements in the cavity and one outside, the best of them relaxed.

"""
REMARKS = """\
The order is worth little across guests of different kind. Charge decides: two ammonium groups bind far too
strongly, a carboxylic acid and methylated ammonium far too weakly, and energies are several times the measured
free energies. Entropy, salt and the water that leaves the cavity are not in an end state. Guests of one charge are
not ranked either where some of them meet the host with ammonium and others with methyl groups.
"""
Work = tuple[str, Callable[[], dict[str, Any]]]


def pairs() -> list[dict[str, str]]:
    """Return the measured pairs."""
    lines = MEASURED.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def jobs(_: argparse.Namespace) -> Iterator[Work]:
    """Yield a key and how to get its result for each measured pair."""
    oracles: dict[str, HostGuestBinding] = {}
    for row in pairs():

        def work(row: dict[str, str] = row) -> dict[str, Any]:
            host = row["host"]
            if host not in oracles:
                oracles[host] = HostGuestBinding(HostGuestBinding.Config(host=host, **SETTINGS))
                oracles[host].prepare()
            start = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                [outcome] = oracles[host].evaluate(
                    [Candidate.of("molecule", row["smiles"])], seed=SEED, workdir=Path(folder)
                )
            result = {
                "host": host,
                "name": row["name"],
                "reference": float(row["free_energy_kcal_per_mol"]),
                "cpu_s": time.process_time() - start,
            }
            if isinstance(outcome, Evaluation):
                measured = outcome.measurements
                error = measured["binding_energy_kcal_per_mol"].uncertainty
                values = {name: one.value for name, one in measured.items()}
                return {**result, "values": values, "search_error": error}
            return {**result, "failure": f"{outcome.cause}: {outcome.message}"}

        yield f"{row['host']} {row['smiles']}", work


def correlation(calculated: np.ndarray, reference: np.ndarray) -> list[str]:
    """Return Spearman and Kendall correlations with 95 % bootstrap intervals over pairs."""
    rng = np.random.default_rng(0)
    cells = []
    for statistic in (spearmanr, kendalltau):
        samples = []
        while len(samples) < RESAMPLES:
            chosen = rng.integers(len(reference), size=len(reference))
            if len(np.unique(reference[chosen])) > 1 and len(np.unique(calculated[chosen])) > 1:
                samples.append(statistic(calculated[chosen], reference[chosen]).statistic)
        low, high = np.percentile(samples, [2.5, 97.5])
        found = statistic(calculated, reference).statistic
        cells.append(f"{found:.2f} ({low:.2f} to {high:.2f})")
    return cells
