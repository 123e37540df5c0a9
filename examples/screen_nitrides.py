"""Which nitrides of lithium and phosphorus should one look at? Screen known prototypes, and hand the best to pymatgen.

Needs: nothing beyond cloud-plugins. Run: python examples/screen_nitrides.py
Writes: nitrides.png, the hull with the best candidates, and nitrides/, all candidates (run again to go on from them).

Candidates are SCOPE strings: space groups and occupied positions of known ternary phases, with Li, P and N in them.
There are no coordinates and nothing is relaxed, so this says where to look, not what exists.
"""

from __future__ import annotations

import argparse

from cloud_model import CloudModel, Scope
from cloud_model.stability.distances import competing_phases
from cloud_plugins.pymatgen import phase_diagram, predicted_entries, screen
from cloud_plugins.pymatgen.diagram import hull_figure

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

ELEMENTS = "Li-P-N"
MAX_SITES = 16  # in the conventional cell; larger cells take longer

model = CloudModel.from_pretrained()
candidates = screen(ELEMENTS, n_sites=MAX_SITES, output="nitrides", model=model)
print(f"{len(candidates)} candidates, best first; a probability counts the errors of the model")
columns = [
    "formula",
    "space_group",
    "energy_above_hull",
    "energy_above_hull_std",
    "probability_stable",
    "known",
]
print(candidates[columns].head(12).round(3).to_string())

for row in candidates[candidates.known.notna()].itertuples():
    distance = f"{row.energy_above_hull:+.3f} eV/atom from the hull of the others"
    print(f"known: {row.formula} ({row.known}) has rank {row.Index + 1}, {distance}")

# the best of each formula, since crystals of one formula compete with one another
best = candidates.drop_duplicates("formula").head(5)
scopes = [Scope.parse(text) for text in best.scope]
hull_figure(best.to_dict("records"), competing_phases(scopes, None, None, model)).savefig("nitrides.png")

# pymatgen goes on with them: together, on one hull, at most some of the five can be stable
entries = predicted_entries(scopes, model=model)
diagram = phase_diagram(entries, model=model)
print("\npymatgen, with all five on one hull:")
for entry in entries:
    decomposition, distance = diagram.get_decomp_and_e_above_hull(entry)
    products = " + ".join(phase.reduced_formula for phase in decomposition)
    print(f"{entry.reduced_formula:12s} {distance:.3f} eV/atom above the hull, next to {products}")
