"""Amber14 with GBn2 keeps the helices that are helices, and no others, on the scale of a test.

(AAQAA)3 is the classical peptide of alanine that is helical in water: Shalongo, Dugad, Stellwagen,
J. Am. Chem. Soc. 116, 8288 (1994). Glycine is the worst helix former but proline (Pace, Scholtz,
Biophys. J. 75, 422, 1998), and chains of glycine and serine are the linkers of protein engineering
because they are disordered.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.peptide_md import PeptideMolecularDynamics

SETTINGS = {
    "duration_ps": 40.0,
    "equilibration_ps": 10.0,
    "temperature_K": 330.0,
    "sample_interval_fs": 200.0,
    "platform": "CPU",
}


def measured(text: str, folder: Path) -> Evaluation:
    oracle = PeptideMolecularDynamics(PeptideMolecularDynamics.Config(**SETTINGS))
    [outcome] = oracle.evaluate([Candidate.of("peptide", text)], seed=1, workdir=folder)
    assert isinstance(outcome, Evaluation), outcome
    return outcome


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_helix_of_alanine_stays_and_one_of_glycine_and_serine_frays(tmp_path: Path) -> None:
    former = measured("Ac-AAQAAAAQAAAAQAA-NH2", tmp_path).measurements
    breaker = measured("Ac-GSGSGSGSGSGSGSG-NH2", tmp_path).measurements
    assert former["helicity"].value > 0.6
    assert former["helicity"].value > breaker["helicity"].value + 0.15
    assert former["helix_hydrogen_bonds"].value > breaker["helix_hydrogen_bonds"].value
    assert former["rmsd_from_start_angstrom"].value < breaker["rmsd_from_start_angstrom"].value


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_prolines_make_no_alpha_helix(tmp_path: Path) -> None:
    prolines = measured("Ac-PPPPPPPP-NH2", tmp_path).measurements
    # Its phi and psi stay where the start put them for longer than this; its nitrogens hold no
    # hydrogen, so there is nothing that could bind, and sequences are to be compared by that.
    assert prolines["helicity"].value > 0.5
    assert prolines["helix_hydrogen_bonds"].value == 0.0
