"""Structures written by pymatgen, ASE and gemmi, and read back: the same SCOPE string, or a refusal.

Run ``python -m benchmarks.writers DATA --structures 300``, where DATA holds ``structures_mp.jsonl.gz``. Structures are
taken evenly from the file. A string that differs is looked at again: where the written file has lost digits, the
crystal as pymatgen or ASE read it back may have another symmetry too; only a string that differs from theirs is wrong.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gemmi
from ase import Atoms
from ase.io import read, write
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from tqdm import tqdm

from cloud_model import Scope
from cloud_model.crystal.files import read_crystal
from cloud_model.errors import CloudError

SYMPREC = 0.01
Writer = Callable[[Structure, Path], object]


def by_ase(form: str, **options: Any) -> Writer:
    """Write as ASE does."""

    def written(structure: Structure, path: Path) -> None:
        atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
        write(path, Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True), format=form, **options)

    return written


def by_gemmi(structure: Structure, path: Path) -> None:
    """Write the symmetrised CIF of pymatgen again, with gemmi, which names the group by its Hermann-Mauguin symbol."""
    text = str(CifWriter(structure, symprec=SYMPREC))
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
    small.spacegroup_hm = small.spacegroup.xhm() if small.spacegroup else small.spacegroup_hm
    path.write_text(small.make_cif_block().as_string())


def espresso(structure: Structure, path: Path) -> None:
    """Write an input of pw.x."""
    pseudopotentials = {element.symbol: "x.upf" for element in structure.composition.elements}
    by_ase("espresso-in", pseudopotentials=pseudopotentials)(structure, path)


WRITERS: dict[str, tuple[str, Writer]] = {
    "CIF, pymatgen, P 1": ("a.cif", lambda structure, path: CifWriter(structure).write_file(path)),
    "CIF, pymatgen, symmetrised": (
        "a.cif",
        lambda structure, path: CifWriter(structure, symprec=SYMPREC).write_file(path),
    ),
    "CIF, ASE": ("a.cif", by_ase("cif")),
    "CIF, gemmi": ("a.cif", by_gemmi),
    "POSCAR, pymatgen": ("POSCAR", lambda structure, path: structure.to_file(str(path), fmt="poscar")),
    "POSCAR, ASE": ("POSCAR", by_ase("vasp")),
    "POSCAR, ASE, Cartesian": ("POSCAR", by_ase("vasp", direct=False)),
    "extxyz, ASE": ("a.extxyz", by_ase("extxyz")),
    "XSF, ASE": ("a.xsf", by_ase("xsf")),
    "XSF, pymatgen": ("a.xsf", lambda structure, path: structure.to_file(str(path), fmt="xsf")),
    "CSSR, pymatgen": ("a.cssr", lambda structure, path: structure.to_file(str(path), fmt="cssr")),
    "PDB, ASE": ("a.pdb", by_ase("proteindatabank")),
    "RES, ASE": ("a.res", by_ase("res")),
    "RES, pymatgen": ("a.res", lambda structure, path: structure.to_file(str(path), fmt="res")),
    "QE, ASE": ("a.pwi", espresso),
    "FHI-aims, ASE": ("geometry.in", by_ase("aims")),
    "GEN, ASE": ("a.gen", by_ase("gen")),
    "JSON, pymatgen": ("a.json", lambda structure, path: structure.to_file(str(path), fmt="json")),
    "JSON, ASE": ("a.json", by_ase("json")),
    "trajectory, ASE": ("a.traj", by_ase("traj")),
}
"""What writes -> the name of the file, and the function."""


def string(crystal: object) -> str:
    """SCOPE string."""
    return str(Scope.from_crystal(crystal, "sites", SYMPREC))


def outcome(structure: Structure, writer: str, folder: Path) -> tuple[str, str]:
    """What becomes of a structure: read right, rounded, refused, wrong, or not written; and why."""
    name, write_it = WRITERS[writer]
    path = folder / name
    try:
        write_it(structure, path)
    except Exception as error:
        return "not written", type(error).__name__
    try:
        found = string(read_crystal(path))
    except CloudError as error:
        return "refused", error.reason
    expected = string(structure)
    if found == expected:
        return "right", ""
    rounded = _read_by_others(path)
    return ("rounded", "") if found in rounded else ("wrong", f"{found} instead of {expected}")


def _read_by_others(path: Path) -> set[str]:
    """Strings of the crystal as ASE and pymatgen read the file."""
    found = set()
    for reader in (lambda: read(path), lambda: Structure.from_file(path)):
        try:
            found.add(string(reader()))
        except Exception:  # noqa: S112
            continue
    return found


def structures(data: Path, count: int) -> list[tuple[str, Structure]]:
    """Identifiers and structures, taken evenly from the file."""
    with gzip.open(data / "structures_mp.jsonl.gz", "rt") as file:
        lines = file.read().splitlines()
    chosen = [json.loads(line) for line in lines[:: max(1, len(lines) // count)][:count]]
    return [
        (row["id"], Structure(Lattice.from_parameters(*row["lattice"]), row["species"], row["frac"]))
        for row in chosen
    ]


def main() -> int:
    """Print a table, and each string that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--structures", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, structure in tqdm(structures(options.data, options.structures)):
            for writer in WRITERS:
                found, reason = outcome(structure, writer, Path(folder))
                counts[writer][found] += 1
                if found == "wrong":
                    print(f"{name}, {writer}: {reason}")
                elif found != "right":
                    reasons[writer, reason] += 1
    columns = ("right", "rounded", "refused", "wrong", "not written")
    print(f"| {'writer':28} | " + " | ".join(columns) + " |")
    print("|" + "---|" * (1 + len(columns)))
    for writer, count in counts.items():
        print(f"| {writer:28} | " + " | ".join(str(count[column]) for column in columns) + " |")
    for (writer, reason), times in reasons.most_common(12):
        if reason:
            print(f"{times} times, {writer}: {reason}")
    return int(any(count["wrong"] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
