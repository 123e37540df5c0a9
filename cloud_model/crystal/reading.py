"""Shared by file readers: how a crystal is handed on, and checks of stated counts against actual lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cloud_model.crystal.crystal import Crystal
from cloud_model.errors import CrystalError

Reading = Callable[[str], Crystal]
"""Reads one crystal of a file; takes what to call it in errors."""

_LONGEST = 18  # digits of a count that are read


def integers(lines: Iterable[str]) -> list[int]:
    """Counts of lines that hold nothing else; none if they hold anything else."""
    words = " ".join(lines).split()
    if not all(word.isascii() and word.isdecimal() for word in words):
        return []
    return [int(word[:_LONGEST]) for word in words]


def is_position(line: str) -> bool:
    """Whether a line begins with three numbers."""
    try:
        return len([float(word) for word in line.split()[:3]]) == 3
    except ValueError:
        return False


def wrong_count(label: str, atoms: int, lines: int) -> CrystalError:
    """Return the error about a file that counts more atoms than it has lines."""
    return CrystalError(label, f"it counts {atoms} atoms in {lines} lines", "Check that it is complete.")
