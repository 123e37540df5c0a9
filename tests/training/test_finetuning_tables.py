"""What a table becomes before training and what its report says after it, by a training that takes no time."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from cloud_model import CloudModel, Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import ArgumentError, CloudError, CloudWarning, CrystalError, DataError, OutputError
from cloud_model.network.heads import Prediction
from cloud_model.network.predictor import Output, Predictor
from cloud_model.physics.mixture import DebyeMixture, Spectra
from cloud_model.properties.catalogue import HARMONIC
from cloud_model.properties.targets import ScalarTarget
from cloud_model.training.finetuning import table as tables
from cloud_model.training.finetuning.ensemble import EnsembleSettings, HeldOut, choose_transform
from cloud_model.training.finetuning.labelled_crystals import Columns, LabelledCrystals
from cloud_model.training.finetuning.labels import LabelledTokens, Labels, normalised
from cloud_model.training.finetuning.network import errors
from cloud_model.training.finetuning.reading import (
    column,
    curves,
    describe,
    formula_groups,
    grouped_folds,
    numbers,
    read_table,
)
from cloud_model.training.finetuning.table import MODEL, finetune_table

CV = "heat_capacity_per_atom"
METALS = ("Li", "Na", "K", "Rb", "Cs", "Ag", "Cu", "Tl", "Mg", "Ca", "Sr", "Ba")
SALTS = [str(Scope.from_orbits(225, [("4a", metal), ("4b", "F")])) for metal in METALS]
STIFF = Columns(structure="scope", units={"stiffness": "GPa"})


@pytest.fixture(scope="module")
def base(tiny_checkpoint) -> Checkpoint:
    return Checkpoint.load(tiny_checkpoint)


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"scope": SALTS, "stiffness": np.arange(1.0, 13.0)})


# reading


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.jsonl", "t.jsonl.gz", "t"])
def test_every_format_gives_the_same_table(tmp_path, name):
    table = pd.DataFrame({"formula": ["NaN", "NA", "KF"], "gap": [1.0, np.nan, 3.0]})
    path = tmp_path / name
    if ".parquet" in name:
        table.to_parquet(path)
    elif ".jsonl" in name:
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False)
    found = read_table(path)
    assert found.formula.tolist() == ["NaN", "NA", "KF"]  # texts, none of which is missing
    np.testing.assert_array_equal(found.gap, table.gap)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_a_file_that_is_no_table_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b'"\xff')
    with pytest.raises(DataError, match=rf"{name}.* cannot be read as a table \(.+\)\. Give CSV, Parquet or"):
        read_table(tmp_path / name)
    with pytest.raises(DataError, match=rf"^{tmp_path} is not a file\. Give CSV, Parquet or"):
        read_table(tmp_path)


def test_a_column_that_is_not_there_or_twice_is_named():
    table = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"])
    assert column(table, "a").tolist() == [1]
    with pytest.raises(DataError, match=r"column 'c' is not in the table\. It has: a, b, b\."):
        column(table, "c")
    with pytest.raises(DataError, match=r"column 'c' is not in the table\. It has: none\."):
        column(table[[]], "c")
    with pytest.raises(DataError, match=r"column 'b' is in the table more than once\. Rename"):
        column(table, "b")


def test_labels_are_numbers_or_missing():
    table = pd.DataFrame({"good": ["1", None, "-2.5e3"], "bad": ["1", None, "much"], "none": [None] * 3})
    np.testing.assert_array_equal(numbers(table, "good"), [1, np.nan, -2500])
    with pytest.raises(DataError, match=r"row 2 of column 'bad': 'much' is not a finite number\. Repair"):
        numbers(table, "bad")
    with pytest.raises(DataError, match=r"column 'none' holds no number\. Give"):
        numbers(table, "none")


def test_curves_are_lists_of_any_length():
    table = pd.DataFrame({"cv": ["[1, 2, 3]", np.array([4.0]), 5.0, None, "[null, 6]", []]}, dtype=object)
    nan = np.nan
    expected = [[1, 2, 3], [4, nan, nan], [5, nan, nan], [nan] * 3, [nan, 6, nan], [nan] * 3]
    np.testing.assert_array_equal(curves(table, "cv"), expected)
    np.testing.assert_array_equal(curves(table, "cv", 4)[:, :3], expected)
    assert np.isnan(curves(table, "cv", 4)[:, 3]).all()
    assert curves(table[:0], "cv").shape == (0, 0)
    with pytest.raises(DataError, match=r"row 0 of column 'cv' is not a list of numbers \(its shape is \(3,"):
        curves(table, "cv", 2)
    for bad in ("[[1, 2]]", "hot", '{"a": 1}', {"a": 1}):
        with pytest.raises(DataError, match=r"row 1 of column 'cv' .*\[50, 100\]"):
            curves(pd.DataFrame({"cv": [[1.0], bad]}), "cv")


def test_crystals_are_described_in_their_places_and_warnings_are_counted(tmp_path):
    from ase.build import bulk

    vacuum = bulk("Cu", cubic=True)
    vacuum.center(vacuum=15.0, axis=2)
    (tmp_path / "salt.cif").write_text("data_x\n")
    cells = ["salt.cif", SALTS[0], vacuum, "data_y\n_cell_length_a 3\n", vacuum, SALTS[1]]
    with pytest.warns(CloudWarning, match=r"empty layer.* \(1 more warnings\)$") as caught:
        found = describe(cells, tmp_path, "sites", 0.01)
    assert len(caught) == 1
    assert [isinstance(item, CrystalError) for item in found] == [True, False, False, True, False, False]
    assert [str(found[1]), str(found[5])] == SALTS[:2]
    assert "salt.cif" in str(found[0])
    assert "row 3" in str(found[3])
    with pytest.warns(CloudWarning, match=r"bulk crystals\.$"):
        describe([vacuum], tmp_path, "sites", 0.01)


def test_the_tolerance_decides_the_symmetry(tmp_path):
    from ase.build import bulk

    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.positions[0] += 0.02
    groups = [describe([atoms], tmp_path, "sites", symprec)[0].space_group for symprec in (0.001, 0.1)]
    assert groups[0] != groups[1] == 225


def test_no_curve_is_longer_than_the_heat_capacities(base, tmp_path):
    columns = Columns(structure="scope", temperatures="T", heat_capacities="cv", internal_energies="u")
    for name in ("T", "u"):
        rows = pd.DataFrame({"scope": SALTS[:1], "T": "[50]", "cv": "[1]", "u": "[2]"}).assign(
            **{name: "[1, 2]"}
        )
        with pytest.raises(DataError, match=f"row 0 of column '{name}' is not a list of numbers"):
            LabelledCrystals.read(rows, tmp_path, columns, base)


def test_crystals_of_one_composition_are_of_one_group():
    rutile, anatase = (
        Scope.from_orbits(number, [(ti, "Ti"), (o, "O")])
        for number, ti, o in ((136, "2a", "4f"), (141, "4a", "8e"))
    )
    groups = formula_groups([rutile, Scope.parse(SALTS[0]), anatase, Scope.parse(SALTS[1])])
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3


def test_folds_are_of_one_size_and_follow_the_seed():
    groups = np.arange(20)
    folds = grouped_folds(groups, 5, seed=0)
    assert [len(fold) for fold in folds] == [4] * 5
    np.testing.assert_array_equal(np.concatenate(folds), np.concatenate(grouped_folds(groups, 5, seed=0)))
    assert any(set(a) != set(b) for a, b in zip(folds, grouped_folds(groups, 5, seed=1), strict=True))
    assert [len(fold) for fold in grouped_folds(groups, 20, seed=0)] == [1] * 20
    with pytest.raises(DataError, match="20 different formulas cannot be split into 21 folds"):
        grouped_folds(np.repeat(groups, 3), 21, seed=0)


# columns


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structure": 3}, "structure 3 is not the name of a column"),
        ({"temperatures": 3}, "temperatures 3 is not the name of a column"),
        ({"heat_capacities": 3}, "heat_capacities 3 is not the name of a column"),
        ({"internal_energies": 3}, "internal_energies 3 is not the name of a column"),
        ({"split": 3}, "split 3 is not the name of a column"),
        ({"units": ["gap"]}, "units of type list is not a dict of strings"),
        ({"units": {"gap": 1}}, "units of type dict is not a dict of strings"),
        ({"units": {1: "eV"}}, "units of type dict is not a dict of strings"),
        ({"transforms": {"gap": 1}}, "transforms of type dict is not a dict of strings"),
        ({"transforms": {"gap": "sqrt"}}, "transform 'sqrt'"),
        ({"transforms": {"other": "log10"}}, "transform of 'other' has no unit"),
        ({"units": {}}, "columns hold no labels"),
    ],
)
def test_columns_are_checked(changes, message):
    with pytest.raises(ArgumentError, match=message):
        Columns(**{"structure": "scope", "units": {"gap": "eV"}} | changes)


def test_heat_capacities_are_labels_enough():
    assert Columns(structure="scope", heat_capacities="cv").units == {}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(structure="scope", units={CV: "J/K"}), f"target '{CV}' is a thermodynamic property"),
        (Columns(structure="scope", units={"a\nb": ""}), "has control characters"),
        (Columns(structure="scope", units={"stiffness": "G\tPa"}), "has control characters"),
        (Columns(structure="scope", heat_capacities="cv"), "heat capacities have no temperatures"),
        (Columns(structure="scope", units={"softness": ""}), "column 'softness' is not in the table"),
        (Columns(structure="formula", units={"stiffness": ""}), "column 'formula' is not in the table"),
    ],
)
def test_columns_that_do_not_fit_the_table_are_refused(base, tmp_path, rows, columns, message):
    with pytest.raises(CloudError, match=message):
        LabelledCrystals.read(rows, tmp_path, columns, base)


def test_labels_stand_beside_their_crystals(base, tmp_path):
    curve = {"T": "[50, 100]", "cv": "[1, 2]", "u": "[10, 20]"}
    rows = pd.DataFrame(
        [
            {"scope": SALTS[0], "a": 1.0, "b": None, **curve},
            {"scope": "nothing", "a": 2.0, "b": 20.0, **curve},
            {"scope": SALTS[1], "a": None, "b": None, "T": "[300]", "cv": "[3]", "u": None},
            {"scope": SALTS[2], "a": None, "b": None, "T": None, "cv": None, "u": None},
            {"scope": SALTS[0], "a": 5.0, "b": 50.0, "T": None, "cv": None, "u": None},
        ]
    )
    columns = Columns(
        structure="scope",
        units={"a": "", "b": ""},
        temperatures="T",
        heat_capacities="cv",
        internal_energies="u",
    )
    with pytest.warns(CloudWarning, match=r"^2 of 5 rows are left out: row 1: .*; row 3: has no label$"):
        crystals = LabelledCrystals.read(rows, tmp_path, columns, base)
    nan = np.nan
    labels = crystals.labels
    assert crystals.rows.tolist() == [0, 2, 4]
    assert [str(scope) for scope in crystals.scopes] == [SALTS[0], SALTS[1], SALTS[0]]
    assert list(crystals.tokens) == [base.tokenizer.encode(text) for text in (SALTS[0], SALTS[1], SALTS[0])]
    assert crystals.groups.tolist() == [crystals.groups[0], crystals.groups[1], crystals.groups[0]]
    assert crystals.groups[0] != crystals.groups[1]
    np.testing.assert_array_equal(labels.scalars, [[1, nan], [nan, nan], [5, 50]])
    np.testing.assert_array_equal(labels.temperatures, [[50, 100], [300, nan], [nan, nan]])
    np.testing.assert_array_equal(labels.heat_capacities, [[1, 2], [3, nan], [nan, nan]])
    np.testing.assert_array_equal(labels.internal_energies, [[10, 20], [nan, nan], [nan, nan]])
    assert crystals.skipped[3] == "has no label"


def test_a_table_without_a_crystal_says_why(base, tmp_path):
    rows = pd.DataFrame({"scope": [f"nothing-{i}.cif" for i in range(5)], "stiffness": 1.0})
    with pytest.raises(DataError, match=r"has no row that can be used \(.*-0.*; .*-1.*; .*-2.*\)") as raised:
        LabelledCrystals.read(rows, tmp_path, STIFF, base)
    assert "nothing-3" not in str(raised.value)


# labels


def test_labels_are_picked_and_normalised_together():
    labels = Labels(
        np.array([[10.0, 3.0], [1000.0, np.nan]]),
        np.array([[50.0], [60.0]]),
        np.array([[1.0], [2.0]]),
        np.array([[7.0], [8.0]]),
        np.array([0.5, 2.0]),
    )
    targets = {
        "a": ScalarTarget(transform="log10", location=1.0, scale=2.0),
        "b": ScalarTarget(transform="identity", location=1.0, scale=4.0),
    }
    one = labels[np.array([1])]
    assert len(labels) == 2
    assert len(one) == 1
    assert (one.temperatures, one.heat_capacities, one.internal_energies, one.weights) == (60, 2, 8, 2)
    tensors = normalised(labels, targets)
    np.testing.assert_allclose(tensors.scalars, [[0.0, 0.5], [1.0, np.nan]])
    assert tensors.weights.tolist() == [0.5, 2.0]
    assert {part.dtype for part in vars(tensors).values()} == {torch.float32}
    assert normalised(Labels.of_scalars(np.ones((3, 2))), targets).weights.tolist() == [1, 1, 1]
    assert normalised(replace(labels, scalars=np.empty((2, 0))), {}).scalars.shape == (2, 0)


def test_features_are_picked_with_their_crystals(base):
    tokens = [base.tokenizer.encode(text) for text in SALTS[:3]]
    crystals = LabelledTokens(tokens, Labels.of_scalars(np.arange(3.0)[:, None]), torch.arange(3.0)[:, None])
    picked = crystals[np.array([2, 0])]
    assert len(crystals) == 3
    assert picked.tokens == [tokens[2], tokens[0]]
    assert picked.labels.scalars.ravel().tolist() == [2, 0]
    assert picked.features.ravel().tolist() == [2, 0]
    assert replace(crystals, features=None)[np.array([1])].features is None


def test_the_logarithm_needs_a_skewness_of_one_and_has_to_lower_it():
    mild, strong = np.arange(1.0, 11.0), 10 ** np.arange(1.0, 11.0)
    assert choose_transform(mild) == "identity"
    assert choose_transform(strong) == "log10"
    assert choose_transform(np.append(strong, np.nan)) == "log10"
    assert choose_transform(-strong) == "identity"


# errors while training


def test_validation_errors_are_in_the_units_of_labels_and_of_heads():
    value = torch.tensor([[0.0, 1.0, 0.0], [1.0, -1.0, 2.0]])
    targets = {
        "plain": ScalarTarget(transform="identity", location=10.0, scale=2.0),
        "log": ScalarTarget(transform="log10", location=1.0, scale=1.0),
        "share": ScalarTarget(transform="logistic", location=0.0, scale=1.0),
    }
    targets = {"unknown": targets["plain"], **targets}
    value = torch.cat([torch.zeros(2, 1), value], 1)
    label = np.array([[np.nan, 13.0, 10.0, 1.0], [np.nan, np.nan, 10.0, 0.0]])
    scale = torch.full_like(value, 0.1)
    found = errors(Output(Prediction(value, scale), None), targets, Labels.of_scalars(label))
    likely = 1 / (1 + np.exp(-2.0))
    assert found["plain"] == pytest.approx(3.0)
    assert found["log"] == pytest.approx((90 + 9) / 2, rel=1e-6)
    assert found["log10(log)"] == pytest.approx(1.0)
    assert found["share"] == pytest.approx((0.5 + likely) / 2)
    assert "unknown" not in found
    assert found["validation_error"] == pytest.approx((1.5 + 1 + 1 + 0.5 + likely) / 5)
    assert not any(name.startswith("log10(plain") for name in found)


def test_validation_errors_of_curves_are_told_by_temperature():
    theta = torch.tensor([[300.0], [500.0], [400.0]])
    spectra = Spectra(theta, torch.ones(3, 1), torch.full((3,), 0.1), torch.full((3,), 1e-3))
    temperatures = np.array([[50.0, 300.0], [50.0, 300.0], [np.nan, np.nan]])
    exact = DebyeMixture(spectra.each(torch.Tensor.double), torch.from_numpy(np.nan_to_num(temperatures)))
    off = np.array([[0.5, np.nan], [-1.5, 3.0], [np.nan, np.nan]])
    labels = Labels(np.empty((3, 0)), temperatures, exact.heat_capacity.numpy() + off)
    found = errors(Output(None, spectra), {}, labels)
    assert found[f"{CV}(50 K)"] == pytest.approx(1.0)
    assert found[f"{CV}(300 K)"] == pytest.approx(3.0)
    assert found["validation_error"] == pytest.approx(5 / 3)
    assert len(found) == 3


# from the table to the report


@pytest.fixture
def trained(monkeypatch) -> SimpleNamespace:
    """Puts in place of training an oracle that is too high by one; what it was asked is what is given."""
    asked = SimpleNamespace()

    def oracle(base, name, crystals, properties, transforms, folds, settings, directory):
        vars(asked).update(locals())
        rows = np.concatenate([folds[i % len(folds)] for i in range(settings.members)])
        labels = crystals.labels
        targets = {
            key: ScalarTarget.fit(labels.scalars[:, i], transforms[key]) for i, key in enumerate(properties)
        }
        values = {key: labels.scalars[rows, i] + 1 for i, key in enumerate(properties)}
        has_curves = bool(labels.heat_capacities.size)
        if has_curves:
            values[CV] = labels.heat_capacities[rows] + 1
        config = replace(
            base.config,
            name=name,
            targets=targets,
            properties={**properties, **(HARMONIC if has_curves else {})},
            spectra=2 if has_curves else 0,
            expansion=False,
            domain=False,
            intervals={},
        )
        torch.manual_seed(0)
        members = [
            Predictor(config.encoder, len(targets), config.spectra).eval() for _ in range(settings.members)
        ]
        for i in range(settings.members):
            (directory / f"member-{i}" / "state-1").mkdir(parents=True)
            (directory / f"member-{i}" / "metrics.jsonl").touch()
        error = {key: np.where(rows % 2, 0.5, 2.0) for key in properties}
        if has_curves:
            error[CV] = np.full_like(values[CV], 0.9)
        return Checkpoint(config, base.tokenizer, members), HeldOut(rows, values, error)

    def means(training, labels, test, seed=0):
        assert len(training) == len(labels)
        assert not np.isnan(labels).any()
        return {"dummy": np.repeat(np.mean(labels, axis=0, keepdims=True), len(test), axis=0)}

    monkeypatch.setattr(tables, "finetune_ensemble", oracle)
    monkeypatch.setattr(tables, "baseline_predictions", means)
    return asked


def test_members_are_judged_on_their_folds_beside_baselines_fitted_to_the_rest(
    trained, tiny_checkpoint, tmp_path, rows
):
    settings = EnsembleSettings(members=2, folds=3, seed=5)
    report = finetune_table(rows, STIFF, tmp_path / "stiff", model=tiny_checkpoint, settings=settings)
    assert len(trained.folds) == 3
    judged = np.concatenate(trained.folds[:2])
    labels = rows.stiffness.to_numpy()
    dummy = np.concatenate([labels[fold] - np.delete(labels, fold).mean() for fold in trained.folds[:2]])
    held_out = report["held_out"]["stiffness"]
    assert held_out[MODEL]["mae"] == pytest.approx(1.0)
    assert held_out[MODEL]["coverage_68"] == pytest.approx(np.mean(judged % 2 == 0))
    assert held_out[MODEL]["coverage_95"] == held_out[MODEL]["coverage_68"]
    assert held_out["dummy"]["mae"] == pytest.approx(np.abs(dummy).mean())
    assert held_out["dummy"]["count"] == held_out[MODEL]["count"] == 8
    assert report["seeds"] == [5, 6]
    assert report["rows"] == {"training": 12, "test": 0, "skipped": 0}
    assert report["split"] == "formulas at random"
    assert report["transforms"] == {"stiffness": "identity"}
    assert "test" not in report
    assert (trained.name, trained.settings) == ("stiff", settings)
    info = trained.properties["stiffness"]
    assert (info.unit, info.basis, info.training_set) == ("GPa", "crystal", "12 crystals of the user's table")


def test_the_report_and_the_checkpoint_are_written(trained, tiny_checkpoint, tmp_path, rows):
    rows.loc[12] = "nothing.cif", 3.0
    columns = replace(STIFF, transforms={"stiffness": "log10"})
    settings = EnsembleSettings(members=1, folds=3)
    with pytest.warns(CloudWarning, match="1 of 13 rows"):
        report = finetune_table(rows, columns, tmp_path / "a" / "b", model=tiny_checkpoint, settings=settings)
    written = tmp_path / "a" / "b"
    assert json.loads((written / "evaluation.json").read_text()) == report
    assert report["base"] == "tiny"
    assert report["rows"]["skipped"] == 1
    assert list(report["skipped"]) == ["12"]
    assert trained.transforms == report["transforms"] == {"stiffness": "log10"}
    chosen = tomllib.loads((written / "finetune.toml").read_text())
    assert chosen["base"] == "tiny"
    assert chosen["columns"]["transforms"] == {"stiffness": "log10"}
    assert "split" not in chosen["columns"]
    assert chosen["settings"]["members"] == 1
    saved = Checkpoint.load(written)
    assert saved.config.properties["stiffness"].test_error == pytest.approx(1.0)
    assert sorted(path.name for path in (written / "training").rglob("*")) == ["member-0", "metrics.jsonl"]
    card = (written / "README.md").read_text()
    assert card.startswith(
        "# b\n\nFine-tuned from `tiny` on 12 crystals (1 rows of the table left out). 1 members"
    )
    assert "## stiffness: held-out formulas" in card
    assert "MAE (GPa)" in card


def test_labels_of_a_given_test_split_reach_neither_training_nor_baselines(
    trained, tiny_checkpoint, tmp_path, rows
):
    rows["split"] = ["Test"] * 3 + ["VAL"] * 2 + ["train"] * 7
    rows.loc[6, "stiffness"] = np.nan
    rows.loc[1, "stiffness"] = np.nan
    columns = replace(STIFF, split="split")
    with pytest.warns(CloudWarning, match="2 of 12 rows"):
        report = finetune_table(
            rows, columns, tmp_path / "x", model=tiny_checkpoint, settings=EnsembleSettings(members=2)
        )
    assert report["rows"] == {"training": 8, "test": 2, "skipped": 2}
    assert report["split"] == "given"
    assert trained.crystals.labels.scalars.ravel().tolist() == [4, 5, 6, 8, 9, 10, 11, 12]
    assert [fold.tolist() for fold in trained.folds] == [[0, 1]]
    dummy = report["test"]["stiffness"]["dummy"]
    training = np.array([4, 5, 6, 8, 9, 10, 11, 12])
    judged = report["test"]["stiffness"][MODEL]
    predicted = CloudModel.from_pretrained(tmp_path / "x").predict([SALTS[0], SALTS[2]], "stiffness")
    off = np.abs(predicted["stiffness"] - [1.0, 3.0])
    assert judged["mae"] == pytest.approx(off.mean(), rel=1e-6)
    assert judged["coverage_95"] == np.mean(off <= 1.96 * predicted["stiffness_std"])
    assert dummy["count"] == judged["count"] == 2
    assert dummy["mae"] == pytest.approx(np.abs(np.array([1.0, 3.0]) - training.mean()).mean())
    held_out = report["held_out"]["stiffness"]["dummy"]
    assert held_out["mae"] == pytest.approx(np.abs(np.array([4.0, 5.0]) - training[2:].mean()).mean())
    saved = Checkpoint.load(tmp_path / "x")
    stated = saved.config.properties["stiffness"].test_error
    assert stated == pytest.approx(report["test"]["stiffness"][MODEL]["mae"])


def test_a_split_without_validation_is_folded_by_formula_and_an_unknown_word_is_named(
    trained, tiny_checkpoint, tmp_path, rows
):
    rows["split"] = ["train"] * 9 + ["test"] * 3
    columns = replace(STIFF, split="split")
    settings = EnsembleSettings(members=1, folds=3)
    finetune_table(rows, columns, tmp_path / "x", model=tiny_checkpoint, settings=settings)
    assert [len(fold) for fold in trained.folds] == [3, 3, 3]
    assert sorted(np.concatenate(trained.folds)) == list(range(9))
    rows.loc[4, "split"] = "holdout"
    with pytest.raises(DataError, match=r"column 'split' holds 'holdout'\. Write train, validation or test"):
        finetune_table(rows, columns, tmp_path / "y", model=tiny_checkpoint, settings=settings)


def test_curves_are_judged_at_each_temperature_beside_baselines_of_whole_curves(
    trained, tiny_checkpoint, tmp_path, rows
):
    rows["T"] = "[100, 300]"
    rows["cv"] = [f"[{i}, {2 * i + 5}]" for i in range(12)]
    rows.loc[7, "cv"] = "[null, 19]"
    columns = replace(STIFF, temperatures="T", heat_capacities="cv")
    settings = EnsembleSettings(members=3, folds=3)
    report = finetune_table(rows, columns, tmp_path / "x", model=tiny_checkpoint, settings=settings)
    labels = np.array([[i, 2.0 * i + 5] for i in range(12)])
    labels[7, 0] = np.nan
    whole = np.setdiff1d(np.arange(12), [7])
    off = [labels[fold] - labels[np.setdiff1d(whole, fold)].mean(0) for fold in trained.folds]
    scores = report["held_out"][CV]
    assert scores[MODEL]["count"] == scores["dummy"]["count"] == 23
    assert scores[MODEL]["mae"] == pytest.approx(1.0)
    assert scores[MODEL]["coverage_68"] == 0
    assert scores[MODEL]["coverage_95"] == 1
    assert scores["dummy"]["mae"] == pytest.approx(np.nanmean(np.abs(np.concatenate(off))))
    assert list(report["held_out"]) == ["stiffness", CV]


@pytest.mark.parametrize("split", [None, "split"])
def test_the_seed_decides_the_folds(trained, tiny_checkpoint, tmp_path, rows, split):
    rows["split"] = "train"
    columns = replace(STIFF, split=split)
    found = []
    for name, seed in (("a", 0), ("a", 0), ("b", 1)):  # into a folder that is there, too
        settings = EnsembleSettings(members=1, folds=3, seed=seed)
        finetune_table(rows, columns, tmp_path / name, model=tiny_checkpoint, settings=settings)
        found.append({tuple(sorted(fold)) for fold in trained.folds})
        shutil.rmtree(tmp_path / name / "training")
    assert found[0] == found[1] != found[2]


def test_a_folder_that_cannot_be_made_is_named(trained, tiny_checkpoint, tmp_path, rows):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=re.escape(str(tmp_path / "file" / "x"))) as raised:
        finetune_table(rows, STIFF, tmp_path / "file" / "x", model=tiny_checkpoint)
    assert isinstance(raised.value.__cause__, OSError)
    assert not vars(trained)


def test_a_property_per_atom_is_known_by_its_name(trained, tiny_checkpoint, tmp_path, rows):
    rows = rows.rename(columns={"stiffness": "mixing_energy_per_atom"})
    columns = Columns(structure="scope", units={"mixing_energy_per_atom": "eV/atom"})
    settings = EnsembleSettings(members=1, folds=3)
    finetune_table(rows, columns, tmp_path / "x", model=tiny_checkpoint, settings=settings)
    info = trained.properties["mixing_energy_per_atom"]
    assert info.basis == "atom"
    assert info.description == "Mixing energy per atom, fine-tuned."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": [1]}, "table of type list is not a DataFrame"),
        ({"columns": {"structure": "scope"}}, "is not a Columns"),
        ({"output": ""}, "output '' is not a path"),
        ({"folder": ""}, "folder '' is not a path"),
        ({"settings": {"members": 1}}, "are not EnsembleSettings"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(trained, tiny_checkpoint, tmp_path, rows, changes, message):
    arguments = {"table": rows, "columns": STIFF, "output": tmp_path / "x", "model": tiny_checkpoint}
    with pytest.raises(ArgumentError, match=message):
        finetune_table(**arguments | changes)
    assert not vars(trained)
