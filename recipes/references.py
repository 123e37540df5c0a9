"""Make the table of reference phases that ships, from the phases on the hull of the Materials Project of 2018.

    python recipes/references.py DATA

reads ``hull_references.csv.gz`` and writes ``cloud_model/stability/references.csv.gz``. The distance of a phase is that
from the hull of all others, so it is how far the phase lies below what it would decompose into; elements that have
one phase only have none. Elements of which the source has no phase, or none of known structure, get the structure that
textbooks name; their formation energy is zero by definition. Run it again when the canonical form of SCOPE strings
changes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from cloud_model import Scope
from cloud_model.crystal.formula import fractions, parse_formula
from cloud_model.stability.hull import Hull
from cloud_model.stability.references import COLUMNS, ENERGIES, References

ENERGY = ENERGIES["2018"]
TABLE = Path(__file__).parents[1] / "cloud_model" / "stability" / "references.csv.gz"


ELEMENTS = {"Si": (227, "8a"), "Mo": (229, "2a"), "Re": (194, "2c"), "Kr": (225, "4a"), "Xe": (225, "4a")} | {
    "Sr": (225, "4a"),
    **dict.fromkeys(("K", "Rb", "Cs", "Ba", "Eu"), (229, "2a")),
}
"""Space group and Wyckoff position of elements."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    rows = pd.read_csv(parser.parse_args().data / "hull_references.csv.gz", keep_default_na=False)
    records = [
        {"id": row.id, "formula": row.formula, ENERGY: row.formation_energy_per_atom, "scope": scope(row)}
        for row in rows.itertuples()
    ]
    known = {record["formula"] for record in records if record["scope"]}
    records += [
        {
            "id": f"{element} (element)",
            "formula": element,
            ENERGY: 0.0,
            "scope": str(Scope.from_orbits(number, [(position, element)])),
        }
        for element, (number, position) in ELEMENTS.items()
        if element not in known
    ]
    references = References.from_records(TABLE.name, records)
    order = sorted(range(len(references)), key=lambda row: (references.formulas[row], references.ids[row]))
    write(references.select(order))


def scope(row: Any) -> str:
    return str(Scope.from_orbits(int(row.spg), row.orbits)) if row.orbits else ""


def write(references: References) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in tqdm(range(len(references)), unit="phase", disable=None):
        distance = distance_from_others(references, row)
        writer.writerow(
            [
                references.ids[row],
                references.formulas[row],
                f"{references.energies[row]:.5f}",
                "" if np.isnan(distance) else f"{distance:.5f}",
                references.scopes[row],
            ]
        )
    TABLE.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def distance_from_others(references: References, row: int) -> float:
    composition = fractions(parse_formula(references.formulas[row]))
    rows = references.rows(composition)
    others = Hull(references.select(rows)).decompose(composition, without=rows.index(row))
    return float(references.energies[row] - others.energy)


if __name__ == "__main__":
    main()
