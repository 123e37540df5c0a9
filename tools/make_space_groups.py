"""Write ``cloud_model/space_groups.json`` from the tables that pymatgen bundles.

Run ``python tools/make_space_groups.py`` after pymatgen corrects one of its tables.
"""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

# The three space groups whose strings in the code and weights published with CLOUD differ from de Graef's.
PUBLISHED = {39: "03aODDbOOOcODO0", 131: "13bDDOgDOOcODD0", 222: "14bDDOcDODdOOOeOOD1YYY"}
TARGET = Path(__file__).parents[1] / "cloud_model" / "space_groups.json"


def rank(letter: str) -> tuple[bool, str]:
    """Sort key of Wyckoff letters: a to z, then A (the 27th position of Pmmm)."""
    return letter.isupper(), letter


def read_pymatgen() -> list[dict[str, object]]:
    """Generators, letters, multiplicities and relabellings of the 230 space groups."""
    spec = find_spec("pymatgen.symmetry")
    assert spec is not None and spec.submodule_search_locations is not None  # noqa: S101
    symmetry = Path(next(iter(spec.submodule_search_locations)))
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
            "".join(image for _, image in sorted(table.items(), key=lambda item: rank(chr(int(item[0])))))
            for table in relabellings[str(number)]
        }
        groups.append(
            {
                "generators": generators[number],
                "letters": letters,
                "multiplicities": [sizes[letter] for letter in letters],
                "relabellings": sorted(images, key=lambda image: [rank(letter) for letter in image]),
            }
        )
    for number, generator in PUBLISHED.items():
        groups[number - 1]["published_generators"] = generator
    return groups


if __name__ == "__main__":
    TARGET.write_text("[\n" + ",\n".join(json.dumps(group) for group in read_pymatgen()) + "\n]\n")
