"""SCOPE beside the published path and the bare symmetry search."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import moyopy
import numpy as np
from crystals import sample, structures
from measure import Row, milliseconds, part_by_part, ratio, row
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from cloud_model import Scope
from cloud_model.crystal.cif import read_cif
from cloud_model.crystal.conversions import from_object
from cloud_model.scope.batches import scopes

PUBLISHED = "pymatgen's SpacegroupAnalyzer on each structure, as published"


def in_memory(data: Path, rows: int, rounds: int) -> list[Row]:
    atoms, objects = sample(data, rows), structures(data, rows)
    crystals = [from_object(a) for a in atoms]
    lists = [(c.lattice.tolist(), c.positions.tolist(), c.numbers.tolist()) for c in crystals]

    def bare(part: Any) -> None:
        for arrays in part:
            moyopy.MoyoDataset(moyopy.Cell(*arrays), symprec=0.01)

    def one_by_one(part: Any) -> None:
        for crystal in part:
            Scope.from_crystal(crystal)

    seconds = part_by_part(
        {
            "moyopy alone": (bare, lists),
            "ours, ASE": (scopes, atoms),
            "ours, pymatgen": (scopes, objects),
            "ours, one by one": (one_by_one, atoms),
            "published": (lambda part: list(map(published, part)), objects),
        },
        rounds,
    )
    times = milliseconds(seconds, rows)
    what = f"SCOPE of {rows:,} structures in memory, one core"
    return [
        row(
            what,
            PUBLISHED,
            ">= 6",
            ratio(seconds, "published", "ours, pymatgen"),
            ms_per_crystal=times,
            mean_atoms=float(np.mean([len(a) for a in atoms])),
        ),
        row(
            what,
            "moyopy alone",
            "<= 1.25",
            ratio(seconds, "ours, ASE", "moyopy alone"),
            pymatgen=ratio(seconds, "ours, pymatgen", "moyopy alone"),
            one_by_one=ratio(seconds, "ours, one by one", "moyopy alone"),
        ),
    ]


def processes(data: Path, rows: int, rounds: int) -> list[Row]:
    crystals = sample(data, rows)
    scopes(crystals[:100], n_jobs=2)  # starts the processes
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for n_jobs, found in seconds.items():
            start = time.perf_counter()
            scopes(crystals * 5, n_jobs=n_jobs)
            found.append(time.perf_counter() - start)
    return [
        row(
            f"SCOPE of {5 * rows:,} structures, 2 processes",
            "1 process",
            ">= 1.8",
            median(a / b for a, b in zip(seconds[1], seconds[2], strict=True)),
            clock="wall",
        )
    ]


def cif_text(data: Path, rows: int, rounds: int) -> list[Row]:
    objects = structures(data, rows)[:300]
    texts = [str(CifWriter(s, symprec=0.01 if i % 2 else None)) for i, s in enumerate(objects)]

    def ours(part: Any) -> None:
        for text in part:
            Scope.from_crystal(read_cif(text))

    def theirs(part: Any) -> None:
        for text in part:
            published(Structure.from_str(text, fmt="cif"))

    seconds = part_by_part({"ours": (ours, texts), "published": (theirs, texts)}, rounds)
    return [
        row(
            "SCOPE from the text of a CIF, read by `cloud_model.crystal.cif`",
            "pymatgen's Structure.from_str and the published path",
            ">= 5",
            ratio(seconds, "published", "ours"),
            ms_per_crystal=milliseconds(seconds, len(texts)),
        )
    ]


def published(structure: Structure) -> tuple[int, list[str], str]:
    analyzer = SpacegroupAnalyzer(structure, symprec=0.01)
    symmetrized = analyzer.get_symmetrized_structure()
    return analyzer.get_space_group_number(), symmetrized.wyckoff_symbols, structure.composition.formula
