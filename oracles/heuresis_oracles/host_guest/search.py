"""The lowest complex of a host and a guest that a search of placements finds, and its energies."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from heuresis.errors import CalculationError, ImplausibleResultError, OracleSetupError
from heuresis.randomness import derived_seed, random_generator
from heuresis_oracles.connectivity import require_same_connectivity
from heuresis_oracles.embedding import ensemble, positions_angstrom
from heuresis_oracles.forcefield.mmff94_parameters import Variant
from heuresis_oracles.host_guest.energies import COARSE_KJ_PER_MOL_NM, Energies, Minimum
from heuresis_oracles.host_guest.hosts import Host
from heuresis_oracles.host_guest.placing import (
    cavity_of,
    inside,
    nearest_contact_angstrom,
    outside,
)

if TYPE_CHECKING:
    from rdkit.Chem import Mol

CAVITY_SHARE = 0.5
"""A guest is in the cavity while a heavy atom of it is nearer to the centre than this share of the
mean distance of the cavity's atoms."""
LONGEST_CONTACT_angstrom = 4.0
_HOST_SEED = 1
_HOST_RUNS = 2


@dataclass(frozen=True)
class SearchSettings:
    """How complexes are searched."""

    placements: int
    outside_placements: int
    relaxed: int
    relaxation_ps: float
    guest_conformers: int
    temperature_K: float
    variant: Variant
    solvent: Literal["water"] | None
    platform: Literal["Reference", "CPU"]

    def energies(self, molecule: Mol) -> Energies:
        """Return the energy surface of a molecule with these settings."""
        return Energies(
            molecule,
            variant=self.variant,
            solvent=self.solvent,
            temperature_K=self.temperature_K,
            platform=self.platform,
        )


class Complex(NamedTuple):
    """The lowest complex, taken apart: binding = interaction + strains, all in kcal/mol."""

    molecule: Mol
    """Host first, then guest; without a conformer of this complex."""
    host_atoms: int
    places_angstrom: np.ndarray
    free_host_angstrom: np.ndarray
    free_guest_angstrom: np.ndarray
    binding_kcal_per_mol: float
    search_error_kcal_per_mol: float
    """How much higher the lowest would lie, on average, after half of the search."""
    interaction_kcal_per_mol: float
    host_strain_kcal_per_mol: float
    guest_strain_kcal_per_mol: float
    preference_kcal_per_mol: float | None
    """How much lower the lowest in the cavity lies than the lowest outside it."""


class HostInWater:
    """A host with its energy surface and the lowest minimum of it that was found, alone."""

    def __init__(self, host: Host, settings: SearchSettings) -> None:
        self.host = host
        self.surface = settings.energies(host.molecule)
        minimum = self.surface.minimised(positions_angstrom(host.molecule))
        require_same_connectivity(host.molecule, minimum.places_angstrom)
        runs = [
            self.surface.relaxed(
                minimum.places_angstrom,
                settings.relaxation_ps,
                derived_seed(_HOST_SEED, "host", str(run)),
            )
            for run in range(_HOST_RUNS)
        ]
        # Always from the same seed, so that its error is the same for every guest.
        self.lowest = min([minimum, *runs], key=lambda found: found.energy_kcal_per_mol)

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return int(self.host.molecule.GetNumAtoms())

    def off_centre(self, places_angstrom: np.ndarray, guest_heavy: np.ndarray) -> float:
        """Return how far the guest is from the middle of the cavity, in radii of the cavity."""
        ring = places_angstrom[list(self.host.cavity)]
        centre = ring.mean(axis=0)
        radius = float(np.linalg.norm(ring - centre, axis=1).mean())
        guest = places_angstrom[self.atoms :][guest_heavy]
        return float(np.linalg.norm(guest - centre, axis=1).min()) / radius


def lowest_complex(host: HostInWater, guest: Mol, settings: SearchSettings, seed: int) -> Complex:
    """Search placements of a guest and return the lowest complex, in the cavity if there is one.

    Raises:
        OracleSetupError: no parameters, or no 3D structure.
        CalculationError: no placement could be minimised.
        ImplausibleResultError: the guest left, prefers the outside, or bonds changed.
    """
    from rdkit import Chem

    conformers = ensemble(
        guest, conformers=settings.guest_conformers, seed=seed, most=settings.guest_conformers
    )
    guest_surface = settings.energies(conformers[0])
    free_guest = min(
        (guest_surface.minimised(positions_angstrom(one)) for one in conformers),
        key=lambda found: found.energy_kcal_per_mol,
    )
    together = Chem.CombineMols(host.host.molecule, conformers[0])
    Chem.SanitizeMol(together)
    together.RemoveAllConformers()
    surface = settings.energies(together)
    found = _minima(host, surface, conformers, settings, seed)
    heavy = np.array([atom.GetAtomicNum() > 1 for atom in guest.GetAtoms()])
    within, without = _sorted_by_place(host, found, heavy)
    refined = _refined(surface, within, settings, derived_seed(seed, "relaxation"))
    within, moved = _sorted_by_place(host, refined + within[settings.relaxed :], heavy)
    without = sorted([*without, *moved], key=lambda one: one.energy_kcal_per_mol)
    if not within:
        raise ImplausibleResultError(
            "the guest left the cavity from every placement: it does not fit, or does not bind"
        )
    best = within[0]
    # What is left of the host in the complex may relax to a lower minimum than it had alone.
    count = host.atoms
    released = host.surface.minimised(best.places_angstrom[:count])
    free_host = min(host.lowest, released, key=lambda one: one.energy_kcal_per_mol)
    freed = guest_surface.minimised(best.places_angstrom[count:])
    free_guest = min(free_guest, freed, key=lambda one: one.energy_kcal_per_mol)
    host_energy = host.surface.energy_kcal_per_mol(best.places_angstrom[:count])
    guest_energy = guest_surface.energy_kcal_per_mol(best.places_angstrom[count:])
    apart = free_host.energy_kcal_per_mol + free_guest.energy_kcal_per_mol
    complex_ = Complex(
        molecule=together,
        host_atoms=count,
        places_angstrom=best.places_angstrom,
        free_host_angstrom=free_host.places_angstrom,
        free_guest_angstrom=free_guest.places_angstrom,
        binding_kcal_per_mol=best.energy_kcal_per_mol - apart,
        search_error_kcal_per_mol=rise_after_half(
            np.array([one.energy_kcal_per_mol for one in within])
        ),
        interaction_kcal_per_mol=best.energy_kcal_per_mol - host_energy - guest_energy,
        host_strain_kcal_per_mol=host_energy - free_host.energy_kcal_per_mol,
        guest_strain_kcal_per_mol=guest_energy - free_guest.energy_kcal_per_mol,
        preference_kcal_per_mol=(
            without[0].energy_kcal_per_mol - best.energy_kcal_per_mol
            if without and host.host.cavity
            else None
        ),
    )
    _judge(host, complex_)
    return complex_


