"""Makes a file of reference phases with one potential; see `references` for what it holds.

Run: OMP_NUM_THREADS=1 python -m heuresis_oracles.crystals.build_references --potential CHGNet
         --data mp20-biternary-val.csv.gz --data … --cache FOLDER --out FILE

Structures of the elements are built in. Structures of compounds come from files with a column
``cif`` (P 1) and a column ``material_id``; their own energies are not read. Binary compositions
whose charges balance are filled in with simple structure types. EMT needs no
file: ordered alloys of its seven metals are built in. First every structure of a file is evaluated
as it stands; what lies at most ``--slack`` above the hull of these energies is then relaxed as long
as ``--relax-minutes`` last, those of ``--first`` elements before all others. The cache makes a
second run cheap, and lets a stopped one go on.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from heuresis.errors import OracleError, UserError
from heuresis.spaces.crystals.composition import States, balancing_charges, ions
from heuresis.spaces.crystals.elements import ELEMENT_RANK
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.geometry import shortest_contact
from heuresis.spaces.crystals.standard import read_p1_cif
from heuresis.spaces.crystals.text import Cell, read_text
from heuresis_oracles.crystals import potentials
from heuresis_oracles.crystals.elemental_crystals import elemental_crystals
from heuresis_oracles.crystals.potentials import Potential
from heuresis_oracles.crystals.reading import primitive_atoms
from heuresis_oracles.crystals.references import (
    Phase,
    composition_of,
    on_hull,
    phase_of,
    write_references,
)
from heuresis_oracles.crystals.relaxing import Settings, relax
from heuresis_oracles.outcomes import version_with

if TYPE_CHECKING:
    from ase import Atoms

BINARY_TYPES = {
    "rock-salt": "<sg:225>'0'5'6'4{Na}|a{Cl}|b",
    "zinc-blende": "<sg:216>'0'5'4'1{Zn}|a{S}|c",
    "fluorite": "<sg:225>'0'5'4'6{Ca}|a{F}|c",
    "rutile": "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5",
    "corundum": "<sg:167>'0'4'7'6'1'2'9'9{Al}|c'3'5'2{O}|e'3'0'6",
}
"""Cation first."""
ANTI_TYPES = ("fluorite",)
"""Cation and anion also change places."""
_NO_CATIONS = frozenset({"H", "C", "N", "O", "F", "P", "S", "Cl", "Se", "Br", "I"})
RELAXATION = Settings("BFGS", 0.05, 200)


class Structure(NamedTuple):
    """A structure that may become a reference phase; its atoms are made when they are asked for."""

    source: str
    formula: str
    make: Callable[[], Atoms]


class EnergyCache:
    """Energies by structure, kept in a file of JSON lines: a line once written stays."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[tuple[str, str], float | None] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self._known[row["source"], row["kind"]] = row["energy_eV_per_atom"]

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._known

    def get(self, source: str, kind: str) -> float | None:
        """Return an energy per atom; None: not known, or the potential gave none."""
        return self._known.get((source, kind))

    def put(self, source: str, kind: str, energy_eV_per_atom: float | None) -> None:
        """Keep an energy per atom, or that there is none."""
        self._known[source, kind] = energy_eV_per_atom
        row = {"source": source, "kind": kind, "energy_eV_per_atom": energy_eV_per_atom}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def reduced_formula(symbols: Sequence[str]) -> str:
    """Return a formula with the smallest whole numbers, elements in alphabetical order."""
    counts = Counter(symbols)
    divisor = math.gcd(*counts.values())
    return "".join(f"{symbol}{counts[symbol] // divisor}" for symbol in sorted(counts))


def _elements(structure: Structure) -> list[str]:
    return list(composition_of(structure.formula))


def _given(source: str, atoms: Atoms) -> Structure:
    return Structure(source, reduced_formula(atoms.get_chemical_symbols()), lambda: atoms)


