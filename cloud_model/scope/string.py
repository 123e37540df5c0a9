"""SCOPE: a crystal as a string of its space group, Wyckoff positions and composition.

``<generators> | <Wyckoff symbols> | <element fraction ...>``, in three dialects:

- ``reference``: the strings of the published CLOUD code, in the order of the sites of the file;
- ``canonical``: the same content in one form, whatever the origin, axes, cell and order of sites, and the same for
  a crystal and its mirror image: of an enantiomorphic pair of space groups the first is written;
- ``sites``: canonical, with the element on each orbit: ``4a Na 4b Cl``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.files import is_scope_string, to_crystal
from cloud_model.crystal.formula import reduced_formula
from cloud_model.errors import ScopeError, shortly
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.canonical import canonical_letters, canonical_orbits
from cloud_model.scope.description import (
    Composition,
    Describer,
    Dialect,
    Orbits,
    check_dialect,
    from_canonical,
    round_fraction,
    wyckoff_symbols,
)
from cloud_model.scope.space_groups import numbers_by_generators, space_group, without_hand
from cloud_model.scope.symmetry import Engine

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
    volume_per_atom : float or None
        Volume per atom of that cell, in cubic Angstrom.
    label : str
        What to call that crystal, such as the name of its file.

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
    volume_per_atom: float | None = None
    label: str = ""

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

        Returns
        -------
        Scope
            Without a tolerance, number of atoms or volume.

        Raises
        ------
        ScopeError
            If these are not orbits of this space group, or the dialect needs the order of sites.
        """
        check_dialect(dialect)
        if dialect == "reference":
            raise _no_conversion("Orbits", dialect, "they have no order of sites")
        if not isinstance(space_group, int | np.integer) or isinstance(space_group, bool):
            raise ScopeError(
                f"space group {shortly(space_group)}", "is not a number", "Give one from 1 to 230."
            )
        try:
            pairs = (
                _table_notation(orbits) if isinstance(orbits, str) else [(one, two) for one, two in orbits]
            )
        except (TypeError, ValueError):
            raise ScopeError(
                f"orbits {shortly(orbits)}", "are not pairs", "Give Wyckoff symbol and element of each orbit."
            ) from None
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
        return cls(*from_canonical(space_group, canonical, dialect))

    @classmethod
    def from_crystal(
        cls,
        crystal: Any,
        dialect: Dialect = "canonical",
        symprec: float = DEFAULT_SYMPREC,
        engine: Engine | None = None,
    ) -> Scope:
        """Describe a crystal.

        Parameters
        ----------
        crystal : ase.Atoms, pymatgen Structure, path, str, file object, Scope or Crystal
            A ``str`` with two vertical bars is a SCOPE string, any other the name or the text of a file; see
            `cloud_model.crystal.files.open_crystals` and `cloud_model.crystal.conversions.from_object` for what
            is accepted.
        dialect : {'canonical', 'sites', 'reference'}
            How the text is written.
        symprec : float
            Tolerance of the symmetry search in Angstrom.
        engine : {'moyopy', 'spglib'}, optional
            What searches the symmetry. ``reference`` is defined by spglib; the others use moyopy, which is faster
            and depends less on the choice of cell and origin where symmetry is borderline.

        Returns
        -------
        Scope

        Raises
        ------
        CrystalError
            If it is not one physical, ordered crystal that can be read.
        SymmetryError
            If the symmetry search fails.
        ScopeError
            If it is a malformed SCOPE string, or one that cannot be written in this dialect.
        """
        describer = Describer(dialect, symprec, engine)
        read = scope_or_crystal(crystal, dialect)
        return read if isinstance(read, Scope) else cls(*describer.write(describer.search(read)))

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
        if not isinstance(text, str):
            raise ScopeError(
                f"text {shortly(text)}",
                "is not a SCOPE string",
                "Scope.from_crystal takes crystals.",
            )
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
        symbols = wyckoff_symbols(self.space_group)
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

    @property
    def generators(self) -> str:
        """Generators of the space group as the text has them, separated by spaces."""
        if self.dialect == "reference":
            return space_group(self.space_group).published_generators
        return space_group(without_hand(self.space_group)).generators

    def __str__(self) -> str:
        wyckoff = self.wyckoff if self.orbits is None else (word for orbit in self.orbits for word in orbit)
        composition = (f"{element} {fraction}" for element, fraction in self.composition)
        return f"{self.generators} | {' '.join(wyckoff)} | {' '.join(composition)}"

    def _repr_html_(self) -> str:
        from cloud_model.display.html import render
        from cloud_model.scope.explanation import explain, space_group_name

        parts: dict[str, list[tuple[str, str]]] = {}
        for part, tokens, meaning in explain(str(self)):
            parts.setdefault(part, []).append((tokens, meaning))
        name = space_group_name(self.space_group)
        return render("cloud_model.display", "scope.html.j2", scope=str(self), parts=parts, name=name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def scope_or_crystal(crystal: Any, dialect: Dialect) -> Scope | Crystal:
    """Read what `Scope.from_crystal` accepts: a `Scope` in this dialect if it is described already.

    Raises
    ------
    CrystalError, ScopeError
        As `Scope.from_crystal`.
    """
    if isinstance(crystal, str) and is_scope_string(crystal):
        crystal = Scope.parse(crystal)
    return crystal.to(dialect) if isinstance(crystal, Scope) else to_crystal(crystal)


@cache
def _letters(number: int) -> dict[str, str]:
    """Wyckoff symbol -> letter, for one space group."""
    if not 1 <= number <= 230:
        raise ScopeError(f"space group {number}", "does not exist", "Give a number from 1 to 230.")
    return {symbol: letter for letter, symbol in wyckoff_symbols(number).items()}


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
