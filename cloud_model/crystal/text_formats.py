"""Read the smaller text formats: XSF, CSSR, RES, PDB, GEN, and those of Quantum ESPRESSO and FHI-aims.

ASE and pymatgen read most of them. They pass over what they do not know, such as a space group, and over lines beyond
those that are counted; such files are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import StringIO
from itertools import takewhile
from typing import Any

import numpy as np

from cloud_model.crystal.conversions import from_ase, from_pymatgen
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.crystal.reading import (
    Reading,
    check_position,
    integers,
    is_position,
    malformed_position,
    without_fortran,
    wrong_count,
)
from cloud_model.errors import CrystalError

_FIXED = 10  # that SHELX adds to an occupancy for each free variable, of which the first one is 1
_INSTRUCTIONS = frozenset({
    "ABIN", "ACTA", "AFIX", "ANIS", "ANSC", "ANSR", "BASF", "BIND", "BLOC", "BOND", "BUMP", "CGLS", "CHIV", "CONF",
    "CONN", "DAMP", "DANG", "DEFS", "DELU", "DFIX", "DISP", "EADP", "EQIV", "EXTI", "EXYZ", "FEND", "FLAT", "FMAP",
    "FRAG", "FREE", "FVAR", "GRID", "HFIX", "HOPE", "HTAB", "ILSF", "ISOR", "L.S.", "LAUE", "LIST", "MERG", "MOLE",
    "MORE", "MOVE", "MPLA", "NCSY", "NEUT", "OMIT", "PART", "PLAN", "PRIG", "REM", "RESI", "RIGU", "RTAB", "SADI",
    "SAME", "SFAC", "SHEL", "SIMU", "SIZE", "SPEC", "STIR", "SUMP", "SWAT", "TEMP", "TIME", "TWIN", "TWST", "UNIT",
    "WGHT", "WIGL", "WPDB", "XNPD", "ZERR",
})  # fmt: skip  # of SHELX that may look like atoms
_PEAK = re.compile(r"Q\d+", re.IGNORECASE)
_P1 = ("", "1", "P1", "P 1")
_SPACE_GROUP = re.compile(r"SPGR\s*=\s*(\d+)", re.IGNORECASE)
_EXPRESSION = re.compile(r"[-+*/^().\d]*\d[-+*/^().\d]*(?:[eE][-+]?\d+)?")  # coordinates of pw.x
_CELL_OF_PDB = slice(0, 54)  # columns of CRYST1 before its space group
_GROUP_OF_PDB = slice(55, 66)


def read_xsf(content: bytes, label: str) -> Iterator[Reading]:
    """Read the crystals of an XSF file of XCrySDen."""
    from ase.io.xsf import iread_xsf

    lines = _lines(content)
    for i, line in enumerate(lines):
        if line.strip().startswith("PRIMCOORD"):
            atoms = (integers(lines[i + 1].split()[:1]) if i + 1 < len(lines) else []) or [0]
            _check_lines(lines, i + 2, atoms[0], label)
    for atoms in iread_xsf(StringIO("\n".join(lines))):
        yield partial(from_ase, atoms)


def read_cssr(content: bytes, label: str) -> Iterator[Reading]:
    """Read a CSSR file in P 1."""
    yield partial(_read_cssr, _lines(content))


def read_res(content: bytes, label: str) -> Iterator[Reading]:
    """Read a SHELX file in P 1."""
    yield partial(_read_res, _lines(content))


def read_pdb(content: bytes, label: str) -> Iterator[Reading]:
    """Read the models of a PDB file in P 1."""
    cell: list[str] = []
    model: list[str] = []
    for line in [*_lines(content), "END"]:
        if line.startswith("CRYST1"):
            cell = [line]
        elif line.startswith("END"):
            if any(row.startswith(("ATOM", "HETATM")) for row in model):
                yield partial(_read_pdb, [*cell, *model])
            model = []
        else:
            model.append(line)


def read_gen(content: bytes, label: str) -> Iterator[Reading]:
    """Read a GEN file of DFTB+."""
    yield partial(_read_gen, [line for line in _lines(content) if line.strip()])


def read_espresso_input(content: bytes, label: str) -> Iterator[Reading]:
    """Read an input of pw.x of Quantum ESPRESSO."""
    yield partial(_read_espresso_input, _lines(content))


def read_espresso_output(content: bytes, label: str) -> Iterator[Reading]:
    """Read the configurations of an output of pw.x of Quantum ESPRESSO."""
    from ase.io.espresso import read_espresso_out

    for atoms in read_espresso_out(StringIO("\n".join(_lines(content))), slice(None), results_required=False):
        yield partial(from_ase, atoms)


def read_aims(content: bytes, label: str) -> Iterator[Reading]:
    """Read a geometry.in of FHI-aims."""
    yield partial(_read_aims, _lines(content))


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8-sig", errors="replace").splitlines()


def _check_lines(lines: Sequence[str], start: int, atoms: int, label: str) -> None:
    """Check that as many lines as atoms follow, and no further atom."""
    if start + atoms > len(lines):
        raise wrong_count(label, atoms, len(lines))
    check_number_of_atoms(atoms, label)
    following = "".join(lines[start + atoms : start + atoms + 1]).split()
    if len(following) > 3 and is_position(" ".join(following[1:])):
        raise CrystalError(label, f"it counts {atoms} atoms and lists more", "Correct its number of atoms.")


def _states_symmetry(label: str, group: str) -> CrystalError:
    return CrystalError(
        label,
        f"it states the space group {group[:40]!r}, which no reader of this format applies",
        "Convert it to a CIF with the program that wrote it.",
    )


def _read_cssr(lines: Sequence[str], label: str) -> Crystal:
    from pymatgen.io.cssr import Cssr

    stated = _SPACE_GROUP.search("".join(lines[1:2]))
    if stated and int(stated[1][:9]) != 1:
        raise _states_symmetry(label, stated[1])
    counts = integers(lines[2:3])
    if not counts or counts[1:] not in ([], [0]):
        raise CrystalError(
            label, "its third line is not a number of atoms and 0, for fractions", "Correct it."
        )
    if len([line for line in lines[4:] if line.strip()]) != counts[0]:
        raise wrong_count(label, counts[0], len(lines))
    check_number_of_atoms(counts[0], label)
    structure = Cssr.from_str("\n".join(lines)).structure
    if len(structure) != counts[0]:
        raise CrystalError(
            label, f"of its {counts[0]} atoms {len(structure)} can be read", "Correct its lines."
        )
    return from_pymatgen(structure, label)


def _read_res(lines: Sequence[str], label: str) -> Crystal:
    from ase import Atoms
    from ase.geometry import cellpar_to_cell

    rows = [line.split() for line in lines if line.strip()]
    records = {row[0].upper(): row[1:] for row in reversed(rows)}
    if records.get("LATT", ["1"])[:1] != ["-1"] or "SYMM" in records:
        raise CrystalError(
            label,
            "it states symmetry operations, which no reader applies",
            "Convert it to a CIF, with SHELXL.",
        )
    elements = _elements_of_res(rows)
    after = [row[0].upper() for row in rows]
    rows = rows[after.index("SFAC") :] if elements else []
    rows = list(takewhile(lambda row: row[0].upper() not in ("HKLF", "END"), rows))  # then come peaks
    atoms = [
        row
        for row in rows
        if row[0].upper().partition("_")[0] not in _INSTRUCTIONS
        and row[0][0].isalpha()
        and len(row) > 1
        and row[1].isdecimal()
    ]
    if len(records.get("CELL", ())) < 7 or not atoms or not elements:
        raise CrystalError(label, "it lacks a cell, atoms or their elements", "Check that it is complete.")
    check_number_of_atoms(len(atoms), label)
    _check_atoms_of_res(atoms, len(elements), label)
    if any(row[0].upper() == "PART" and len(row) > 2 for row in rows):
        raise CrystalError(
            label,
            "its PART gives the occupancies of atoms",
            "Write them after each atom, as 10 plus its occupancy.",
        )
    cell = cellpar_to_cell([float(word) for word in records["CELL"][1:7]])
    symbols = [elements[int(row[1]) - 1].capitalize() for row in atoms]
    positions = _floats(row[2:5] for row in atoms)
    crystal = Atoms(symbols, scaled_positions=positions, cell=cell, pbc=True)
    variables = [float(word) for row in rows if row[0].upper() == "FVAR" for word in row[1:]]
    crystal.set_array("occupancy", np.array([_occupancy(row, variables, label) for row in atoms]))
    return from_ase(crystal, label)


def _elements_of_res(rows: Iterable[Sequence[str]]) -> list[str]:
    """Elements of all SFAC lines, which name several, or one and the constants of its scattering factor."""
    lines = [row[1:] for row in rows if row[0].upper() == "SFAC" and len(row) > 1]
    return [word for line in lines for word in (line if line[-1].isalpha() else line[:1])]


def _check_atoms_of_res(atoms: Iterable[Sequence[str]], elements: int, label: str) -> None:
    for row in atoms:
        if _PEAK.fullmatch(row[0]):
            raise CrystalError(
                label,
                f"it holds the peak {row[0]} among its atoms",
                "Delete its peaks, or name them as atoms.",
            )
        if not 1 <= int(row[1][:9]) <= elements:
            raise CrystalError(
                label,
                f"its atom {row[0]} has an element that SFAC does not list",
                "Correct its number or SFAC.",
            )
        check_position(row[2:], label)


def _occupancy(row: Sequence[str], variables: Sequence[float], label: str) -> float:
    """Occupancy of an atom of SHELX: fixed (11 for 1), or a multiple of a free variable x or, if negative, of 1 - x."""
    word = float(row[5]) if len(row) > 5 else 1.0
    which = round(abs(word) / _FIXED)
    share = abs(word) - _FIXED * which
    if which < 2:
        return share if which else word
    if which > len(variables):
        raise CrystalError(
            label,
            f"its atom {row[0]} refers to free variable {which}, which FVAR does not list",
            "Complete FVAR.",
        )
    return share * (variables[which - 1] if word > 0 else 1 - variables[which - 1])


def _read_pdb(lines: Sequence[str], label: str) -> Crystal:
    from ase.io.proteindatabank import read_proteindatabank

    group = lines[0][_GROUP_OF_PDB].strip() if lines[0].startswith("CRYST1") else ""
    if group not in _P1:
        raise _states_symmetry(label, group)
    if any(line.startswith("REMARK 290   SMTRY1   2") for line in lines):
        raise _states_symmetry(label, "of REMARK 290")
    return from_ase(read_proteindatabank(StringIO("\n".join(lines))), label)


def _read_gen(lines: Sequence[str], label: str) -> Crystal:
    from ase.io.gen import read_gen as read

    words = "".join(lines[:1]).split()
    counts = integers(words[:1])
    if not counts or words[1:2] not in (["F"], ["S"]):
        raise CrystalError(
            label, "its first line is not a number of atoms and F or S", "Only crystals are read."
        )
    if len(lines) != counts[0] + 6:  # two before the atoms, the origin and three vectors after them
        raise wrong_count(label, counts[0], len(lines))
    check_number_of_atoms(counts[0], label)
    return from_ase(read(StringIO("\n".join(lines))), label)


def _read_espresso_input(lines: Sequence[str], label: str) -> Crystal:
    from ase.io.espresso import read_espresso_in, read_fortran_namelist

    system: Any = read_fortran_namelist(StringIO("\n".join(lines)))[0].get("system", {})
    atoms = system.get("nat")
    if not isinstance(atoms, int) or atoms < 1:
        raise CrystalError(label, "its &SYSTEM has no nat", "Check that it is an input of pw.x.")
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith(("#", "!"))]
    start = next(
        (i for i, row in enumerate(rows, 1) if row.strip().upper().startswith("ATOMIC_POSITIONS")), 0
    )
    _check_lines(rows, start, atoms, label)
    rows[start : start + atoms] = [
        without_fortran(row.partition("!")[0]) for row in rows[start : start + atoms]
    ]
    _check_espresso(system, rows, rows[start : start + atoms], label)
    return from_ase(read_espresso_in(StringIO("\n".join(rows))), label)


def _check_espresso(system: Mapping[str, Any], rows: Sequence[str], atoms: Iterable[str], label: str) -> None:
    """Refuse cells and symmetry that ASE does not read, and coordinates that are no numbers or expressions."""
    if system.get("space_group"):
        raise _states_symmetry(label, str(system["space_group"]))
    cards = [row.upper().split() for row in rows]
    cell = next((card for card in cards if card[0].startswith("CELL_PARAMETERS")), None)
    if system.get("ibrav") != 0 or cell is None:
        raise CrystalError(
            label,
            f"its cell is that of ibrav={system.get('ibrav')!s:.20}, without CELL_PARAMETERS",
            "Set ibrav=0 and give the vectors as CELL_PARAMETERS angstrom, or pass the output of pw.x.",
        )
    places = next(card for card in cards if card[0].startswith("ATOMIC_POSITIONS"))
    in_alat = not re.search("CRYSTAL|BOHR|ANGSTROM", " ".join(places)) or "ALAT" in " ".join(cell)
    if in_alat and not isinstance(system.get("celldm(1)"), int | float):
        raise CrystalError(
            label,
            "it gives positions or vectors in units of alat, without celldm(1)",
            "Write CELL_PARAMETERS and ATOMIC_POSITIONS in angstrom, or alat in Bohr as celldm(1).",
        )
    for row in atoms:
        words = row.split()[1:4]
        if len(words) < 3 or not all(_EXPRESSION.fullmatch(word) for word in words):
            raise malformed_position(words, label)


def _read_aims(lines: Sequence[str], label: str) -> Crystal:
    from ase import Atoms

    rows = [line.partition("#")[0].split() for line in lines]
    vectors = [row[1:4] for row in rows if row[:1] == ["lattice_vector"]]
    atoms = [row for row in rows if row[:1] in (["atom"], ["atom_frac"])]
    kinds = {row[0] for row in atoms}
    if len(vectors) != 3 or len(kinds) != 1:
        raise CrystalError(
            label,
            "it does not hold three lattice vectors and atoms of one kind",
            "Give three lines lattice_vector, and all atoms as atom, in Angstrom, or all as atom_frac.",
        )
    check_number_of_atoms(len(atoms), label)
    for row in (*atoms, *(row for row in rows if row[:1] == ["lattice_vector"])):
        check_position(row[1:], label)
    places = {
        "scaled_positions" if kinds == {"atom_frac"} else "positions": _floats(row[1:4] for row in atoms)
    }
    return from_ase(Atoms([row[4] for row in atoms], cell=_floats(vectors), pbc=True, **places), label)


def _floats(rows: Iterable[Sequence[str]]) -> list[list[float]]:
    return [[float(without_fortran(word)) for word in row] for row in rows]
