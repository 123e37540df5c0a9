"""Scan the cations of a perovskite with ASE, rank by predicted stability, and keep everything in a database.

Needs: nothing beyond cloud-plugins. Run: python examples/ase_perovskites.py
Writes: perovskites.db, an ASE database ("ase db perovskites.db -s reaction -c formula,reaction,cloud_band_gap").

Stability is that against decomposition into the stable binary oxides, ABO3 -> AO + BO2, at 0 K: litharge for PbO, not
rock salt, and quartz for SiO2. The model sees symmetry, Wyckoff positions and elements, not lattice constants, so there
is nothing to relax. It can rank the cations. It cannot say that a cubic perovskite exists: crystals tilt and distort,
other phases of ABO3 compete ("cloud hull" names them), and differences within the errors are none.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from ase.db import connect
from ase.io import read

from cloud_model.stability.references import References
from cloud_plugins import CloudCalculator

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

HERE = Path(__file__).parent
A_CATIONS = ("Mg", "Ca", "Sr", "Ba", "Pb")
B_CATIONS = ("Si", "Ti", "Ge", "Zr", "Sn", "Hf")


def substituted(template, replacements):
    """Copy of a crystal with other elements in the places of its own."""
    crystal = template.copy()
    crystal.symbols = [replacements.get(symbol, symbol) for symbol in template.symbols]
    return crystal


perovskite, rutile = read(HERE / "SrTiO3.cif"), read(HERE / "TiO2.cif")
calculator = CloudCalculator(temperature=300)

# attached, it is a calculator like any other
perovskite.calc = calculator
print(f"SrTiO3: {perovskite.get_potential_energy():.2f} eV to form the cell from the elements")
print(f"        {calculator.get_heat_capacity(perovskite):.0f} J/(mol K) at 300 K\n")

# many crystals are fastest in one call
pairs = list(product(A_CATIONS, B_CATIONS))
crystals = [substituted(perovskite, {"Sr": a, "Ti": b}) for a, b in pairs]
table = calculator.predict_many(crystals)

# the stable oxides are among the known phases; their energies are predicted too, so that errors cancel
oxides = [f"{a}O" for a in A_CATIONS] + [f"{b}O2" for b in B_CATIONS]
known = References.load()
known = known.select([row for row, formula in enumerate(known.formulas) if formula in oxides])
known = known.predicted(calculator.model)
phases = list(zip(known.formulas, known.energies, known.errors, strict=True))
lowest = {oxide: min((e, std) for formula, e, std in phases if formula == oxide) for oxide in oxides}

# two of five atoms go into AO, three into BO2; energies in eV/atom with the corrections of the known phases
name = known.property_of(calculator.model)
shares = np.array([0.4, 0.6])
products = np.array([(lowest[f"{a}O"], lowest[f"{b}O2"]) for a, b in pairs])
table["formula"] = [f"{a}{b}O3" for a, b in pairs]
table["reaction"] = table[name] - products[:, :, 0] @ shares
table["reaction_std"] = np.sqrt(table[f"{name}_std"] ** 2 + products[:, :, 1] ** 2 @ shares**2)

ranked = table.sort_values("reaction")
print("AO + BO2 -> ABO3 (eV/atom; negative: stable against the oxides)")
for row in ranked.itertuples():
    print(f"{row.formula:8s} {row.reaction:+.3f} +- {row.reaction_std:.3f}   band gap {row.band_gap:.1f} eV")

database = Path("perovskites.db")
database.unlink(missing_ok=True)
with connect(database) as db:
    for i in ranked.index:
        results = calculator.write_results(crystals[i])
        db.write(crystals[i], reaction=float(table.reaction[i]), **results)

insulators = list(connect(database).select("cloud_band_gap>2", sort="reaction"))
print(f"\n{database} holds {len(table)} crystals; with a gap above 2 eV the most stable is", end=" ")
print(insulators[0].formula if insulators else "none")
