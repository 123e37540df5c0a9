"""Draw CLOUD's map of crystals: embeddings of some thousand, in two dimensions, coloured by chemistry and prototype.

Needs: nothing beyond cloud-plugins. Run: python examples/embedding_map.py
Writes: embedding_map.png, embedding_map.csv (the crystals and where they are)

The crystals are ideal prototypes with the charges in balance, written down as SCOPE; most exist on paper only. t-SNE
keeps neighbours together, but distances between islands mean little.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain, permutations, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from cloud_model import CloudModel, Scope
from cloud_model.display.plots import style

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

CATIONS = {
    1: ["Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Tl"],
    2: ["Be", "Mg", "Ca", "Sr", "Ba", "Mn", "Fe", "Co", "Ni", "Zn", "Cd", "Sn", "Pb"],
    3: ["Al", "Ga", "In", "Sc", "Y", "La", "Ti", "V", "Cr", "Fe", "Co"],
    4: ["Ti", "Zr", "Hf", "Si", "Ge", "Sn", "Mn", "Ce"],
    5: ["V", "Nb", "Ta"],
}
ANIONS = {
    "halides": (1, ["F", "Cl", "Br", "I"]),
    "oxides": (2, ["O"]),
    "chalcogenides": (2, ["S", "Se", "Te"]),
    "pnictides": (3, ["N", "P", "As", "Sb"]),
}
METALS = ["Mn", "Fe", "Co", "Ni", "Cu", "Ru", "Rh", "Pd", "Ti", "V", "Al", "Ga", "In", "Sn"]
PROTOTYPES = {  # space group, Wyckoff positions, atoms of each element in a formula
    "rock salt": (225, ["4a", "4b"], (1, 1)),
    "zinc blende": (216, ["4a", "4c"], (1, 1)),
    "fluorite": (225, ["4a", "8c"], (1, 2)),
    "rutile": (136, ["2a", "4f"], (1, 2)),
    "perovskite": (221, ["1a", "1b", "3c"], (1, 1, 3)),
    "spinel": (227, ["8a", "16d", "32e"], (1, 2, 4)),
}


def ionic_crystals() -> Iterator[tuple[str, str, str]]:
    """Chemistry, prototype and SCOPE of crystals whose charges balance."""
    for (chemistry, (valence, anions)), prototype in product(ANIONS.items(), PROTOTYPES):
        space_group, positions, counts = PROTOTYPES[prototype]
        for charges in product(CATIONS, repeat=len(counts) - 1):
            if np.dot(counts, (*charges, -valence)):
                continue
            for elements in product(*(CATIONS[charge] for charge in charges), anions):
                if len(set(elements)) == len(elements):
                    orbits = zip(positions, elements, strict=True)
                    yield chemistry, prototype, str(Scope.from_orbits(space_group, orbits))


def heusler_alloys() -> Iterator[tuple[str, str, str]]:
    """The same of full Heusler alloys."""
    for elements in permutations(METALS, 3):
        orbits = zip(("8c", "4a", "4b"), elements, strict=True)
        yield "alloys", "Heusler", str(Scope.from_orbits(225, orbits))


crystals = chain(ionic_crystals(), heusler_alloys())
frame = pd.DataFrame(crystals, columns=["chemistry", "prototype", "scope"])
frame = frame.drop_duplicates("scope").sample(3000, random_state=0)  # A2BC and A2CB are the same
embeddings = CloudModel.from_pretrained().embed(frame.scope)
components = PCA(30, random_state=0).fit_transform(embeddings)
frame[["x", "y"]] = TSNE(random_state=0, max_iter=500).fit_transform(components)

print(f"{len(frame)} crystals, embeddings of {embeddings.shape[1]}")
neighbours = NearestNeighbors(n_neighbors=5).fit(embeddings).kneighbors(return_distance=False)
for label in ("chemistry", "prototype"):
    same = frame[label].to_numpy()[neighbours] == frame[label].to_numpy()[:, None]
    chance = (frame[label].value_counts(normalize=True) ** 2).sum()
    print(f"neighbours of the same {label}: {same.mean():.0%} (by chance {chance:.0%})")

with style():
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 4.6))
    for axes, label in zip(panels, ("chemistry", "prototype"), strict=True):
        for name, members in frame.groupby(label, sort=False):
            axes.scatter(members.x, members.y, s=4, linewidth=0, label=name)
        axes.set(xticks=[], yticks=[], title=f"by {label}")
        axes.spines[:].set_visible(False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, markerscale=3, handletextpad=0.1)
    figure.savefig("embedding_map.png")
frame.to_csv("embedding_map.csv", index=False)
print("wrote embedding_map.png and embedding_map.csv")
