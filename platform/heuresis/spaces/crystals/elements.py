"""The elements that crystals may hold, in the order in which their text names them."""

from __future__ import annotations

from typing import Final

_BY_ELECTRONEGATIVITY: Final = (  # noqa: SIM905
    # Pauling; noble gases and elements without a value last but for the metals among them.
    "Fr Cs K Rb Ba Ra Na Sr Li Eu Yb La Ac Ca Ce Tb Pr Pm Nd Sm Gd Dy Y Ho Er Tm Lu Th Mg Am Cm Pu "
    "Hf Zr Np Sc U Ta Pa Ti Mn Be Nb Al V Zn Cr Cd In Ga Fe Co Cu Si Ni Ag Tc Sn Hg Tl Po Ge Bi B "
    "Re Sb Te As P Mo At H Ir Os Pd Ru Pt Rh Pb W Au C Se S I Br N Cl O F Xe Kr Ar Rn Ne He"
).split()
ELEMENT_RANK: Final = {symbol: rank for rank, symbol in enumerate(_BY_ELECTRONEGATIVITY)}
"""Symbol → place, from electropositive to electronegative."""

ELEMENT_SYMBOLS: Final = (  # noqa: SIM905 - a list literal would take 100 lines
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm"
).split()
"""By atomic number, 1 to 96."""
