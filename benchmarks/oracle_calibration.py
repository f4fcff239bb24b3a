"""How far the molecular oracles are from measured values, and what they cost.

    python benchmarks/oracle_calibration.py --freesolv freesolv.csv [--only hydration]

Sections: ``ionisation`` (51 measured vertical potentials), ``hydration`` (FreeSolv, by model),
``entropy`` (CODATA), ``polarisability`` (22 liquids), ``gaps`` (a cheap rung against a costly one),
``speed`` (beside bare tblite and ASE), ``host-guest`` (27 measured binding free energies). Each
molecule's result is kept under ``--folder`` as soon as it is there; a run that was stopped goes on
where it was. At the end the page and the figures in ``docs/oracles`` are written from everything
that is there (``--page`` does only that); sections without results at hand stay as they are.

FreeSolv: Mobley, Guthrie, J. Comput. Aided Mol. Des. 28, 711 (2014); a CSV file with the columns
``smiles`` and ``expt`` (kcal/mol).
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import calibration_page
import host_guest_calibration
from ase import Atoms
from ase.optimize import LBFGS
from rdkit import Chem
from tblite.ase import TBLite

from heuresis.randomness import derived_seed
from heuresis.records import Candidate, Evaluation
from heuresis_oracles.electronic import electronic_state
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian
from heuresis_oracles.tight_binding.polarisability import (
    mean_and_anisotropy,
    polarisability_tensor_angstrom3,
)
from heuresis_oracles.xtb import XTB

SEED = 1
ROOT = Path(__file__).parents[1]
IONISATION = ROOT / "tests/physics/vertical_ionisation_potentials.csv"
POLARISABILITY = ROOT / "tests/physics/measured_polarisabilities.csv"
DRUG_LIKE = ROOT / "tests/physics/drug_like.smi"
SOLVATION = (
    ("GFN2-xTB", "alpb"), ("GFN2-xTB", "gbsa"), ("GFN1-xTB", "alpb"), ("GFN2-xTB", "cpcm"),
)  # fmt: skip
ENTROPIES_J_per_mol_K = {
    # CODATA key values for thermodynamics (Cox, Wagman, Medvedev 1989): gas, 298.15 K, 1 bar.
    "[H][H]": 130.680, "N#N": 191.609, "[C-]#[O+]": 197.660, "O=C=O": 213.785, "O": 188.835,
    "N": 192.77, "S": 205.81, "O=S=O": 248.223, "F": 173.779, "Cl": 186.902, "ClCl": 223.081,
    "FF": 202.791, "BrBr": 245.468,
}  # fmt: skip
SPEED = (
    "NC(=O)c1ccc(O)cc1",
    "CCOC(=O)N1CCNC1",
    "O=C(NCc1ccccc1)c1ccc2c(c1)OCCO2",
    "CC1CCN(S(=O)(=O)c2ccc(C#N)cc2F)CC1C",
    "COc1ccc(CCN(C)CCC(C#N)(C(C)C)c2ccc(OC)cc2)cc1OC",
    "O=C(Nc1cccc(-c2nc3ccccc3s2)c1)c1ccc(N2CCOCC2)nc1",
)
SPEED_REPEATS = 3


class Job(NamedTuple):
    """One line of results: a key that is unique in its section, and how to get it."""

    key: str
    work: Callable[[], dict[str, Any]]


def measured(smiles: str, **settings: Any) -> dict[str, Any]:
    """Return the oracle's values, or why there are none, with its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        [outcome] = XTB(XTB.Config(**settings)).evaluate(
            [Candidate.of("molecule", smiles)], seed=SEED, workdir=Path(folder)
        )
        seconds = time.process_time() - start
    if isinstance(outcome, Evaluation):
        values = {name: m.value for name, m in outcome.measurements.items()}
        return {"values": values, "cpu_s": seconds}
    return {"failure": f"{outcome.cause}: {outcome.message}", "cpu_s": seconds}


def measured_or_raw(smiles: str, **settings: Any) -> dict[str, Any]:
    """Like `measured`; from a raw embedding where MMFF94 has no parameters (HCl, SO2 …)."""
    found = measured(smiles, **settings)
    if found.get("failure", "").startswith("setup: MMFF94"):
        found = measured(smiles, **settings, starting_geometry="ETKDG")
    return found


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file whose comments start with #."""
    lines = path.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def ionisation(_: argparse.Namespace) -> Iterator[Job]:
    for row in rows(IONISATION):

        def work(row: dict[str, str] = row) -> dict[str, Any]:
            found = measured_or_raw(
                row["smiles"], observables=("ionisation", "adiabatic-ionisation")
            )
            if "failure" in found:  # some cations fall apart; the vertical value needs no cation
                found = measured_or_raw(row["smiles"], observables=("ionisation",))
            reference = float(row["ionisation_potential_eV"])
            return {"name": row["name"], "reference": reference, **found}

        yield Job(row["smiles"], work)


