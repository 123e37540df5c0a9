"""Numbers as people read them."""

from __future__ import annotations

from math import nan

import pytest

from cloud_model.display.numbers import uncertain


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-3.4571, 0.0419, "-3.457±0.042"),
        (904.2, 301.0, "900±300"),
        (11060.0, 350.0, "11060±350"),
        (24.463, 0.0996, "24.463±0.100"),
        (2.64e-5, 1.0e-6, "(2.64±0.10)\N{MULTIPLICATION SIGN}10⁻⁵"),
        (2.64e7, 1.0e6, "(2.64±0.10)\N{MULTIPLICATION SIGN}10⁷"),
        (3.0, 0.0, "3"),
        (nan, 1.0, ""),
    ],
)
def test_an_error_has_two_digits(value, error, text):
    assert uncertain(value, error) == text


@pytest.mark.parametrize(("value", "error", "text"), [(38.2, 44.1, "40±40"), (0.008, 0.014, "0.01±0.01")])
def test_an_error_as_large_as_the_value_leaves_one_digit(value, error, text):
    assert uncertain(value, error) == text


def test_a_positive_quantity_with_an_error_as_large_as_itself_is_unknown():
    assert uncertain(38.2, 44.1, positive=True) == "unknown"
    assert uncertain(38.2, 38.1, positive=True) == "38±38"
    assert uncertain(nan, 1.0, positive=True) == ""
