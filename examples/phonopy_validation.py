"""Check CLOUD's heat capacity against harmonic phonons: of a calculator, and of a file of phonopy.

Needs: nothing beyond cloud-plugins. Run: python examples/phonopy_validation.py
Writes: phonopy_params.yaml, validation.html (a report with all figures), validation.png

The forces are those of ASE's effective-medium theory, a rough model of a few metals that is quick. With your own
calculator, or the phonopy_params.yaml of a DFT study, the same two calls do a serious check; so does

    cloud validate phonopy_params.yaml --plot validation.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from cloud_plugins import validate_heat_capacity
from cloud_plugins.phonopy.report import report_html

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

# 1. a crystal and an ASE calculator: displacements, forces and phonons are made for you
copper = validate_heat_capacity(bulk("Cu"), calculator=EMT(), supercell_length=7.0, relax=True)

# 2. a file of phonopy, here written from forces on one displaced supercell of silver
cell = bulk("Ag", cubic=True)
unit_cell = PhonopyAtoms(
    symbols=list(cell.symbols), cell=cell.cell, scaled_positions=cell.get_scaled_positions()
)
phonon = Phonopy(unit_cell, supercell_matrix=np.diag([2, 2, 2]), primitive_matrix="F")
phonon.generate_displacements(distance=0.01)
forces = []
for displaced in phonon.supercells_with_displacements:
    atoms = cell.repeat(2)
    atoms.symbols, atoms.positions = displaced.symbols, displaced.positions
    atoms.calc = EMT()
    forces.append(atoms.get_forces())
phonon.forces = forces
phonon.produce_force_constants()
phonon.save("phonopy_params.yaml", settings={"force_constants": True})
silver = validate_heat_capacity("phonopy_params.yaml")

print("heat capacity against harmonic phonons, 0 to 1000 K, J/(mol-atom K)")
print("crystal  mean error  largest   of the best single Debye temperature")
for result in (copper, silver):
    print(f"{result.formula:8s} {result.mae:10.3f} {result.max_error:8.3f}   {result.debye_floor:.3f}")

Path("validation.html").write_text(report_html([copper, silver]))
copper.plot().savefig("validation.png")
print("wrote phonopy_params.yaml, validation.html and validation.png")
