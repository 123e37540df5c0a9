import numpy as np
import pandas as pd
import pytest

from benchmarks import data_ablations
from benchmarks.data_ablations import HEIGHT, OLDER, RECENT, VARIANTS, chosen_rows

TABLES = {"mp20_energy_gap": ["a"], "mp_formation_energy": ["a", "b"], "wbm_44k": ["c"], "wbm_10k": []}


@pytest.fixture
def training(monkeypatch):
    """Crystals of each table, one with a label of its vibrations, and one without energies."""
    monkeypatch.setattr(
        data_ablations, "table", lambda data, name: pd.DataFrame({"scope": TABLES[name]}, dtype=str)
    )
    monkeypatch.setattr(data_ablations, "OTHERS", 2)
    columns = ["heat_capacities", *data_ablations.VIBRATIONS]
    frame = pd.DataFrame({"scope": list("abcd"), RECENT: 1.0, OLDER: 2.0, HEIGHT: 0.0})
    frame[columns] = np.nan
    frame.loc[3, [RECENT, OLDER, HEIGHT]] = np.nan
    frame.loc[2, "dynamic_stability"] = 1.0
    return frame.set_index("scope", drop=False)


def test_only_the_tables_of_a_variant_give_energies(training, tmp_path):
    rows = chosen_rows(training, VARIANTS["no WBM"], tmp_path, 0)
    assert "c" in rows.index  # for its vibrations
    assert rows.loc["c", [RECENT, OLDER, HEIGHT]].isna().all()
    rows = chosen_rows(training, VARIANTS["near the hull"], tmp_path, 0)
    assert sorted(rows.index) == ["a", "c", "d"]
    assert rows.index[rows[RECENT].notna()] == ["a"]


def test_one_head_learns_each_energy_on_the_scale_of_its_table(training, tmp_path, monkeypatch):
    monkeypatch.setattr(data_ablations, "OTHERS", 3)
    training.loc["c", "dynamic_stability"] = np.nan
    training.loc["d", "dynamic_stability"] = 1.0
    rows = chosen_rows(training, VARIANTS["one head"], tmp_path, 0)
    assert rows[RECENT].dropna().to_dict() == {"a": 1.0, "b": 2.0, "c": 1.0}
