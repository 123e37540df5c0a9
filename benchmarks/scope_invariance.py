"""How often SCOPE depends on the description of a crystal, and on the symmetry engine.

    python benchmarks/scope_invariance.py --data DIR

Each crystal of a random sample of ``structures_mp.jsonl.gz`` is described in another way: sites permuted, origin
shifted (which also relabels equivalent Wyckoff positions), lattice rotated, other lattice vectors, primitive cell,
supercell of two or three cells. The rate is that of equal strings, for the dialects of this project and for the
published one. A crystal whose strings differ is searched again with tighter tolerances: one that then agrees is a
borderline case of the tolerance. Writes ``scope_invariance.json``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from ase.geometry import cellpar_to_cell
from scipy.spatial.transform import Rotation

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.errors import CloudWarning
from cloud_model.scope.batches import scopes

RESULTS = Path(__file__).parent / "results"
SYMPREC = 0.01
TIGHTER = (0.005, 0.002, 0.001, 0.0005, 0.0001)
DIALECTS = ("canonical", "sites", "reference")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", CloudWarning)

    crystals = sample(arguments.data / "structures_mp.jsonl.gz", arguments.rows, arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    variants = {name: [change(crystal, rng) for crystal in crystals] for name, change in CHANGES.items()}
    result = {
        "rows": len(crystals),
        "symprec": SYMPREC,
        "versions": {name: version(name) for name in ("moyopy", "spglib", "pymatgen", "numpy")},
        "invariance": {dialect: invariance(crystals, variants, dialect) for dialect in DIALECTS},
        "engines": {
            dialect: compare(
                crystals,
                lambda items, symprec, dialect=dialect: texts(items, dialect, symprec, "moyopy"),
                lambda items, symprec, dialect=dialect: texts(items, dialect, symprec, "spglib"),
            )
            for dialect in ("canonical", "sites")
        },
    }
    report(result)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scope_invariance.json").write_text(json.dumps(result, indent=1) + "\n")


def sample(path: Path, rows: int, seed: int) -> list[Crystal]:
    with gzip.open(path, "rt") as file:
        lines = random.Random(seed).sample(file.readlines(), rows)  # noqa: S311
    return [
        Crystal(
            cellpar_to_cell(row["lattice"]),
            np.array(row["frac"], dtype=float),
            np.array([ATOMIC_NUMBERS[symbol] for symbol in row["species"]]),
            row["id"],
        )
        for row in map(json.loads, lines)
    ]


def permute(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    order = rng.permutation(len(crystal))
    return replace(crystal, positions=crystal.positions[order], numbers=crystal.numbers[order])


def shift(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(crystal, positions=crystal.positions + rng.random(3))


def rotate(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(crystal, lattice=Rotation.random(rng=rng).apply(crystal.lattice))


def change_cell(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    change = np.eye(3)[rng.permutation(3)]
    for _ in range(3):
        i, j = rng.permutation(3)[:2]
        change[i] += rng.choice([-1, 1]) * change[j]
    positions = crystal.positions @ np.linalg.inv(change)
    return replace(crystal, lattice=change @ crystal.lattice, positions=positions)


def reduce(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    cell = (crystal.lattice.tolist(), crystal.positions.tolist(), crystal.numbers.tolist())
    primitive = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=SYMPREC)
    if primitive is None:
        return crystal
    lattice, positions, numbers = map(np.asarray, primitive)
    return replace(crystal, lattice=lattice, positions=positions, numbers=numbers)


def repeat(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    n, axis = rng.integers(2, 4), rng.integers(3)
    cells = np.where(np.arange(3) == axis, n, 1)
    offsets = np.eye(3)[axis] * np.arange(n)[:, None, None]
    return replace(
        crystal,
        lattice=crystal.lattice * cells[:, None],
        positions=((crystal.positions + offsets) / cells).reshape(-1, 3),
        numbers=np.tile(crystal.numbers, n),
    )


CHANGES: dict[str, Callable[[Crystal, np.random.Generator], Crystal]] = {
    "permutation of sites": permute,
    "shift of origin": shift,
    "rotation": rotate,
    "other lattice vectors": change_cell,
    "primitive cell": reduce,
    "supercell": repeat,
}


def texts(crystals: list[Crystal], dialect: Any, symprec: float, engine: Any = None) -> list[str]:
    return [str(scope) for scope in scopes(crystals, dialect, symprec, engine)]


def invariance(crystals: list[Crystal], variants: dict[str, list[Crystal]], dialect: str) -> dict[str, Any]:
    original = texts(crystals, dialect, SYMPREC)
    result: dict[str, Any] = {}
    for name, changed in variants.items():
        pairs = zip(original, texts(changed, dialect, SYMPREC), strict=True)
        different = [i for i, (one, other) in enumerate(pairs) if one != other]
        result[name] = {"equal": len(crystals) - len(different)}
        if dialect != "reference":
            result[name]["exceptions"] = {
                crystals[i].label: explain(
                    lambda symprec, i=i, changed=changed: {
                        *texts([crystals[i], changed[i]], dialect, symprec)
                    }
                )
                for i in different
            }
    return result


def compare(
    crystals: list[Crystal], one: Callable[..., list[str]], other: Callable[..., list[str]]
) -> dict[str, Any]:
    pairs = zip(one(crystals, SYMPREC), other(crystals, SYMPREC), strict=True)
    different = [i for i, (first, second) in enumerate(pairs) if first != second]
    return {
        "equal": len(crystals) - len(different),
        "exceptions": {
            crystals[i].label: explain(
                lambda symprec, i=i: {*one([crystals[i]], symprec), *other([crystals[i]], symprec)}
            )
            for i in different
        },
    }


def explain(strings: Callable[[float], set[str]]) -> str:
    """Find a tighter tolerance at which there is one string only."""
    agreed = next((symprec for symprec in TIGHTER if len(strings(symprec)) == 1), None)
    return f"borderline: agrees at symprec {agreed}" if agreed else "not explained"


def report(result: dict[str, Any]) -> None:
    rows = result["rows"]
    print(f"{rows} crystals: strings that stay the same (%)")
    print(f"{'':24}" + "".join(f"{dialect:>12}" for dialect in DIALECTS))
    for name in CHANGES:
        equal = [result["invariance"][dialect][name]["equal"] for dialect in DIALECTS]
        print(f"{name:24}" + "".join(f"{100 * count / rows:12.2f}" for count in equal))
    for dialect, engines in result["engines"].items():
        print(f"moyopy and spglib agree, {dialect}: {100 * engines['equal'] / rows:.2f}%")
        print("  exceptions:", dict(Counter(engines["exceptions"].values())) or "none")


if __name__ == "__main__":
    main()
