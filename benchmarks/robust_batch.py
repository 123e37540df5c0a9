"""Predict all structures of the Materials Project snapshot with one in a hundred corrupted at random.

Every corrupted structure has to be reported, and no other one; nothing may crash.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell

from cloud_model import CloudModel
from cloud_model.errors import CloudWarning

RESULT = Path(__file__).parent / "results" / "robust_batch.json"
SHARE = 0.01

Record = dict[str, Any]


def as_dict(record: Record) -> dict[str, Any]:
    """A structure in the form of pymatgen's ``as_dict``."""
    sites = zip(record["species"], record["frac"], strict=True)
    return {
        "lattice": {"matrix": cellpar_to_cell(record["lattice"]).tolist()},
        "sites": [{"species": [{"element": name, "occu": 1}], "abc": abc} for name, abc in sites],
    }


def no_sites(record: Record) -> Any:
    """Take the atoms away."""
    return as_dict(record | {"species": [], "frac": []})


def nan_position(record: Record) -> Any:
    """Put the first atom nowhere."""
    return as_dict(record | {"frac": [[float("nan"), 0, 0], *record["frac"][1:]]})


def same_place(record: Record) -> Any:
    """Put another atom on the first one."""
    return as_dict(
        record | {"species": [*record["species"], "He"], "frac": [*record["frac"], record["frac"][0]]}
    )


def flat_cell(record: Record) -> Any:
    """Take a lattice vector away."""
    structure = as_dict(record)
    structure["lattice"]["matrix"][2] = [0.0, 0.0, 0.0]
    return structure


def partial_occupancy(record: Record) -> Any:
    """Half of the first atom."""
    structure = as_dict(record)
    structure["sites"][0]["species"][0]["occu"] = 0.5
    return structure


def dummy(record: Record) -> Any:
    """An atom of no element."""
    return as_dict(record | {"species": ["X", *record["species"][1:]]})


def unknown_element(record: Record) -> Any:
    """An element that the checkpoint does not know."""
    return as_dict(record | {"species": ["Og", *record["species"][1:]]})


def garbled(record: Record) -> Any:
    """Cut a row of the lattice off."""
    structure = as_dict(record)
    structure["lattice"]["matrix"].pop()
    return structure


def no_cell(record: Record) -> Any:
    """A molecule."""
    return Atoms(record["species"], positions=record["frac"])


def missing_file(record: Record) -> Any:
    """The name of a file that is not there."""
    return f"{record['id']}.cif"


def nothing(_: Record) -> Any:
    """None, as in an empty cell of a table."""
    return None


CORRUPTIONS: tuple[Callable[[Record], Any], ...] = (
    no_sites,
    nan_position,
    same_place,
    flat_cell,
    partial_occupancy,
    dummy,
    unknown_element,
    garbled,
    no_cell,
    missing_file,
    nothing,
)


def main() -> None:
    """Run it and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA", "data"))
    parser.add_argument("--limit", type=int, help="use only so many structures")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    with gzip.open(Path(arguments.data) / "structures_mp.jsonl.gz", "rt") as lines:
        records = [json.loads(line) for line in lines][: arguments.limit]
    rng = np.random.default_rng(arguments.seed)
    model = CloudModel.from_pretrained()
    warnings.simplefilter("ignore", CloudWarning)

    crystals = [as_dict(record) for record in records]
    clean = CloudModel(model.checkpoint).predict(
        crystals
    )  # another one, which remembers nothing for the other
    chosen = rng.choice(len(records), round(SHARE * len(records)), replace=False)
    kinds: Counter[str] = Counter()
    for row in chosen.tolist():
        corrupt = CORRUPTIONS[rng.integers(len(CORRUPTIONS))]
        kinds[corrupt.__name__] += 1
        crystals[row] = corrupt(records[row])

    started = time.perf_counter()
    frame = model.predict(crystals)
    seconds = time.perf_counter() - started
    reported = set(np.flatnonzero(frame["error"].notna()).tolist())
    expected = set(chosen.tolist()) | set(np.flatnonzero(clean["error"].notna()).tolist())
    intact = sorted(set(range(len(records))) - expected)
    values = frame.columns.drop("error")
    unchanged = np.allclose(
        frame.loc[intact, values].to_numpy(float),
        clean.loc[intact, values].to_numpy(float),
        rtol=1e-4,
        atol=1e-6,
    )
    result = {
        "structures": len(records),
        "corrupted": len(chosen),
        "unreadable_before": int(clean["error"].notna().sum()),
        "crashes": 0,  # or this line would not be reached
        "corrupted_not_reported": len(set(chosen.tolist()) - reported),
        "intact_but_reported": len(reported - expected),
        "other_rows_unchanged": bool(unchanged),
        "seconds": round(seconds, 1),
        "corruptions": dict(sorted(kinds.items())),
        "model": model.name,
        "seed": arguments.seed,
    }
    print(json.dumps(result, indent=1))
    if arguments.limit is None:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
