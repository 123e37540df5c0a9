"""The chemical elements and the order in which SCOPE lists them."""

from __future__ import annotations

_PERIODIC_TABLE = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr "
    "Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta "
    "W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs "
    "Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
_ELECTRONEGATIVITY = (
    "Fr Cs K Rb Ba Ra Na Sr Li Ca La Tb Yb Ac Ce Pr Pm Nd Sm Eu Gd Y Dy Ho Er Tm Lu Pu Hf Th Am Cm Bk Cf Es "
    "Fm Md No Lr Mg Zr Sc Np U Ta Pa Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga Fe Co Si Cu Tc Re Ni Ag Sn Hg Po Ge "
    "Bi B Sb Te Mo As P H Ru Pd Os Ir At Rn Rh Pt Pb W Au C Se S Xe I Br Kr N Cl O F He Ne Ar Rf Db Sg Bh Hs "
    "Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)

SYMBOLS = tuple(_PERIODIC_TABLE.split())
"""Symbols of the elements; that of atomic number Z is ``SYMBOLS[Z - 1]``."""

ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)} | {"D": 1, "T": 1}
"""Symbol -> atomic number; the isotopes of hydrogen are hydrogen."""

BY_ELECTRONEGATIVITY = tuple(_ELECTRONEGATIVITY.split())
"""Symbols in the order of Pauling electronegativity, as in a chemical formula; equal ones by atomic number;
elements without a value last."""

ELEMENT_RANK = {symbol: rank for rank, symbol in enumerate(BY_ELECTRONEGATIVITY)}
"""Symbol -> place in ``BY_ELECTRONEGATIVITY``."""
