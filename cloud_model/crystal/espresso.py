"""Read inputs and outputs of pw.x of Quantum ESPRESSO. ASE reads them; what it passes over is checked here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import StringIO
from typing import Any

import numpy as np

from cloud_model.crystal.conversions import from_ase
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from cloud_model.crystal.reading import (
    Reading,
    check_lines,
    integers,
    lines_of,
    malformed_position,
    states_symmetry,
    without_fortran,
)
from cloud_model.crystal.stated import contradiction
from cloud_model.errors import CrystalError

_EXPRESSION = re.compile(r"[-+*/^().\d]*\d[-+*/^().\d]*(?:[eE][-+]?\d+)?")  # coordinates of pw.x
_CELL_OF_ESPRESSO = (*(f"celldm({i})" for i in range(2, 7)), "B", "C", "cosAB", "cosAC", "cosBC")
_SAME_MASS = 0.02  # in u
_ISOTOPE = 3.0  # how far in u the mass of an isotope may be from that of its element


def read_espresso_input(content: bytes, label: str) -> Iterator[Reading]:
    """Read an input of pw.x of Quantum ESPRESSO."""
    yield partial(_read_espresso_input, lines_of(content))


def read_espresso_output(content: bytes, label: str) -> Iterator[Reading]:
    """Read the configurations of an output of pw.x of Quantum ESPRESSO."""
    from ase.io.espresso import read_espresso_out

    lines = lines_of(content)
    atoms_of_cell = 0
    for i, line in enumerate(lines):
        if "number of atoms/cell" in line:
            atoms_of_cell = (integers(line.split()[-1:]) or [0])[0]
        elif line.startswith("ATOMIC_POSITIONS") and atoms_of_cell:
            check_lines(lines, i + 1, atoms_of_cell, label)
    for atoms in read_espresso_out(StringIO("\n".join(lines)), slice(None), results_required=False):
        yield partial(from_ase, atoms)


def _read_espresso_input(lines: Sequence[str], label: str) -> Crystal:
    from ase.io.espresso import read_espresso_in, read_fortran_namelist
    from ase.units import Bohr

    system: Any = read_fortran_namelist(StringIO("\n".join(lines)))[0].get("system", {})
    atoms = system.get("nat")
    if not isinstance(atoms, int) or atoms < 1:
        raise CrystalError(label, "its &SYSTEM has no nat", "Check that it is an input of pw.x.")
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith(("#", "!"))]
    if isinstance(system.get("A"), int | float) and not system.get("celldm(1)"):  # which ASE does not read
        begin = next(i for i, row in enumerate(rows, 1) if row.lower().lstrip().startswith("&system"))
        rows.insert(begin, f"celldm(1) = {system['A'] / Bohr:.12f}")
    start = next(
        (i for i, row in enumerate(rows, 1) if row.strip().upper().startswith("ATOMIC_POSITIONS")), 0
    )
    check_lines(rows, start, atoms, label)
    rows[start : start + atoms] = [
        without_fortran(row.partition("!")[0]) for row in rows[start : start + atoms]
    ]
    _check_espresso(system, rows, rows[start : start + atoms], label)
    return from_ase(read_espresso_in(StringIO("\n".join(rows))), label)


def _check_espresso(system: Mapping[str, Any], rows: Sequence[str], atoms: Iterable[str], label: str) -> None:
    """Refuse cells and symmetry that ASE does not read, and coordinates that are no numbers or expressions."""
    if system.get("space_group"):
        raise states_symmetry(label, str(system["space_group"]))
    cards = [row.upper().split() for row in rows]
    cell = next((card for card in cards if card[0].startswith("CELL_PARAMETERS")), None)
    if system.get("ibrav") != 0 or cell is None:
        raise CrystalError(
            label,
            f"its cell is that of ibrav={system.get('ibrav')!s:.20}, without CELL_PARAMETERS",
            "Set ibrav=0 and give the vectors as CELL_PARAMETERS angstrom, or pass the output of pw.x.",
        )
    places = next(card for card in cards if card[0].startswith("ATOMIC_POSITIONS"))
    if given := [key for key in _CELL_OF_ESPRESSO if system.get(key)]:
        raise contradiction(label, "vectors as CELL_PARAMETERS", f"a cell as {', '.join(given)} too")
    unit = [key for key in ("celldm(1)", "A") if system.get(key)]
    if unit and re.search("BOHR|ANGSTROM", " ".join(cell)):
        raise contradiction(label, "vectors in a unit of their own", f"another as {unit[0]}")
    if len(unit) > 1:
        raise contradiction(label, "a unit alat as celldm(1)", "another as A")
    in_alat = not re.search("CRYSTAL|BOHR|ANGSTROM", " ".join(places)) or "ALAT" in " ".join(cell)
    if in_alat and not any(isinstance(system.get(key), int | float) for key in ("celldm(1)", "A")):
        raise CrystalError(
            label,
            "it gives positions or vectors in units of alat, without celldm(1) or A",
            "Write CELL_PARAMETERS and ATOMIC_POSITIONS in angstrom, or alat in Angstrom as A.",
        )
    for word, mass, pseudopotential in _species_of_espresso(rows, system):
        _check_species(word, mass, pseudopotential, label)
    for row in atoms:
        words = row.split()[1:4]
        if len(words) < 3 or not all(_EXPRESSION.fullmatch(word) for word in words):
            raise malformed_position(words, label)


def _species_of_espresso(rows: Sequence[str], system: Mapping[str, Any]) -> list[list[str]]:
    start = next((i for i, row in enumerate(rows, 1) if row.strip().startswith("ATOMIC_SPECIES")), len(rows))
    kinds = [row.split()[:3] for row in rows[start : start + int(system.get("ntyp") or 0)]]
    return [kind for kind in kinds if len(kind) == 3]


def _check_species(word: str, mass: str, pseudopotential: str, label: str) -> None:
    """Check that a species, its mass and its pseudopotential are of one element; a mass of 1 is a placeholder."""
    from ase.data import atomic_masses

    number = next(
        (ATOMIC_NUMBERS[w] for w in (word[:2].capitalize(), word[:1].upper()) if w in ATOMIC_NUMBERS), 0
    )
    stem, *rest = re.split(r"[._-]", pseudopotential.rpartition("/")[2].capitalize())
    if rest and stem in ATOMIC_NUMBERS and ATOMIC_NUMBERS[stem] != number:
        raise contradiction(label, f"the species {word}", f"{pseudopotential[:40]} as its pseudopotential")
    masses = atomic_masses[1 : len(SYMBOLS) + 1]
    grams = float(without_fortran(mass))
    others = np.flatnonzero(np.abs(masses - grams) < _SAME_MASS) + 1
    if (
        grams != 1
        and number
        and abs(atomic_masses[number] - grams) > _ISOTOPE
        and number not in others
        and len(others)
    ):
        raise contradiction(label, f"the species {word}", f"the mass of {SYMBOLS[others[0] - 1]}, {mass}")
