"""What is checked in a file before ASE or pymatgen reads it.

Their readers trust the counts that a file begins with, and pass over what they do not know, such as occupancies.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cloud_model.crystal.conversions import disordered
from cloud_model.errors import CrystalError

_VASP = re.compile(r"POSCAR|CONTCAR|CENTCAR|XDATCAR|CHGCAR|LOCPOT|AECCAR|\.vasp$|\.poscar$", re.IGNORECASE)
_XYZ = re.compile(r"\.(ext)?xyz$", re.IGNORECASE)
_SHELX = re.compile(r"\.res$", re.IGNORECASE)
_COLUMNS = re.compile(r":[SRIL]:(\d+)", re.IGNORECASE)
_LONGEST = 18  # digits of a count that are read
_FIXED = 10  # that SHELX adds to an occupancy which is not refined


def check_format(name: str, content: bytes, label: str) -> None:
    """Check the content of a file whose format is known by its name.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied.
    CrystalError
        If its counts are not those of its lines, or it states symmetry that no reader applies.
    """
    for pattern, check in _CHECKS.items():
        if pattern.search(name):
            check(content.decode(errors="replace").splitlines(), label)


def _check_vasp(lines: list[str], label: str) -> None:
    row = next((row for row in (5, 6) if _integers(lines[row : row + 1])), None)
    if row is None:
        return
    atoms = sum(_integers([lines[row]]))
    if atoms > len(lines):
        raise _wrong_count(label, atoms, len(lines))
    selective = lines[row + 1 : row + 2] and lines[row + 1].strip()[:1] in {"s", "S"}
    after = row + 2 + bool(selective) + atoms
    if lines[after : after + 1] and _is_position(lines[after]):
        raise CrystalError(
            label, f"it counts {atoms} atoms and lists more", "Correct the line of its counts."
        )


def _check_xyz(lines: list[str], label: str) -> None:
    start = 0
    while start < len(lines) and (counts := _integers([lines[start]])):
        following = lines[start + 1 : start + 3]
        start += counts[0] + 2
        if start > len(lines):
            raise _wrong_count(label, counts[0], len(lines))
        columns = [int(columns[:_LONGEST]) for columns in _COLUMNS.findall("".join(following[:1]))]
        if counts[0] and sum(columns) > len("".join(following[1:]).split()):
            raise CrystalError(
                label, f"it declares {sum(columns)} columns and has fewer", "Correct its Properties."
            )


def _check_shelx(lines: list[str], label: str) -> None:
    rows = [line.split() for line in lines if line.strip()]
    lattice = next((row[1] for row in rows if row[0].upper() == "LATT" and len(row) > 1), "1")
    if lattice != "-1" or any(row[0].upper() == "SYMM" for row in rows):
        raise CrystalError(
            label,
            "it states symmetry operations, which no reader applies",
            "Convert it to a CIF, with SHELXL.",
        )
    occupancies = [
        row[5] for row in rows if len(row) > 5 and row[1].isdecimal() and _is_position(" ".join(row[2:]))
    ]
    if any(float(word) not in {1, 1 + _FIXED} for word in occupancies):
        raise disordered(label)


_CHECKS: dict[re.Pattern[str], Callable[[list[str], str], None]] = {
    _VASP: _check_vasp,
    _XYZ: _check_xyz,
    _SHELX: _check_shelx,
}


def _integers(lines: list[str]) -> list[int]:
    """Counts of a line that holds nothing else."""
    words = " ".join(lines).split()
    if not all(word.isdecimal() for word in words):
        return []
    return [int(word[:_LONGEST]) for word in words]


def _is_position(line: str) -> bool:
    try:
        return len([float(word) for word in line.split()[:3]]) == 3
    except ValueError:
        return False


def _wrong_count(label: str, atoms: int, lines: int) -> CrystalError:
    return CrystalError(label, f"it counts {atoms} atoms in {lines} lines", "Check that it is complete.")
