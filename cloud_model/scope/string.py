"""SCOPE: a crystal as a string of its space group, Wyckoff positions and composition.

``<generators> | <Wyckoff symbols> | <element fraction ...>``, in three dialects:

- ``reference``: the strings of the published CLOUD code, in the order of the sites of the file;
- ``canonical``: the same content in one form, whatever the origin, axes, cell and order of sites, and the same for
  a crystal and its mirror image: of an enantiomorphic pair of space groups the first is written;
- ``sites``: canonical, with the element on each orbit: ``4a Na 4b Cl``.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from typing import Any, Literal, get_args

from cloud_model.crystal.conversions import from_object
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ELEMENT_RANK, SYMBOLS
from cloud_model.crystal.files import read_crystal
from cloud_model.crystal.formula import reduced_formula
from cloud_model.errors import ArgumentError, CloudError, CloudWarning, DataError, ScopeError
from cloud_model.scope.canonical import canonical_letters, canonical_orbits
from cloud_model.scope.space_groups import numbers_by_generators, space_group, without_hand
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
Orbits = tuple[tuple[str, str], ...]
Composition = tuple[tuple[str, float], ...]
Found = tuple[Crystal, Symmetry]

_LARGEST_FORMULA = 400  # atoms


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The SCOPE description of a crystal. Equality and hash are those of its text.

    Attributes
    ----------
    space_group : int
        International number, from 1 to 230. Of a crystal of known hand it is that of the crystal, even where the text
        is that of its mirror image.
    wyckoff : tuple of str
        Distinct Wyckoff symbols (multiplicity in the conventional cell and letter) in the order of the text.
    composition : tuple of (str, float)
        Elements and their shares of the atoms, rounded to two digits, in the order of the text.
    orbits : tuple of (str, str) or None
        Wyckoff symbol and element of each orbit, repeats kept. Only the ``sites`` dialect knows them.
    dialect : {'reference', 'canonical', 'sites'}
        How the text is written.
    symprec : float or None
        Tolerance in Angstrom of the symmetry search that gave it, if any.
    n_atoms : int or None
        Number of atoms in the cell that it was made from, if any.

    Examples
    --------
    >>> from ase.build import bulk
    >>> scope = Scope.from_crystal(bulk("NaCl", "rocksalt", a=5.64), dialect="sites")
    >>> print(scope)
    1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a Na 4b Cl | Na 0.5 Cl 0.5
    >>> scope.space_group, scope.n_atoms
    (225, 2)
    >>> scope == Scope.parse(str(scope)) == Scope.from_orbits(225, "Na:4a;Cl:4b")
    True
    """

    space_group: int
    wyckoff: tuple[str, ...]
    composition: Composition
    orbits: Orbits | None
    dialect: Dialect
    symprec: float | None = None
    n_atoms: int | None = None

    @classmethod
    def from_orbits(
        cls, space_group: int, orbits: str | Iterable[tuple[str, str]], dialect: Dialect = "sites"
    ) -> Scope:
        """Describe a crystal of known orbits.

        Parameters
        ----------
        space_group : int
            International number, from 1 to 230.
        orbits : str or iterable of (str, str)
            Wyckoff symbol and element of each orbit, such as ``[("4a", "Na"), ("4b", "Cl")]``, or the same in
            the notation of tables, ``"Na:4a;Cl:4b"``.
        dialect : {'sites', 'canonical'}
            How the text is written.

        Raises
        ------
        ScopeError
            If these are not orbits of this space group, or the dialect needs the order of sites.
        """
        check_dialect(dialect)
        if dialect == "reference":
            raise _no_conversion("Orbits", dialect, "they have no order of sites")
        pairs = _table_notation(orbits) if isinstance(orbits, str) else list(orbits)
        if not pairs:
            raise ScopeError(f"Space group {space_group}", "there are no orbits", "Give at least one.")
        letters = _letters(space_group)
        try:
            canonical = canonical_orbits(
                space_group, [(letters[symbol], element) for symbol, element in pairs]
            )
        except KeyError as error:
            raise ScopeError(
                f"Orbits of space group {space_group}",
                f"{error.args[0]!r} is not one of its Wyckoff symbols, or not an element",
                "Give each orbit a symbol such as '4a' and an element such as 'Na'.",
            ) from None
        return _from_canonical(space_group, canonical, dialect)

    @classmethod
    def from_crystal(
        cls,
        crystal: Any,
        dialect: Dialect = "canonical",
        symprec: float = 0.01,
        engine: Engine | None = None,
    ) -> Scope:
        """Describe a crystal.

        Parameters
        ----------
        crystal : ase.Atoms, pymatgen Structure, path, str, Scope or Crystal
            A ``str`` with two vertical bars is a SCOPE string, any other the name of a file; see
            `cloud_model.crystal.files.read_crystal` and `cloud_model.crystal.conversions.from_object` for what
            is accepted.
        dialect : {'canonical', 'sites', 'reference'}
            How the text is written.
        symprec : float
            Tolerance of the symmetry search in Angstrom.
        engine : {'moyopy', 'spglib'}, optional
            What searches the symmetry. ``reference`` is defined by spglib; the others use moyopy, which is faster
            and depends less on the choice of cell and origin where symmetry is borderline.

        Raises
        ------
        CrystalError
            If it is not one physical, ordered crystal that can be read.
        SymmetryError
            If the symmetry search fails.
        ScopeError
            If it is a malformed SCOPE string, or one that cannot be written in this dialect.
        """
        describer = _Describer(dialect, symprec, engine)
        read = describer.read(crystal)
        return read if isinstance(read, Scope) else describer.write(describer.search(read))

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read a SCOPE string; the inverse of ``str``.

        The dialect is ``sites`` where elements follow the Wyckoff symbols, ``canonical`` where the string is
        its own canonical form, and ``reference`` otherwise.

        Raises
        ------
        ScopeError
            If it is not a SCOPE string.
        """
        parts = [part.split() for part in text.split("|")]
        if len(parts) != 3 or not all(parts):
            raise _malformed(text, "it does not have three parts")
        generators, wyckoff, composition = parts
        number = numbers_by_generators().get(" ".join(generators))
        if number is None:
            raise _malformed(text, "its generators are not those of a space group")
        shares = _parse_composition(text, composition)

        if len(wyckoff) > 1 and wyckoff[1] in ELEMENT_RANK:
            if len(wyckoff) % 2:
                raise _malformed(text, "an orbit has no element")
            scope = cls.from_orbits(number, zip(wyckoff[::2], wyckoff[1::2], strict=True))
            if sorted(scope.composition) != sorted(shares):
                raise _malformed(text, "its composition is not that of its orbits")
            return scope

        strange = set(wyckoff) - _letters(number).keys()
        if strange or len(set(wyckoff)) < len(wyckoff):
            raise _malformed(text, f"its Wyckoff symbols are not distinct ones of space group {number}")
        published = cls(number, tuple(wyckoff), shares, None, "reference")
        canonical = published.to("canonical")
        return canonical if str(canonical) == " ".join(text.split()) else published

    def to(self, dialect: Dialect) -> Scope:
        """Write the same crystal in another dialect.

        Raises
        ------
        ScopeError
            If this one does not hold what the other needs: only ``sites`` knows which element is where, only
            ``reference`` the order of the sites.
        """
        check_dialect(dialect)
        if dialect == self.dialect:
            return self
        if dialect == "sites":
            raise _no_conversion(str(self), dialect, "it does not tell which element is on which orbit")
        if dialect == "reference":
            raise _no_conversion(str(self), dialect, "it does not tell the order of the sites")
        letters = canonical_letters(self.space_group, [symbol[-1] for symbol in self.wyckoff])
        symbols = _symbols(self.space_group)
        return replace(
            self,
            wyckoff=tuple(symbols[letter] for letter in letters),
            composition=tuple(sorted(self.composition, key=lambda share: ELEMENT_RANK[share[0]])),
            orbits=None,
            dialect="canonical",
        )

    @property
    def formula(self) -> str:
        """Reduced formula; without known orbits, the smallest one whose fractions round to those of the text."""
        if self.orbits is not None:
            atoms: Counter[str] = Counter()
            for symbol, element in self.orbits:
                atoms[element] += int(symbol[:-1])
            return reduced_formula(atoms)
        for total in range(1, _LARGEST_FORMULA + 1):
            counts = {element: round(fraction * total) for element, fraction in self.composition}
            if all(
                counts[element] and round_fraction(counts[element] / total) == fraction
                for element, fraction in self.composition
            ):
                return reduced_formula(counts)
        return " ".join(f"{element}{fraction:g}" for element, fraction in self.composition)

    def __str__(self) -> str:
        if self.dialect == "reference":
            generators = space_group(self.space_group).published_generators
        else:
            generators = space_group(without_hand(self.space_group)).generators
        wyckoff = self.wyckoff if self.orbits is None else (word for orbit in self.orbits for word in orbit)
        composition = (f"{element} {fraction}" for element, fraction in self.composition)
        return f"{generators} | {' '.join(wyckoff)} | {' '.join(composition)}"

    def _repr_html_(self) -> str:
        from cloud_model.display.html import scope_html

        return scope_html(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def scopes(
    crystals: Iterable[Any],
    dialect: Dialect = "canonical",
    symprec: float = 0.01,
    engine: Engine | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    remember: bool = False,
) -> list[Scope | CloudError]:
    """Describe many crystals.

    Parameters
    ----------
    crystals : iterable
        What `Scope.from_crystal` accepts.
    dialect, symprec, engine
        As in `Scope.from_crystal`.
    n_jobs : int
        Number of processes, as in joblib: -1 for one a core.
    progress : bool
        Show a progress bar.
    remember : bool
        Keep the symmetries that are found, and use those of geometries that were searched before.

    Returns
    -------
    list of Scope or CloudError
        One item a crystal, in their order; the error for one that cannot be described.
    """
    describer = _Describer(dialect, symprec, engine, remember)
    if type(n_jobs) is not int or n_jobs == 0:
        raise ArgumentError(
            f"n_jobs {n_jobs!r}", "it is no number of processes", "Use 1, or -1 for one a core."
        )
    crystals = list(crystals)
    size = 256 if n_jobs == 1 else max(1, min(256, len(crystals) // (4 * abs(n_jobs))))
    chunks = (crystals[start : start + size] for start in range(0, len(crystals), size))
    found = map(describer.describe, chunks) if n_jobs == 1 else _in_processes(describer, chunks, n_jobs)
    if not progress:
        return list(chain.from_iterable(found))

    from tqdm import tqdm

    return list(tqdm(chain.from_iterable(found), "SCOPE", len(crystals), unit="crystal"))


def check_dialect(dialect: str) -> None:
    """Raise an `ArgumentError` unless this is one of the dialects."""
    if dialect not in get_args(Dialect):
        raise ArgumentError(
            f"dialect {dialect!r}", "it is unknown", f"Choose one of {', '.join(get_args(Dialect))}."
        )


def round_fraction(fraction: float) -> float:
    """Round as ``numpy.round(fraction, 2)`` does, to the last bit."""
    return round(fraction * 100) / 100


@dataclass(frozen=True, slots=True)
class _Describer:
    """The three steps from a crystal to its SCOPE."""

    dialect: Dialect
    symprec: float
    engine: Engine | None
    remember: bool = False

    def __post_init__(self) -> None:
        check_dialect(self.dialect)
        check_search(self.symprec, self.engine or DEFAULT_ENGINE)
        if self.dialect == "reference" and self.engine == "moyopy":
            raise ArgumentError(
                "engine 'moyopy'",
                "the reference dialect is defined by spglib",
                "Leave the engine to its default.",
            )

    def read(self, crystal: Any) -> Crystal | Scope:
        """Reduce a crystal to arrays, unless it is described already."""
        if isinstance(crystal, str) and crystal.count("|") == 2:
            crystal = Scope.parse(crystal)
        if isinstance(crystal, Scope):
            return crystal.to(self.dialect)
        if isinstance(crystal, str | os.PathLike):
            return read_crystal(crystal)
        return from_object(crystal)

    def search(self, crystal: Crystal) -> Found:
        engine = self.engine or DEFAULT_ENGINE
        published = self.dialect == "reference"
        find = find_published_symmetry if published else partial(find_symmetry, engine=engine)
        if self.remember:
            return crystal, recall_symmetry(find, crystal, self.symprec, "published" if published else engine)
        return crystal, find(crystal, self.symprec)

    def write(self, found: Found) -> Scope:
        crystal, symmetry = found
        if self.dialect == "reference":
            return _in_order_of_sites(crystal, symmetry, self.symprec)
        canonical = canonical_orbits(symmetry.number, orbits_of(crystal, symmetry))
        return _from_canonical(symmetry.number, canonical, self.dialect, self.symprec, len(crystal))

    def describe(self, crystals: Sequence[Any]) -> list[Scope | CloudError]:
        """Take each step for all crystals, which keeps its code in the caches of the processor."""
        items: list[Any] = list(crystals)
        for step in (self.read, self.search, self.write):
            items = [_attempt(step, item) for item in items]
        return items


def _attempt(step: Callable[[Any], Any], item: Any) -> Any:
    """Take a step, unless an earlier one failed or was the last."""
    if isinstance(item, Scope | CloudError):
        return item
    try:
        return step(item)
    except CloudError as error:
        return error


def _in_processes(
    describer: _Describer, chunks: Iterable[list[Any]], n_jobs: int
) -> Iterator[list[Scope | CloudError]]:
    from joblib import Parallel, delayed

    def compact(crystal: Any) -> Any:
        """Send objects as arrays, which are small, and leave the reading of files to the processes."""
        return crystal if isinstance(crystal, str | os.PathLike) else _attempt(describer.read, crystal)

    # in one piece, since joblib looks at each array for something to share
    packed = (pickle.dumps([compact(crystal) for crystal in chunk]) for chunk in chunks)
    tasks = (delayed(_describe_packed)(describer, crystals) for crystals in packed)
    try:
        for described, messages in Parallel(n_jobs, return_as="generator")(tasks):
            for message in messages:
                warnings.warn(message, CloudWarning, stacklevel=2)
            yield described
    except BrokenExecutor as error:
        raise DataError(
            f"one of {n_jobs} processes",
            "ended before its crystals were described, for lack of memory or by a signal",
            "Use fewer processes.",
        ) from error


def _describe_packed(
    describer: _Describer, crystals: bytes
) -> tuple[list[Scope | CloudError], list[Warning | str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CloudWarning)
        described = describer.describe(pickle.loads(crystals))  # noqa: S301
    return described, [warning.message for warning in caught if warning.category is CloudWarning]


def _in_order_of_sites(crystal: Crystal, symmetry: Symmetry, symprec: float) -> Scope:
    """Write the reference dialect, as the published code does."""
    symbols = _symbols(symmetry.number)
    counts = Counter(crystal.numbers.tolist())
    return Scope(
        symmetry.number,
        tuple(symbols[letter] for letter in dict.fromkeys(symmetry.letters)),
        tuple((SYMBOLS[z - 1], round_fraction(count / len(crystal))) for z, count in counts.items()),
        None,
        "reference",
        symprec,
        len(crystal),
    )


def _from_canonical(
    number: int,
    orbits: list[tuple[str, str]],
    dialect: Dialect,
    symprec: float | None = None,
    n_atoms: int | None = None,
) -> Scope:
    multiplicities = space_group(number).multiplicities
    symbols = _symbols(number)
    counts: dict[str, int] = {}
    for letter, element in orbits:
        counts[element] = counts.get(element, 0) + multiplicities[letter]
    total = sum(counts.values())
    placed = tuple([(symbols[letter], element) for letter, element in orbits])
    elements = sorted(counts, key=ELEMENT_RANK.__getitem__)
    return Scope(
        number,
        tuple(dict.fromkeys([symbol for symbol, _ in placed])),
        tuple([(element, round_fraction(counts[element] / total)) for element in elements]),
        placed if dialect == "sites" else None,
        dialect,
        symprec,
        n_atoms,
    )


@cache
def _letters(number: int) -> dict[str, str]:
    """Wyckoff symbol -> letter, for one space group."""
    if not 1 <= number <= 230:
        raise ScopeError(f"space group {number}", "does not exist", "Give a number from 1 to 230.")
    return {symbol: letter for letter, symbol in _symbols(number).items()}


@cache
def _symbols(number: int) -> dict[str, str]:
    """Wyckoff letter -> symbol, for one space group."""
    return {letter: f"{size}{letter}" for letter, size in space_group(number).multiplicities.items()}


def _table_notation(orbits: str) -> list[tuple[str, str]]:
    """Read ``"Na:4a;Cl:4b"``."""
    pairs = [orbit.partition(":") for orbit in orbits.split(";")]
    return [(symbol, element) for element, _, symbol in pairs]


def _parse_composition(text: str, words: list[str]) -> Composition:
    elements = words[::2]
    try:
        fractions = [round_fraction(float(word)) for word in words[1::2]]
    except (ValueError, OverflowError) as error:
        raise _malformed(text, f"its composition: {error}") from None
    if len(elements) != len(fractions) or not ELEMENT_RANK.keys() >= set(elements):
        raise _malformed(text, "its composition does not consist of elements and fractions")
    if len(set(elements)) < len(elements) or not all(0 <= fraction <= 1 for fraction in fractions):
        raise _malformed(text, "an element is repeated, or a fraction is not between 0 and 1")
    return tuple(zip(elements, fractions, strict=True))


def _malformed(text: str, reason: str) -> ScopeError:
    shown = text if len(text) <= 120 else f"{text[:120]}..."
    return ScopeError(
        repr(shown), reason, "Write '<generators> | <Wyckoff symbols> | <element fraction ...>'."
    )


def _no_conversion(subject: str, dialect: str, reason: str) -> ScopeError:
    return ScopeError(
        subject, f"cannot be written in the dialect {dialect!r}: {reason}", "Start from the crystal itself."
    )
