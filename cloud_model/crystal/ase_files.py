"""Read ASE trajectories and databases, without the shortcuts of ASE that also read other files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.crystal.reading import Reading
from cloud_model.errors import CrystalError

TRAJECTORY = b"- of UlmASE-Trajectory"
DATABASE = b"SQLite format 3\0"
_ROWS = "SELECT id, numbers, positions, cell, pbc FROM systems ORDER BY id"


def read_trajectory(content: bytes, label: str) -> Iterator[Reading]:
    """Read the frames of a trajectory."""
    from ase.io.ulm import Reader

    if not content.startswith(TRAJECTORY):
        raise CrystalError(label, "it is not an ASE trajectory", "Check its format.")
    frames = Reader(BytesIO(content))
    for i in range(len(frames)):
        yield partial(_read_frame, frames, i)


def read_database(content: bytes, label: str) -> Iterator[Reading]:
    """Read the rows of a database."""
    if not content.startswith(DATABASE):
        raise CrystalError(label, "it is not an SQLite database", "Check its format.")
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        connection.deserialize(content)
        for _, reading in database_rows(connection):
            yield reading
    finally:
        connection.close()


def database_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, Reading]]:
    """Identifier of each row of an open database of ASE, and what reads its crystal."""
    connection.execute("PRAGMA trusted_schema = OFF")
    found = connection.execute("SELECT type FROM sqlite_master WHERE name = 'systems'").fetchone()
    if found != ("table",):
        raise sqlite3.DatabaseError("it has no table of crystals, 'systems'")
    for key, *values in connection.execute(_ROWS):
        yield int(key), partial(_read_row, values)


def _read_frame(frames: Any, i: int, label: str) -> Crystal:
    frame, first = frames[i], frames[0]  # the first one holds what all have in common
    header = frame if "numbers" in frame else first
    return _crystal(header.numbers, frame.positions, frame.cell, header.pbc, label, frame.get("info"))


def _read_row(values: list[Any], label: str) -> Crystal:
    numbers, positions, cell, pbc = values
    return _crystal(
        np.frombuffer(numbers, "<i4"),
        np.frombuffer(positions, "<f8").reshape(-1, 3),
        np.frombuffer(cell, "<f8").reshape(3, 3),
        [bool(int(pbc) & bit) for bit in (1, 2, 4)],
        label,
    )


def _crystal(numbers: Any, positions: Any, cell: Any, pbc: Any, label: str, info: Any = None) -> Crystal:
    from ase import Atoms

    check_number_of_atoms(len(numbers), label)
    noted = info if isinstance(info, dict) else None
    return from_ase(Atoms(numbers=numbers, positions=positions, cell=cell, pbc=pbc, info=noted), label)
