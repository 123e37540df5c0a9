"""Write the strings that teachers label: those of the corpus without a label, and hypothetical crystals.

    python -m recipes.substitutes DATA

A hypothetical crystal is one of training in which another element stands for one of its own, near it in the order of
Mendeleev numbers (Pettifor, Solid State Communications 51, 31 (1984)): neighbours substitute for one another in real
crystals (Glawe et al., New J. Phys. 18, 093011 (2016)).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Element

from cloud_model import Scope
from recipes.compositions import elements_of, is_validation

UNLABELLED = "unlabelled.parquet"
HYPOTHETICAL = 22_637
NEAR = 3  # places in the order of Mendeleev numbers
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    labels = pd.read_parquet(data / "labels.parquet")
    corpus = pd.read_parquet(data / "corpus.parquet").scope
    unlabelled = corpus[~corpus.isin(labels.scope)].tolist()
    known = {*corpus, *labels.scope}
    drawn = substitutes(labels.scope[labels.split == "train"].tolist(), np.random.default_rng(SEED))
    hypothetical: dict[str, None] = {}  # in the order of drawing
    while len(hypothetical) < HYPOTHETICAL:
        if (text := next(drawn)) not in known:
            hypothetical[text] = None
    found = [*unlabelled, *hypothetical]
    pd.DataFrame({"scope": found}).to_parquet(data / UNLABELLED)
    print(f"{len(found):,} strings without labels")


def substitutes(strings: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Crystals like those of some strings, drawn at random without an end, with one element replaced by a near one.

    None has a composition that is held out for validation.
    """
    near = neighbours(set().union(*map(elements_of, strings)))
    while True:
        scope = Scope.parse(strings[int(rng.integers(len(strings)))])
        own = [element for element, _ in scope.composition]
        old = own[rng.integers(len(own))]
        others = [element for element in near[old] if element not in own]
        if not others or scope.orbits is None:
            continue
        new = others[rng.integers(len(others))]
        orbits = [(symbol, new if element == old else element) for symbol, element in scope.orbits]
        text = str(Scope.from_orbits(scope.space_group, orbits))
        if not is_validation(text):
            yield text


def neighbours(elements: set[str]) -> dict[str, list[str]]:
    """Elements at most `NEAR` places from each in the order of their Mendeleev numbers."""
    order = sorted(elements, key=lambda symbol: Element(symbol).mendeleev_no)
    return {
        element: [*order[max(i - NEAR, 0) : i], *order[i + 1 : i + NEAR + 1]]
        for i, element in enumerate(order)
    }


if __name__ == "__main__":
    main()
