"""Prediction intervals hold the share of labels that they state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from cloud_model import CloudModel
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import ArgumentError
from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS
from cloud_model.properties.intervals import interval_factor, interval_factors
from cloud_model.properties.targets import ScalarTarget

FACTORS = {"0.5": 0.7, "0.9": 1.8, "0.95": 2.5}
SALT = bulk("NaCl", "rocksalt", 5.64)


@pytest.fixture(scope="module")
def model(tiny_model) -> CloudModel:
    checkpoint = tiny_model.checkpoint
    intervals = dict.fromkeys([*SCALARS, *THERMODYNAMICS], FACTORS)
    return CloudModel(replace(checkpoint, config=replace(checkpoint.config, intervals=intervals)))


@pytest.mark.parametrize("draw", ["standard_normal", "standard_cauchy"])
@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95])
def test_coverage_holds_whatever_the_distribution(draw, coverage):
    rng = np.random.default_rng(0)
    factors = interval_factors(np.abs(getattr(rng, draw)(2000)))
    fresh = np.abs(getattr(rng, draw)(20000))
    assert (fresh <= interval_factor(factors, coverage)).mean() == pytest.approx(coverage, abs=0.03)


def test_bounds_may_be_apart():
    rng = np.random.default_rng(0)
    residuals, fresh = rng.exponential(size=(2, 20000)) - 0.5  # nothing is far below
    below, above = interval_factors(-residuals, 0.6), interval_factors(residuals, 0.4)
    low, high = interval_factor(below, 0.9), interval_factor(above, 0.9)
    assert (fresh < -low).mean() == pytest.approx(0.06, abs=0.01)
    assert (fresh > high).mean() == pytest.approx(0.04, abs=0.01)


@pytest.mark.parametrize("name", ["formation_energy_per_atom", "heat_capacity_per_atom"])
def test_the_sides_of_an_interval_may_be_calibrated_apart(tiny_model, name):
    intervals = {f"{name}_low": {"0.95": 1.0}, f"{name}_high": {"0.95": 3.0}}
    checkpoint = tiny_model.checkpoint
    model = CloudModel(replace(checkpoint, config=replace(checkpoint.config, intervals=intervals)))
    plain, bounds = model.predict(SALT, name).iloc[0], model.predict(SALT, name, interval=0.95).iloc[0]
    assert bounds[f"{name}_low"] == pytest.approx(plain[name] - plain[f"{name}_std"])
    assert bounds[f"{name}_high"] == pytest.approx(plain[name] + 3 * plain[f"{name}_std"])


def test_small_samples_promise_no_more_than_they_can():
    factors = interval_factors(np.append(np.arange(1.0, 20.0), np.nan))
    assert factors["0.95"] == 19.0
    assert "0.97" not in factors
    with pytest.raises(ArgumentError, match=r"at most 0\.95"):
        interval_factor(factors, 0.99)


@pytest.mark.parametrize("interval", [0, 1, -0.5, 95, "wide", np.nan])
def test_shares_are_checked(model, interval):
    with pytest.raises(ArgumentError, match="interval"):
        model.predict(SALT, "band_gap", interval=interval)


def test_a_checkpoint_without_intervals_says_so(tiny_model):
    with pytest.raises(ArgumentError, match="calibrated intervals"):
        tiny_model.predict(SALT, "band_gap", interval=0.9)


def test_bounds_take_the_place_of_standard_errors(model):
    plain, bounded = model.predict(SALT), model.predict(SALT, interval=0.95)
    names = [*SCALARS, *THERMODYNAMICS]
    assert [c for c in bounded if not c.endswith(("_low", "_high"))] == [
        c for c in plain if not c.endswith("_std")
    ]
    for name in names:
        low, value, high = (bounded[f"{name}{end}"].item() for end in ("_low", "", "_high"))
        assert low <= value <= high
        assert value == plain[name].item()
    energy = bounded.formation_energy_per_atom_high - bounded.formation_energy_per_atom
    assert energy.item() == pytest.approx(2.5 * plain.formation_energy_per_atom_std.item())


def test_wider_intervals_hold_narrower_ones(model):
    narrow, wide = (model.predict(SALT, interval=share) for share in (0.6, 0.9))
    for name in SCALARS:
        assert wide[f"{name}_low"].item() <= narrow[f"{name}_low"].item()
        assert wide[f"{name}_high"].item() >= narrow[f"{name}_high"].item()


def test_under_a_logarithm_bounds_are_ratios():
    target = ScalarTarget(transform="log10", location=2.0, scale=0.5)
    value, error = target.physical(np.array([0.0]), np.array([0.2]))
    low, high = target.interval(value, error, 2.0, 2.0)
    assert (high / value).item() == pytest.approx(10**0.2)
    assert (value / low).item() == pytest.approx(10**0.2)


def test_bounds_are_possible():
    gap = ScalarTarget(transform="identity", location=0.0, scale=1.0, minimum=0.0)
    assert gap.interval(np.array([0.1]), np.array([1.0]), 2.0, 2.0) == (np.array([0.0]), np.array([2.1]))


def test_probabilities():
    target = ScalarTarget.fit(np.array([0.0, 1.0, 1.0, np.nan]), "logistic")
    value, error = target.physical(np.array([-800.0, 0.0, 800.0]), np.ones(3))
    assert value == pytest.approx([0, 0.5, 1])
    assert error == pytest.approx([0, 0.5, 0])
    low, high = target.interval(value, error, 3.0, 3.0)
    assert low.min() >= 0
    assert high.max() <= 1


def test_errors_grow_with_the_distance_from_the_training_crystals():
    target = ScalarTarget(transform="identity", location=0.0, scale=1.0, growth=0.5)
    _, error = target.physical(np.zeros(4), np.ones(4), np.array([0.0, 1.0, 3.0, 9.0]))
    assert error == pytest.approx(np.exp([0, 0.5, 1.5, 1.5]))


def test_intervals_are_saved(model, tmp_path):
    model.save(tmp_path / "calibrated")
    assert Checkpoint.load(tmp_path / "calibrated").config.intervals == model.checkpoint.config.intervals
