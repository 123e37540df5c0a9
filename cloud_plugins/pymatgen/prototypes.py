"""Known prototypes, which are space groups and occupied Wyckoff positions without elements, and their decorations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import gcd

from pymatgen.core import Element

from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.formula import parse_formula
from cloud_model.errors import ArgumentError, shortly
from cloud_model.scope.string import Scope
from cloud_model.stability.references import References

Places = tuple[tuple[str, int], ...]

ANIONS = frozenset(("N", "O", "F", "S", "Cl", "Se", "Br", "I"))
"""Elements whose compounds are expected to be balanced."""


@dataclass(frozen=True)
class Prototype:
    """Where atoms of each kind are.

    Attributes
    ----------
    space_group : int
    places : tuple of (str, int)
        Wyckoff symbol and number of the kind, from 0, of each orbit.
    example : str
        Formula and identifier of a known phase.
    """

    space_group: int
    places: Places
    example: str

    @property
    def n_sites(self) -> int:
        """Atoms in the conventional cell."""
        return sum(int(symbol[:-1]) for symbol, _ in self.places)

    def decorate(self, elements: Sequence[str]) -> Scope:
        """Put elements, one of each kind, in the places."""
        return Scope.from_orbits(self.space_group, [(symbol, elements[kind]) for symbol, kind in self.places])


def prototypes(
    references: References,
    kinds: int,
    n_sites: int | None = None,
    space_groups: Collection[int] | None = None,
) -> list[Prototype]:
    """Prototypes of phases of known structure.

    Parameters
    ----------
    references : References
        Phases.
    kinds : int
        Number of elements.
    n_sites : int, optional
        Largest number of atoms in the conventional cell; any if left out.
    space_groups : collection of int, optional
        Numbers of the space groups; all if left out.
    """
    found: dict[tuple[int, Places], Prototype] = {}
    for identifier, formula, text in zip(references.ids, references.formulas, references.scopes, strict=True):
        if not text or len(parse_formula(formula)) != kinds:
            continue
        scope = Scope.parse(text)
        if space_groups is not None and scope.space_group not in space_groups:
            continue
        prototype = prototype_of(scope, f"{formula} ({identifier})")
        if n_sites is None or prototype.n_sites <= n_sites:
            found.setdefault((prototype.space_group, prototype.places), prototype)
    return list(found.values())


def prototype_of(scope: Scope, example: str) -> Prototype:
    """Prototype of a string of the dialect ``sites``; kinds are numbered in the order of the string."""
    orbits = scope.orbits or ()
    kinds: dict[str, int] = {}
    for _, element in orbits:
        kinds.setdefault(element, len(kinds))
    return Prototype(
        scope.space_group, tuple((symbol, kinds[element]) for symbol, element in orbits), example
    )


def decorations(
    known: Iterable[Prototype], elements: Sequence[str], charge_balance: bool
) -> Iterator[tuple[Scope, Prototype]]:
    """Distinct strings of prototypes with these elements, all of them, in every order."""
    seen: set[int] = set()
    for prototype in known:
        for order in permutations(elements):
            if charge_balance and not is_balanced(_counts(prototype, order)):
                continue
            scope = prototype.decorate(order)
            key = hash(str(scope))
            if key not in seen:
                seen.add(key)
                yield scope, prototype


def expects_balance(elements: Iterable[str]) -> bool:
    """Whether compounds of these elements are expected to be balanced, by the most electronegative of them."""
    return max(elements, key=ELEMENT_RANK.__getitem__) in ANIONS


def is_balanced(counts: Mapping[str, int]) -> bool:
    """Whether charges can add up to zero, with states that the ICSD reports.

    Atoms of an element may differ in their state, but not in its sign, and no element with negative charges may be
    less electronegative than one with positive charges (the rule of Pauling in SMACT, Davies et al., J. Open Source
    Softw. 4, 1361 (2019)).
    """
    ordered = sorted(counts, key=ELEMENT_RANK.__getitem__)
    return any(0 in _charges(counts, ordered[:split], ordered[split:]) for split in range(1, len(ordered)))


def checked_elements(elements: str | Iterable[str]) -> list[str]:
    """Elements of a chemical system, such as ``"Li-Mn-O"``, ``"Li,Mn,O"`` or a list.

    Raises
    ------
    ArgumentError
        If there are none, one is unknown, or one is repeated.
    """
    if isinstance(elements, str):
        elements = elements.replace(",", "-").split("-")
    try:
        names = [element.strip() for element in elements]
    except (AttributeError, TypeError):
        raise ArgumentError(
            f"elements {shortly(elements)}", "are not symbols", "Name some, such as Li,Mn,O."
        ) from None
    names = [element for element in names if element]
    if not names:
        raise ArgumentError("The chemical system", "has no elements", "Name some, such as Li,Mn,O.")
    unknown = [element for element in names if element not in ELEMENT_RANK]
    if unknown:
        raise ArgumentError(f"element {unknown[0]!r}", "is unknown", "Write symbols, such as Li,Mn,O.")
    if len(set(names)) < len(names):
        raise ArgumentError(f"elements {', '.join(names)}", "are not distinct", "Name each once.")
    return names


def _counts(prototype: Prototype, elements: Sequence[str]) -> dict[str, int]:
    counts = dict.fromkeys(elements, 0)
    for symbol, kind in prototype.places:
        counts[elements[kind]] += int(symbol[:-1])
    divisor = gcd(*counts.values())
    return {element: number // divisor for element, number in counts.items()}


def _charges(counts: Mapping[str, int], cations: Sequence[str], anions: Sequence[str]) -> set[int]:
    """Charges that a formula can have."""
    charges = {0}
    for elements, sign in ((cations, 1), (anions, -1)):
        for element in elements:
            sums = _sums(element, sign, counts[element])
            charges = {total + added for total in charges for added in sums}
    return charges


@cache
def _sums(element: str, sign: int, number: int) -> frozenset[int]:
    """Charges that some atoms of an element can have together."""
    states = {state for state in Element(element).icsd_oxidation_states if state * sign > 0}
    sums = {0}
    for _ in range(number):
        sums = {total + state for total in sums for state in states}
    return frozenset(sums)
