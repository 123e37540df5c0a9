"""One copy of a checkpoint in memory, which nobody else can change, and one cache of what it predicted."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cloud_model import CloudModel
from cloud_model.checkpoints.files import WEIGHTS
from cloud_model.checkpoints.loaded import load_checkpoint
from cloud_model.network import predictor

SALT = "1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a Na 4b Cl | Na 0.5 Cl 0.5"
OXIDE = SALT.replace("Na", "Mg").replace("Cl", "O")


@pytest.fixture
def directory(tiny_checkpoint, tmp_path):
    return shutil.copytree(tiny_checkpoint, tmp_path / "tiny")


@pytest.mark.parametrize("change", ["truncate", "overwrite", "remove"])
def test_a_file_that_changes_after_loading_changes_nothing(directory, change):
    model = CloudModel.from_pretrained(directory)
    before = CloudModel.from_pretrained(directory).checkpoint.members[0].state_dict()
    before = {name: value.clone() for name, value in before.items()}
    weights = directory / WEIGHTS
    if change == "truncate":
        os.truncate(weights, 100)
    elif change == "overwrite":
        with weights.open("r+b") as file:
            file.seek(1000)
            file.write(bytes(weights.stat().st_size - 1000))
    else:
        weights.unlink()
    for name, value in model.checkpoint.members[0].state_dict().items():
        assert value.equal(before[name])
    assert np.isfinite(model.predict(SALT, ["band_gap"]).band_gap[0])


def test_threads_that_load_at_once_get_one_copy(directory):
    with ThreadPoolExecutor(8) as threads:
        loaded = list(threads.map(lambda _: load_checkpoint(directory), range(8)))
    assert len({id(checkpoint) for checkpoint in loaded}) == 1


def test_models_of_a_checkpoint_share_what_they_predicted(directory, monkeypatch):
    first, second = (CloudModel.from_pretrained(directory) for _ in range(2))
    expected = first.predict([SALT, OXIDE]), first.embed([SALT, OXIDE])
    monkeypatch.setattr(predictor.Predictor, "hidden_states", None)  # what is not remembered fails
    assert second.predict([OXIDE, SALT]).iloc[::-1].reset_index(drop=True).equals(expected[0])
    np.testing.assert_array_equal(second.embed([OXIDE, SALT])[::-1], expected[1])


def test_copies_of_a_checkpoint_remember_nothing(directory):
    checkpoint = load_checkpoint(directory)
    CloudModel(checkpoint).predict(SALT)
    assert checkpoint.cache
    for copied in (pickle.loads(pickle.dumps(checkpoint)), copy.copy(checkpoint)):  # noqa: S301
        assert not copied.cache
