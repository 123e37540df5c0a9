"""One representative for all the equivalent ways to name the Wyckoff positions of a crystal.

The letters depend on the choice of origin and axes within the standard setting: both ions of rock salt can be
called ``4a``. Of all relabellings under the normalizer of the space group, the canonical one

1. has the smallest set of distinct letters, compared as sorted lists in the order of the alphabet;
2. among these, has the smallest list of (letter, element), elements in the order of ``ELEMENT_RANK``.

Rule 1 alone decides the Wyckoff positions that are written, rule 2 which element gets which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from cloud_model.elements import ELEMENT_RANK
from cloud_model.space_groups import letter_rank, space_group

Orbit = tuple[str, str]
"""Wyckoff letter and element of an orbit."""


@lru_cache(maxsize=65536)
def relabellings(number: int, letters: frozenset[str]) -> tuple[dict[str, str], ...]:
    """All the different ways to rename a set of Wyckoff letters to its canonical set.

    Parameters
    ----------
    number : int
        Of the space group.
    letters : frozenset of str
        The distinct letters that occur in the crystal.
    """
    group = space_group(number)
    places = [(letter, group.letters.index(letter)) for letter in sorted(letters, key=letter_rank)]
    images = {"".join(image[place] for _, place in places) for image in group.relabellings}

    def ranks(image: str) -> list[int]:
        return sorted(map(letter_rank, image))

    smallest = min(map(ranks, images))
    best = sorted(image for image in images if ranks(image) == smallest)
    return tuple({letter: image[i] for i, (letter, _) in enumerate(places)} for image in best)


def canonical_letters(number: int, letters: Iterable[str]) -> list[str]:
    """The canonical set of distinct Wyckoff letters, sorted."""
    table = relabellings(number, frozenset(letters))[0]
    return sorted(table.values(), key=letter_rank)


def canonical_orbits(number: int, orbits: Sequence[Orbit]) -> list[Orbit]:
    """The orbits relabelled and sorted; one item an orbit, repeats kept."""

    def key(orbit: Orbit) -> tuple[int, int]:
        return letter_rank(orbit[0]), ELEMENT_RANK[orbit[1]]

    tables = relabellings(number, frozenset(letter for letter, _ in orbits))
    candidates = (
        sorted(((table[letter], element) for letter, element in orbits), key=key) for table in tables
    )
    return min(candidates, key=lambda candidate: [key(orbit) for orbit in candidate])
