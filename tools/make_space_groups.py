"""Write ``cloud_model/space_groups.json``, mostly from the tables that pymatgen bundles.

pymatgen's relabellings lack the changes of cell that only triclinic and monoclinic lattices allow, such as
``c -> c + a``. Together with these they are the complete action of the affine normalizer.

Run ``python tools/make_space_groups.py`` after pymatgen corrects one of its tables.
"""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

# The three space groups whose strings in the code and weights published with CLOUD differ from de Graef's.
PUBLISHED = {39: "03aODDbOOOcODO0", 131: "13bDDOgDOOcODD0", 222: "14bDDOcDODdOOOeOOD1YYY"}

CELL_CHANGES = {
    2: {"x+z,y,z": "afcdebhgi", "z,x,y": "adbcgefhi"},
    3: {"x,y,z+x": "abdce", "z,-y,x": "acbde"},
    10: {"x,y,z+x": "abcghfdeilkjmno", "z,-y,x": "abdcfeghikjlmno"},
    11: {"x,y,z+x": "adcbef", "z,-y,x": "acbdef"},
    12: {"x+z,y,z": "abdcefghij", "x,y,z+2x": "abcdfeghij"},
    13: {"x+2z,y,z": "abcdfeg"},
    14: {"x,y,z+x": "adcbe"},
}
"""Space group -> change of cell, as the point that (x, y, z) becomes -> images of its Wyckoff letters."""

TARGET = Path(__file__).parents[1] / "cloud_model" / "scope" / "space_groups.json"


def rank(letter: str) -> tuple[bool, str]:
    """Return the sort key of Wyckoff letters: a to z, then A (the 27th position of Pmmm)."""
    return letter.isupper(), letter


def generate(letters: str, images: set[str]) -> list[str]:
    """Return the permutation group that some relabellings generate, the identity first."""
    found = {letters}
    new = found
    while new:
        steps = [str.maketrans(letters, image) for image in images]
        new = {image.translate(step) for image in new for step in steps} - found
        found |= new
    return sorted(found, key=lambda image: [rank(letter) for letter in image])


def read_pymatgen() -> list[dict[str, object]]:
    """Return generators, letters, multiplicities and relabellings of the 230 space groups."""
    spec = find_spec("pymatgen.symmetry")
    symmetry = Path(spec.submodule_search_locations[0])  # type: ignore[union-attr, index]
    prototypes = symmetry.parent / "analysis" / "prototypes"

    encoding = json.loads((symmetry / "symm_data.json").read_text())["space_group_encoding"]
    generators = {entry["int_number"]: entry["enc"] for entry in encoding.values()}
    with gzip.open(prototypes / "wyckoff-position-multiplicities.json.gz") as file:
        multiplicities = json.load(file)
    with gzip.open(prototypes / "wyckoff-position-relabelings.json.gz") as file:
        relabellings = json.load(file)

    groups = []
    for number in range(1, 231):
        sizes = multiplicities[str(number)]
        letters = "".join(sorted(sizes, key=rank))
        images = {
            letters.translate({int(code): image for code, image in table.items()})
            for table in relabellings[str(number)]
        }
        group = {
            "generators": generators[number],
            "letters": letters,
            "multiplicities": [sizes[letter] for letter in letters],
            "relabellings": generate(letters, images | set(CELL_CHANGES.get(number, {}).values())),
        }
        if number in PUBLISHED:
            group["published_generators"] = PUBLISHED[number]
        groups.append(group)
    return groups


if __name__ == "__main__":
    TARGET.write_text("[\n" + ",\n".join(map(json.dumps, read_pymatgen())) + "\n]\n")
