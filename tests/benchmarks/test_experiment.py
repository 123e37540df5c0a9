"""The comparison with experiment compares what it says."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.experiment import COLUMNS, MEASURED, RESULTS, compare, report
from cloud_model import Scope

CRYSTALS = pd.read_csv(MEASURED)


def test_the_orbits_are_those_of_the_formula():
    for row in CRYSTALS.itertuples():
        assert Scope.from_orbits(row.space_group, row.orbits).formula == row.formula


def test_ratio_and_coverage(tiny_model):
    measured = CRYSTALS.head(4).copy()
    scopes = [Scope.from_orbits(row.space_group, row.orbits) for row in measured.itertuples()]
    predicted = tiny_model.predict(scopes, temperature=298.15)
    for name, column in COLUMNS.items():
        if name in predicted:
            measured[column] = predicted[name] * 2
    measured["band_gap"] = predicted["band_gap"] + [0.5, -0.5, 2, -2] * predicted["band_gap_std"]
    measured.loc[3, "bulk_modulus"] = float("nan")
    rows = compare(tiny_model, measured)
    assert rows["bulk_modulus"]["ratio"] == pytest.approx(0.5)
    assert rows["bulk_modulus"]["crystals"] == 3
    assert rows["band_gap"]["within_error"] == 0.5
    assert "| `bulk_modulus` | AEL | 3 | 0.50 |" in report(rows, "tiny")


def test_what_was_written_is_of_these_crystals():
    assert "Against experiment" in (RESULTS / "experiment.md").read_text()
