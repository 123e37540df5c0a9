"""The facade: one row a crystal, the right basis, errors reported, thermodynamics consistent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from pymatgen.core import Structure

from cloud_model import CloudModel, Scope, debye
from cloud_model.errors import ArgumentError, BatchError, CloudWarning, CrystalError, PropertyError
from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS

SALT = bulk("NaCl", "rocksalt", a=5.64)
SALT_CUBIC = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
SILICON = bulk("Si", cubic=True)
NOT_PERIODIC = Atoms("Si", positions=[[0, 0, 0]])


def test_one_row_a_crystal_and_a_standard_error_a_property(tiny_model):
    frame = tiny_model.predict([SALT, SILICON])
    names = [*SCALARS, *THERMODYNAMICS]
    assert list(frame.columns) == [name + suffix for name in names for suffix in ("", "_std")] + ["error"]
    assert list(tiny_model.properties) == names
    assert len(frame) == 2
    assert frame.drop(columns="error").notna().all(axis=None)
    assert (frame.filter(like="_std") >= 0).all(axis=None)
    assert frame.error.isna().all()


def test_the_cell_that_was_passed_in_is_the_basis(tiny_model):
    one, eight, supercell = tiny_model.predict([SALT, SALT_CUBIC, SALT.repeat(2)]).to_dict("records")
    for name, info in tiny_model.properties.items():
        factors = (4, 8) if info.basis == "cell" else (1, 1)
        assert eight[name] == pytest.approx(factors[0] * one[name], rel=1e-6)
        assert supercell[name] == pytest.approx(factors[1] * one[name], rel=1e-6)
    assert one["heat_capacity"] == pytest.approx(2 * one["heat_capacity_per_atom"])


def test_every_kind_of_crystal_gives_the_same(tiny_model, tmp_path):
    SALT.write(tmp_path / "salt.cif")
    structure = Structure.from_spacegroup(
        "Fm-3m", np.eye(3) * 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    text = str(Scope.from_orbits(225, "Na:4a;Cl:4b"))
    frame = tiny_model.predict(
        [SALT, structure, tmp_path / "salt.cif", str(tmp_path / "salt.cif"), text], "band_gap"
    )
    assert frame.band_gap.nunique() == 1


def test_a_string_has_no_cell(tiny_model):
    row = tiny_model.predict(str(Scope.from_orbits(225, "Na:4a;Cl:4b"))).iloc[0]
    assert np.isnan(row["heat_capacity"])
    assert row["heat_capacity_per_atom"] > 0


def test_bad_crystals_of_a_batch_are_reported_and_the_others_survive(tiny_model):
    with pytest.warns(CloudWarning, match="1 of 3 crystals"):
        frame = tiny_model.predict([SALT, NOT_PERIODIC, SILICON])
    assert frame.error.isna().tolist() == [True, False, True]
    assert frame.drop(columns="error").notna().all(axis=1).tolist() == [True, False, True]


def test_a_single_bad_crystal_raises(tiny_model):
    with pytest.raises(CrystalError):
        tiny_model.predict(NOT_PERIODIC)


def test_an_empty_batch_is_an_empty_frame(tiny_model):
    assert tiny_model.predict([]).shape == (0, 2 * len(tiny_model.properties) + 1)
    assert tiny_model.embed([]).shape == (0, tiny_model.embedding_size)


def test_the_index_of_a_series_is_kept(tiny_model):
    frame = tiny_model.predict(pd.Series([SALT, SILICON], index=["salt", "salt"]), "band_gap")
    assert frame.index.tolist() == ["salt", "salt"]


def test_a_batch_predicts_what_its_crystals_predict_alone(tiny_checkpoint):
    crystals = [SALT, SILICON, bulk("Cu"), bulk("TiC", "zincblende", a=4.3), bulk("Zn")]
    together = CloudModel.from_pretrained(tiny_checkpoint).predict(crystals).drop(columns="error")
    for i, crystal in enumerate(crystals):
        alone = CloudModel.from_pretrained(tiny_checkpoint).predict(crystal).drop(columns="error")
        np.testing.assert_allclose(
            alone.iloc[0].to_numpy(float), together.iloc[i].to_numpy(float), rtol=1e-5, atol=1e-7
        )


def test_inputs_are_not_changed(tiny_model):
    before = SALT.copy()
    tiny_model.predict([SALT])
    assert before == SALT


def test_temperature_limits(tiny_model):
    cold = tiny_model.predict(SALT, temperature=0).iloc[0]
    assert cold["heat_capacity_per_atom"] == cold["vibrational_entropy_per_atom"] == 0
    assert cold["vibrational_internal_energy"] == cold["vibrational_free_energy"] > 0
    hot = tiny_model.predict(SALT, temperature=1e6).iloc[0]
    assert hot["heat_capacity_per_atom"] == pytest.approx(3 * debye.R, rel=1e-4)


def test_unknown_properties_are_named(tiny_model):
    with pytest.raises(PropertyError, match="colour"):
        tiny_model.predict([SALT], ["band_gap", "colour"])


def test_thermodynamics_is_what_predict_says(tiny_model):
    curve = tiny_model.thermodynamics(SALT_CUBIC, [0, 100, 300])
    assert curve.n_atoms == 8
    assert curve.weights.sum() == pytest.approx(1)
    for temperature, row in zip((0, 100, 300), curve.to_frame().to_dict("records"), strict=True):
        predicted = tiny_model.predict(SALT_CUBIC, temperature=temperature).iloc[0]
        for name in THERMODYNAMICS:
            assert row[name] == pytest.approx(predicted[name], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("temperatures", [[-1], [np.nan], [[1, 2]], ["cold"], [np.inf]])
def test_temperature_grids_that_are_none_are_refused(tiny_model, temperatures):
    with pytest.raises(ArgumentError, match="temperature"):
        tiny_model.thermodynamics(SALT, temperatures)


@pytest.mark.parametrize("pooling", ["layers", "mean", "atoms", "cls"])
def test_embeddings(tiny_model, pooling):
    vectors = tiny_model.embed([SALT, SILICON, SALT_CUBIC], pooling)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, tiny_model.embedding_width(pooling))
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])


def test_layers_end_with_the_atoms(tiny_model):
    layers, atoms = (tiny_model.checkpoint.members[0], tiny_model.embed([SILICON, SALT], "atoms"))
    width = layers.encoder.config.hidden_size
    vectors = tiny_model.embed([SILICON, SALT])
    assert vectors.shape == (2, tiny_model.embedding_size)
    np.testing.assert_allclose(vectors[:, 2 * width : 3 * width], atoms[:, :width], rtol=1e-6)
    assert vectors[0, width : 2 * width] == pytest.approx(0, abs=1e-3)  # one kind of atom on one kind of site


def test_bad_crystals_in_embed(tiny_model):
    with pytest.raises(BatchError) as caught:
        tiny_model.embed([SALT, NOT_PERIODIC])
    assert list(caught.value.failures) == [1]
    with pytest.warns(CloudWarning):
        vectors = tiny_model.embed([SALT, NOT_PERIODIC], errors="nan")
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True]


@pytest.mark.parametrize(
    "crystals",
    [[SALT, NOT_PERIODIC], fcc111("Cu", (1, 1, 3), vacuum=8, periodic=True)],
    ids=["batch", "slab"],
)
def test_warnings_point_to_the_line_of_the_user(tiny_model, crystals):
    with pytest.warns(CloudWarning) as caught:
        tiny_model.predict(crystals, "band_gap")
    assert {Path(warning.filename).name for warning in caught} == {"test_model.py"}


def test_all_crystals_of_a_file(tiny_model, tmp_path):
    from ase.io import write

    path = str(tmp_path / "run.extxyz")
    write(path, [bulk("NaCl", "rocksalt", a=5.64), bulk("Cu")])
    frame = tiny_model.predict(path, "band_gap")
    assert frame.index.tolist() == [f"{path}@0", f"{path}@1"]
    single = tiny_model.predict(f"{path}@1", "band_gap")["band_gap"].tolist()
    assert single == pytest.approx([frame["band_gap"].iloc[1]])
    assert tiny_model.embed(path).shape == (2, tiny_model.embedding_size)
    with pytest.raises(CrystalError, match="holds 2 crystals"):
        tiny_model.thermodynamics(path, [300])
    with pytest.warns(CloudWarning, match=r"holds 2 crystals.*@0"):
        assert tiny_model.predict([path], "band_gap")["band_gap"].isna().all()


def test_several_temperatures_are_rows_of_each_crystal(tiny_model, rock_salts):
    names = ["heat_capacity_per_atom", "bulk_modulus"]
    crystals = pd.Series(rock_salts[:2], index=["MgO", "MgS"])
    frame = tiny_model.predict(crystals, names, temperature=[300, 100])
    assert list(frame.index) == [("MgO", 300.0), ("MgO", 100.0), ("MgS", 300.0), ("MgS", 100.0)]
    assert frame.index.names == ["crystal", "temperature"]
    for temperature in (100, 300):
        alone = tiny_model.predict(crystals, names, temperature)
        pd.testing.assert_frame_equal(frame.xs(temperature, level="temperature"), alone, check_names=False)


def test_several_temperatures_of_one_crystal_and_of_bad_ones(tiny_model, rock_salts):
    assert list(tiny_model.predict(rock_salts[0], "band_gap", temperature=(100,)).index) == [(0, 100.0)]
    with pytest.warns(CloudWarning, match="1 of 2 crystals") as warned:
        frame = tiny_model.predict(
            [rock_salts[0], "no|such|string"], "band_gap", temperature=np.array([1, 2])
        )
    assert len(warned) == 1
    assert frame["error"].notna().tolist() == [False, False, True, True]
    assert frame["band_gap"].isna().tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "temperature", [-1, np.nan, np.inf, "hot", None, [], [300, -1], [300, np.nan], [[300]], ["hot"]]
)
def test_temperatures_that_are_none_are_refused(tiny_model, rock_salts, temperature):
    with pytest.raises(ArgumentError, match="temperature"):
        tiny_model.predict(rock_salts[0], temperature=temperature)
