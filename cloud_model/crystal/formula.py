"""Chemical formulas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import gcd

from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.errors import DataError

_IUPAC = (
    "Og Rn Xe Kr Ar Ne He Fr Cs Rb K Na Li Ra Ba Sr Ca Mg Be Lr No Md Fm Es Cf Bk Cm Am Pu Np U Pa Th Ac Lu Yb Tm Er "
    "Ho Dy Tb Gd Eu Sm Pm Nd Pr Ce La Y Sc Rf Hf Zr Ti Db Ta Nb V Sg W Mo Cr Bh Re Tc Mn Hs Os Ru Fe Mt Ir Rh Co Ds Pt "
    "Pd Ni Rg Au Ag Cu Cn Hg Cd Zn Nh Tl In Ga Al B Fl Pb Sn Ge Si C Mc Bi Sb As P N H Lv Po Te Se S O Ts At I Br Cl F"
)
_PLACE = {symbol: place for place, symbol in enumerate(_IUPAC.split())}


def reduced_formula(counts: Mapping[str, int]) -> str:
    """Write the smallest integer formula, elements in the order of IUPAC (Red Book 2005, table VI).

    Parameters
    ----------
    counts : mapping of str to int
        Atoms of each element.

    Examples
    --------
    >>> reduced_formula({"O": 12, "Ti": 4, "Sr": 4})
    'SrTiO3'
    """
    divisor = gcd(*counts.values())
    numbers = {element: counts[element] // divisor for element in sorted(counts, key=_PLACE.__getitem__)}
    return "".join(f"{element}{number if number > 1 else ''}" for element, number in numbers.items())


@lru_cache(maxsize=65536)
def parse_formula(formula: str) -> Mapping[str, int]:
    """Atoms of each element in a formula of whole numbers; not to be changed.

    Raises
    ------
    DataError
        If it is not such a formula.

    Examples
    --------
    >>> parse_formula("Ca3(PO4)2")
    {'Ca': 3, 'P': 2, 'O': 8}
    """
    from ase.formula import Formula

    try:
        counts: dict[str, int] = Formula(formula).count()
    except (ValueError, AssertionError):
        counts = {}
    if not counts or not counts.keys() <= ELEMENT_RANK.keys() or min(counts.values()) < 1:
        raise DataError(
            f"formula {formula!r}",
            "does not consist of elements and whole numbers",
            "Write it as in Ca3(PO4)2.",
        )
    return counts


def fractions(counts: Mapping[str, int]) -> dict[str, float]:
    """Share of each element among the atoms."""
    total = sum(counts.values())
    return {element: number / total for element, number in counts.items()}
