from __future__ import annotations

import numpy as np
import pytest

from cloud_model.errors import ArgumentError
from cloud_model.physics.conditions import (
    MAX_PRESSURE,
    MAX_TEMPERATURE,
    checked_pressure,
    checked_temperature,
    checked_temperatures,
)

CHECKS = [(checked_temperature, "temperature", MAX_TEMPERATURE), (checked_pressure, "pressure", MAX_PRESSURE)]


@pytest.mark.parametrize(("check", "name", "most"), CHECKS)
def test_conditions_go_from_nothing_to_their_largest(check, name, most):
    for value in (0, 0.5, most, np.float32(2), np.array(3.0)):
        assert check(value) == float(value)
    for value in (-1e-9, 1.001 * most, np.nan, np.inf, True, "300", None, [1.0]):
        with pytest.raises(ArgumentError, match=rf"^{name} .* is not .*\. Give a {name} in"):
            check(value)


def test_temperatures_are_a_list_of_one_dimension():
    assert checked_temperatures(300).tolist() == [300.0]
    assert checked_temperatures([0, 1.5, MAX_TEMPERATURE]).tolist() == [0.0, 1.5, MAX_TEMPERATURE]
    assert checked_temperatures(np.arange(3)).dtype == float
    for values in ([], [[1.0], [2.0]], np.empty((0, 2))):
        with pytest.raises(ArgumentError, match=r"^temperatures are not .*\. Give temperatures in K"):
            checked_temperatures(values)
    for wrong, name in ((-1.0, "-1"), ([2.0], "of type list")):
        with pytest.raises(ArgumentError, match=rf"^temperature {name}.* is not a finite number"):
            checked_temperatures([300.0, wrong])
