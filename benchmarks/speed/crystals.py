"""Crystals of ``structures_mp.jsonl.gz``, as each library holds them."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path

from ase import Atoms
from ase.geometry import cellpar_to_cell
from pymatgen.core import Structure

from cloud_model.crystal.elements import SYMBOLS

FILE = "structures_mp.jsonl.gz"


@cache
def sample(data: Path, rows: int) -> list[Atoms]:
    """Crystals drawn at random, the same each time."""
    with gzip.open(data / FILE, "rt") as file:
        lines = random.Random(0).sample(file.readlines(), rows)  # noqa: S311
    return [to_atoms(line) for line in lines]


@cache
def structures(data: Path, rows: int) -> list[Structure]:
    """Give the same as `sample`, for pymatgen."""
    return [
        Structure(a.cell.array, a.get_chemical_symbols(), a.get_scaled_positions())
        for a in sample(data, rows)
    ]


def stream(data: Path, rows: int) -> Iterator[Atoms]:
    """Crystals one by one from the disk: the file again and again, each time with other elements."""

    def endless() -> Iterator[Atoms]:
        for turn in count():
            elements = list(SYMBOLS[:83])
            random.Random(turn).shuffle(elements)  # noqa: S311
            with gzip.open(data / FILE, "rt") as lines:
                for line in lines:
                    atoms = to_atoms(line)
                    atoms.symbols = [elements[(z - 1) % len(elements)] for z in atoms.numbers]
                    yield atoms

    return islice(endless(), rows)


def to_atoms(line: str) -> Atoms:
    row = json.loads(line)
    return Atoms(row["species"], scaled_positions=row["frac"], cell=cellpar_to_cell(row["lattice"]), pbc=True)
