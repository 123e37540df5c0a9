"""Read PDB files in P 1. ASE reads them; their symmetry, matrices and elements are checked here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal, no_element
from cloud_model.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from cloud_model.crystal.labels import elements_of_label, is_of_another_element
from cloud_model.crystal.reading import (
    Reading,
    check_position,
    floats,
    integers,
    lines_of,
    states_symmetry,
    warn_of_no_symmetry,
)
from cloud_model.crystal.stated import WHOLE, check_units, contradiction
from cloud_model.errors import CrystalError

_ATOMS = ("ATOM", "HETATM")
_P1 = ("", "1", "P1", "P 1")
_CELL_OF_PDB = slice(6, 54)
_GROUP_OF_PDB = slice(55, 66)  # columns of CRYST1
_UNITS_OF_PDB = slice(66, 70)
_HEADER_OF_PDB = ("ORIGX", "SCALE", "MTRIX", "REMARK 290")
_SCALE = 0.02  # as WHOLE, of SCALE, which has six decimals, times the cell


def read_pdb(content: bytes, label: str) -> Iterator[Reading]:
    """Read the models of a PDB file in P 1."""
    header: list[str] = []
    model: list[str] = []
    for line in [*lines_of(content), "END"]:
        if line.startswith("CRYST1"):
            if any(row.startswith(_ATOMS) for row in model):
                raise CrystalError(
                    label, "it states a second cell before the end of a model", "Write END after each model."
                )
            header = [line]
        elif line.startswith(_HEADER_OF_PDB):
            header.append(line)
        elif line.startswith("END"):
            if any(row.startswith(_ATOMS) for row in model):
                yield partial(_read_pdb, header, model)
            model = []
        else:
            model.append(line)


def _read_pdb(header: Sequence[str], model: Sequence[str], label: str) -> Crystal:
    from ase.io.proteindatabank import read_proteindatabank

    first = header[0] if header and header[0].startswith("CRYST1") else ""
    group = first[_GROUP_OF_PDB].strip()
    if group not in _P1:
        raise states_symmetry(label, group)
    if first[_CELL_OF_PDB].split() == ["1.000"] * 3 + ["90.00"] * 3:
        raise CrystalError(
            label,
            "its CRYST1 is the placeholder of a structure without a cell",
            "Set the lengths and angles of the cell.",
        )
    if first and not group:
        warn_of_no_symmetry(label)
    if any(line.startswith("REMARK 290   SMTRY1   2") for line in header):
        raise states_symmetry(label, "of REMARK 290")
    matrices = {name: _matrix_of_pdb(header, name, label) for name in ("SCALE", "ORIGX", "MTRIX")}
    for name in ("ORIGX", "MTRIX"):
        matrix = matrices[name]
        if matrix is not None and np.abs(matrix - np.eye(3)).max() > WHOLE:
            raise CrystalError(
                label, f"its coordinates are to be transformed by {name}", "Apply that, and delete the lines."
            )
    places = {line[16:17] for line in model if line.startswith(_ATOMS)} - {" "}
    if len(places) > 1:
        raise CrystalError(
            label,
            "some atoms have alternative locations (column 17)",
            "Keep one of them with an occupancy of 1.",
        )
    rows = [_with_element(line, label) if line.startswith(_ATOMS) else line for line in model]
    crystal = from_ase(read_proteindatabank(StringIO("\n".join([*header, *rows]))), label)
    scale = matrices["SCALE"]
    if scale is not None and np.abs(scale @ crystal.lattice.T - np.eye(3)).max() > _SCALE:
        raise contradiction(label, "the cell of CRYST1", "another one as SCALE")
    units = integers([first[_UNITS_OF_PDB]]) or [1]
    check_units(crystal, units[0], "CRYST1", label)
    return crystal


def _matrix_of_pdb(lines: Iterable[str], name: str, label: str) -> NDArray[np.float64] | None:
    """The last matrix of this name that applies; None if there is none."""
    given = name == "MTRIX"  # whose images may be among the atoms, says column 60
    rows = [line for line in lines if line.startswith(name) and not (given and line[59:60] == "1")][-3:]
    words = [[line[start : start + 10] for start in (10, 20, 30)] for line in rows]
    for row in words:
        check_position(row, label)
    return np.array(floats(words)) if len(words) == 3 else None


def _with_element(line: str, label: str) -> str:
    """A line of a PDB file with the element that it means, by columns 77 and 78 or else by the name of the atom."""
    name, symbol = line[12:16].strip(), line[76:78].strip().capitalize()
    if symbol:
        if symbol not in ATOMIC_NUMBERS:
            raise no_element(label, symbol)
        if is_of_another_element(name, ATOMIC_NUMBERS[symbol]):
            raise contradiction(
                label, f"an atom named {name}", f"{symbol} as its element, in columns 77 and 78"
            )
        number = ATOMIC_NUMBERS[symbol]
    else:
        elements = elements_of_label(name.lstrip("0123456789"))
        if not elements:
            raise no_element(label, name)
        if len(elements) > 1:
            choices = " or ".join(SYMBOLS[number - 1] for number in sorted(elements))
            raise CrystalError(
                label, f"its atom {name} may mean {choices}", "Write the elements in columns 77 and 78."
            )
        number = next(iter(elements))
    return f"{line[:76]:<76}{SYMBOLS[number - 1]:>2}"
