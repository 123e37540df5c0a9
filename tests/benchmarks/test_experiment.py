"""The comparison with experiment compares what it says."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.experiment import (
    COLUMNS,
    HEADING,
    MEASURED,
    RESULTS,
    SOURCES,
    WARNING,
    compare,
    report,
    with_comparison,
)
from cloud_model import Scope

VALUES = pd.read_csv(MEASURED)


def test_the_orbits_are_those_of_the_formula():
    for row in VALUES.drop_duplicates("formula").itertuples():
        assert Scope.from_orbits(row.space_group, row.orbits).formula == row.formula


def test_each_value_is_given_once_with_a_source():
    assert not VALUES.duplicated(["formula", "property"]).any()
    assert set(VALUES["source"]) == set(SOURCES)
    assert set(VALUES["property"]) == set(COLUMNS.values())
    assert (VALUES["value"] > 0).all()


def test_ratio_and_coverage(tiny_model):
    gaps = VALUES[VALUES["property"] == "band_gap"].head(4).copy()
    moduli = VALUES[VALUES["property"] == "bulk_modulus"].head(3).copy()
    predicted = tiny_model.predict(
        [Scope.from_orbits(*row) for row in gaps[["space_group", "orbits"]].values]
    )
    gaps["value"] = (predicted["band_gap"] + [0.5, -0.5, 2, -2] * predicted["band_gap_std"]).to_numpy()
    predicted = tiny_model.predict(
        [Scope.from_orbits(*row) for row in moduli[["space_group", "orbits"]].values]
    )
    moduli["value"] = predicted["bulk_modulus"].to_numpy() * 2
    rows = compare(tiny_model, pd.concat([gaps, moduli]))
    assert rows["bulk_modulus"]["ratio"] == pytest.approx(0.5)
    assert rows["bulk_modulus"]["crystals"] == 3
    assert rows["band_gap"]["within_error"] == 0.5
    cells = " ".join(report(rows, tiny_model, pd.concat([gaps, moduli])).split())  # columns are aligned
    assert "| `bulk_modulus` | AEL | 3 | 0.50 |" in cells
    value = moduli["value"].iloc[0]
    assert f"{value / 2:.3g} / {value:.3g} {moduli['source'].iloc[0]}" in cells


def test_a_card_has_one_comparison():
    card = f"# Model\n\n## Error\n\n{WARNING}\n\n- Nowhere\n"
    once = with_comparison(card, f"{HEADING}\n\nOld.\n")
    assert with_comparison(once, f"{HEADING}\n\nNew.\n") == once.replace("Old", "New")
    assert once.replace(f"{HEADING}\n\nOld.\n\n", "") == card


def test_what_was_written_is_of_these_crystals():
    assert "Against experiment" in (RESULTS / "experiment.md").read_text()
