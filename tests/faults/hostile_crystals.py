"""Crystals that are none, and crystals that only look strange."""

from __future__ import annotations

from io import BytesIO
from itertools import product

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.io import write
from fault import Fault
from pymatgen.core import DummySpecies, Lattice, Species, Structure

from cloud_model import Scope
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import (
    CloudWarning,
    CrystalError,
    DisorderedCrystalError,
    ScopeError,
    VocabularyError,
)
from cloud_model.scope.space_groups import space_group

CUBE = Lattice.cubic(4.0)
CORNERS = [[0, 0, 0], [0.5, 0.5, 0.5]]


def salt() -> Atoms:
    """A good crystal."""
    return bulk("NaCl", "rocksalt", 5.64)


def changed(**values: object) -> Atoms:
    """A good crystal with other attributes."""
    atoms = salt()
    for name, value in values.items():
        setattr(atoms, name, value)
    return atoms


def of_cell(cell: object) -> Atoms:
    return Atoms("NaCl", positions=[[0, 0, 0], [2, 2, 2]], cell=cell, pbc=True)


def at(position: float) -> Atoms:
    return changed(positions=[[0, 0, 0], [position, 0, 0]])


def rattled(repeats: int) -> Atoms:
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=0)
    return atoms


def many_elements() -> Structure:
    """Twelve elements on the sites of a cubic supercell."""
    elements = ["Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Al", "Ga", "In"]
    sites = [(i / 3, j / 2, k / 2) for i, j, k in product(range(3), range(2), range(2))]
    return Structure(Lattice.orthorhombic(12.1, 8.3, 8.4), elements, sites)


def dilute() -> Structure:
    """One boron among 256 atoms, 0.4%, which two digits round to 0.0."""
    diamond = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.57), ["C"], [[0, 0, 0]])
    supercell = diamond.make_supercell([4, 4, 2], in_place=False)
    supercell.replace(0, "B")
    return supercell


def molecule_in_a_box() -> Atoms:
    atoms = molecule("H2O", vacuum=8)
    atoms.pbc = True
    return atoms


def long_string() -> str:
    """Every position of Pmmm but the general one, each with an element of its own: more tokens than 96."""
    letters = space_group(47).multiplicities.items()
    return str(
        Scope.from_orbits(47, [(f"{n}{x}", e) for (x, n), e in zip(letters, SYMBOLS[:26], strict=False)])
    )


def to_reference() -> str:
    """A string as the published code writes it."""
    return str(Scope.from_crystal(salt(), "reference"))


def to_cif() -> bytes:
    """Content of a file."""
    file = BytesIO()
    write(file, salt(), format="cif")
    return file.getvalue()


def strange_element() -> dict[str, object]:
    """A pymatgen dictionary with an element that cannot even be looked up."""
    content: dict[str, object] = Structure(CUBE, ["Na", "Cl"], CORNERS).as_dict()
    content["sites"][0]["species"][0]["element"] = ["Na"]  # type: ignore[index]
    return content


