import pandas as pd
import pytest
from sklearn.model_selection import KFold

from benchmarks.matbench import TASKS, Task, official_table, orbits
from cloud_model.training.evaluation import MATBENCH_SEED


def test_rows_keep_their_places_in_the_official_table():
    known = pd.DataFrame(
        {"id": ["mb-x-00002", "mb-x-00005"], "spg": 225, "orbits": "Na:4a;Cl:4b", "target": [1.5, 2.5]}
    )
    table = official_table(known, Task(6, "target", "modulus", "GPa"))
    assert list(table.index[table.scope != ""]) == [1, 4]
    assert list(table.modulus[table.scope != ""]) == [1.5, 2.5]


def test_perovskites_whose_elements_have_no_place_are_left_out():
    rows = pd.DataFrame(
        {
            "how": ["value", "same_scope_element_order_unknown", "elimination"],
            "spg": 221,
            "orbits_letters": ["Ti:a;Ba:b;O:c", "Ti:a;Ba:b;O:c", "N:c;Rh:a;Te:b"],
        }
    )
    assert list(orbits(rows).orbits) == ["Ti:1a;Ba:1b;O:3c", "N:3c;Rh:1a;Te:1b"]


@pytest.mark.parametrize(
    ("task", "tested"), [("log_kvrh", (6, 10, 40, 47, 49)), ("perovskites", (6, 11, 21, 34, 38))]
)
def test_folds_are_those_of_the_official_package(task, tested):
    """First crystals that the package matbench 0.6 lists for testing in fold 0."""
    folds = KFold(5, shuffle=True, random_state=MATBENCH_SEED).split(range(TASKS[task].rows))
    assert [place + 1 for place in next(folds)[1][:5]] == list(tested)
