"""Read the crystals of an ASE database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def database_rows(path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Identifier of each row of an ASE database, and what reads its ``ase.Atoms``."""
    from ase.db import connect

    for row in connect(path).select():  # type: ignore[no-untyped-call]
        yield str(row.id), row.toatoms
