"""Hypothetical crystals, which teachers label."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from cloud_model import Scope
from cloud_model.crystal.elements import SYMBOLS
from recipes.compositions import elements_of, is_validation
from recipes.substitutes import neighbours, substitutes

REAL = [
    Scope.from_orbits(225, "Na:4a;Cl:4b"),
    Scope.from_orbits(225, "K:4a;Br:4b"),
    Scope.from_orbits(221, "Ba:1a;Ti:1b;O:3c"),
    Scope.from_orbits(221, "Sr:1a;Zr:1b;O:3d"),
    Scope.from_orbits(194, "Mg:2c;Mg:2d;Zn:2a"),
]
KINDS = {(scope.space_group, tuple(sorted(symbol for symbol, _ in scope.orbits))) for scope in REAL}


@pytest.fixture(scope="module")
def hypothetical():
    return list(islice(substitutes([str(scope) for scope in REAL], np.random.default_rng(0)), 200))


def test_they_are_crystals_with_one_other_element(hypothetical):
    compositions = [elements_of(str(scope)) for scope in REAL]
    for text in hypothetical:
        scope = Scope.parse(text)
        assert str(scope) == text
        assert any(
            len(elements_of(text) - own) == 1 and len(elements_of(text)) == len(own) for own in compositions
        )


def test_sites_stay_as_many(hypothetical):
    sizes = {(number, tuple(sorted(int(s[:-1]) for s in symbols))) for number, symbols in KINDS}
    for scope in map(Scope.parse, hypothetical):
        assert (scope.space_group, tuple(sorted(int(symbol[:-1]) for symbol, _ in scope.orbits))) in sizes


def test_compositions_of_validation_stay_unseen(hypothetical):
    assert not any(map(is_validation, hypothetical))


def test_neighbours_are_alike():
    near = neighbours(set(SYMBOLS[:94]))
    assert {"Li", "K", "Rb"} <= set(near["Na"])
    assert {"Br", "I"} <= set(near["Cl"])
    assert {"Fe", "Ni"} <= set(near["Co"])
    assert not set(near["Cl"]) & {"Na", "Mg", "Fe", "Co", "Ni"}
