"""Read SHELX files (.res) in P 1. Nobody else's reader applies their symmetry, and none compares UNIT."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise, takewhile

import numpy as np

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from cloud_model.crystal.labels import label_against
from cloud_model.crystal.reading import Reading, check_position, floats, lines_of
from cloud_model.crystal.stated import check_count, check_units, check_volume, contradiction
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
_ONCE = frozenset({"CELL", "LATT", "UNIT", "ZERR"})
_PEAK = re.compile(r"Q\d+", re.IGNORECASE)
_AIRSS = re.compile(r"\S+ [-+.\deE]+ ([.\d]+) [-+.\deE]+ [-+.\deE]+ [-+.\deE]+ (\d+) \(.*\) n - \d+")
_ROUNDED = 0.5  # how far the amounts of UNIT may be from those of the atoms


def read_res(content: bytes, label: str) -> Iterator[Reading]:
    """Read the crystals of a SHELX file in P 1, each of which begins with its title."""
    lines = lines_of(content)
    starts = [i for i, line in enumerate(lines) if line[:4].upper() == "TITL"]
    for start, end in pairwise([0, *starts[1:], len(lines)]):
        yield partial(_read_res, lines[start:end])


def _read_res(lines: Sequence[str], label: str) -> Crystal:
    from ase import Atoms
    from ase.geometry import cellpar_to_cell

    rows = [line.split() for line in lines if line.strip()]
    records = {row[0].upper(): row[1:] for row in reversed(rows)}
    for name, times in Counter(row[0].upper() for row in rows).items():
        if name in _ONCE and times > 1:
            raise CrystalError(label, f"it states its {name} {times} times", "Keep the right one.")
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
        if row[0].upper().partition("_")[0] not in _INSTRUCTIONS and row[0][0].isalpha() and len(row) > 4
    ]
    if unread := {row[0].upper() for row in rows} & {"FRAG", "MOVE"}:
        raise CrystalError(
            label, f"it holds {min(unread)}, which no reader applies", "Refine it with SHELXL."
        )
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
    positions = floats(row[2:5] for row in atoms)
    crystal = Atoms(symbols, scaled_positions=positions, cell=cell, pbc=True)
    variables = [float(word) for row in rows if row[0].upper() == "FVAR" for word in row[1:]]
    crystal.set_array("occupancy", np.array([_occupancy(row, variables, label) for row in atoms]))
    found = from_ase(crystal, label)
    if not _compare_res(found, elements, records, label):
        for row, number in zip(atoms, crystal.numbers.tolist(), strict=True):
            if label_against(row[0], number):
                raise contradiction(
                    label, f"the atom {row[0]}", f"{SYMBOLS[number - 1]} as its element, by SFAC"
                )
    return found


def _compare_res(
    crystal: Crystal, elements: Sequence[str], records: Mapping[str, Sequence[str]], label: str
) -> bool:
    """Compare a crystal with the contents of its cell that UNIT, ZERR and the title of AIRSS state.

    Returns whether UNIT is there, which tells the elements.
    """
    counts: dict[int, float] = defaultdict(float, Counter(crystal.numbers.tolist()))
    if match := _AIRSS.fullmatch(" ".join(records.get("TITL", ()))):
        check_count(len(crystal), int(match[2][:9]), "the number of atoms of its title", label)
        check_volume(crystal.lattice, float(match[1]), "the volume of its title", label)
    unit = [float(word) for word in records.get("UNIT", ())]
    if unit and len(unit) != len(elements):
        raise contradiction(label, f"{len(elements)} elements by SFAC", f"amounts of {len(unit)} as UNIT")
    for symbol, amount in zip(elements, unit, strict=bool(unit)):
        counts[ATOMIC_NUMBERS.get(symbol.capitalize(), 0)] -= amount
    if unit and max(map(abs, counts.values())) > _ROUNDED:
        raise contradiction(
            label, f"the atoms {crystal.formula}", f"{' '.join(records['UNIT'])[:40]} as UNIT"
        )
    if not unit and (zerr := records.get("ZERR")):
        check_units(crystal, float(zerr[0]), "ZERR", label)
    return bool(unit)


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
        if not (row[1].isdecimal() and 1 <= int(row[1][:9]) <= elements):
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
