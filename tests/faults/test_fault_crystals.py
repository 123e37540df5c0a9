"""Each bad crystal at each entry point: the same error, and every other crystal's result still comes out."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hostile_crystals import CRYSTALS, salt

from cloud_model import Scope
from cloud_model.errors import BatchError, CloudError, CloudWarning, VocabularyError
from cloud_plugins import CloudCalculator, CloudEmbedder, CloudFeaturizer, CloudPropertyFeaturizer

pytestmark = [
    pytest.mark.filterwarnings("ignore::cloud_model.errors.CloudWarning"),  # looked at where they matter
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING"),  # by pymatgen's use of spglib
]

ALL = [pytest.param(fault, marks=pytest.mark.slow) if fault.slow else fault for fault in CRYSTALS]
BAD = [fault for fault in CRYSTALS if fault.fails and not fault.slow]
BAD_ATOMS = [fault for fault in BAD if isinstance(fault.make(Path()), Atoms)]
CELL_ONLY = ("heat_capacity", "vibrational_internal_energy", "vibrational_entropy", "vibrational_free_energy")


def is_expected(error, fault):
    return type(error) is fault.outcome and re.search(fault.words, str(error)) is not None


@pytest.mark.parametrize("fault", ALL, ids=str)
def test_predict_one(fault, tiny_model, tmp_path):
    crystal = fault.make(tmp_path)
    if fault.fails:
        with pytest.raises(CloudError) as caught:
            tiny_model.predict(crystal)
        assert is_expected(caught.value, fault), caught.value
        assert caught.value.remedy
        return
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", CloudWarning)
        frame = tiny_model.predict(crystal)
    assert [fault.outcome] * bool(fault.outcome) == [
        type(w.message) for w in seen if is_expected(w.message, fault)
    ]
    assert frame["error"].isna().all()
    assert np.isfinite(frame.drop(columns="error").to_numpy(dtype=float)).all()


@pytest.mark.parametrize("fault", BAD, ids=str)
def test_predict_batch(fault, tiny_model, tmp_path):
    frame = tiny_model.predict([salt(), fault.make(tmp_path), salt()], "band_gap")
    assert frame["error"].isna().tolist() == [True, False, True]
    assert frame["band_gap"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("fault", BAD, ids=str)
def test_other_functions_of_the_model(fault, tiny_model, tmp_path):
    crystal = fault.make(tmp_path)
    with pytest.raises(BatchError) as caught:
        tiny_model.embed([salt(), crystal])
    assert is_expected(caught.value.failures[1], fault)
    assert np.isnan(tiny_model.embed([salt(), crystal], errors="nan")).all(axis=1).tolist() == [False, True]
    for call in (tiny_model.embed, tiny_model.tokens, lambda bad: tiny_model.thermodynamics(bad, [300])):
        with pytest.raises(CloudError) as caught:
            call(crystal)
        assert is_expected(caught.value, fault)


@pytest.mark.parametrize("fault", BAD_ATOMS, ids=str)
def test_calculator(fault, tiny_model):
    atoms = fault.make(Path())
    calculator = CloudCalculator(tiny_model)
    with pytest.raises(CloudError):
        calculator.get_potential_energy(atoms)
    with pytest.raises(CloudError):
        calculator.write_results(atoms)
    assert calculator.get_potential_energy(salt()) == pytest.approx(
        CloudCalculator(tiny_model).get_potential_energy(salt())
    )
    errors = calculator.predict_many([salt(), fault.make(Path())])["error"]
    assert errors.isna().tolist() == [True, False]


@pytest.mark.parametrize("fault", BAD, ids=str)
@pytest.mark.parametrize("featurizer", [CloudFeaturizer, CloudPropertyFeaturizer])
def test_featurizers(fault, featurizer, tiny_model, tmp_path):
    crystal = fault.make(tmp_path)
    with pytest.raises(CloudError) as caught:
        featurizer(tiny_model).featurize(crystal)
    assert is_expected(caught.value, fault)
    rows = featurizer(tiny_model).featurize_many([salt(), crystal], ignore_errors=True, pbar=False)
    assert np.isnan(rows).any(axis=1).tolist() == [False, True]


@pytest.mark.parametrize("fault", BAD, ids=str)
def test_estimators(fault, tiny_model, tmp_path):
    embedder = CloudEmbedder(tiny_model).fit([salt()])
    with pytest.raises(BatchError) as caught:
        embedder.transform([salt(), fault.make(tmp_path)])
    assert caught.value.failures.keys() == {1}


@pytest.mark.parametrize("fault", [f for f in BAD if f.outcome is not VocabularyError], ids=str)
@pytest.mark.parametrize("dialect", ["sites", "reference"])
def test_scope(fault, dialect, tmp_path):
    with pytest.raises(CloudError) as caught:
        Scope.from_crystal(fault.make(tmp_path), dialect)
    assert type(caught.value) is fault.outcome
