"""Read POSCAR and XDATCAR files of VASP. ASE reads them; their counts and elements are checked here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from io import StringIO
from itertools import islice

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms, no_element
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.reading import Reading, check_position, integers, is_position, wrong_count
from cloud_model.errors import CrystalError

_HEADER = 7  # lines before the positions: comment, scale, three vectors, elements, counts
_FRAME = "Direct configuration="


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
    if old and not (_are_elements(lines[0]) and len(lines[0].split()) == len(counts)):
        raise CrystalError(
            label,
            "it names no elements, as files of VASP 4",
            "Insert a line with their symbols before the line of counts.",
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
    kinds = lines[0 if old else 5].partition("!")[0].split()
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
    elements = [lines[0].strip()] if old else []
    return [*lines[:5], *elements, *lines[5:after]]


def _are_elements(line: str) -> bool:
    """Whether all words are symbols, perhaps followed by the kind of a pseudopotential: Na_pv/6a2f546d."""
    words = [word.partition("/")[0].partition("_")[0] for word in line.split()]
    return bool(words) and all(word in ATOMIC_NUMBERS for word in words)
