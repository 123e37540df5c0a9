"""Compare the reference dialect with strings that the published algorithm gave.

    python benchmarks/scope_reference.py --data DIR

Writes ``scope_reference.json``: how many of the strings of ``scope_reference.jsonl.gz`` are equal byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import warnings
from pathlib import Path

import numpy as np
from ase.geometry import cellpar_to_cell

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.errors import CloudWarning
from cloud_model.scope.batches import scopes

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", CloudWarning)
    with gzip.open(arguments.data / "scope_reference.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    crystals = [
        Crystal(
            cellpar_to_cell(row["lattice"]),
            np.array(row["frac"], dtype=float),
            np.array([ATOMIC_NUMBERS[symbol] for symbol in row["species"]]),
            row["id"],
        )
        for row in rows
    ]
    pairs = zip(rows, scopes(crystals, "reference"), strict=True)
    different = [row["id"] for row, scope in pairs if str(scope) != row["reference_scope"]]
    print(f"{len(rows) - len(different)} of {len(rows)} published strings are equal")
    result = {"rows": len(rows), "equal": len(rows) - len(different), "different": different}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scope_reference.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
