"""What the recipe of thermal expansion takes from measured tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from cloud_model.network.heads import ExpansionHead
from recipes.thermochemistry import ROOM, curve, fold, is_tetrahedral, out_of_fold, reduced_formula

GRID = [100.0, 200.0, ROOM, *np.arange(300.0, 1501.0, 100.0)]


def table(temperatures, heat_capacities):
    return pd.DataFrame({"T_K": temperatures, "Cp_J_mol_K": heat_capacities, "S_J_mol_K": 1.0})


@pytest.mark.parametrize(
    ("temperatures", "heat_capacities", "end"),
    [
        (GRID, np.linspace(30, 60, len(GRID)), 1500.0),
        (sorted([*GRID, 933.45]), np.linspace(30, 60, len(GRID) + 1), 933.45),  # melting
        (sorted([*GRID, 800.0]), np.linspace(30, 60, len(GRID) + 1), 800.0),  # two phases at one temperature
        (GRID, np.where(np.array(GRID) > 1000, 100.0, 55.0), 1000.0),  # on its way to a transition
        (sorted([*GRID, 168.8]), np.linspace(30, 60, len(GRID) + 1), 1500.0),  # a transition in the cold
    ],
)
def test_tables_end_at_transitions(temperatures, heat_capacities, end):
    found = curve(table(temperatures, heat_capacities), atoms=2)
    assert found["temperatures"].max() == end
    assert found["heat_capacities"][-1] == np.asarray(heat_capacities)[np.asarray(temperatures) == end][0] / 2


def test_formulas_are_divided_among_the_perceptrons():
    formulas = [f"Na{i}Cl{j}" for i in range(1, 30) for j in range(1, 30)]
    counts = np.bincount([fold(formula) for formula in formulas])
    assert len(counts) == ExpansionHead.PARTS
    assert counts.min() > len(formulas) / ExpansionHead.PARTS / 2
    assert reduced_formula("Hg2Cl2") == "HgCl"


def test_tetrahedral_networks():
    assert is_tetrahedral(227, "Si:8a")
    assert is_tetrahedral(216, "Ga:4a;As:4c")
    assert is_tetrahedral(186, "Zn:2b;O:2b")
    assert is_tetrahedral(122, "Cu:4a;In:4b;Se:8d")
    assert not is_tetrahedral(225, "Na:4a;Cl:4b")
    assert not is_tetrahedral(216, "Ni:4c;Mn:4a;Sb:4b")


def test_what_is_measured_was_not_seen():
    """Of each formula only perceptrons that leave it out are heard."""
    formulas = ["NaCl", "KCl", "MgO", "Al2O3", "TiN", "CaF2"]
    members = torch.arange(ExpansionHead.MEMBERS)[None, :, None].expand(len(formulas), -1, 5).double()
    heard = out_of_fold(members, pd.DataFrame({"formula": formulas}))
    groups = ExpansionHead.MEMBERS // ExpansionHead.PARTS
    expected = [fold(formula) + ExpansionHead.PARTS * (groups - 1) / 2 for formula in formulas]
    np.testing.assert_allclose(heard[:, 0], expected)
