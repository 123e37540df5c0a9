"""Speed of SCOPE beside the published path and the bare symmetry search.

    python benchmarks/scope_speed.py --data DIR

Everything runs in one process on one core, on crystals of ``structures_mp.jsonl.gz``, in rounds in which each way
takes its turn on each part of the crystals; the ratios are medians over the rounds. The published path is
pymatgen's ``SpacegroupAnalyzer`` on each structure. Then batches in one and two processes, and cells of up to 10,000
atoms. Writes ``scope_speed.json``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import moyopy
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.geometry import cellpar_to_cell
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from cloud_model import Scope
from cloud_model.cif import read_cif
from cloud_model.crystals import from_object
from cloud_model.scope import scopes
from cloud_model.symmetry import MAX_ATOMS

RESULTS = Path(__file__).parent / "results"
PART = 250


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")

    atoms = sample(arguments.data / "structures_mp.jsonl.gz", arguments.rows)
    structures = [Structure(a.cell.array, a.get_chemical_symbols(), a.get_scaled_positions()) for a in atoms]
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load_average": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("moyopy", "spglib", "pymatgen", "ase", "numpy")},
        "rows": len(atoms),
        "mean_atoms": float(np.mean([len(a) for a in atoms])),
        "in_memory": in_memory(atoms, structures, arguments.rounds),
        "cif_text": cif_text(structures[:300], arguments.rounds),
        "processes": processes(atoms, arguments.rounds),
        "large_cells": large_cells(),
    }
    print(json.dumps(result, indent=1))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scope_speed.json").write_text(json.dumps(result, indent=1) + "\n")


def sample(path: Path, rows: int) -> list[Atoms]:
    with gzip.open(path, "rt") as file:
        lines = random.Random(0).sample(file.readlines(), rows)  # noqa: S311
    return [
        Atoms(row["species"], scaled_positions=row["frac"], cell=cellpar_to_cell(row["lattice"]), pbc=True)
        for row in map(json.loads, lines)
    ]


def in_memory(atoms: list[Atoms], structures: list[Structure], rounds: int) -> dict[str, Any]:
    crystals = [from_object(a) for a in atoms]
    lists = [(c.lattice.tolist(), c.positions.tolist(), c.numbers.tolist()) for c in crystals]
    ways: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]] = {
        "bare moyopy": (
            lambda part: [moyopy.MoyoDataset(moyopy.Cell(*arrays), symprec=0.01) for arrays in part],
            lists,
        ),
        "ours, ASE": (lambda part: list(map(str, scopes(part))), atoms),
        "ours, pymatgen": (lambda part: list(map(str, scopes(part))), structures),
        "ours, one by one": (lambda part: [str(Scope.from_crystal(crystal)) for crystal in part], atoms),
        "published path": (lambda part: [published(structure) for structure in part], structures),
    }
    seconds = alternate(ways, rounds)
    return {
        "ms_per_crystal": {name: 1e3 * median(times) / len(atoms) for name, times in seconds.items()},
        "faster_than_published": ratio(seconds, "published path", "ours, pymatgen"),
        "over_bare_engine": {
            name: ratio(seconds, name, "bare moyopy")
            for name in ("ours, ASE", "ours, pymatgen", "ours, one by one")
        },
    }


def cif_text(structures: list[Structure], rounds: int) -> dict[str, Any]:
    texts = [str(CifWriter(s, symprec=0.01 if i % 2 else None)) for i, s in enumerate(structures)]
    seconds = alternate(
        {
            "ours": (lambda part: [str(Scope.from_crystal(read_cif(text))) for text in part], texts),
            "published path": (
                lambda part: [published(Structure.from_str(text, fmt="cif")) for text in part],
                texts,
            ),
        },
        rounds,
    )
    return {
        "ms_per_crystal": {name: 1e3 * median(times) / len(texts) for name, times in seconds.items()},
        "faster_than_published": ratio(seconds, "published path", "ours"),
    }


def processes(atoms: list[Atoms], rounds: int) -> dict[str, Any]:
    many = atoms * 5
    scopes(many[:100], n_jobs=2)  # starts the processes
    times = {1: [], 2: []}
    for _ in range(rounds):
        for n_jobs, found in times.items():
            start = time.perf_counter()
            scopes(many, n_jobs=n_jobs)
            found.append(time.perf_counter() - start)
    return {"rows": len(many), "speedup_of_2": median(a / b for a, b in zip(times[1], times[2], strict=True))}


def large_cells() -> dict[str, float]:
    """Seconds for a perfect supercell and for one without symmetry."""
    rng = np.random.default_rng(0)
    times = {}
    for repeat in (5, 8, 10):
        perfect = bulk("NaCl", "rocksalt", 5.64, cubic=True) * (repeat, repeat, repeat)
        rattled = perfect.copy()
        rattled.positions += rng.normal(scale=0.05, size=(len(perfect), 3))
        for name, crystal in (("perfect", perfect), ("rattled", rattled)):
            start = time.perf_counter()
            Scope.from_crystal(crystal)
            times[f"{len(crystal)} atoms, {name}"] = time.perf_counter() - start
    times["largest cell, atoms"] = MAX_ATOMS["moyopy"]
    return times


def published(structure: Structure) -> tuple[int, list[str], str]:
    analyzer = SpacegroupAnalyzer(structure, symprec=0.01)
    symmetrized = analyzer.get_symmetrized_structure()
    return analyzer.get_space_group_number(), symmetrized.wyckoff_symbols, structure.composition.formula


def alternate(
    ways: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each way in each round, after a first one that imports what is needed."""
    for run, crystals in ways.values():
        run(crystals[:PART])
    seconds: dict[str, list[float]] = {name: [0.0] * rounds for name in ways}
    for i in range(rounds):
        for first in range(0, len(next(iter(ways.values()))[1]), PART):
            for name, (run, crystals) in ways.items():
                start = time.perf_counter()
                run(crystals[first : first + PART])
                seconds[name][i] += time.perf_counter() - start
    return seconds


def ratio(seconds: dict[str, list[float]], one: str, other: str) -> float:
    return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


if __name__ == "__main__":
    main()
