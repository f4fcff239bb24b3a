"""CHGNet against measured lattice constants; the whole table is benchmarks/crystal_oracles.py."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("chgnet", reason="CHGNet comes with the extra 'crystals'")

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.crystal_relaxation import CrystalRelaxation


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "atoms", "edge_angstrom"),
    [
        ("<sg:225>'0'4'0'3{Li}|a{F}|b", 8, 4.027),
        ("<sg:225>'0'4'3'5{Mg}|a{O}|b", 8, 4.212),  # written 3 % too large
        ("<sg:221>'0'3'9'0{Sr}|a{Ti}|b{O}|c", 5, 3.905),
    ],
)
def test_lattice_constants_are_within_two_per_cent(
    text: str, atoms: int, edge_angstrom: float, tmp_path: Path
) -> None:
    oracle = CrystalRelaxation(CrystalRelaxation.Config())
    (outcome,) = oracle.evaluate([Candidate.of("crystal", text)], seed=0, workdir=tmp_path)
    assert isinstance(outcome, Evaluation)
    volume = outcome.measurements["volume_per_atom_angstrom3"].value
    assert (volume * atoms) ** (1 / 3) == pytest.approx(edge_angstrom, rel=0.02)
    formation = outcome.measurements["formation_energy_eV_per_atom"].value
    assert -4.0 < formation < -2.0, "ionic solids are bound by some eV per atom"
    # Relaxed here, given there: at most some meV below itself.
    assert outcome.measurements["energy_above_hull_eV_per_atom"].value > -0.03
