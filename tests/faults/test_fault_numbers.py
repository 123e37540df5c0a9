"""Numbers at and beyond the ends of their ranges, and arguments that are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hostile_crystals import salt

from cloud_model.cli import cloud
from cloud_model.errors import ArgumentError, CloudError, DataError, PropertyError
from cloud_model.physics import debye
from cloud_model.scope.batches import scopes
from cloud_plugins import CloudCalculator, CloudPropertyFeaturizer

TEMPERATURES = [0, 1e-6, 300, 1e6, np.float32(300), np.int64(300), np.array(300.0)]
NO_TEMPERATURES = [
    -1,
    -1e-9,
    float("nan"),
    float("inf"),
    "warm",
    "300",
    True,
    np.True_,
    1e7,
    10**400,
    None,
    1 + 1j,
    salt(),
]
NAMES = ["heat_capacity_per_atom", "vibrational_entropy_per_atom", "vibrational_free_energy_per_atom"]


@pytest.mark.parametrize("temperature", TEMPERATURES, ids=repr)
def test_temperatures(temperature, tiny_model):
    row = tiny_model.predict(salt(), NAMES, temperature).iloc[0]
    heat, entropy = row[NAMES[0]], row[NAMES[1]]
    assert np.isfinite(row.drop("error").to_numpy(float)).all()
    assert 0 <= heat <= 3 * debye.R * (1 + 1e-9)
    assert (heat == 0) == (entropy == 0) == (float(temperature) == 0)


@pytest.mark.parametrize(
    "temperature", NO_TEMPERATURES, ids=lambda value: type(value).__name__ + str(value)[:5]
)
def test_temperatures_that_are_none(temperature, tiny_model):
    for call in (
        lambda: tiny_model.predict(salt(), NAMES, temperature),
        lambda: CloudCalculator(tiny_model, temperature=temperature),
        lambda: CloudCalculator(tiny_model).set(temperature=temperature),
        lambda: CloudPropertyFeaturizer(tiny_model, NAMES, temperature).featurize(salt()),
    ):
        with pytest.raises(ArgumentError, match="temperature"):
            call()


@pytest.mark.parametrize("temperatures", [[300], np.array([1.0, 2.0])], ids=str)
def test_hosts_take_one_temperature(temperatures, tiny_model):
    for call in (
        lambda: CloudCalculator(tiny_model, temperature=temperatures),
        lambda: CloudCalculator(tiny_model).set(temperature=temperatures),
        lambda: CloudPropertyFeaturizer(tiny_model, NAMES, temperatures).featurize(salt()),
    ):
        with pytest.raises(ArgumentError, match="temperature"):
            call()


@pytest.mark.parametrize(
    "grid", [[-1], [np.nan], [np.inf], "warm", None, [[1, 2], [3, 4]], ["a"], [1j], {}], ids=str
)
def test_grids_that_are_none(grid, tiny_model):
    with pytest.raises(ArgumentError, match="temperature"):
        tiny_model.thermodynamics(salt(), grid)


def test_an_empty_grid(tiny_model):
    with pytest.raises(ArgumentError, match="at least one"):
        tiny_model.thermodynamics(salt(), [])


@pytest.mark.parametrize("theta", [1e-3, 1.0, 300.0, 1e6])
@pytest.mark.parametrize("temperature", [0.0, 1e-6, 300.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_debye_functions(theta, temperature, dtype):
    x = torch.tensor(theta, dtype=dtype, requires_grad=True)
    for function in (debye.heat_capacity, debye.internal_energy, debye.entropy, debye.free_energy):
        value = function(x, torch.tensor(temperature, dtype=dtype))
        (gradient,) = torch.autograd.grad(value, x)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient)


@pytest.mark.parametrize("value", ["0", "1e6", "1e-6"])
def test_temperatures_of_the_command_line(value, tiny_checkpoint, tmp_path):
    salt().write(tmp_path / "salt.cif")
    arguments = ["thermo", str(tmp_path / "salt.cif"), "-m", str(tiny_checkpoint), "-T", value]
    result = CliRunner().invoke(cloud, arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "warm", ""])
@pytest.mark.parametrize("command", ["predict", "thermo"])
def test_temperatures_that_the_command_line_refuses(command, value, tiny_checkpoint, tmp_path):
    salt().write(tmp_path / "salt.cif")
    arguments = [command, str(tmp_path / "salt.cif"), "-m", str(tiny_checkpoint), f"--temperature={value}"]
    result = CliRunner().invoke(cloud, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda model: model.predict(salt(), "density"), PropertyError, "'density' is unknown"),
        (
            lambda model: model.predict(salt(), ["band_gap", "density"]),
            PropertyError,
            "'density' is unknown",
        ),
        (lambda model: model.predict(salt(), 5), ArgumentError, "properties 5"),
        (lambda model: model.predict(salt(), [["band_gap"]]), ArgumentError, "are not names"),
        (lambda model: model.predict([salt()], errors="ignore"), ArgumentError, "errors 'ignore'"),
        (lambda model: model.embed(salt(), "max"), ArgumentError, "pooling 'max'"),
        (lambda model: model.embed(salt(), []), ArgumentError, "pooling"),
        (lambda model: model.thermodynamics([salt()], [300]), ArgumentError, "is a collection"),
        (lambda model: model.predict(np.zeros((2, 2))), ArgumentError, "one crystal a row"),
        (lambda model: model.predict([[salt(), salt()]]), ArgumentError, "not one crystal"),
        (lambda _: scopes([salt()], "sites", -1), ArgumentError, "symprec -1"),
        (lambda _: scopes([salt()], "sites", "0.01"), ArgumentError, "symprec '0.01'"),
        (lambda _: scopes([salt()], "sites", float("nan")), ArgumentError, "symprec nan"),
        (lambda _: scopes([salt()], "klingon"), ArgumentError, "dialect 'klingon'"),
        (lambda _: scopes([salt()], "sites", 0.01, "oracle"), ArgumentError, "engine 'oracle'"),
        (lambda _: scopes([salt()], n_jobs=0), ArgumentError, "n_jobs 0"),
        (lambda _: scopes([salt()], n_jobs=1.5), ArgumentError, "n_jobs 1.5"),
    ],
)
def test_arguments_that_are_none(call, error, words, tiny_model):
    with pytest.raises(CloudError, match=words) as caught:
        call(tiny_model)
    assert type(caught.value) is error


@pytest.mark.parametrize("label", ["high", "inf", "-inf"])
def test_labels_that_are_none(label, tiny_checkpoint, tmp_path):
    import pandas as pd

    from cloud_model.checkpoints.checkpoint import Checkpoint
    from cloud_model.training.finetuning.labelled_crystals import Columns, LabelledCrystals

    table = pd.DataFrame({"crystal": ["a.cif", "b.cif"], "gap": ["1.0", label]})
    with pytest.raises(DataError, match=f"row 1 of column 'gap': '{label}' is not a finite number"):
        LabelledCrystals.read(
            table,
            tmp_path,
            Columns(structure="crystal", units={"gap": "eV"}),
            Checkpoint.load(tiny_checkpoint),
        )
