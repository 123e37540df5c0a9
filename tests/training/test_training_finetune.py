from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from pymatgen.core import Lattice, Structure

from cloud_model import CloudModel, Scope, debye
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.cli import cloud
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import ArgumentError, CloudWarning, DataError, PropertyError
from cloud_model.network.predictor import Predictor
from cloud_model.properties.catalogue import PropertyInfo
from cloud_model.training.baselines import composition_features, symmetry_features
from cloud_model.training.evaluation import MATBENCH_SEED, cross_validate, evaluate
from cloud_model.training.finetuning.ensemble import EnsembleSettings, choose_transform, finetune_ensemble
from cloud_model.training.finetuning.labelled_crystals import Columns, LabelledCrystals
from cloud_model.training.finetuning.labels import LabelledTokens, Labels
from cloud_model.training.finetuning.reading import describe, formula_groups, grouped_folds, read_table
from cloud_model.training.finetuning.table import MODEL, finetune_table
from cloud_model.training.metrics import calibration, scores

CATIONS, ANIONS = ("Li", "Na", "K", "Rb", "Cs", "Ag"), ("F", "Cl", "Br", "I", "O")
QUICK = EnsembleSettings(members=2, folds=5, epochs=2, spectra=2)
QUICK3 = EnsembleSettings(members=3, epochs=2, spectra=2)
CV = "heat_capacity_per_atom"


