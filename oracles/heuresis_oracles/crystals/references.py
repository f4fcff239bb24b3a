"""Reference phases of one potential, and the convex hull of their energies.

A file of reference phases holds one line per phase: reduced formula, energy per atom, whether cell
and positions were relaxed with the potential, and where the structure comes from; above them
``# name: value`` lines say with what and from what it was made. Only phases that lie on the hull of
their elements are kept: others change no hull distance.

Distance above the hull: the energy that a crystal could give off by falling apart into reference
phases; found as a linear programme over the phases made of its elements (as in Ong et al., Chem.
Mater. 20, 1798 (2008)). A crystal below the hull of the references has a negative one.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from heuresis.errors import CalculationError, OracleSetupError, UserError
from heuresis_oracles.crystals.potentials import MODEL_NAMES, Potential

FIELDS = ("formula", "energy_eV_per_atom", "relaxed", "source")
_ROUNDING_eV = 1e-7
_FOLDER = Path(__file__).parent / "reference_phases"


class Phase(NamedTuple):
    """One reference phase."""

    formula: str
    composition: Mapping[str, float]
    """Element → share of the atoms."""
    energy_eV_per_atom: float
    relaxed: bool
    source: str


@dataclass(frozen=True)
class HullDistance:
    """Where a crystal stands.

    Args:
        above_hull_eV_per_atom: negative below the hull of the references.
        formation_eV_per_atom: against the most stable phase of each element.
        competitors: reference phases made of its elements, those of the elements included.
        decomposition: formula of each phase that it would fall apart into → share of the atoms.
    """

    above_hull_eV_per_atom: float
    formation_eV_per_atom: float
    competitors: int
    decomposition: Mapping[str, float]


class References:
    """Reference phases of one potential.

    Args:
        phases: at least one for each element that is asked about.
        made: what the head of the file says.
    """

    def __init__(self, phases: Iterable[Phase], made: Mapping[str, str]) -> None:
        self.phases = tuple(phases)
        self.made = dict(made)
        self._systems: dict[frozenset[str], list[Phase]] = {}
        for phase in self.phases:
            self._systems.setdefault(frozenset(phase.composition), []).append(phase)
        self._elements: dict[str, float] = {}
        self._compositions = {_reduced(composition_of(phase.formula)) for phase in self.phases}
        for phase in self.phases:
            if len(phase.composition) == 1:
                (symbol,) = phase.composition
                known = self._elements.get(symbol, np.inf)
                self._elements[symbol] = min(known, phase.energy_eV_per_atom)

    @property
    def elements(self) -> frozenset[str]:
        """Elements that have a reference."""
        return frozenset(self._elements)

    def require(self, symbols: Iterable[str]) -> None:
        """Refuse elements without a reference.

        Raises:
            OracleSetupError: names them.
        """
        missing = sorted(set(symbols) - self.elements)
        if missing:
            raise OracleSetupError(
                f"the reference phases ({self.made.get('potential', 'no name')}) have no element"
                f" {', '.join(missing)}, so nothing can be said of formation energies; they have"
                f" {', '.join(sorted(self.elements))}"
            )

    def has(self, counts: Mapping[str, int]) -> bool:
        """Whether a reference phase has this composition."""
        return _reduced(counts) in self._compositions

    def within(self, symbols: Iterable[str]) -> list[Phase]:
        """Return the phases made of these elements alone."""
        chosen = sorted(set(symbols))
        return [
            phase
            for count in range(1, len(chosen) + 1)
            for system in combinations(chosen, count)
            for phase in self._systems.get(frozenset(system), ())
        ]

    def distance(self, counts: Mapping[str, int], energy_eV_per_atom: float) -> HullDistance:
        """Return where a crystal stands.

        Args:
            counts: atoms of each element.
            energy_eV_per_atom: by the potential of the references.

        Raises:
            OracleSetupError: an element has no reference.
        """
        self.require(counts)
        total = sum(counts.values())
        shares = {symbol: count / total for symbol, count in counts.items()}
        competitors = self.within(counts)
        hull, weights = _lowest(competitors, shares)
        elements = sum(share * self._elements[symbol] for symbol, share in shares.items())
        return HullDistance(
            energy_eV_per_atom - hull,
            energy_eV_per_atom - elements,
            len(competitors),
            {
                phase.formula: float(weight)
                for phase, weight in zip(competitors, weights, strict=True)
                if weight > 1e-6
            },
        )


def on_hull(phases: Sequence[Phase], slack_eV_per_atom: float = 0.0) -> list[Phase]:
    """Return the phases at most ``slack`` above the hull of all phases made of their elements.

    Phases of an element that has no reference of its own are left out.
    """
    lowest: dict[frozenset[tuple[str, int]], Phase] = {}
    for phase in phases:
        key = _reduced(composition_of(phase.formula))
        if key not in lowest or phase.energy_eV_per_atom < lowest[key].energy_eV_per_atom:
            lowest[key] = phase
    references = References(lowest.values(), {})
    hulls: dict[frozenset[tuple[str, int]], float] = {}
    kept = []
    for phase in phases:
        if not references.elements.issuperset(phase.composition):
            continue
        key = _reduced(composition_of(phase.formula))
        if key not in hulls:
            hulls[key], _ = _lowest(references.within(phase.composition), phase.composition)
        if phase.energy_eV_per_atom - hulls[key] <= slack_eV_per_atom + _ROUNDING_eV:
            kept.append(phase)
    return kept


def _lowest(phases: Sequence[Phase], shares: Mapping[str, float]) -> tuple[float, np.ndarray]:
    """Return the lowest energy per atom of mixtures with these shares, and the mixture."""
    from scipy.optimize import linprog

    symbols = list(shares)
    matrix = np.array([[phase.composition.get(s, 0.0) for phase in phases] for s in symbols])
    energies = np.array([phase.energy_eV_per_atom for phase in phases])
    found = linprog(
        energies, A_eq=matrix, b_eq=np.array([shares[s] for s in symbols]), method="highs"
    )
    if found.status != 0:
        raise CalculationError(f"no hull for {dict(shares)}: {found.message}")
    return float(found.fun), np.asarray(found.x)


def _reduced(counts: Mapping[str, int]) -> frozenset[tuple[str, int]]:
    divisor = math.gcd(*counts.values())
    return frozenset((symbol, count // divisor) for symbol, count in counts.items())


def composition_of(formula: str) -> dict[str, int]:
    """Return the counts of ``Na1Cl1`` or ``NaCl``."""
    counts: dict[str, int] = {}
    for symbol, number in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        counts[symbol] = counts.get(symbol, 0) + int(number or 1)
    return counts


def phase_of(formula: str, energy_eV_per_atom: float, relaxed: bool, source: str) -> Phase:
    """Return a phase from the fields of a file."""
    counts = composition_of(formula)
    total = sum(counts.values())
    shares = {symbol: count / total for symbol, count in counts.items()}
    return Phase(formula, shares, energy_eV_per_atom, relaxed, source)


def reference_file(potential: Potential) -> Path:
    """Return the shipped file of a potential.

    Raises:
        UserError: none is shipped.
    """
    name = f"chgnet-{MODEL_NAMES[potential]}" if potential in MODEL_NAMES else "emt"
    file = _FOLDER / f"{name}.csv"
    if not file.is_file():
        raise UserError(
            f"no reference phases are shipped for {potential}; make some with python -m"
            f" heuresis_oracles.crystals.build_references --potential {potential} and name the file"
            " (references)"
        )
    return file


@lru_cache(maxsize=4)
def read_references(file: Path) -> References:
    """Read a file of reference phases.

    Raises:
        UserError: it is missing or not of this form.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"cannot read the reference phases '{file}': {error}") from error
    head = [line[1:] for line in lines if line.startswith("#")]
    made: dict[str, str] = {}
    for line in head:
        name, _, value = line.partition(":")
        made[name.strip()] = value.strip()
    rows = csv.DictReader(line for line in lines if line and not line.startswith("#"))
    if tuple(rows.fieldnames or ()) != FIELDS:
        raise UserError(
            f"'{file}' is no file of reference phases: expected the columns {', '.join(FIELDS)},"
            f" got {', '.join(rows.fieldnames or ()) or 'none'}"
        )
    try:
        phases = [
            phase_of(
                row["formula"], float(row["energy_eV_per_atom"]), row["relaxed"] == "yes",
                row["source"],
            )
            for row in rows
        ]  # fmt: skip
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"'{file}' has a row that cannot be read: {error}") from error
    return References(phases, made)


def write_references(file: Path, phases: Iterable[Phase], made: Mapping[str, str]) -> None:
    """Write a file of reference phases, sorted by formula."""
    ordered = sorted(phases, key=lambda phase: (phase.formula, phase.energy_eV_per_atom))
    lines = [f"# {name}: {value}" for name, value in made.items()]
    lines.append(",".join(FIELDS))
    lines += [
        f"{phase.formula},{phase.energy_eV_per_atom:.5f},{'yes' if phase.relaxed else 'no'},"
        f"{phase.source}"
        for phase in ordered
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
