"""The correction of band gaps is judged on gaps that it can be judged on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pymatgen.core import Composition

from benchmarks.experiment import MEASURED, SOURCES
from benchmarks.experimental_gaps import MEASURED_GAPS, corrected, judge
from cloud_model import Scope

GAPS = pd.read_csv(MEASURED_GAPS)


def test_gaps_are_of_other_crystals_with_a_source_each():
    assert set(GAPS["source"]) <= set(SOURCES)
    assert not set(GAPS["formula"]) & set(pd.read_csv(MEASURED)["formula"])
    assert not GAPS.duplicated("formula").any()
    for row in GAPS.itertuples():
        formula = Scope.from_orbits(row.space_group, row.orbits).formula
        assert Composition(formula) == Composition(row.formula).reduced_composition


def test_a_gap_that_is_low_as_published_is_corrected_away():
    predicted = np.array([0.5, 1.0, 4.0])
    rows = judge(predicted, corrected(predicted))
    assert rows["all"]["corrected_mae"] == 0
    assert rows["all"]["predicted_bias"] < -1
    assert rows["above 4 eV"]["crystals"] == 1
