"""Predictions and embeddings in several processes are those of one."""

from __future__ import annotations

from itertools import product

import joblib
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from joblib._parallel_backends import ThreadingBackend
from pymatgen.core import Lattice, Structure

from cloud_model import CloudModel, parallel
from cloud_model.errors import ArgumentError, BatchError, CloudWarning
from cloud_model.inference import processes
from cloud_model.parallel import number_of_processes

SALTS = [
    bulk(a + b, "rocksalt", 5.6)
    for a, b in product(("Na", "K", "Rb", "Mg", "Ca", "Sr"), ("F", "Cl", "Br", "O", "S"))
]
NOT_PERIODIC = Atoms("Si", positions=[[0, 0, 0]])
DISORDERED = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.6), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
MIXED = [*SALTS[:20], NOT_PERIODIC, DISORDERED, "no such file.cif", *SALTS[20:]]


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    monkeypatch.setattr(processes, "SMALLEST", 8)


@pytest.mark.filterwarnings("ignore::cloud_model.errors.CloudWarning")
def test_predictions_of_two_processes_are_those_of_one(tiny_model):
    series = pd.Series(MIXED, index=[f"row {i}" for i in range(len(MIXED))])
    arguments = {"temperature": [100.0, 300.0], "order": 2}
    two = tiny_model.predict(series, n_jobs=2, **arguments)
    one = CloudModel(tiny_model.checkpoint).predict(series, n_jobs=1, **arguments)
    pd.testing.assert_frame_equal(two, one, check_exact=True)
    assert one.error.notna().sum() == 2 * 2


def test_embeddings_of_two_processes_are_those_of_one(tiny_model):
    with joblib.parallel_config(n_jobs=2):
        two = tiny_model.embed(SALTS, "mean")
    np.testing.assert_array_equal(two, tiny_model.embed(SALTS, "mean"))


def test_bad_crystals_in_other_processes_are_reported_as_in_one(tiny_model):
    with pytest.raises(BatchError) as error:
        tiny_model.embed(MIXED, n_jobs=2)
    assert list(error.value.failures) == [20, 21, 22]
    with pytest.warns(CloudWarning, match="3 of 33 crystals"):
        vectors = tiny_model.embed(MIXED, errors="nan", n_jobs=2)
    assert np.flatnonzero(np.isnan(vectors).any(axis=1)).tolist() == [20, 21, 22]


def test_the_default_is_one_process_or_what_joblib_is_told(tiny_model):
    assert number_of_processes(None) == 1
    with joblib.parallel_config(n_jobs=3):
        assert number_of_processes(None) == 3
        inside = joblib.Parallel()(joblib.delayed(number_of_processes)(None) for _ in range(2))
    assert inside == [1, 1]
    for wrong in (0, 1.5, True, "2"):
        with pytest.raises(ArgumentError, match="not a number of processes"):
            tiny_model.predict(SALTS, n_jobs=wrong)


def test_the_checkpoint_travels_once(tiny_model, monkeypatch):
    loaded = []
    unpickle = parallel.pickle.loads
    monkeypatch.setattr(parallel.pickle, "loads", lambda data: loaded.append(len(data)) or unpickle(data))
    with joblib.parallel_config("threading", n_jobs=2):
        tiny_model.embed(SALTS, "mean")
    large = [size for size in loaded if size > 100_000]
    assert len(loaded) > 2
    assert 1 <= len(large) <= 2  # threads may meet


def test_backends_that_give_results_at_the_end_only(tiny_model):
    class Late(ThreadingBackend):
        supports_return_generator = False

    joblib.register_parallel_backend("late", Late)
    with joblib.parallel_config("late", n_jobs=2):
        late = tiny_model.embed(SALTS, "mean")
    np.testing.assert_array_equal(late, tiny_model.embed(SALTS, "mean"))
