"""Baselines to compare errors with: dummy, ridge on composition, extra trees on composition and symmetry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from string import ascii_letters

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.element_data import element_features
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.scope.string import Scope

Array = NDArray[np.float64]

CRYSTAL_SYSTEMS = (2, 15, 74, 142, 167, 194, 230)
"""The last space group of each crystal system, from triclinic to cubic."""


def composition_features(scope: Scope) -> Array:
    """Fraction of each element, and mean, deviation, minimum, maximum and range of the elements' properties."""
    elements, fractions = zip(*scope.composition, strict=True)
    shares = np.array(fractions) / max(sum(fractions), 1e-9)
    present = np.zeros(len(SYMBOLS))
    present[[SYMBOLS.index(element) for element in elements]] = shares
    table = np.stack([_known_features(element) for element in elements])
    mean = shares @ table
    deviation = np.sqrt(shares @ (table - mean) ** 2)
    low, high = table.min(0), table.max(0)
    return np.concatenate([present, mean, deviation, low, high, high - low])


def symmetry_features(scope: Scope) -> Array:
    """Space group, crystal system, and counts and sizes of the occupied Wyckoff positions."""
    symbols = [symbol for symbol, _ in scope.orbits] if scope.orbits else list(scope.wyckoff)
    sizes = np.array([int(symbol[:-1]) for symbol in symbols])
    letters = Counter(symbol[-1] for symbol in symbols)
    system = np.searchsorted(CRYSTAL_SYSTEMS, scope.space_group)
    numbers = [
        scope.space_group,
        system,
        len(symbols),
        len(letters),
        sizes.sum(),
        sizes.min(),
        sizes.max(),
        sizes.mean(),
    ]
    return np.array(numbers + [letters[letter] for letter in ascii_letters[:27]], dtype=float)


def baseline_predictions(
    training: Sequence[Scope], labels: Array, test: Sequence[Scope], seed: int = 0
) -> dict[str, Array]:
    """Fit the baselines and predict.

    Parameters
    ----------
    training : sequence of Scope
        Crystals to fit.
    labels : ndarray, shape (n,) or (n, outputs)
        Theirs, without NaN.
    test : sequence of Scope
        Crystals to predict.
    seed : int
        Random seed of the trees.

    Returns
    -------
    dict of str to ndarray
        Name of the baseline -> predictions.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    composition, composition_test = (
        np.stack([composition_features(s) for s in rows]) for rows in (training, test)
    )
    both, both_test = (
        np.hstack([features, np.stack([symmetry_features(s) for s in rows])])
        for features, rows in ((composition, training), (composition_test, test))
    )
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    trees = ExtraTreesRegressor(200, max_features=0.33, random_state=seed)
    return {
        "dummy": DummyRegressor().fit(composition, labels).predict(composition_test),
        "ridge on composition": ridge.fit(composition, labels).predict(composition_test),
        "extra trees on composition + symmetry": trees.fit(both, labels).predict(both_test),
    }


@cache
def _known_features(element: str) -> Array:
    return np.nan_to_num(np.array(element_features(element)), nan=0.0)