CRYSTALS = [
    Fault("no atoms", lambda _: Atoms(), CrystalError, "no atoms"),
    Fault("no atoms in a cell", lambda _: Atoms(cell=[3, 3, 3], pbc=True), CrystalError, "no atoms"),
    Fault("one atom", lambda _: bulk("Cu"), None),
    Fault("no cell", lambda _: molecule("H2O"), CrystalError, "no cell"),
    Fault("cell of zero volume", lambda _: of_cell([[4, 0, 0], [0, 4, 0], [4, 4, 0]]), CrystalError, "no cell"),
    Fault("two lattice vectors", lambda _: of_cell([4, 4, 0]), CrystalError, "no cell"),
    Fault("tiny cell", lambda _: of_cell([0.1, 0.1, 0.1]), CrystalError, "too small"),
    Fault("huge cell", lambda _: of_cell([4e5, 4e5, 4e5]), CrystalError, "longer than 1000 Angstrom"),
    Fault("cell of NaN", lambda _: of_cell([np.nan, 4, 4]), CrystalError, "not finite"),
    Fault("infinite cell", lambda _: of_cell([np.inf, 4, 4]), CrystalError, "not finite"),
    Fault("left-handed cell", lambda _: of_cell([[0, 4, 0], [4, 0, 0], [0, 0, 4]]), None),
    Fault("position NaN", lambda _: at(np.nan), CrystalError, "not finite"),
    Fault("infinite position", lambda _: at(np.inf), CrystalError, "not finite"),
    Fault("position far outside the cell", lambda _: at(1e30), CrystalError, "far outside"),
    Fault("atoms at the same place", lambda _: at(0.0), CrystalError, "closer than 0.1"),
    Fault("atoms at the same place of two cells", lambda _: Structure(CUBE, ["Na", "Cl"], [[0, 0, 0], [1, 0, 1]]),
          CrystalError, "closer than 0.1"),
    Fault("partial occupancy", lambda _: Structure(CUBE, [{"Na": 0.5}, "Cl"], CORNERS),
          DisorderedCrystalError, "partly occupied"),
    Fault("site of two elements", lambda _: Structure(CUBE, [{"Na": 0.5, "K": 0.5}, "Cl"], CORNERS),
          DisorderedCrystalError, "shared by elements"),
    Fault("site of two valences", lambda _: Structure(CUBE, [{"Fe2+": 0.5, "Fe3+": 0.5}, "O"], CORNERS), None),
    Fault("occupancy 0.999", lambda _: Structure(CUBE, [{"Na": 0.999}, "Cl"], CORNERS), None),
    Fault("atoms too close", lambda _: bulk("NaCl", "rocksalt", 2.0), CloudWarning, "closer than in any known crystal"),
    Fault("partial occupancy noted by ASE", lambda _: changed(info={"occupancy": {"0": {"Na": 0.9}}}),
          DisorderedCrystalError, "partly occupied"),
    *(Fault(f"occupancy noted as {note!r}", lambda _, note=note: changed(info={"occupancy": {"0": note}}), CrystalError,
            "are not numbers for each atom") for note in (5, {"Na": "many"})),
    Fault("positions of a dictionary in unknown units",
          lambda _: {"cell": [[4, 0, 0], [0, 4, 0], [0, 0, 4]], "numbers": [11], "positions": [[0.5, 0.5, 0.5]]},
          CrystalError, "not the JSON of Atoms"),
    Fault("dummy atom of ASE", lambda _: changed(numbers=[0, 17]), CrystalError, "'X', which is not an element"),
    Fault("dummy species of pymatgen", lambda _: Structure(CUBE, [DummySpecies("X"), "Cl"], CORNERS),
          CrystalError, "not an element"),
    Fault("atomic number -1", lambda _: changed(numbers=[-1, 17]), CrystalError, "not an element"),
    Fault("atomic number 200", lambda _: changed(numbers=[200, 17]), CrystalError, "not an element"),
    Fault("deuterium", lambda _: Structure(CUBE, ["Li", "D"], CORNERS), None),
    Fault("oxidation states", lambda _: Structure(CUBE, [Species("Na", 1), Species("Cl", -1)], CORNERS), None),
    Fault("charge", lambda _: Structure(CUBE, ["Na", "Cl"], CORNERS, charge=1), None),
    Fault("magnetic moments", lambda _: Structure(CUBE, ["Fe", "Co"], CORNERS, site_properties={"magmom": [2, -2]}),
          None),
    Fault("isotopes", lambda _: Atoms("NaCl", scaled_positions=CORNERS, cell=[4, 4, 4], pbc=True, masses=[22, 37]),
          None),
    Fault("element beyond the vocabulary", lambda _: Structure(CUBE, ["Og", "Cl"], CORNERS),
          VocabularyError, "Og, unknown to this checkpoint"),
    Fault("slab", lambda _: fcc111("Cu", (1, 1, 3), vacuum=8, periodic=True), CloudWarning, "describes bulk crystals"),
    Fault("molecule in a box", lambda _: molecule_in_a_box(), CloudWarning, "empty layer"),
    Fault("not periodic", lambda _: changed(pbc=[True, True, False]), CloudWarning, "not periodic along every axis"),
    Fault("twelve elements", lambda _: many_elements(), None),
    Fault("fraction that rounds to 0.0", lambda _: dilute(), None),
    Fault("1,000 atoms", lambda _: bulk("NaCl", "rocksalt", 5.64, cubic=True).repeat(5), None),
    Fault("4,096 atoms without symmetry", lambda _: rattled(8), VocabularyError, "tokens where", slow=True),
    Fault("string longer than the context", lambda _: long_string(), VocabularyError, "tokens where this checkpoint"),
    Fault("16,250 atoms", lambda _: bulk("Cu").repeat((25, 25, 26)), None),
    Fault("21,952 atoms", lambda _: bulk("Cu").repeat(28), CrystalError, "has 21952 atoms, more than 20000"),
    Fault("nothing", lambda _: None, CrystalError, "not a crystal"),
    Fault("a number", lambda _: 5.0, CrystalError, "not a crystal"),
    Fault("bytes in no known format", lambda _: b"NaCl", CrystalError, "'NaCl': its format is none of those"),
    Fault("bytes of a CIF", lambda _: to_cif(), None),
    Fault("another dictionary", lambda _: {"lattice": 5}, CrystalError, "no crystal of pymatgen, ASE or OPTIMADE"),
    Fault("dictionary of pymatgen", lambda _: Structure(CUBE, ["Na", "Cl"], CORNERS).as_dict(), None),
    Fault("dictionary with a list for an element", lambda _: strange_element(), CrystalError, "not an element"),
    Fault("SCOPE of two parts", lambda _: "1 | Na 1.0", CrystalError, "cannot be read"),
    Fault("SCOPE of no space group", lambda _: "1 2 3 | 4a Na | Na 1.0", ScopeError, "not those of a space group"),
    Fault("SCOPE of another dialect", lambda _: to_reference(), ScopeError, "cannot be written in the dialect"),
    Fault("empty name", lambda _: "", CrystalError, "not the name of a file"),
]  # fmt: skip
