from __future__ import annotations

import pytest

from cloud_model.crystal.elements import SYMBOLS
from cloud_model.crystal.formula import reduced_formula


@pytest.mark.parametrize(
    "formula", [{"Pb": 4, "Te": 4}, {"Mg": 8, "Al": 16, "O": 32}, {"Ca": 2, "C": 2, "O": 6}, {"H": 4, "O": 2}]
)
def test_elements_stand_as_chemists_write_them(formula):
    written = {"Pb": "PbTe", "Mg": "MgAl2O4", "Ca": "CaCO3", "H": "H2O"}[next(iter(formula))]
    assert reduced_formula(dict(reversed(formula.items()))) == written


def test_every_element_has_its_place():
    assert [reduced_formula({symbol: 3}) for symbol in SYMBOLS] == list(SYMBOLS)
