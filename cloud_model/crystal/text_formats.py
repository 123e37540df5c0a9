"""Read the smaller text formats: XSF, CSSR, GEN, and that of FHI-aims.

ASE and pymatgen read most of them. They pass over what they do not know, such as a space group, and over lines beyond
those that are counted; such files are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.conversions import from_ase, from_pymatgen
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.crystal.reading import (
    Reading,
    check_lines,
    check_position,
    floats,
    integers,
    lines_of,
    states_symmetry,
    warn_of_no_symmetry,
    without_fortran,
    wrong_count,
)
from cloud_model.crystal.stated import WHOLE, contradiction
from cloud_model.errors import CrystalError

_SPACE_GROUP = re.compile(r"SPGR\s*=\s*(.*?)\s*(?:OPT|$)", re.IGNORECASE)


def read_xsf(content: bytes, label: str) -> Iterator[Reading]:
    """Read the crystals of an XSF file of XCrySDen."""
    from ase.io.xsf import iread_xsf

    lines = [line for line in lines_of(content) if line.strip() and not line.lstrip().startswith("#")]
    begins = [i for i, line in enumerate(lines) if line.strip().startswith("PRIMCOORD")]
    for i in begins:
        atoms = (integers(lines[i + 1].split()[:1]) if i + 1 < len(lines) else []) or [0]
        check_lines(lines, i + 2, atoms[0], label)
        lines[i + 2 : i + 2 + atoms[0]] = map(without_fortran, lines[i + 2 : i + 2 + atoms[0]])
    steps = next((line.split()[1:2] for line in lines if line.strip().startswith("ANIMSTEPS")), ["1"])
    if begins and integers(steps) != [len(begins)]:
        raise contradiction(
            label, f"{len(begins)} blocks PRIMCOORD", f"{' '.join(steps)[:20]} as ANIMSTEPS, or none"
        )
    for i, line in enumerate(lines):
        if line.strip().startswith("PRIMVEC"):
            lines[i + 1 : i + 4] = map(without_fortran, lines[i + 1 : i + 4])
    _check_conventional_cells(lines, label)
    for atoms in iread_xsf(StringIO("\n".join(lines))):
        yield partial(from_ase, atoms)


def _check_conventional_cells(lines: Sequence[str], label: str) -> None:
    """Check that the conventional cells of an XSF file are cells of the primitive lattices before them."""
    primitive: NDArray[np.float64] | None = None
    for i, line in enumerate(lines):
        if not line.strip().startswith(("PRIMVEC", "CONVVEC")):
            continue
        for row in lines[i + 1 : i + 4]:
            check_position(row.split(), label)
        vectors = np.array(floats(row.split()[:3] for row in lines[i + 1 : i + 4]))
        if line.strip().startswith("PRIMVEC"):
            primitive = vectors
        elif (
            primitive is not None and vectors.shape == primitive.shape == (3, 3) and np.linalg.det(primitive)
        ):
            multiples = vectors @ np.linalg.inv(primitive)
            if np.abs(multiples - np.rint(multiples)).max() > WHOLE:
                raise contradiction(label, "lattice vectors PRIMVEC", "others as CONVVEC")


def read_cssr(content: bytes, label: str) -> Iterator[Reading]:
    """Read a CSSR file in P 1."""
    yield partial(_read_cssr, lines_of(content))


def read_gen(content: bytes, label: str) -> Iterator[Reading]:
    """Read a GEN file of DFTB+."""
    yield partial(_read_gen, [line for line in lines_of(content) if line.strip()])


def read_aims(content: bytes, label: str) -> Iterator[Reading]:
    """Read a geometry.in of FHI-aims."""
    yield partial(_read_aims, lines_of(content))


def _read_cssr(lines: Sequence[str], label: str) -> Crystal:
    from pymatgen.io.cssr import Cssr

    stated = _SPACE_GROUP.search("".join(lines[1:2]))
    group = stated[1] if stated else ""
    if re.sub(r"\s", "", group).upper() not in ("", "1", "1P1", "P1"):
        raise states_symmetry(label, group)
    if not group:
        warn_of_no_symmetry(label)
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
    return from_ase(read(StringIO("\n".join(map(without_fortran, lines)))), label)


def _read_aims(lines: Sequence[str], label: str) -> Crystal:
    from ase import Atoms

    rows = [line.partition("#")[0].split() for line in lines]
    vectors = [row[1:4] for row in rows if row[:1] == ["lattice_vector"]]
    atoms = [row for row in rows if row[:1] in (["atom"], ["atom_frac"])]
    kinds = {row[0] for row in atoms}
    if embedding := {row[0] for row in rows if row} & {"pseudocore", "multipole"}:
        raise CrystalError(label, f"it is embedded ({min(embedding)})", "CLOUD describes bulk crystals.")
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
        "scaled_positions" if kinds == {"atom_frac"} else "positions": floats(row[1:4] for row in atoms)
    }
    return from_ase(Atoms([row[4] for row in atoms], cell=floats(vectors), pbc=True, **places), label)
