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

COVALENT_RADII = (
    0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06,
    2.03, 1.76, 1.70, 1.60, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.20, 1.19, 1.20, 1.20, 1.16,
    2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.40,
    2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87, 1.75,
    1.70, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.40, 1.50, 1.50, 2.60, 2.21, 2.15, 2.06,
    2.00, 1.96, 1.90, 1.87, 1.80, 1.69, *[1.69] * 22,
)  # fmt: skip
"""Covalent radii in Angstrom in the order of ``SYMBOLS`` (Cordero et al., Dalton Trans. 2008, 2832); that of curium
for the elements after it, which have none."""
