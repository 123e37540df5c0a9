"""Whatever is passed by mistake to a public function ends in a result or in one error of ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner
from pymatgen.core import Element, Structure

import cloud_plugins
import cloud_plugins.pymatgen
from cloud_model import CloudModel, Scope, debye
from cloud_model.cli import cloud
from cloud_model.corpus import ingest as ingesting
from cloud_model.corpus.ingest import IngestSettings, ingest
from cloud_model.crystal.files import read_crystal, read_crystals
from cloud_model.errors import ArgumentError, CloudError, ScopeError
from cloud_model.scope.batches import scopes
from cloud_model.training import evaluation
from cloud_model.training.finetuning import table as finetuning
from cloud_model.training.finetuning.ensemble import EnsembleSettings
from cloud_model.training.finetuning.labelled_crystals import Columns
from cloud_model.training.pretraining.run import CorpusSettings, PretrainingRun
from cloud_plugins.phonopy import quasi_harmonic, validation

pytestmark = pytest.mark.filterwarnings("ignore")

SALT, COPPER = bulk("NaCl", "rocksalt", 5.64), bulk("Cu")
MISTAKES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "number": lambda: 3,
    "negative": lambda: -1,
    "nan": lambda: float("nan"),
    "huge": lambda: 10**400,
    "huge fraction": lambda: 1e300,
    "truth": lambda: True,
    "complex": lambda: 1j,
    "empty text": lambda: "",
    "word": lambda: "NaCl",
    "missing file": lambda: "missing.cif",
    "folder": lambda: Path(),
    "bytes": lambda: b"",
    "empty list": list,
    "empty dict": dict,
    "empty generator": lambda: iter(()),
    "list of nothing": lambda: [None],
    "list of numbers": lambda: [1.0, 2.0],
    "list of lists": lambda: [[[SALT]]],
    "set": lambda: {"NaCl"},
    "dict": lambda: {"a": 1},
    "empty frame": pd.DataFrame,
    "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "empty array": lambda: np.array([]),
    "matrix": lambda: np.eye(3),
    "crystal": SALT.copy,
    "crystals": lambda: [SALT.copy(), SALT.copy()],
    "no atoms": Atoms,
    "atom": lambda: SALT[0],
    "element": lambda: Element("Na"),
    "class": lambda: Structure,
    "function": lambda: print,
    "module": lambda: np,
    "object": object,
}


def functions(model: Any, folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Each public function, and good arguments for it."""
    one, many = {"crystal": SALT}, {"crystals": [SALT, SALT]}
    given = {"T": 300.0, "theta": 300.0}
    found: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "from_pretrained": (CloudModel.from_pretrained, {"name": str(folder / "none")}),
        "predict": (
            model.predict,
            {**many, "properties": "band_gap", "temperature": 300.0, "errors": "nan", "interval": 0.95, "order": 2},
        ),
        "predict_arrays": (model.predict_arrays, {**many, "properties": "band_gap", "temperature": 300.0}),
        "embed": (model.embed, {**many, "pooling": "mean", "errors": "nan"}),
        "thermodynamics": (model.thermodynamics, {**one, "temperatures": [300.0], "pressure": 0.0}),
        "spectra": (model.spectra, many),
        "scopes of a model": (model.scopes, many),
        "tokens": (model.tokens, many),
        "embedding_width": (model.embedding_width, {"pooling": "mean"}),
        "scopes": (scopes, {**many, "dialect": "sites", "symprec": 0.01, "engine": "moyopy", "n_jobs": 1}),
        "from_crystal": (Scope.from_crystal, {**one, "dialect": "sites", "symprec": 0.01, "engine": "moyopy"}),
        "parse": (Scope.parse, {"text": str(Scope.from_crystal(SALT))}),
        "from_orbits": (Scope.from_orbits, {"space_group": 225, "orbits": "Na:4a;Cl:4b"}),
        "to": (Scope.from_crystal(SALT).to, {"dialect": "sites"}),
        "read_crystal": (read_crystal, {"source": "missing.cif"}),
        "read_crystals": (lambda source: list(read_crystals(source)), {"source": "missing.cif"}),
        "calculator": (cloud_plugins.CloudCalculator, {"model": model}),
        "calculate": (
            lambda **given: cloud_plugins.CloudCalculator(model).calculate(**given),
            {"atoms": SALT, "properties": ["energy"]},
        ),
        "with_predictions": (
            cloud_plugins.pymatgen.with_predictions,
            {"crystals": [SALT], "properties": "band_gap", "temperature": 300.0, "model": model}),
        "predicted_entries": (cloud_plugins.pymatgen.predicted_entries, {**many, "model": model}),
        "phase_diagram": (cloud_plugins.pymatgen.phase_diagram, {"of": "Na-Cl", "temperature": 300.0, "model": model}),
        "stability": (cloud_plugins.pymatgen.stability, {**many, "model": model}),
        "screen": (
            cloud_plugins.pymatgen.screen,
            {"elements": "Na-Cl", "model": model, "n_sites": 2, "top": 1, "space_groups": [225], "temperature": 300.0},
        ),
        "validate_heat_capacity": (
            cloud_plugins.validate_heat_capacity, {"reference": folder / "none", "model": model}),
    }  # fmt: skip
    for name in filter(lambda name: callable(getattr(debye, name)), debye.__all__):
        function = getattr(debye, name)
        parameters = list(inspect.signature(function).parameters)
        found[f"debye.{name}"] = function, {key: given.get(key, 300.0) for key in parameters}
    return found