def rise_after_half(energies: np.ndarray) -> float:
    """Return by how much the lowest of half the values lies above the lowest of all, on average.

    The mean over all halves, in closed form: the k-th lowest is the lowest of a half of h out of m
    with probability C(m-k, h-1) / C(m, h). A single value says nothing of the search: 0.

    Args:
        energies: shape (placements,), in any order.
    """
    ordered = np.sort(energies)
    count = len(ordered)
    half = max(count // 2, 1)
    chances = [comb(count - rank, half - 1) / comb(count, half) for rank in range(1, count + 1)]
    return float(np.dot(chances, ordered - ordered[0]))


def _minima(
    host: HostInWater,
    surface: Energies,
    conformers: list[Mol],
    settings: SearchSettings,
    seed: int,
) -> list[Minimum]:
    """Return a rough minimum for each placement that could be minimised."""
    rng = random_generator(seed, "placements", 0)
    guests = [positions_angstrom(one) for one in conformers]
    lowest = host.lowest.places_angstrom
    placements = []
    if host.host.cavity:
        cavity = cavity_of(lowest[list(host.host.cavity)])
        placements += inside(lowest, cavity, guests, settings.placements, rng)
        placements += outside(lowest, guests, settings.outside_placements, rng)
    else:
        placements += outside(lowest, guests, settings.placements, rng)
    found: list[Minimum] = []
    errors: list[CalculationError] = []
    for placed in placements:
        try:
            found.append(surface.minimised(np.vstack([lowest, placed]), COARSE_KJ_PER_MOL_NM))
        except CalculationError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def _refined(
    surface: Energies, minima: list[Minimum], settings: SearchSettings, seed: int
) -> list[Minimum]:
    """Minimise the lowest fully, let each relax by dynamics, and return the better of the two."""
    refined = []
    for index, minimum in enumerate(minima[: settings.relaxed]):
        still = surface.minimised(minimum.places_angstrom)
        if settings.relaxation_ps > 0.0:
            run = derived_seed(seed, str(index))
            moved = surface.relaxed(still.places_angstrom, settings.relaxation_ps, run)
            still = min(still, moved, key=lambda one: one.energy_kcal_per_mol)
        refined.append(still)
    return refined


def _sorted_by_place(
    host: HostInWater, minima: list[Minimum], guest_heavy: np.ndarray
) -> tuple[list[Minimum], list[Minimum]]:
    """Return what is bound and what is elsewhere, each in rising energy.

    Where a guest ended counts, not where it was put.
    """
    ranked = sorted(minima, key=lambda one: one.energy_kcal_per_mol)
    within: list[Minimum] = []
    without: list[Minimum] = []
    for minimum in ranked:
        places = minimum.places_angstrom
        if host.host.cavity:
            bound = host.off_centre(places, guest_heavy) <= CAVITY_SHARE
        else:
            contact = nearest_contact_angstrom(places[: host.atoms], places[host.atoms :])
            bound = contact <= LONGEST_CONTACT_angstrom
        (within if bound else without).append(minimum)
    return within, without


def _judge(host: HostInWater, found: Complex) -> None:
    require_same_connectivity(found.molecule, found.places_angstrom)
    if found.preference_kcal_per_mol is not None and found.preference_kcal_per_mol < 0.0:
        raise ImplausibleResultError(
            f"the guest is {-found.preference_kcal_per_mol:.1f} kcal/mol more stable outside the"
            " cavity than in it, so this is no energy of inclusion; it does not fit, or more"
            " placements are needed"
        )
    if not np.isfinite(found.binding_kcal_per_mol):
        raise CalculationError(f"the binding energy is {found.binding_kcal_per_mol}")
    if host.atoms + len(found.free_guest_angstrom) != len(found.places_angstrom):
        raise OracleSetupError("host and guest do not make up the complex")
