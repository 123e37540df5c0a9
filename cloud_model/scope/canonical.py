"""One representative of all the equivalent ways to name the Wyckoff positions of a crystal.

The letters depend on the choice of origin and axes within the standard setting: either ion of rock salt can
be called ``4a``. Of all relabellings under the affine normalizer of the space group, the canonical one

1. has the smallest set of distinct letters, compared as sorted lists in the order of the alphabet;
2. among these, has the smallest sorted list of (letter, element), the less electronegative element first.

Rule 1 alone decides which Wyckoff positions are written, rule 2 which element gets which.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cloud_model.crystal.elements import BY_ELECTRONEGATIVITY, ELEMENT_RANK
from cloud_model.scope.space_groups import letter_rank, space_group

_END = len(BY_ELECTRONEGATIVITY)  # after the ranks of all elements


@lru_cache(maxsize=65536)
def relabellings(number: int, letters: frozenset[str]) -> tuple[dict[str, str], ...]:
    """Return all the ways to rename a set of Wyckoff letters to its canonical set.

    Parameters
    ----------
    number : int
        Number of the space group.
    letters : frozenset of str
        The distinct letters that occur in the crystal.
    """
    group = space_group(number)
    old = sorted(letters, key=letter_rank)
    places = [group.letters.index(letter) for letter in old]
    images = {tuple(image[place] for place in places) for image in group.relabellings}
    ranks = {image: sorted(map(letter_rank, image)) for image in sorted(images)}
    smallest = min(ranks.values())
    return tuple(dict(zip(old, image, strict=True)) for image in ranks if ranks[image] == smallest)


@lru_cache(maxsize=65536)
def _orders(number: int, letters: frozenset[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the canonical letters, and for each way to rename to them the old ones in their places."""
    tables = relabellings(number, letters)
    canonical = sorted(tables[0].values(), key=letter_rank)
    return canonical, [tuple(sorted(letters, key=lambda old: canonical.index(new[old]))) for new in tables]


def canonical_letters(number: int, letters: Iterable[str]) -> list[str]:
    """Return the canonical set of distinct Wyckoff letters, sorted."""
    return list(_orders(number, frozenset(letters))[0])


def canonical_orbits(number: int, orbits: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return orbits relabelled and sorted.

    Parameters
    ----------
    number : int
        Number of the space group.
    orbits : iterable of (str, str)
        Wyckoff letter and element of each orbit.
    """
    ranks: dict[str, list[int]] = {}
    for letter, element in orbits:
        ranks.setdefault(letter, []).append(ELEMENT_RANK[element])
    for found in ranks.values():
        found.sort()
        found.append(
            _END
        )  # of two lists that begin alike, the longer one is smaller: more orbits of this letter
    canonical, orders = _orders(number, frozenset(ranks))
    smallest = min(orders, key=lambda order: [ranks[letter] for letter in order])
    return [
        (new, BY_ELECTRONEGATIVITY[rank])
        for new, old in zip(canonical, smallest, strict=True)
        for rank in ranks[old][:-1]
    ]
