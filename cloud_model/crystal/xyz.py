"""Read XYZ and extended XYZ files, frame by frame. ASE reads the frames; their counts are checked here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO, StringIO, TextIOWrapper
from itertools import islice

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.reading import Reading, integers, is_position, without_fortran, wrong_count
from cloud_model.errors import CrystalError

_COLUMNS = re.compile(r":[SRIL]:(\d{1,18})", re.IGNORECASE)
_KEYS = re.compile(r"(?<![\w-])(Lattice|Properties)\s*=", re.IGNORECASE)
_PROPERTIES = re.compile(r"(?<![\w-])Properties\s*=\s*\"?([\w:]+)", re.IGNORECASE)
_ELEMENTS = (("species", "symbols"), ("Z", "numbers"))  # columns of symbols and of atomic numbers
_LONGEST_COMMENT = 2**16


def read_xyz(content: bytes, label: str) -> Iterator[Reading]:
    """Read the frames of an XYZ file."""
    lines = TextIOWrapper(BytesIO(content), encoding="utf-8-sig", errors="replace")
    total = max(content.count(b"\n"), content.count(b"\r")) + 1
    frame: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        counts = integers([line])
        if len(counts) != 1 and frame and is_position(" ".join(line.split()[1:])):
            raise CrystalError(
                label, f"it counts {len(frame) - 2} atoms and lists more", "Correct its number of atoms."
            )
        if frame:
            yield partial(_read_frame, frame)
        frame = []
        if len(counts) != 1:
            raise CrystalError(
                label,
                f"it is not an XYZ file: {line.strip()[:40]!r} is not a number of atoms",
                "Check its format.",
            )
        if counts[0] > total:
            raise wrong_count(label, counts[0], total)
        frame = [line, *islice(lines, counts[0] + 1)]
        if len(frame) < counts[0] + 2:
            raise wrong_count(label, counts[0], len(frame))
    if frame:
        yield partial(_read_frame, frame)


def is_xyz(head: str) -> bool:
    """Whether a text begins as an extended XYZ file of a crystal does."""
    lines = head.splitlines()[:2]
    return len(lines) == 2 and len(integers(lines[:1])) == 1 and "lattice=" in lines[1].lower()


def _read_frame(lines: Sequence[str], label: str) -> Crystal:
    from ase.io.extxyz import read_xyz as read

    check_number_of_atoms(len(lines) - 2, label)
    columns = sum(map(int, _COLUMNS.findall(lines[1])))
    for line in lines[2:] if columns else ():
        if (found := len(line.split())) != columns:
            raise CrystalError(
                label,
                f"it declares {columns} columns and has {found}",
                "Correct its Properties, or the line.",
            )
    if len(lines[1]) > _LONGEST_COMMENT:
        raise CrystalError(
            label, f"its comment is longer than {_LONGEST_COMMENT // 2**10} KiB", "Shorten its second line."
        )
    for key, stated in Counter(found.lower() for found in _KEYS.findall(lines[1])).items():
        if stated > 1:
            raise CrystalError(label, f"it states its {key} {stated} times", "Keep the right one.")
    _check_elements(lines, label)
    text = "".join([*lines[:2], *map(without_fortran, lines[2:])])
    return from_ase(next(read(StringIO(text), slice(None))), label)


def _check_elements(lines: Sequence[str], label: str) -> None:
    """Compare the columns that tell the elements of the atoms, and those of positions, if there are several."""
    match = _PROPERTIES.search(lines[1])
    parts = match[1].split(":") if match else []
    columns: dict[str, int] = {}
    column = 0
    for name, width in zip(parts[::3], parts[2::3], strict=False):
        columns[name] = column
        column += int(width)
    if len(columns.keys() & {"pos", "positions"}) > 1:
        raise CrystalError(label, "it states its positions twice", "Keep the right ones.")
    symbols, numbers = ([columns[name] for name in names if name in columns] for names in _ELEMENTS)
    if len(symbols) + len(numbers) < 2:
        return
    for row in (line.split() for line in lines[2:]):
        told = {ATOMIC_NUMBERS.get(row[i].capitalize()) for i in symbols} | {int(row[i]) for i in numbers}
        if len(told) > 1:
            words = " and ".join(row[i][:20] for i in (*symbols, *numbers))
            raise CrystalError(
                label, f"an atom is {words} by its columns of elements", "Correct the one or the other."
            )
