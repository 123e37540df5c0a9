"""Values and standard errors of networks that say the same of every crystal, in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ase.build import bulk

from cloud_model import CloudModel, debye
from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS
from cloud_model.properties.targets import ScalarTarget

SALT = bulk("NaCl", "rocksalt", a=5.64)
TOKENIZER = Tokenizer(build_vocabulary(SYMBOLS[:20]), max_length=32)
ENCODER = EncoderConfig(
    vocab_size=len(TOKENIZER),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=32,
)
VIBRATIONAL = [
    "heat_capacity",
    "vibrational_internal_energy",
    "vibrational_entropy",
    "vibrational_free_energy",
]
FUNCTIONS = {name: getattr(debye, name.removeprefix("vibrational_")) for name in VIBRATIONAL}


def scalar_model(target: ScalarTarget, *members: tuple[float, float]) -> CloudModel:
    """Model of one property whose networks say these normalised values and scales of error."""
    networks = []
    for value, scale in members:
        network = Predictor(ENCODER, 1, 0)
        with torch.no_grad():
            network.scalars.value.zero_()
            network.scalars.value_bias.fill_(value)
            network.scalars.scale_bias.fill_(math.log(scale))
        networks.append(network)
    config = CheckpointConfig(
        name="constant",
        dialect="sites",
        symprec=0.01,
        encoder=ENCODER,
        targets={"bulk_modulus": target},
        properties={"bulk_modulus": SCALARS["bulk_modulus"]},
    )
    return CloudModel(Checkpoint(config, TOKENIZER, networks))


def thermal_model(*spreads: float, calibration: float = 1.0) -> CloudModel:
    """Model whose networks have two Debye spectra each, at fixed temperatures, and these relative errors."""
    networks = []
    for i, spread in enumerate(spreads):
        network = Predictor(ENCODER, 0, 2)
        head = network.thermodynamics
        with torch.no_grad():
            head.output.weight.zero_()
            head.output.bias.copy_(torch.tensor([0.0, 1.0, -0.4 * i, 0.3]))
            head.spread.bias.fill_(math.log(spread))
        networks.append(network)
    config = CheckpointConfig(
        name="constant",
        dialect="sites",
        symprec=0.01,
        encoder=ENCODER,
        properties={
            name: THERMODYNAMICS[name] for base in VIBRATIONAL for name in (base, f"{base}_per_atom")
        },
        spectra=2,
        spread_calibration=calibration,
    )
    return CloudModel(Checkpoint(config, TOKENIZER, networks))


def predicted(model: CloudModel, name: str, temperature: float = 300.0) -> tuple[float, float]:
    columns = model.predict_arrays([SALT], name, temperature)
    return columns[name].item(), columns[f"{name}_std"].item()


def linear(**settings) -> ScalarTarget:
    return ScalarTarget(transform="identity", location=3.0, scale=2.0, **settings)


def test_an_ensemble_adds_the_variance_between_its_members():
    value, error = predicted(scalar_model(linear(), (0.1, 0.3), (0.7, 0.4)), "bulk_modulus")
    assert value == pytest.approx(3 + 2 * 0.4)
    assert error == pytest.approx(2 * math.sqrt((0.3**2 + 0.4**2) / 2 + 0.3**2))


@pytest.mark.parametrize("calibration", [1.0, 2.5])
def test_calibration_multiplies_the_error_alone(calibration):
    value, error = predicted(scalar_model(linear(calibration=calibration), (0.1, 0.3)), "bulk_modulus")
    assert value == pytest.approx(3.2)
    assert error == pytest.approx(calibration * 2 * 0.3)


def test_a_value_below_the_minimum_is_raised_to_it():
    target = linear(minimum=2.0)
    assert predicted(scalar_model(target, (-5.0, 0.3)), "bulk_modulus")[0] == 2.0
    assert predicted(scalar_model(target, (0.5, 0.3)), "bulk_modulus")[0] == pytest.approx(4.0)


def test_errors_pass_through_a_logarithm_to_first_order():
    target = ScalarTarget(transform="log10", location=2.0, scale=0.5, calibration=1.5)
    value, error = predicted(scalar_model(target, (0.4, 1e-3)), "bulk_modulus")
    step = 1e-5
    above, below = (
        predicted(scalar_model(target, (0.4 + sign * step, 1e-3)), "bulk_modulus")[0] for sign in (1, -1)
    )
    assert value == pytest.approx(10**2.2)
    assert error == pytest.approx(1.5e-3 * (above - below) / (2 * step), rel=1e-2)


def mixture(model: CloudModel, function, temperature: float, factor: float = 1.0) -> float:
    """A function of the Debye spectra of a model, all Debye temperatures times a factor."""
    spectra = model.spectra(SALT)
    terms = function(factor * spectra.debye_temperatures, temperature)
    return (spectra.weights * terms).sum().item()


@pytest.mark.parametrize("temperature", [20.0, 150.0, 900.0])
@pytest.mark.parametrize("name", VIBRATIONAL)
def test_errors_of_thermodynamics_are_derivatives(name, temperature):
    """The part that grows with the relative error of the Debye temperatures is the numerical derivative."""
    narrow, wide = thermal_model(0.1), thermal_model(0.3)
    step = 1e-4
    above, below = (mixture(narrow, FUNCTIONS[name], temperature, 1 + sign * step) for sign in (1, -1))
    growth = predicted(wide, f"{name}_per_atom", temperature)[1]
    growth -= predicted(narrow, f"{name}_per_atom", temperature)[1]
    assert growth == pytest.approx(0.2 * abs(above - below) / (2 * step), rel=1e-4)


def test_heat_capacities_that_depend_on_no_debye_temperature_are_nearly_certain():
    assert predicted(thermal_model(0.1), "heat_capacity_per_atom", 1e5)[1] < 0.03


@pytest.mark.parametrize("name", VIBRATIONAL)
def test_calibration_multiplies_the_errors_of_thermodynamics(name):
    raw, calibrated = thermal_model(0.1), thermal_model(0.1, calibration=2.0)
    assert predicted(calibrated, f"{name}_per_atom")[0] == predicted(raw, f"{name}_per_atom")[0]
    assert predicted(calibrated, f"{name}_per_atom")[1] == pytest.approx(
        2 * predicted(raw, f"{name}_per_atom")[1]
    )


@pytest.mark.parametrize("name", VIBRATIONAL)
def test_an_ensemble_is_the_mean_of_its_spectra(name):
    ensemble = thermal_model(0.1, 0.3)
    members = [
        CloudModel(Checkpoint(ensemble.checkpoint.config, TOKENIZER, [member]))
        for member in ensemble.checkpoint.members
    ]
    means = np.mean([predicted(member, f"{name}_per_atom") for member in members], axis=0)
    assert means[0] != predicted(members[0], f"{name}_per_atom")[0]
    assert predicted(ensemble, f"{name}_per_atom")[0] == pytest.approx(means[0])
    assert ensemble.spectra(SALT).spread.item() == pytest.approx(0.2)


@pytest.mark.parametrize("name", VIBRATIONAL)
def test_errors_of_a_cell_are_those_of_its_atoms(name):
    model = thermal_model(0.1)
    atom, cell = (predicted(model, name + suffix) for suffix in ("_per_atom", ""))
    np.testing.assert_allclose(cell, np.multiply(2, atom))