def compounds_of(
    file: Path, known: frozenset[str], max_atoms: int, kinds: int
) -> Iterator[Structure]:
    """Yield the crystals of a file that are small and simple enough.

    Args:
        file: CSV, perhaps gzipped, with the columns ``material_id`` and ``cif`` (P 1).
        known: elements of the potential.
        max_atoms: in the cell of the file.
        kinds: most different elements.
    """
    csv.field_size_limit(10**8)
    name = file.name.split(".")[0]
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open() as lines:
        for row in csv.DictReader(lines):
            try:
                cell = read_p1_cif(row["cif"])
            except CrystalTextError:
                continue
            elements = set(cell.elements)
            if len(cell.elements) <= max_atoms and len(elements) <= kinds and elements <= known:
                yield Structure(
                    f"{name} {row['material_id']}",
                    reduced_formula(cell.elements),
                    partial(primitive_atoms, cell),
                )


def _alloys(symbols: tuple[str, ...]) -> Iterator[Structure]:
    """Yield ordered face- and body-centred alloys: L1₂, L1₀ and B2 of each pair."""
    from ase import Atoms

    for first, second in combinations(symbols, 2):
        patterns = {
            "L12": [(first, second, second, second), (second, first, first, first)],
            "L10": [(first, first, second, second)],
        }
        sites = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        for name, fillings in patterns.items():
            for filling in fillings:
                atoms = Atoms(filling, scaled_positions=sites, cell=[3.95] * 3, pbc=True)
                formula = reduced_formula(filling)
                yield Structure(f"built-in {name} {formula}", formula, partial(atoms.copy))
        atoms = Atoms(
            (first, second), scaled_positions=[(0, 0, 0), (0.5,) * 3], cell=[3.1] * 3, pbc=True
        )
        formula = reduced_formula((first, second))
        yield Structure(f"built-in B2 {formula}", formula, partial(atoms.copy))


def _binaries(symbols: tuple[str, ...]) -> Iterator[Structure]:
    """Yield simple binary structure types whose charges balance.

    Files of structures are samples: without TiN every nitride of titanium would look stable, and
    with nothing of MgO but a rare form of it, rock salt would lie below the hull.
    """
    for first, second in permutations(symbols, 2):
        for name, text in BINARY_TYPES.items():
            if ELEMENT_RANK[first] > ELEMENT_RANK[second] and name not in ANTI_TYPES:
                continue
            crystal = read_text(text)
            cation, anion = crystal.composition()
            mapping = {cation: first, anion: second}
            elements = [mapping[element] for element in crystal.cell().elements]
            formula = reduced_formula(elements)
            if not _usual(composition_of(formula)):
                continue
            atoms = primitive_atoms(_rescaled(crystal.cell(), tuple(elements)))
            yield Structure(f"built-in {name} {first} {second}", formula, partial(atoms.copy))


def _usual(composition: dict[str, int]) -> bool:
    """Whether the charges are usual: of a metal or metalloid, and an anion's common one."""
    charges = balancing_charges(composition, States.ICSD)
    return charges is not None and all(
        symbol in ions(charge) if charge < 0 else symbol not in _NO_CATIONS
        for symbol, charge in charges.items()
    )


def _rescaled(cell: Cell, elements: tuple[str, ...]) -> Cell:
    """Put other elements on the sites; the closest pair comes to the sum of its covalent radii."""
    filled = Cell(cell.lattice_angstrom, cell.coordinates, elements)
    ratio, *_ = shortest_contact(filled)
    return Cell(cell.lattice_angstrom / ratio, cell.coordinates, elements)


def energy_of(structure: Structure, potential: Potential, relaxed: bool) -> float | None:
    """Return the energy per atom; None where the potential gives none."""
    atoms = structure.make()
    atoms.calc = potentials.calculator(potential)
    with potentials.quiet():
        try:
            if relaxed:
                return relax(atoms, RELAXATION).energy_eV / len(atoms)
            return float(atoms.get_potential_energy()) / len(atoms)
        except (OracleError, ValueError):
            return None