def rock_salt(cation: str, anion: str) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A property that the elements determine, of thirty crystals."""
    pairs = [*product(CATIONS, ANIONS)]
    strings = [str(Scope.from_orbits(225, [("4a", a), ("4b", b)])) for a, b in pairs]
    stiffness = [10.0 * (1 + CATIONS.index(a)) + ANIONS.index(b) for a, b in pairs]
    return pd.DataFrame({"scope": strings, "stiffness": stiffness})


@pytest.fixture(scope="module")
def finetuned(table, tiny_checkpoint, tmp_path_factory):
    output = tmp_path_factory.mktemp("finetuned") / "stiff"
    columns = Columns(structure="scope", units={"stiffness": "GPa"})
    report = finetune_table(table, columns, output, model=tiny_checkpoint, settings=QUICK)
    return output, report


def test_structures_are_read_from_every_kind_of_cell(tmp_path):
    structure = rock_salt("Na", "Cl")
    structure.to(str(tmp_path / "salt.cif"))
    text = str(Scope.from_orbits(225, [("4a", "Na"), ("4b", "Cl")]))
    cells = [
        structure.to(fmt="cif"),
        "salt.cif",
        text,
        json.dumps(structure.as_dict()),
        structure.as_dict(),
        structure,
    ]
    assert {str(scope) for scope in describe(cells, tmp_path, "sites", 0.01)} == {text}


def test_cells_that_are_no_structure_are_named(table, tiny_checkpoint, tmp_path):
    bad = pd.DataFrame(
        {
            "scope": ["nothing.cif", "{", "{}", "data_x\n_cell_length_a 3\n", "", np.nan, None],
            "stiffness": 1.0,
        }
    )
    rows = pd.concat([table, bad], ignore_index=True)
    rows.loc[0, "stiffness"] = np.nan
    columns = Columns(structure="scope", units={"stiffness": "GPa"})
    with pytest.warns(CloudWarning, match="8 of 37 rows are left out"):
        crystals = LabelledCrystals.read(rows, tmp_path, columns, Checkpoint.load(tiny_checkpoint))
    assert sorted(crystals.skipped) == [0, *range(30, 37)]
    assert {crystals.skipped[row].partition(". ")[0] for row in (34, 35, 36)} == {"the cell is empty"}
    assert len(crystals.scopes) == len(crystals.labels) == 29


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stiffness": "much"}, "is not a finite number"),
        ({"stiffness": np.inf}, "is not a finite number"),
        ({"stiffness": np.nan}, "holds no number"),
        ({"scope": "nothing"}, "no row that can be used"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(table, tiny_checkpoint, tmp_path, change, message):
    columns = Columns(structure="scope", units={"stiffness": "GPa"})
    with pytest.raises(DataError, match=message):
        LabelledCrystals.read(table.assign(**change), tmp_path, columns, Checkpoint.load(tiny_checkpoint))


def test_folds_share_no_formula(table):
    scopes = [Scope.parse(text) for text in [*table.scope, *table.scope]]
    groups = formula_groups(scopes)
    folds = grouped_folds(groups, 5, seed=0)
    assert sorted(np.concatenate(folds)) == list(range(60))
    assert sum(len(set(groups[fold])) for fold in folds) == 30
    with pytest.raises(DataError, match="cannot be split"):
        grouped_folds(groups, 31, seed=0)


def test_the_checkpoint_predicts_the_new_property(finetuned, table):
    output, _ = finetuned
    model = CloudModel.from_pretrained(output)
    predicted = model.predict(table.scope.tolist())
    assert list(model.properties) == ["stiffness"]
    assert model.properties["stiffness"].unit == "GPa"
    assert np.isfinite(predicted.stiffness).all()
    assert (predicted.stiffness_std > 0).all()


def test_the_card_and_the_settings_say_how_it_was_made(finetuned):
    output, report = finetuned
    card = (output / "README.md").read_text()
    for word in ("stiffness", "dummy", "ridge", "extra trees", "seeds 0, 1", "formulas at random"):
        assert word in card
    settings = tomllib.loads((output / "finetune.toml").read_text())
    assert settings["settings"]["epochs"] == 2
    assert settings["columns"]["units"] == {"stiffness": "GPa"}
    assert json.loads((output / "evaluation.json").read_text()) == report
    held_out = report["held_out"]["stiffness"]
    assert {row["count"] for row in held_out.values()} == {12}
    assert not list(output.rglob("state-*"))


def test_error_bars_are_calibrated_on_held_out_rows(finetuned):
    _, report = finetuned
    assert report["held_out"]["stiffness"][MODEL]["coverage_68"] == pytest.approx(0.68, abs=0.1)


def test_test_rows_are_used_for_nothing(table, tiny_checkpoint, tmp_path):
    split = ["validation" if i < 5 else "test" if i < 10 else "train" for i in range(30)]
    settings = EnsembleSettings(members=1, epochs=1)
    columns = Columns(
        structure="scope", units={"stiffness": "GPa"}, split="split", transforms={"stiffness": "identity"}
    )
    outcomes = []
    for shift in (0, 7):
        rows = table.assign(split=split)
        rows.loc[5:9, "stiffness"] += shift
        report = finetune_table(
            rows, columns, tmp_path / str(shift), model=tiny_checkpoint, settings=settings
        )
        outcomes.append(
            CloudModel.from_pretrained(tmp_path / str(shift)).predict(table.scope.tolist()).stiffness
        )
    assert report["rows"] == {"training": 25, "test": 5, "skipped": 0}
    assert outcomes[0].tolist() == outcomes[1].tolist()


def test_thermodynamics_is_learned_from_curves(table, tiny_checkpoint, tmp_path):
    import torch

    temperatures = [50.0, 150.0, 300.0]
    grid = torch.tensor(temperatures, dtype=torch.float64)
    rows = pd.DataFrame({"scope": table.scope, "T": [json.dumps(temperatures)] * 30})
    theta = torch.tensor(300.0, dtype=torch.float64)
    rows["cv"] = [debye.heat_capacity(theta, grid).tolist()] * 30
    rows["u"] = [debye.internal_energy(theta, grid).tolist()] * 30
    columns = Columns(structure="scope", temperatures="T", heat_capacities="cv", internal_energies="u")
    finetune_table(rows, columns, tmp_path / "thermal", model=tiny_checkpoint, settings=QUICK)
    model = CloudModel.from_pretrained(tmp_path / "thermal")
    thermodynamics = model.thermodynamics(table.scope[0], temperatures)
    assert (np.diff(thermodynamics.heat_capacity_per_atom) > 0).all()
    with pytest.raises(ArgumentError, match="no temperatures"):
        finetune_table(
            rows, Columns(structure="scope", heat_capacities="cv"), tmp_path / "x", model=tiny_checkpoint
        )


def test_error_bars_of_thermodynamics_are_what_calibration_says_on_rows_that_it_has_not_seen(
    tiny_checkpoint, tmp_path
):
    """Debye temperatures that no string determines, so that errors are the same for old and new rows."""
    import torch

    base = Checkpoint.load(tiny_checkpoint)
    metals = [symbol for symbol in base.tokenizer.vocabulary if symbol in SYMBOLS[2:83]]
    scopes = [Scope.from_orbits(225, [("4a", a), ("4b", b)]) for a, b in combinations(metals[:30], 2)]
    rng = np.random.default_rng(0)
    theta = torch.from_numpy(300 * np.exp(0.1 * rng.normal(size=(len(scopes), 1))))
    temperatures = np.tile([800.0, 1200.0], (len(scopes), 1))
    curves = debye.heat_capacity(theta, torch.from_numpy(temperatures)).numpy()
    old, fresh = np.split(rng.permutation(len(scopes)), [150])
    labels = Labels(np.empty((len(scopes), 0)), temperatures, curves)[old]
    tokens = [base.tokenizer.encode(str(scopes[row])) for row in old]
    folds = np.array_split(np.arange(len(old)), 3)
    checkpoint, held_out = finetune_ensemble(
        base, "thermal", LabelledTokens(tokens, labels), {}, {}, folds, QUICK3, tmp_path
    )

    stated = scores(labels.heat_capacities[held_out.rows], held_out.values[CV], held_out.errors[CV])
    predicted = [
        CloudModel(checkpoint).predict([scopes[row] for row in fresh], CV, T) for T in (800.0, 1200.0)
    ]
    value, error = (np.stack([rows[name] for rows in predicted], 1) for name in (CV, f"{CV}_std"))
    assert stated["coverage_68"] == pytest.approx(0.68, abs=0.01)
    assert scores(curves[fresh], value, error)["coverage_68"] == pytest.approx(0.68, abs=0.1)


def test_a_frozen_encoder_reads_each_crystal_once_for_all_members(tiny_checkpoint, tmp_path, monkeypatch):
    base = Checkpoint.load(tiny_checkpoint)
    base = replace(base, members=base.members[:1])
    salts = zip(("Li", "Na", "K", "Rb"), ("F", "Cl", "Br", "I"), strict=True)
    tokens = [base.tokenizer.encode(Scope.from_orbits(225, [("4a", a), ("4b", b)])) for a, b in salts]
    read, encode = [], Predictor.hidden_states

    def hidden_states(self, batch, precision="float32"):
        read.extend(batch.ids.tolist())
        return encode(self, batch, precision)

    monkeypatch.setattr(Predictor, "hidden_states", hidden_states)
    labels = Labels.of_scalars(np.arange(8.0)[:, None])
    info = PropertyInfo(unit="", basis="crystal", description="", training_set="")
    settings = replace(QUICK3, encoder_rate=0)
    folds = [np.array([row, row + 4]) for row in range(3)]
    crystals = LabelledTokens(2 * tokens, labels)
    finetune_ensemble(base, "x", crystals, {"x": info}, {"x": "identity"}, folds, settings, tmp_path)
    assert settings.members == 3
    assert len(read) == len(tokens)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("members", 1, 0),
        ("epochs", 1, 0),
        ("patience", 1, 0),
        ("tokens_per_batch", 1, 0),
        ("spectra", 1, 0),
        ("folds", 2, 1),
        ("seed", 0, -1),
        ("learning_rate", 1e-9, 0),
        ("encoder_rate", 0, -0.1),
        ("layer_decay", 1, 1.01),
        ("layer_decay", 1e-9, 0),
        ("dropout", 0.99, 1),
        ("dropout", 0, -0.1),
    ],
)
def test_settings_have_bounds(name, allowed, refused):
    assert getattr(EnsembleSettings(**{name: allowed}), name) == allowed
    with pytest.raises(ArgumentError, match=rf"^{name} {refused} is .*\. Give "):
        EnsembleSettings(**{name: refused})


def test_numbers_of_settings_are_those_of_python():
    settings = EnsembleSettings(folds=np.int64(5), seed=np.int64(3))
    assert (type(settings.folds), type(settings.seed)) == (int, int)


def test_the_logarithm_is_chosen_for_skewed_positive_labels():
    rng = np.random.default_rng(0)
    assert choose_transform(rng.lognormal(size=200)) == "log10"
    assert choose_transform(rng.normal(size=200)) == "identity"
    assert choose_transform(rng.lognormal(size=200) - 1) == "identity"
    assert choose_transform(np.full(5, 3.0)) == "identity"
    assert choose_transform(np.append(rng.lognormal(size=200), 0.0)) == "identity"
    assert (
        choose_transform(1.0 - rng.beta(0.3, 9, size=200)) == "identity"
    )  # whose logarithm is no less skewed


def test_scores_of_known_errors():
    label = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    residual = np.array([1.0, -1.0, 1.0, -1.0, 5.0])
    result = scores(label, label + residual, np.array([1.5, 0.9, 0.6, 0.4, 1.0]))
    assert result == pytest.approx(
        {
            **{"count": 4, "mae": 1.0, "rmse": 1.0, "r2": 0.2, "mad": 1.0, "mae_over_mad": 1.0},
            **{"coverage_68": 0.25, "coverage_95": 0.75},
        }
    )


def test_calibration_makes_two_thirds_fall_within():
    rng = np.random.default_rng(1)
    label = rng.normal(size=5000)
    assert calibration(label, np.zeros(5000), np.full(5000, 0.5)) == pytest.approx(2, rel=0.05)


def test_features_do_not_depend_on_the_order_of_orbits():
    scopes = [Scope.from_orbits(225, orbits) for orbits in ("Na:4a;Cl:4b", "Cl:4b;Na:4a")]
    for features in (composition_features, symmetry_features):
        np.testing.assert_array_equal(*(features(scope) for scope in scopes))
        assert np.isfinite(features(scopes[0])).all()


def test_evaluation_puts_the_model_beside_baselines(finetuned, table, tmp_path):
    output, _ = finetuned
    result = evaluate(table, "scope", "stiffness", model=output)
    result.save(tmp_path)
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert len(saved["scores"]) == 4
    assert {row["count"] for row in saved["scores"].values()} == {30}
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 30
    assert (tmp_path / "parity.png").stat().st_size > 1000


def test_evaluation_judges_the_test_rows_of_a_given_split(finetuned, table):
    output, _ = finetuned
    rows = table.assign(split=["train"] * 20 + ["test"] * 10)
    result = evaluate(rows, "scope", "stiffness", model=output, split="split")
    assert result.predictions.index.tolist() == list(range(20, 30))
    with pytest.raises(DataError, match="marks no row"):
        evaluate(table.assign(split="train"), "scope", "stiffness", model=output, split="split")
    with pytest.raises(PropertyError, match="is not a scalar property"):
        evaluate(table, "scope", "stiffness", name="softness", model=output)


def test_the_matbench_protocol_has_its_folds(table, tiny_checkpoint, tmp_path, monkeypatch):
    from sklearn.model_selection import KFold

    labelled = Checkpoint.load(tiny_checkpoint)
    encoder = Predictor(labelled.config.encoder, 0, 0)
    unlabelled = replace(labelled.config, targets={}, properties={}, spectra=0, domain=False, expansion=False)
    Checkpoint(unlabelled, labelled.tokenizer, [encoder]).save(tmp_path / "base", "")
    monkeypatch.setattr("cloud_model.training.evaluation.BASE", tmp_path / "base")
    columns = Columns(structure="scope", units={"stiffness": "GPa"})
    settings = EnsembleSettings(members=1, folds=5, epochs=1)
    result = cross_validate(table, columns, tmp_path / "runs", protocol="matbench", settings=settings)
    for fold, (_, test) in enumerate(KFold(5, shuffle=True, random_state=MATBENCH_SEED).split(table)):
        assert result.predictions.index[result.predictions.fold == fold].tolist() == sorted(test)


def test_no_benchmark_starts_from_its_labels(table, tiny_checkpoint, tmp_path):
    columns = Columns(structure="scope", units={"stiffness": "GPa"})
    with pytest.raises(ArgumentError, match="was trained on labels"):
        cross_validate(table, columns, tmp_path, model=tiny_checkpoint, protocol="matbench")


def test_the_commands(table, tiny_checkpoint, tmp_path):
    table.to_csv(tmp_path / "table.csv", index=False)
    shared = [str(tmp_path / "table.csv"), "--structure-column", "scope", "--target", "stiffness"]
    output = str(tmp_path / "stiff")
    quick = [
        "--unit",
        "GPa",
        "--output",
        output,
        "--model",
        str(tiny_checkpoint),
        "--epochs",
        "1",
        "--members",
        "1",
    ]
    done = CliRunner().invoke(cloud, ["finetune", *shared, *quick], catch_exceptions=False)
    assert done.exit_code == 0
    assert "extra trees" in done.output
    judged = CliRunner().invoke(
        cloud, ["evaluate", *shared, "--model", output, "--format", "json"], catch_exceptions=False
    )
    assert json.loads(judged.stdout)["property"] == "stiffness"
    assert CliRunner().invoke(cloud, ["finetune", *shared, "--output", output]).exit_code == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "table.csv")
    with pytest.raises(DataError, match="is not a file"):
        read_table(tmp_path / "table.csv")
