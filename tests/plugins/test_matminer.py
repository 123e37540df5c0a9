"""Featurizers: what they find in a frame, and what they put there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pymatgen.io.ase import AseAtomsAdaptor

from cloud_model.errors import ArgumentError, CloudError, CloudWarning, ScopeError
from cloud_model.inference import processes
from cloud_model.stability.distances import stability
from cloud_plugins import CloudFeaturizer, CloudPropertyFeaturizer

ROUNDING = 1e-5  # of float32, between batches of different padding


@pytest.fixture
def frame(rock_salts):
    return pd.DataFrame(
        {"formula": [s.formula for s in rock_salts], "crystal": rock_salts, "size": 8.0},
        index=[f"mp-{i}" for i in range(len(rock_salts))],
    )


@pytest.fixture
def featurizer(tiny_checkpoint):
    return CloudFeaturizer(model=tiny_checkpoint)


def test_features_are_the_embeddings_of_the_model(frame, featurizer, tiny_model):
    result = featurizer.featurize_dataframe(frame, pbar=False)
    assert list(result.columns) == [*frame.columns, *featurizer.feature_labels()]
    assert result.index.equals(frame.index)
    features = result[featurizer.feature_labels()].to_numpy()
    np.testing.assert_allclose(features, tiny_model.embed(frame["crystal"]), atol=ROUNDING)


def test_one_crystal_gives_its_row_of_the_batch(frame, featurizer):
    rows = featurizer.featurize_many(frame["crystal"], pbar=False)
    for crystal, row in zip(frame["crystal"], rows, strict=True):
        np.testing.assert_allclose(featurizer.featurize(crystal), row, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["atoms", "scope"])
def test_finds_the_column_whatever_describes_the_crystals(frame, featurizer, tiny_model, kind):
    structures = frame["crystal"]
    expected = featurizer.featurize_dataframe(frame, pbar=False)
    atoms = [AseAtomsAdaptor.get_atoms(structure, msonable=False) for structure in structures]
    frame["crystal"] = atoms if kind == "atoms" else [str(scope) for scope in tiny_model.scopes(atoms)]
    result = featurizer.featurize_dataframe(frame, pbar=False)
    labels = featurizer.feature_labels()
    np.testing.assert_allclose(result[labels], expected[labels], atol=ROUNDING)


def test_finds_the_column_even_if_its_first_crystals_are_missing(frame, featurizer):
    frame.iloc[0, 1] = None
    result = featurizer.featurize_dataframe(frame, ignore_errors=True, pbar=False)
    assert result[featurizer.feature_labels()].isna().any(axis=1).tolist() == [True] + [False] * 11


def test_two_columns_of_crystals_are_ambiguous(frame, featurizer):
    frame["relaxed"] = frame["crystal"]
    with pytest.raises(ArgumentError, match=r"'crystal', 'relaxed'.*col_id"):
        featurizer.featurize_dataframe(frame)
    assert featurizer.featurize_dataframe(frame, "relaxed", pbar=False).shape == (12, 4 + 192)


def test_no_column_of_crystals_is_an_error(frame, featurizer):
    with pytest.raises(ArgumentError, match="no column"):
        featurizer.featurize_dataframe(frame[["formula", "size"]])


def test_oxidation_states_do_not_matter(frame, featurizer):
    plain = featurizer.featurize_many(frame["crystal"], pbar=False)
    decorated = [structure.copy() for structure in frame["crystal"]]
    for structure in decorated:
        structure.add_oxidation_state_by_guess()
    np.testing.assert_array_equal(featurizer.featurize_many(decorated, pbar=False), plain)


@pytest.mark.parametrize("pooling", ["mean", "atoms", "cls"])
def test_labels_name_model_and_pooling(tiny_checkpoint, pooling):
    featurizer = CloudFeaturizer(tiny_checkpoint, pooling)
    labels = featurizer.feature_labels()
    assert labels[:2] == [f"tiny {pooling} 0", f"tiny {pooling} 1"]
    assert len(set(labels)) == 64
    labels.append("the caller's")
    assert len(featurizer.feature_labels()) == 64


def test_properties_are_labelled_with_units(tiny_checkpoint):
    featurizer = CloudPropertyFeaturizer(
        tiny_checkpoint, ["band_gap", "refractive_index", "heat_capacity_per_atom"], temperature=77
    )
    assert featurizer.feature_labels() == [
        "tiny band_gap (eV)",
        "tiny refractive_index",
        "tiny heat_capacity_per_atom at 77 K (J/(mol-atom K))",
    ]


def test_properties_are_those_the_model_predicts(frame, tiny_checkpoint, tiny_model):
    names = ["bulk_modulus", "vibrational_entropy"]
    featurizer = CloudPropertyFeaturizer(tiny_checkpoint, names, temperature=500)
    result = featurizer.featurize_dataframe(frame, pbar=False)
    expected = tiny_model.predict(frame["crystal"], names, 500)
    np.testing.assert_allclose(result[featurizer.feature_labels()], expected[names], rtol=ROUNDING)


def test_default_properties_do_not_depend_on_the_choice_of_cell(rock_salts, tiny_checkpoint):
    featurizer = CloudPropertyFeaturizer(tiny_checkpoint)
    primitive = rock_salts[0].get_primitive_structure()
    np.testing.assert_allclose(
        featurizer.featurize(primitive), featurizer.featurize(rock_salts[0]), rtol=ROUNDING
    )


def test_bad_crystals_raise_their_own_error(featurizer, rock_salts):
    with pytest.raises(ScopeError, match=r"SKIP THESE ERRORS"):
        featurizer.featurize_many([rock_salts[0], "a | b | c"], pbar=False)
    with pytest.raises(CloudError):
        featurizer.featurize(None)


def test_transform_warns_of_bad_crystals(featurizer, rock_salts):
    with pytest.warns(CloudWarning, match="1 of 2 crystals"):
        features = featurizer.transform([rock_salts[0], "a | b | c"])
    assert np.isnan(features).all(axis=1).tolist() == [False, True]


def test_distances_from_the_hull_are_features(frame, tiny_checkpoint, tiny_model):
    featurizer = CloudPropertyFeaturizer(
        tiny_checkpoint, ["energy_above_hull", "band_gap", "probability_stable"]
    )
    crystals = frame.crystal.tolist()[:2]
    expected = stability(crystals, model=tiny_model)
    features = featurizer.transform(crystals)
    np.testing.assert_allclose(
        features[:, [0, 2]], expected[["energy_above_hull", "probability_stable"]], rtol=1e-5
    )
    assert featurizer.feature_labels()[0] == "tiny energy_above_hull (eV/atom)"


def test_processes_share_the_rows(frame, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(processes, "SMALLEST", 4)
    one, two = CloudFeaturizer(tiny_checkpoint), CloudFeaturizer(tiny_checkpoint)
    two.set_n_jobs(2)
    tasks = []
    run = processes.in_processes
    monkeypatch.setattr(processes, "in_processes", lambda *arguments: tasks.append(1) or run(*arguments))
    expected, found = (each.featurize_many(frame["crystal"], pbar=False) for each in (one, two))
    assert tasks == [1]
    np.testing.assert_array_equal(found, expected)