def hydration(options: argparse.Namespace) -> Iterator[Job]:
    if options.freesolv is None:
        print("hydration: left out, give --freesolv FILE")
        return
    for method, model in SOLVATION:
        for row in rows(options.freesolv)[: options.molecules]:

            def work(
                row: dict[str, str] = row, method: str = method, model: str = model
            ) -> dict[str, Any]:
                found = measured_or_raw(
                    row["smiles"],
                    method=method,
                    solvation_model=model,
                    solvent="water",
                    observables=("solvation",),
                )
                return {
                    "method": method,
                    "model": model,
                    "smiles": row["smiles"],
                    "reference": float(row["expt"]),
                    **found,
                }

            yield Job(f"{method} {model} {row['smiles']}", work)


def mean_polarisability(smiles: str) -> float:
    """Like the oracle, which refuses the elements that it fails for: here that must show."""
    molecule = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=8, seed=SEED)
    atoms = Atoms([atom.GetSymbol() for atom in molecule.GetAtoms()], positions_angstrom(molecule))
    hamiltonian, state = Hamiltonian(method="GFN2-xTB"), electronic_state(molecule)
    atoms.calc = hamiltonian.calculator(state)
    LBFGS(atoms, logfile=None).run(fmax=0.05)
    return mean_and_anisotropy(polarisability_tensor_angstrom3(atoms, hamiltonian, state))[0]


def polarisability(_: argparse.Namespace) -> Iterator[Job]:
    for row in rows(POLARISABILITY):

        def work(row: dict[str, str] = row) -> dict[str, Any]:
            return {
                "name": row["name"],
                "reference": float(row["polarisability_angstrom3"]),
                "values": {"polarisability_angstrom3": mean_polarisability(row["smiles"])},
            }

        yield Job(row["smiles"], work)


def entropy(_: argparse.Namespace) -> Iterator[Job]:
    for smiles, reference in ENTROPIES_J_per_mol_K.items():

        def work(smiles: str = smiles, reference: float = reference) -> dict[str, Any]:
            found = measured_or_raw(smiles, observables=("thermochemistry",))
            return {"reference": reference, **found}

        yield Job(smiles, work)


def gaps(options: argparse.Namespace) -> Iterator[Job]:
    for line in DRUG_LIKE.read_text().splitlines()[: options.drug_like]:
        smiles = line.split()[0]

        def work(smiles: str = smiles) -> dict[str, Any]:
            return {
                "atoms": Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms(),
                "low": measured(smiles, relax=False, conformers=4),
                "middle": measured(smiles, conformers=4),
                "high": measured(smiles, conformers=12, relaxed_conformers=3),
            }

        yield Job(smiles, work)


def speed(_: argparse.Namespace) -> Iterator[Job]:
    for smiles in SPEED:
        yield Job(smiles, lambda smiles=smiles: compared(smiles))


def compared(smiles: str) -> dict[str, Any]:
    """Return CPU seconds of the oracle and of a bare loop, taken in turns; the least of each."""
    candidate = Candidate.of("molecule", smiles)
    seed = derived_seed(SEED, candidate.id)

    def bare(relax: bool) -> float:
        molecule = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=1, seed=seed)
        atoms = Atoms(
            [atom.GetSymbol() for atom in molecule.GetAtoms()], positions_angstrom(molecule)
        )
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        if relax:
            LBFGS(atoms, logfile=None).run(fmax=0.05)
        energy: float = atoms.get_potential_energy()
        return energy

    ways: dict[str, Callable[[], Any]] = {
        "bare_point": lambda: bare(False),
        "oracle_point": lambda: measured(smiles, conformers=1, relax=False),
        "bare_relaxed": lambda: bare(True),
        "oracle_same_optimizer": lambda: measured(smiles, conformers=1, optimizer="LBFGS"),
        "oracle_relaxed": lambda: measured(smiles, conformers=1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(SPEED_REPEATS):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name].append(time.process_time() - start)
    atoms = Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms()
    return {"atoms": atoms, **{name: min(times) for name, times in seconds.items()}}


def host_guest(options: argparse.Namespace) -> Iterator[Job]:
    for key, work in host_guest_calibration.jobs(options):
        yield Job(key, work)


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Job]]] = {
    "ionisation": ionisation,
    "entropy": entropy,
    "polarisability": polarisability,
    "speed": speed,
    "hydration": hydration,
    "gaps": gaps,
    "host-guest": host_guest,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--freesolv", type=Path, help="FreeSolv as CSV: smiles, expt (kcal/mol)")
    parser.add_argument("--molecules", type=int, default=1000, help="FreeSolv molecules per model")
    parser.add_argument("--drug-like", type=int, default=1000, help="molecules for the gaps")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/oracle-calibration")
    parser.add_argument("--page", action="store_true", help="write the page from what is there")
    options = parser.parse_args()
    limit_native_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    for section in () if options.page else options.only or list(SECTIONS):
        file = options.folder / f"{section}.jsonl"
        done = set(calibration_page.results(options.folder, section))
        jobs = [job for job in SECTIONS[section](options) if job.key not in done]
        print(f"{section}: {len(done)} there, {len(jobs)} to do", flush=True)
        for job in jobs:
            line = {"key": job.key, **job.work()}
            with file.open("a") as stream:
                stream.write(json.dumps(line) + "\n")
    calibration_page.write(options.folder, ROOT / "docs/oracles")


if __name__ == "__main__":
    main()