def main(
    potential: Annotated[Potential, typer.Option(help="Whose energies.")] = "CHGNet",
    data: Annotated[list[Path] | None, typer.Option(help="CSV with P 1 CIFs; repeat.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for energies.")] = Path("reference-energies"),
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("references.csv"),
    first: Annotated[str, typer.Option(help="Elements to relax first, by commas.")] = "",
    only: Annotated[str, typer.Option(help="Elements to keep to, by commas.")] = "",
    slack: Annotated[float, typer.Option(help="eV/atom above the hull to relax.")] = 0.03,
    relax_minutes: Annotated[float, typer.Option(help="Time for relaxations.")] = 60.0,
    max_atoms: Annotated[int, typer.Option(help="Largest primitive cell.")] = 60,
    kinds: Annotated[int, typer.Option(help="Most different elements.")] = 3,
    binaries: Annotated[bool, typer.Option(help="Add simple types of binaries.")] = True,
) -> None:
    """Make a file of reference phases."""
    potentials.require_installed(potential)
    cache.mkdir(parents=True, exist_ok=True)
    energies = EnergyCache(cache / f"{potential}.jsonl")
    known = potentials.known_elements(potential)
    if only:
        potentials.require_elements(potential, only.split(","))
        known = tuple(symbol for symbol in known if symbol in only.split(","))
    elements = [_given(source, atoms) for _, atoms, source in elemental_crystals(known)]
    compounds = list(_alloys(known)) if potential == "EMT" else []
    for file in data or []:
        if not file.is_file():
            raise UserError(f"there is no data file '{file}'")
        compounds += compounds_of(file, frozenset(known), max_atoms, kinds)
    if binaries and potential != "EMT":
        compounds += _binaries(known)
    structures = {structure.source: structure for structure in [*elements, *compounds]}
    print(f"{len(elements)} structures of elements, {len(compounds)} of compounds", flush=True)

    wanted = frozenset(first.split(",")) if first else frozenset()
    for structure in sorted(
        structures.values(), key=lambda structure: not wanted.issuperset(_elements(structure))
    ):
        relaxed = structure.source.startswith("built-in") or len(_elements(structure)) == 1
        kind = "relaxed" if relaxed else "as given"
        if (structure.source, kind) not in energies:
            energies.put(structure.source, kind, energy_of(structure, potential, relaxed))

    chosen = on_hull(_phases(structures, energies), slack)
    chosen.sort(key=lambda phase: not wanted.issuperset(phase.composition))
    print(f"{len(chosen)} phases within {slack} eV/atom of the hull", flush=True)
    deadline = time.monotonic() + 60 * relax_minutes
    for number, phase in enumerate(chosen):
        if time.monotonic() > deadline:
            print(f"the time for relaxations ended after {number} of {len(chosen)}", flush=True)
            break
        if (phase.source, "relaxed") not in energies:
            energies.put(
                phase.source,
                "relaxed",
                energy_of(structures[phase.source], potential, relaxed=True),
            )

    kept = on_hull(_phases(structures, energies))
    made = {
        "potential": potential,
        "version": version_with("1", *potentials.packages(potential)),
        "structures": f"{len(elements)} of elements (built in), {len(compounds)} of compounds"
        + (f" ({', '.join(file.name for file in data)})" if data else " (built in)"),
        "kept": f"{len(kept)} on the hull, {sum(phase.relaxed for phase in kept)} of them relaxed",
        "relaxation": f"{RELAXATION.optimizer}, {RELAXATION.force_tolerance_eV_per_angstrom} eV/Å;"
        " the others as given, relaxed with DFT",
        "command": "python -m heuresis_oracles.crystals.build_references",
    }
    if data:
        made["data"] = "Materials Project structures (CC BY 4.0); energies are the potential's own"
    write_references(out, kept, made)
    print(f"{out}: {made['kept']}")


def _phases(structures: dict[str, Structure], energies: EnergyCache) -> list[Phase]:
    """Return each structure with its best-founded energy: relaxed, else as given."""
    found = []
    for structure in structures.values():
        relaxed = energies.get(structure.source, "relaxed")
        energy = energies.get(structure.source, "as given") if relaxed is None else relaxed
        if energy is not None:
            found.append(phase_of(structure.formula, energy, relaxed is not None, structure.source))
    return found


if __name__ == "__main__":
    typer.run(main)