def long_functions(model: Any, folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Each public function that works for long, and good arguments for it."""
    strings = [str(Scope.from_orbits(225, f"Na:4a;{anion}:4b")) for anion in ("F", "Cl", "Br", "I")]
    table = pd.DataFrame({"crystal": strings, "band_gap": [9.0, 8.0, 7.0, 6.0]})
    columns = Columns(structure="crystal", units={"band_gap": "eV"})
    labelled = {"table": table, "model": model, "folder": folder}
    tuning = {**labelled, "columns": columns, "settings": EnsembleSettings(folds=2)}
    names = {"structure": "crystal", "target": "band_gap", "name": "band_gap", "split": None}
    return {
        "finetune": (finetuning.finetune_table, {**tuning, "output": folder / "tuned"}),
        "evaluate": (evaluation.evaluate, {**labelled, **names, "folds": 2, "seed": 0}),
        "cross_validate": (
            evaluation.cross_validate,
            {**tuning, "directory": folder / "folds", "protocol": "formula", "folds": 2}),
        "ingest": (
            ingest,
            {
                "sources": [folder / "salt.cif"],
                "output": folder / "corpus",
                "tokenizer": model.checkpoint.tokenizer,
                "settings": IngestSettings(),
            },
        ),
        "validate_heat_capacity": (
            cloud_plugins.validate_heat_capacity,
            {
                "reference": COPPER,
                "crystal": COPPER,
                "model": model,
                "calculator": "emt",
                "temperatures": [300.0],
                "supercell_length": 5.0,
                "cache": folder / "forces",
            },
        ),
        "validate_quasi_harmonic": (
            cloud_plugins.validate_quasi_harmonic,
            {
                "reference": COPPER,
                "crystal": COPPER,
                "model": model,
                "calculator": "emt",
                "max_temperature": 300.0,
                "pressure": 0.0,
                "strains": quasi_harmonic.STRAINS,
                "supercell_length": 5.0,
                "cache": folder / "forces",
            },
        ),
    }  # fmt: skip


WORK = {
    "finetune": (finetuning, "finetune_ensemble"),
    "evaluate": (evaluation, "_predicted"),
    "cross_validate": (evaluation, "finetune_ensemble"),
    "ingest": (ingesting, "scopes"),
    "validate_heat_capacity": (validation, "from_calculation"),
    "validate_quasi_harmonic": (quasi_harmonic, "from_calculation"),
}
"""Where the work of long functions begins."""

PATHS = ("word", "missing file", "folder")
RIGHT = {
    **dict.fromkeys(("model", "name", "split", "crystal", "settings"), ("nothing",)),
    **dict.fromkeys(("folds", "seed", "max_temperature", "supercell_length"), ("number",)),
    **dict.fromkeys(("folder", "output", "directory", "sources"), PATHS),
    "cache": ("nothing", *PATHS),
    "pressure": ("number",),
    "temperatures": ("number", "list of numbers"),
}
"""Arguments of long functions for which what is a mistake elsewhere is none."""

SETTINGS = {
    "Columns": (Columns, {"structure": "crystal", "units": {"gap": "eV"}, "transforms": {"gap": "identity"},
        "temperatures": None, "heat_capacities": None, "internal_energies": None, "split": None}),
    "EnsembleSettings": (EnsembleSettings, asdict(EnsembleSettings())),
    "IngestSettings": (IngestSettings, asdict(IngestSettings())),
}  # fmt: skip

HOSTS = {
    "CloudEmbedder": (cloud_plugins.CloudEmbedder, "fit_transform"),
    "CloudRegressor": (cloud_plugins.CloudRegressor, "fit"),
    "CloudDebyeRegressor": (cloud_plugins.CloudDebyeRegressor, "fit"),
    "CloudFeaturizer": (cloud_plugins.CloudFeaturizer, "featurize"),
    "CloudPropertyFeaturizer": (cloud_plugins.CloudPropertyFeaturizer, "featurize"),
}
"""Classes whose interface others define, and a method that takes crystals."""

NAMES = list(functions(SimpleNamespace(**dict.fromkeys(dir(CloudModel), print)), Path("none")))


@pytest.mark.parametrize("name", NAMES)
def test_functions(name, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, good = functions(tiny_model, tmp_path)[name]
    for argument, mistake in product(good, MISTAKES):
        outcome(partial(function, **good | {argument: MISTAKES[mistake]()}), f"{argument}: {mistake}")


@pytest.mark.parametrize("name", WORK)
def test_long_functions(name, tiny_model, tmp_path, monkeypatch):
    """Mistakes are refused before the work begins."""
    monkeypatch.chdir(tmp_path)
    SALT.write("salt.cif")
    function, good = long_functions(tiny_model, tmp_path)[name]
    begun: list[tuple[str, str]] = []

    def work(*_: Any, **__: Any) -> None:
        begun.append((argument, mistake))
        raise ArgumentError("the work", "begins", "Wait.")

    monkeypatch.setattr(*WORK[name], work)
    argument, mistake = "no argument", "no mistake"
    outcome(partial(function, **good), mistake)
    assert begun == [(argument, mistake)]
    begun.clear()
    for argument, mistake in product(good, MISTAKES):
        outcome(partial(function, **good | {argument: MISTAKES[mistake]()}), f"{argument}: {mistake}")
    assert [call for call in begun if call[1] not in RIGHT.get(call[0], ())] == []


@pytest.mark.parametrize("name", [*NAMES, *WORK, *SETTINGS])
def test_truth_is_no_number(name, tiny_model, tmp_path):
    """True is not 1, and '1' is not either, wherever a number is wanted."""
    every = functions(tiny_model, tmp_path) | long_functions(tiny_model, tmp_path) | SETTINGS
    function, good = every[name]
    for argument, value in good.items():
        if type(value) in (int, float):
            for wrong in (True, np.True_, str(value)):
                with pytest.raises((ArgumentError, ScopeError)):
                    function(**good | {argument: wrong})


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("validate_quasi_harmonic", "max_temperature", 10_001.0),
        ("validate_quasi_harmonic", "supercell_length", 1e300),
        ("validate_heat_capacity", "supercell_length", 80.0),
        ("validate_heat_capacity", "temperatures", [300.0, 1.1e6]),
    ],
)
def test_huge_arguments(name, argument, value, tiny_model, tmp_path):
    """What would take gigabytes, or means nothing, is refused with the limit."""
    function, good = long_functions(tiny_model, tmp_path)[name]
    with pytest.raises(ArgumentError, match=r"at most|more than"):
        function(**good | {argument: value})


def test_numbers_of_numpy(tiny_model):
    for number in (np.float32(300), np.int64(300), np.array(300.0)):
        assert tiny_model.thermodynamics(SALT, number).temperatures == [300.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda model: CloudModel.from_pretrained(""),
        lambda model: model.save(""),
        lambda model: ingest("", Path("corpus"), model.checkpoint.tokenizer),
        lambda model: ingest([""], Path("corpus"), model.checkpoint.tokenizer),
        lambda model: ingest(["salt.cif"], "", model.checkpoint.tokenizer),
        lambda model: read_crystal(""),
        lambda model: cloud_plugins.validate_heat_capacity("", model=model),
        lambda model: cloud_plugins.validate_quasi_harmonic("", model=model),
        lambda model: cloud_plugins.pymatgen.screen("Na-Cl", model=model, output=""),
        lambda model: PretrainingRun(output="", corpus=CorpusSettings(shards=["a.parquet"])).execute(),
    ],
)
def test_an_empty_path_is_not_the_current_folder(call, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CloudError, match="''"):
        call(tiny_model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", ""],
        ["ingest", "", "-o", "corpus"],
        ["ingest", "salt.cif", "-o", ""],
        ["embed", "Na", "-o", ""],
    ],
)
def test_an_empty_path_of_a_command(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cloud, arguments)
    assert result.exit_code == 2
    assert "It is empty" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name):
    make, good = SETTINGS[name]
    for argument, mistake in product(good, MISTAKES):
        outcome(partial(make, **good | {argument: MISTAKES[mistake]()}), f"{argument}: {mistake}")


@pytest.mark.parametrize("name", HOSTS)
def test_methods_of_hosts(name, tiny_model):
    make, method = HOSTS[name]
    for mistake, wrong in MISTAKES.items():
        labels = ([1.0],) if method == "fit" else ()
        others = (
            [ValueError] if make.__module__ == "cloud_plugins.sklearn" else []
        )  # of scikit-learn's checks
        outcome(partial(getattr(make(model=tiny_model), method), wrong(), *labels), mistake, *others)


def outcome(call: Callable[[], Any], mistake: str, *others: type[Exception]) -> None:
    """Call, which ends in a result or in an error of ours, of one line and not too long; or in one of the host."""
    try:
        call()
    except (CloudError, *others) as error:
        said = str(error) if isinstance(error, CloudError) else ""
    except Exception as error:
        raise AssertionError(mistake) from error
    else:
        return
    assert "\n" not in said, mistake
    assert len(said) < 1000, mistake
