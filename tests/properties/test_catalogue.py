"""Normalised outputs and physical values are the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cloud_model.errors import DataError
from cloud_model.properties.catalogue import imaginary_modes_warning, magnetism_warning
from cloud_model.properties.intervals import share_within
from cloud_model.properties.targets import ScalarTarget

LABELS = np.array([0.2, 3.0, np.nan, 50.0, 700.0])
NONE = np.zeros(len(LABELS))


@pytest.mark.parametrize("transform", ["identity", "log10"])
@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_labels_come_back_from_their_normalised_form(transform, unit):
    labels = unit * LABELS
    target = ScalarTarget.fit(labels, transform)
    normalised = target.normalise(labels)
    assert np.nanmean(normalised) == pytest.approx(0)
    assert np.nanstd(normalised) == pytest.approx(1)
    np.testing.assert_allclose(target.physical(normalised, NONE)[0], labels)


def test_the_logarithm_has_the_base_ten():
    target = ScalarTarget.fit(np.array([1.0, 100.0]), "log10")
    assert (target.location, target.scale, target.minimum) == (1.0, 1.0, None)
    value, error = target.physical(np.zeros(1), np.full(1, 0.01))
    assert value == pytest.approx([10])
    assert error == pytest.approx([0.1 * np.log(10)])


def test_a_probability_is_not_normalised():
    target = ScalarTarget.fit(np.array([0.0, 1.0, 1.0]), "logistic")
    assert (target.location, target.scale, target.minimum, target.maximum) == (0, 1, 0, 1)
    assert target.normalise(np.array([0.0, 1.0])).tolist() == [0, 1]
    assert target.physical(np.log([3.0]), np.zeros(1))[0] == pytest.approx([0.75])


def test_labels_that_are_all_alike_keep_their_unit():
    target = ScalarTarget.fit(np.full(3, 5.0), "identity", minimum=0.0)
    assert (target.location, target.scale, target.minimum) == (5, 1, 0)


def test_standard_errors_are_scaled_and_calibrated():
    target = ScalarTarget(transform="identity", location=7.0, scale=4.0, calibration=1.5)
    value, error = target.physical(np.array([-1.0, 2.0]), np.array([0.1, 0.2]))
    assert value.tolist() == [3, 15]
    assert error == pytest.approx([0.6, 1.2])


def test_impossible_values_are_raised_to_possible_ones():
    target = ScalarTarget(transform="identity", location=0.0, scale=1.0, minimum=-1.0, maximum=2.0)
    assert target.physical(np.array([-5.0, 0.5, 5.0]), np.zeros(3))[0].tolist() == [-1, 0.5, 2]


@pytest.mark.parametrize("transform", ["identity", "log10"])
def test_standardised_residuals_are_where_the_interval_ends(transform):
    target = ScalarTarget.fit(LABELS, transform)
    value, error = target.physical(np.array([0.3]), np.array([0.4]))
    for label in (0.5, 40.0, 900.0):
        ratio = target.standardised(np.array([label]), value, error)
        low, high = target.interval(value, error, -ratio, ratio)
        assert low == high == pytest.approx([label])


@pytest.mark.parametrize("least", [-1.0, 0.0])
def test_only_positive_labels_have_a_logarithm(least):
    with pytest.raises(DataError, match="Labels are not all positive"):
        ScalarTarget.fit(np.array([least, 2.0]), "log10")
    assert ScalarTarget.fit(np.array([1e-3, 2.0]), "log10").transform == "log10"


@pytest.mark.parametrize(("scale", "calibration"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -0.1)])
def test_scales_are_positive(scale, calibration):
    with pytest.raises(ValueError, match=f"scale is {scale} and calibration {calibration}"):
        ScalarTarget(transform="identity", location=0.0, scale=scale, calibration=calibration)
    assert ScalarTarget(transform="identity", location=0.0, scale=1.0, calibration=0.0).calibration == 0


def test_the_share_within_an_interval_is_the_inverse_of_its_width():
    factors = {"0.5": 0.7, "0.9": 1.8, "0.95": 2.5}
    ratios = [0.0, 0.35, 0.7, 1.25, 2.15, 2.5, 5.0, 25.0]
    shares = [share_within(factors, ratio) for ratio in ratios]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.7, 0.925, 0.95, 1 - 0.05 / 4, 1 - 0.05 / 100])


def test_doubts_about_thermodynamics_name_their_reason():
    assert magnetism_warning(["Na", "Cl"]) is None
    assert magnetism_warning(["O", "Ni", "Fe"]).startswith("Fe, Ni may be magnetic.")
    assert imaginary_modes_warning(0.5) is None
    assert "with a probability of 0.70." in imaginary_modes_warning(0.3)
