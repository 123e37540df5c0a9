"""One representative of all the equivalent ways to name the Wyckoff positions of a crystal.

The letters depend on the choice of origin and axes within the standard setting: either ion of rock salt can
be called ``4a``. Of all relabellings under the affine normalizer of the space group, the canonical one

1. has the smallest set of distinct letters, compared as sorted lists in the order of the alphabet;
2. among these, has the smallest sorted list of (letter, element), the less electronegative element first.

Rule 1 alone decides which Wyckoff positions are written, rule 2 which element gets which.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from cloud_model.crystal.elements import BY_ELECTRONEGATIVITY, ELEMENT_RANK
from cloud_model.scope.space_groups import letter_rank, space_group

_BASE = 128  # more than there are elements: an orbit is compared as _BASE * rank of letter + rank of element


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
def _codes(number: int, letters: frozenset[str]) -> list[dict[str, int]]:
    return [
        {old: _BASE * letter_rank(new) for old, new in table.items()}
        for table in relabellings(number, letters)
    ]


@cache
def _decode(code: int) -> tuple[str, str]:
    letter, element = divmod(code, _BASE)
    return "abcdefghijklmnopqrstuvwxyzA"[letter], BY_ELECTRONEGATIVITY[element]


def canonical_letters(number: int, letters: Iterable[str]) -> list[str]:
    """Return the canonical set of distinct Wyckoff letters, sorted."""
    table = relabellings(number, frozenset(letters))[0]
    return sorted(table.values(), key=letter_rank)


def canonical_orbits(number: int, orbits: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return orbits relabelled and sorted.

    Parameters
    ----------
    number : int
        Number of the space group.
    orbits : iterable of (str, str)
        Wyckoff letter and element of each orbit.
    """
    letters, elements = zip(*orbits, strict=True)
    ranks = [ELEMENT_RANK[element] for element in elements]
    candidates = (
        sorted([table[letter] + rank for letter, rank in zip(letters, ranks, strict=True)])
        for table in _codes(number, frozenset(letters))
    )
    return [_decode(code) for code in min(candidates)]
