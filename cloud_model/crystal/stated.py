"""Compare a crystal with what its file states about it a second time: numbers of atoms, formulas, volumes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cell import volume_and_normals
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.formula import parse_formula
from cloud_model.errors import CrystalError, DataError

VOLUME = 0.01
"""How much a stated volume may differ from that of the cell, as a share of it, beside the rounding to integers."""

OFFSET = 0.05
"""How far in Angstrom two statements of a position may be apart."""

WHOLE = 0.01
"""How far the entries of a matrix may be from integers."""


def contradiction(label: str, found: str, stated: str) -> CrystalError:
    """Return the error about something that a file states twice."""
    return CrystalError(label, f"it has {found}, but it states {stated}", "Correct the one or the other.")


def check_count(atoms: int, stated: Any, name: str, label: str) -> None:
    """Raise a `CrystalError` unless a stated number of atoms, if there is one, is right."""
    if stated is not None and stated != atoms:
        raise contradiction(label, f"{atoms} atoms", f"{stated!r:.20} as {name}")


def check_volume(lattice: NDArray[np.float64], stated: Any, name: str, label: str) -> None:
    """Raise a `CrystalError` unless a stated volume in cubic Angstrom, if there is one, is that of the cell."""
    volume = abs(volume_and_normals(lattice.tolist())[0])
    if stated is not None and not is_volume(float(stated), volume):
        raise contradiction(label, f"a cell of {volume:.4g} cubic Angstrom", f"{float(stated):.4g} as {name}")


def is_volume(stated: float, volume: float) -> bool:
    """Whether a stated volume is that of the cell."""
    return abs(stated - volume) <= VOLUME * volume + 0.5


def check_positions(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    stated: NDArray[np.float64],
    name: str,
    label: str,
) -> None:
    """Raise a `CrystalError` unless stated positions (n, 3) are the same ones, all fractional."""
    offsets = stated - positions
    apart = np.linalg.norm((offsets - np.rint(offsets)) @ lattice, axis=1)
    if (apart > OFFSET).any():
        atom = int(apart.argmax())
        raise contradiction(
            label, f"atom {atom + 1} at one place", f"one {apart[atom]:.2f} Angstrom away as {name}"
        )


def check_elements(crystal: Crystal, stated: Collection[str] | None, name: str, label: str) -> None:
    """Raise a `CrystalError` unless stated elements, if there are any, are those of a crystal."""
    if stated and {_number(symbol) for symbol in stated} != set(crystal.numbers.tolist()):
        raise contradiction(
            label, f"the atoms {crystal.formula}", f"{' '.join(map(str, stated))[:80]} as {name}"
        )


def check_formula(crystal: Crystal, stated: str | Mapping[str, float] | None, name: str, label: str) -> None:
    """Raise a `CrystalError` unless a stated formula, if there is one, is that of a crystal or a multiple.

    A formula that is not understood is passed over.
    """
    try:
        amounts = parse_formula(stated) if isinstance(stated, str) else stated
    except DataError:
        return
    amounts = {
        symbol: amount for symbol, amount in (amounts or {}).items() if not symbol.startswith("@") and amount
    }
    if not amounts:
        return
    counts = Counter(crystal.numbers.tolist())
    wanted: dict[Any, float] = defaultdict(float)
    for symbol, amount in amounts.items():
        wanted[_number(symbol)] += amount
    ratio = counts.total() / sum(wanted.values())
    if any(abs(counts[key] - ratio * wanted[key]) > 0.01 * ratio for key in counts.keys() | wanted.keys()):
        formula = stated if isinstance(stated, str) else " ".join(f"{s}{a:g}" for s, a in amounts.items())
        raise contradiction(label, f"the atoms {crystal.formula}", f"{formula[:80]} as {name}")


def check_units(crystal: Crystal, units: float, name: str, label: str) -> None:
    """Check that a crystal consists of a stated number of formula units."""
    counts = Counter(crystal.numbers.tolist()).values()
    if units >= 1 and any(count % units for count in counts):
        raise contradiction(label, f"the atoms {crystal.formula}", f"{units:g} formula units, by {name}")


def _number(symbol: str) -> Any:
    """Atomic number by a symbol, perhaps with a charge; of what is no element, itself."""
    return ATOMIC_NUMBERS.get(symbol.rstrip("0123456789.+-"), symbol)
