"""From a crystal to its SCOPE description as plain data: symmetry search and names of the orbits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple, get_args

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ELEMENT_RANK, SYMBOLS
from cloud_model.errors import ArgumentError, check_choice
from cloud_model.scope.canonical import canonical_orbits
from cloud_model.scope.space_groups import space_group
from cloud_model.scope.symmetry import (
    DEFAULT_ENGINE,
    Engine,
    Symmetry,
    check_search,
    find_published_symmetry,
    find_symmetry,
    orbits_of,
    recall_symmetry,
)

Dialect = Literal["reference", "canonical", "sites"]
_DIALECTS = get_args(Dialect)
Orbits = tuple[tuple[str, str], ...]
Composition = tuple[tuple[str, float], ...]
Found = tuple[Crystal, Symmetry]


class Description(NamedTuple):
    """Attributes of a `cloud_model.Scope`."""

    space_group: int
    wyckoff: tuple[str, ...]
    composition: Composition
    orbits: Orbits | None
    dialect: Dialect
    symprec: float | None = None
    n_atoms: int | None = None
    volume_per_atom: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Describer:
    """The steps from a crystal to its SCOPE description.

    Parameters
    ----------
    dialect, symprec, engine
        As in `cloud_model.Scope.from_crystal`.
    remember : bool
        Keep the symmetries that are found, and use those of geometries that were searched before.

    Raises
    ------
    ArgumentError
        If there is no such dialect or engine, they do not go together, or the tolerance is not positive.
    """

    dialect: Dialect
    symprec: float
    engine: Engine | None
    remember: bool = False

    def __post_init__(self) -> None:
        check_dialect(self.dialect)
        check_search(self.symprec, DEFAULT_ENGINE if self.engine is None else self.engine)
        if self.dialect == "reference" and self.engine == "moyopy":
            raise ArgumentError(
                "engine 'moyopy'",
                "the reference dialect is defined by spglib",
                "Leave the engine to its default.",
            )

    def search(self, crystal: Crystal) -> Found:
        """Search the symmetry.

        Raises
        ------
        CrystalError, SymmetryError
            If the cell is too large, or the search fails.
        """
        engine = self.engine or DEFAULT_ENGINE
        published = self.dialect == "reference"
        find = find_published_symmetry if published else partial(find_symmetry, engine=engine)
        if self.remember:
            return crystal, recall_symmetry(find, crystal, self.symprec, "published" if published else engine)
        return crystal, find(crystal, self.symprec)

    def write(self, found: Found) -> Description:
        """Name the orbits as the dialect does."""
        crystal, symmetry = found
        if self.dialect == "reference":
            return in_order_of_sites(crystal, symmetry, self.symprec)
        canonical = canonical_orbits(symmetry.number, orbits_of(crystal, symmetry))
        return from_canonical(symmetry.number, canonical, self.dialect, self.symprec, crystal)


def check_dialect(dialect: str) -> None:
    """Raise an `ArgumentError` unless this is one of the dialects."""
    check_choice("dialect", dialect, _DIALECTS)


def round_fraction(fraction: float) -> float:
    """Round as ``numpy.round(fraction, 2)`` does, to the last bit."""
    return round(fraction * 100) / 100


def in_order_of_sites(crystal: Crystal, symmetry: Symmetry, symprec: float) -> Description:
    """Write the reference dialect, as the published code does."""
    symbols = wyckoff_symbols(symmetry.number)
    counts = Counter(crystal.numbers.tolist())
    return Description(
        symmetry.number,
        tuple(symbols[letter] for letter in dict.fromkeys(symmetry.letters)),
        tuple((SYMBOLS[z - 1], round_fraction(count / len(crystal))) for z, count in counts.items()),
        None,
        "reference",
        symprec,
        *_cell(crystal),
    )


def from_canonical(
    number: int,
    orbits: list[tuple[str, str]],
    dialect: Dialect,
    symprec: float | None = None,
    crystal: Crystal | None = None,
) -> Description:
    """Describe a crystal by its canonical orbits, each a Wyckoff letter and an element, and by its cell if any."""
    multiplicities = space_group(number).multiplicities
    symbols = wyckoff_symbols(number)
    counts: dict[str, int] = {}
    for letter, element in orbits:
        counts[element] = counts.get(element, 0) + multiplicities[letter]
    total = sum(counts.values())
    placed = tuple([(symbols[letter], element) for letter, element in orbits])
    elements = sorted(counts, key=ELEMENT_RANK.__getitem__)
    return Description(
        number,
        tuple(dict.fromkeys([symbol for symbol, _ in placed])),
        tuple([(element, round_fraction(counts[element] / total)) for element in elements]),
        placed if dialect == "sites" else None,
        dialect,
        symprec,
        *(() if crystal is None else _cell(crystal)),
    )


def _cell(crystal: Crystal) -> tuple[int, float, str]:
    return len(crystal), crystal.volume_per_atom, crystal.label


@cache
def wyckoff_symbols(number: int) -> dict[str, str]:
    """Wyckoff letter -> symbol, for one space group."""
    return {letter: f"{size}{letter}" for letter, size in space_group(number).multiplicities.items()}
