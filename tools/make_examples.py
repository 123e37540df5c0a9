"""Write the crystals of ``examples/``: experimental lattice constants (CRC Handbook), ideal positions."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms
from ase.io import write
from ase.spacegroup import crystal

# name: symbols, positions, space group, cell in Angstrom and degrees
CRYSTALS = {
    "Al2O3": (["Al", "O"], [(0, 0, 0.3522), (0.3062, 0, 0.25)], 167, (4.759, 4.759, 12.991, 90, 90, 120)),
    "Cu": (["Cu"], [(0, 0, 0)], 225, (3.615, 3.615, 3.615, 90, 90, 90)),
    "GaAs": (["Ga", "As"], [(0, 0, 0), (0.25, 0.25, 0.25)], 216, (5.653, 5.653, 5.653, 90, 90, 90)),
    "MgO": (["Mg", "O"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, (4.212, 4.212, 4.212, 90, 90, 90)),
    "NaCl": (["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, (5.640, 5.640, 5.640, 90, 90, 90)),
    "Si": (["Si"], [(0, 0, 0)], 227, (5.431, 5.431, 5.431, 90, 90, 90)),
    "SrTiO3": (
        ["Sr", "Ti", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        221,
        (3.905, 3.905, 3.905, 90, 90, 90),
    ),
    "TiO2": (["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], 136, (4.594, 4.594, 2.959, 90, 90, 90)),
}


def main() -> None:
    """Write one CIF a crystal."""
    folder = Path(__file__).parents[1] / "examples"
    for name, (symbols, positions, space_group, cell) in CRYSTALS.items():
        built = crystal(symbols, positions, spacegroup=space_group, cellpar=cell)
        atoms = Atoms(built.numbers, positions=built.positions, cell=built.cell, pbc=True)
        path = folder / f"{name}.cif"
        write(path, atoms)
        path.write_text(path.read_text().replace("data_image0", f"data_{name}"))


if __name__ == "__main__":
    main()
