"""The 230 space groups: generators, Wyckoff positions and how the positions can be relabelled.

A static table that ``tools/make_space_groups.py`` makes from those of pymatgen. The names of the Wyckoff
positions are those of the International Tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ENANTIOMORPHS = {
    78: 76, 95: 91, 96: 92, 145: 144, 153: 151, 154: 152, 170: 169, 172: 171, 179: 178, 181: 180, 213: 212
}  # fmt: skip
"""The second of each enantiomorphic pair of space groups -> the first, its mirror image.

A mirror takes each Wyckoff position of one to the position of the same letter of the other, but for relabellings
under the affine normalizer, which are those of both. In the other 43 groups without improper operations it is a
relabelling as well.
"""


@dataclass(frozen=True, slots=True)
class SpaceGroup:
    """One space group.

    Attributes
    ----------
    number : int
        From 1 to 230.
    generators : str
        De Graef's encoding, one token a character, separated by spaces.
    published_generators : str
        The same in the code and weights published with CLOUD, which deviate for groups 39, 131 and 222.
    multiplicities : dict of str to int
        Wyckoff letter -> number of sites in the conventional cell.
    relabellings : tuple of str
        Each equivalent naming of the Wyckoff positions, as the images of the letters in their order. Together
        they are the action of the affine normalizer of the space group.
    """

    number: int
    generators: str
    published_generators: str
    multiplicities: dict[str, int]
    relabellings: tuple[str, ...]

    @property
    def letters(self) -> str:
        """Return the Wyckoff letters, from the most special to the general position."""
        return "".join(self.multiplicities)


def letter_rank(letter: str) -> int:
    """Return the place of a Wyckoff letter in the order a to z, then A (the 27th position of Pmmm)."""
    return 26 if letter == "A" else ord(letter) - ord("a")


@cache
def space_groups() -> tuple[SpaceGroup, ...]:
    """Return all space groups, in the order of their numbers."""
    table = json.loads(files("cloud_model.scope").joinpath("space_groups.json").read_text())
    return tuple(
        SpaceGroup(
            number,
            " ".join(row["generators"]),
            " ".join(row.get("published_generators", row["generators"])),
            dict(zip(row["letters"], row["multiplicities"], strict=True)),
            tuple(row["relabellings"]),
        )
        for number, row in enumerate(table, start=1)
    )


def space_group(number: int) -> SpaceGroup:
    """Return the space group of this number, from 1 to 230."""
    return space_groups()[number - 1]


def without_hand(number: int) -> int:
    """Return the number by which a crystal and its mirror image are written, the lower of theirs."""
    return ENANTIOMORPHS.get(number, number)


@cache
def numbers_by_generators() -> dict[str, int]:
    """Map generator strings, of either encoding, to the numbers of their space groups."""
    groups = space_groups()
    return {g.published_generators: g.number for g in groups} | {g.generators: g.number for g in groups}
