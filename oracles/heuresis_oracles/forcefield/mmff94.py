"""MMFF94 as an OpenMM `System`: all seven terms of the force field, without a cutoff.

Every formula is quoted in MMFF's units and evaluated in OpenMM's (kJ/mol, nm, radian); the factors
are those of RDKit, so energies agree to numerical precision.

Source of all formulas: Halgren, J. Comput. Chem. 17, 490 (1996), equations 2 to 8; the constants
are those printed there (143.9325, 0.043844, 2.51210, 332.0716).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis_oracles.forcefield.mmff94_parameters import MMFF94Parameters
from heuresis_oracles.units import (
    ANGSTROM_TO_NANOMETRE,
    KILOCALORIE_TO_KILOJOULE,
    NANOMETRE_TO_ANGSTROM,
)

if TYPE_CHECKING:
    import openmm

_MD_ANGSTROM_TO_KCAL_PER_MOL = 143.9325
_DEGREE = math.pi / 180.0
_COULOMB_KCAL_ANGSTROM_PER_MOL_E2 = 332.0716
_ELECTROSTATIC_1_4_SCALE = 0.75
_BUFFER_ANGSTROM = 0.05
_CUBIC_STRETCH_PER_ANGSTROM = -2.0
_CUBIC_BEND_PER_DEGREE = -0.4 * _DEGREE
"""Halgren prints -0.007 per degree; RDKit and the MMFF94 reference code use -0.4 per radian."""

TERMS = ("bond", "angle", "stretch-bend", "out-of-plane", "torsion", "nonbonded")
"""Names of the energy terms; the force group of a term is its place in this tuple."""


def build_system(
    parameters: MMFF94Parameters, masses_Da: np.ndarray, terms: Collection[str] = TERMS
) -> openmm.System:
    """Return the OpenMM system of one molecule, each term in its own force group (`TERMS`).

    Args:
        parameters: from `read_parameters`.
        masses_Da: shape (atoms,), in dalton.
        terms: which of `TERMS` to include; all of them are MMFF94.
    """
    import openmm

    system = openmm.System()
    for mass in masses_Da:
        system.addParticle(float(mass))
    builders = {
        "bond": [_bond_force],
        "angle": [_angle_force, _linear_angle_force],
        "stretch-bend": [_stretch_bend_force],
        "out-of-plane": [_out_of_plane_force],
        "torsion": [_torsion_force],
        "nonbonded": [_nonbonded_force],
    }
    for group, term in enumerate(TERMS):
        for build in builders[term] if term in terms else ():
            force, size = build(parameters)
            if size:
                force.setForceGroup(group)
                system.addForce(force)
    return system


def _bond_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """Quartic stretch: E = 143.9325/2 kb d² (1 + cs d + 7/12 cs² d²), d = r - r0 in Å."""
    import openmm

    force = openmm.CustomBondForce(
        "k*d^2*(1+cs*d+q*d^2); d=r-r0",
    )
    cubic = _CUBIC_STRETCH_PER_ANGSTROM / ANGSTROM_TO_NANOMETRE
    force.addGlobalParameter("cs", cubic)
    force.addGlobalParameter("q", 7.0 / 12.0 * cubic**2)
    force.addPerBondParameter("k")
    force.addPerBondParameter("r0")
    k = (
        0.5
        * _MD_ANGSTROM_TO_KCAL_PER_MOL
        * KILOCALORIE_TO_KILOJOULE
        * NANOMETRE_TO_ANGSTROM**2
        * parameters.bond_force_md_per_angstrom
    )
    r0 = parameters.bond_length_angstrom * ANGSTROM_TO_NANOMETRE
    for atoms, *values in zip(parameters.bond_atoms.tolist(), k, r0, strict=True):
        force.addBond(*atoms, [float(value) for value in values])
    return force, len(k)


def _angle_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """Cubic bend: E = 143.9325/2 (pi/180)² ka D² (1 + cb D), D = theta - theta0 in degrees."""
    import openmm

    force = openmm.CustomAngleForce("k*d^2*(1+cb*d); d=theta-theta0")
    force.addGlobalParameter("cb", _CUBIC_BEND_PER_DEGREE / _DEGREE)
    force.addPerAngleParameter("k")
    force.addPerAngleParameter("theta0")
    bent = ~parameters.angle_is_linear
    k = (
        0.5
        * _MD_ANGSTROM_TO_KCAL_PER_MOL
        * KILOCALORIE_TO_KILOJOULE
        * parameters.angle_force_md_angstrom[bent]
    )
    theta0 = parameters.angle_degree[bent] * _DEGREE
    for atoms, *values in zip(parameters.angle_atoms[bent].tolist(), k, theta0, strict=True):
        force.addAngle(*atoms, [float(value) for value in values])
    return force, len(k)


def _linear_angle_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """Bend about a linear centre: E = 143.9325 ka (1 + cos theta)."""
    import openmm

    force = openmm.CustomAngleForce("k*(1+cos(theta))")
    force.addPerAngleParameter("k")
    linear = parameters.angle_is_linear
    k = (
        _MD_ANGSTROM_TO_KCAL_PER_MOL
        * KILOCALORIE_TO_KILOJOULE
        * parameters.angle_force_md_angstrom[linear]
    )
    for atoms, value in zip(parameters.angle_atoms[linear].tolist(), k, strict=True):
        force.addAngle(*atoms, [float(value)])
    return force, len(k)


def _stretch_bend_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """Coupling: E = 2.51210 (kba1 d1 + kba2 d2) D, d in Å, D in degrees.

    Spelled out in coordinates: OpenMM compiles that to machine code, which is three times as fast
    as its own distance() and angle() here.
    """
    import openmm

    force = openmm.CustomCompoundBondForce(
        3,
        "(k1*(a-r1)+k2*(b-r2))*(acos(dot/(a*b))-theta0);"
        f"dot={_dot(1, 3, 2)}; a=sqrt({_dot(1, 1, 2)}); b=sqrt({_dot(3, 3, 2)})",
    )
    for name in ("k1", "k2", "r1", "r2", "theta0"):
        force.addPerBondParameter(name)
    # 2.51210 is 143.9325 pi/180; with D in radian the factor pi/180 goes.
    k = (
        _MD_ANGSTROM_TO_KCAL_PER_MOL
        * KILOCALORIE_TO_KILOJOULE
        * NANOMETRE_TO_ANGSTROM
        * parameters.stretch_bend_force_md
    )
    rows = np.column_stack(
        [
            k,
            parameters.stretch_bend_length_angstrom * ANGSTROM_TO_NANOMETRE,
            parameters.stretch_bend_degree * _DEGREE,
        ]
    )
    for atoms, row in zip(parameters.stretch_bend_atoms.tolist(), rows.tolist(), strict=True):
        force.addBond(atoms, row)
    return force, len(rows)


def _out_of_plane_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """Three Wilson angles per centre: E = 143.9325/2 (pi/180)² koop chi², chi in degrees.

    chi is the angle between the bond j-l and the plane i-j-k: its sine is the cosine between that
    bond and the normal (j-i) x (j-k). In coordinates, for speed; one angle per OpenMM bond, since
    differentiating all three at once would cost 0.1 s for every new molecule.
    """
    import openmm

    force = openmm.CustomCompoundBondForce(
        4,
        "koop*asin((nx*(x4-x1)+ny*(y4-y1)+nz*(z4-z1))/sqrt(n2*r2))^2;"
        f"n2=nx*nx+ny*ny+nz*nz; r2={_dot(4, 4, 1)};"
        "nx=(y2-y1)*(z3-z1)-(z2-z1)*(y3-y1);"
        "ny=(z2-z1)*(x3-x1)-(x2-x1)*(z3-z1);"
        "nz=(x2-x1)*(y3-y1)-(y2-y1)*(x3-x1)",
    )
    force.addPerBondParameter("koop")
    k = (
        0.5
        * _MD_ANGSTROM_TO_KCAL_PER_MOL
        * KILOCALORIE_TO_KILOJOULE
        * parameters.out_of_plane_force_md_angstrom
    )
    for (centre, a, b, c), value in zip(parameters.out_of_plane_atoms.tolist(), k, strict=True):
        if value != 0.0:
            for atoms in ((centre, a, b, c), (centre, a, c, b), (centre, b, c, a)):
                force.addBond(atoms, [float(value)])
    return force, force.getNumBonds()


def _dot(first: int, second: int, centre: int) -> str:
    """Expression of the dot product of two bond vectors that start at ``centre``."""
    return "+".join(
        f"({axis}{first}-{axis}{centre})*({axis}{second}-{axis}{centre})" for axis in "xyz"
    )


def _torsion_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """E = (V1 (1 + cos p) + V2 (1 - cos 2p) + V3 (1 + cos 3p)) / 2.

    Written as powers of cos(p - 180°), the form of OpenMM's Ryckaert-Bellemans force: one
    evaluation per torsion, no trigonometric function of the angle.
    """
    import openmm

    force = openmm.RBTorsionForce()
    for atoms, (v1, v2, v3) in zip(
        parameters.torsion_atoms.tolist(),
        (parameters.torsion_kcal_per_mol * KILOCALORIE_TO_KILOJOULE).tolist(),
        strict=True,
    ):
        if (v1, v2, v3) != (0.0, 0.0, 0.0):
            force.addTorsion(
                *atoms, 0.5 * v1 + v2 + 0.5 * v3, -0.5 * v1 + 1.5 * v3, -v2, -2.0 * v3, 0.0, 0.0
            )
    return force, force.getNumTorsions()


def _nonbonded_force(parameters: MMFF94Parameters) -> tuple[Any, int]:
    """Buffered 14-7 van der Waals and buffered electrostatics over all pairs from 1,4 on.

    E_vdw = eps (1.07 R/(r + 0.07 R))^7 (1.12 R^7/(r^7 + 0.12 R^7) - 2)
    E_ele = 332.0716 qi qj / (r + 0.05 Å), times 0.75 for 1,4 pairs.

    An explicit list of pairs takes the donor-acceptor rule and the exclusions without tables, and
    for molecules of drug size it is the fastest form.
    """
    import openmm

    force = openmm.CustomBondForce(
        "eps*a7*(1.12/(x7+0.12)-2)+qq/(r+buffer);"
        "a7=a3*a3*a; a3=a*a*a; a=1.07/(x+0.07); x7=x3*x3*x; x3=x*x*x; x=r*inverse"
    )
    force.addGlobalParameter("buffer", _BUFFER_ANGSTROM * ANGSTROM_TO_NANOMETRE)
    for name in ("eps", "inverse", "qq"):
        force.addPerBondParameter(name)
    first, second = parameters.pair_atoms.T
    charges = parameters.partial_charges_e
    rows = np.column_stack(
        [
            parameters.pair_well_kcal_per_mol * KILOCALORIE_TO_KILOJOULE,
            1.0 / (parameters.pair_radius_angstrom * ANGSTROM_TO_NANOMETRE),
            _COULOMB_KCAL_ANGSTROM_PER_MOL_E2
            * KILOCALORIE_TO_KILOJOULE
            * ANGSTROM_TO_NANOMETRE
            * charges[first]
            * charges[second]
            * np.where(parameters.pair_is_1_4, _ELECTROSTATIC_1_4_SCALE, 1.0),
        ]
    )
    for (a, b), row in zip(parameters.pair_atoms.tolist(), rows.tolist(), strict=True):
        force.addBond(a, b, row)
    return force, len(rows)
