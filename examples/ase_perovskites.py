"""Scan the cations of a perovskite with ASE, rank by predicted stability, and keep everything in a database.

Needs: nothing beyond cloud-plugins. Run: python examples/ase_perovskites.py
Writes: perovskites.db, an ASE database ("ase db perovskites.db -s reaction -c formula,reaction,cloud_band_gap").

Stability is that against decomposition into the binary oxides, ABO3 -> AO + BO2, at 0 K, all from predictions. The
model sees symmetry, Wyckoff positions and elements, not lattice constants, so there is nothing to relax.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.db import connect
from ase.io import read

from cloud_plugins import CloudCalculator

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
oxides = {a: bulk(f"{a}O", "rocksalt", a=4.8) for a in A_CATIONS}
oxides |= {b: substituted(rutile, {"Ti": b}) for b in B_CATIONS}
table = calculator.predict_many(crystals)
energies = calculator.predict_many(oxides.values())
energies.index = list(oxides)

# a cell of rutile holds two formula units
products = [energies.energy[a] + energies.energy[b] / 2 for a, b in pairs]
variances = [energies.energy_std[a] ** 2 + energies.energy_std[b] ** 2 / 4 for a, b in pairs]
table["formula"] = [f"{a}{b}O3" for a, b in pairs]
table["reaction"] = (table.energy - products) / 5
table["reaction_std"] = np.sqrt(table.energy_std**2 + variances) / 5

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
