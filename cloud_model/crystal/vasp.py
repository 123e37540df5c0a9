"""Read POSCAR and XDATCAR files of VASP. ASE reads them; their counts and elements are checked here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from io import StringIO
from itertools import accumulate, islice

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms, no_element
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.labels import is_of_another_element
from cloud_model.crystal.reading import (
    Reading,
    check_position,
    integers,
    is_position,
    without_fortran,
    wrong_count,
)
from cloud_model.errors import CrystalError

_HEADER = 7  # lines before the positions: comment, scale, three vectors, elements, counts
_FRAME = "Direct configuration="
_FLAG = re.compile(r"\.?(?:T|F|true|false)\.?", re.IGNORECASE)  # of selective dynamics


def read_poscar(content: bytes, label: str) -> Iterator[Reading]:
    """Read a POSCAR, or the POSCAR that a charge density begins with."""
    yield partial(_read_poscar, content.decode("utf-8-sig", errors="replace").splitlines())


def read_xdatcar(content: bytes, label: str) -> Iterator[Reading]:
    """Read the frames of an XDATCAR, each of which is a POSCAR after the latest header."""
    lines = iter(content.decode("utf-8-sig", errors="replace").splitlines())
    header: list[str] = []
    found = False
    for line in lines:
        if not line.strip():
            continue
        if not line.strip().startswith(_FRAME):
            header = [line, *islice(lines, _HEADER - 1)]
            continue
        atoms = sum(integers(header[_HEADER - 1 :]))
        positions = list(islice(lines, min(atoms, len(content))))
        if len(positions) < atoms or not atoms:
            raise wrong_count(label, atoms, len(positions))
        found = True
        yield partial(_read_poscar, [*header, line, *positions])
    if not found:
        raise CrystalError(
            label, f"it has no line {_FRAME!r} before its positions", "Write it with VASP 5 or later."
        )


def is_poscar(head: str) -> bool:
    """Whether a text begins as a POSCAR does."""
    lines = head.splitlines()[:_HEADER]
    return (
        len(lines) >= _HEADER - 1
        and bool(lines[1].split())
        and all(map(is_position, lines[2:5]))
        and (_are_elements(lines[5]) or bool(integers(lines[5:6])))
    )


def is_xdatcar(head: str) -> bool:
    """Whether a text begins as an XDATCAR does."""
    return is_poscar(head) and any(line.strip().startswith(_FRAME) for line in head.splitlines()[:9])


def _read_poscar(lines: Sequence[str], label: str) -> Crystal:
    from ase.io.vasp import read_vasp

    return from_ase(read_vasp(StringIO("\n".join(_checked(lines, label)) + "\n")), label)


def _checked(lines: Sequence[str], label: str) -> list[str]:
    """The lines up to the last position, if they name their elements and count them right."""
    old = bool(integers(lines[5:6]))  # VASP 4, whose files have no line of elements
    row = 5 if old else 6
    counts = integers([line.partition("!")[0] for line in lines[row : row + 1]])
    if not counts:
        raise CrystalError(
            label, "it is not a POSCAR: it does not count its atoms", "Check that it is complete."
        )
    atoms = sum(counts)
    if atoms > len(lines):
        raise wrong_count(label, atoms, len(lines))
    check_number_of_atoms(atoms, label)
    selective = lines[row + 1 : row + 2] and lines[row + 1].strip()[:1] in {"s", "S"}
    after = row + 2 + bool(selective) + atoms
    if lines[after : after + 1] and is_position(lines[after]):
        raise CrystalError(
            label, f"it counts {atoms} atoms and lists more", "Correct the line of its counts."
        )
    rest = [line for line in lines[after:] if line.strip()][:_HEADER]
    if is_poscar("\n".join(rest)) and _are_elements(rest[5]):
        raise CrystalError(label, "it holds another POSCAR after its first", "Put each into a separate file.")
    labels = [_label_of(line) for line in lines[after - atoms : after]]
    kinds = _kinds_of_labels(labels, counts) if old else lines[5].partition("!")[0].split()
    if old and len(words := lines[0].split()) == len(counts) and _are_elements(lines[0]):
        kinds = words
    if not kinds:
        raise CrystalError(
            label,
            "it names no elements, as files of VASP 4",
            "Insert a line with their symbols before the line of counts.",
        )
    if len(kinds) != len(counts):
        raise CrystalError(
            label,
            f"it counts the atoms of {len(counts)} elements and names {len(kinds)}",
            "Correct either line.",
        )
    for kind in kinds:
        if not _are_elements(kind):
            raise no_element(label, kind)
    if len(lines) < after:
        raise wrong_count(label, atoms, len(lines))
    for line in lines[after - atoms : after]:
        check_position(line.split(), label)
    if not lines[after - atoms - 1].strip():
        raise CrystalError(
            label, "it does not say what its coordinates are", "Write Direct or Cartesian before them."
        )
    _check_labels(
        labels, [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)], label
    )
    numbers = [without_fortran(line) for line in (*lines[1:5], *lines[after - atoms : after])]
    return [lines[0], *numbers[:4], " ".join(kinds), *lines[row : after - atoms], *numbers[4:]]


def _label_of(line: str) -> str:
    """Label after a position and perhaps its flags, as pymatgen writes it; nothing if other words follow."""
    words = line.split()[3:]
    if len(words) > 2 and all(map(_FLAG.fullmatch, words[:3])):
        words = words[3:]
    words = " ".join(words).lstrip("!# ").split()
    return words[0] if words and all(word.isdecimal() for word in words[1:]) else ""


def _kinds_of_labels(labels: Sequence[str], counts: Sequence[int]) -> list[str]:
    """Element of each count, if all its labels are that."""
    ends = list(accumulate(counts))
    kinds = [set(labels[end - count : end]) for count, end in zip(counts, ends, strict=True)]
    return (
        [kind.pop() for kind in kinds]
        if all(len(k) == 1 and k <= ATOMIC_NUMBERS.keys() for k in kinds)
        else []
    )


def _check_labels(labels: Sequence[str], kinds: Sequence[str], label: str) -> None:
    """Compare the labels after the positions with the elements that are counted."""
    for i, (found, kind) in enumerate(zip(labels, kinds, strict=True), 1):
        if found and is_of_another_element(found, ATOMIC_NUMBERS[_symbol(kind)]):
            raise CrystalError(
                label,
                f"its atom {i} is {_symbol(kind)} by the line of elements, and {found[:20]} by its own line",
                "Correct the one or the other.",
            )


def _symbol(word: str) -> str:
    """Symbol before the kind of a pseudopotential: Na of Na_pv/6a2f546d."""
    return word.partition("/")[0].partition("_")[0]


def _are_elements(line: str) -> bool:
    """Whether all words are symbols, perhaps followed by the kind of a pseudopotential."""
    words = [_symbol(word) for word in line.split()]
    return bool(words) and all(word in ATOMIC_NUMBERS for word in words)
