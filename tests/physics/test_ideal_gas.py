from __future__ import annotations

import pytest
from scipy import constants

from cloud_model.physics.ideal_gas import GASES, gibbs_energy

# standard entropies at 298.15 K and 1 bar, J/(mol K), CODATA (Cox, Wagman & Medvedev, 1989)
ENTROPIES = {
    "H": 130.680,
    "N": 191.609,
    "O": 205.152,
    "F": 202.791,
    "Cl": 223.081,
    "He": 126.153,
    "Ne": 146.328,
    "Ar": 154.846,
    "Kr": 164.085,
    "Xe": 169.685,
}
ZERO_POINTS = {
    "H": 4401.21,
    "N": 2358.57,
    "O": 1580.19,
    "F": 916.64,
    "Cl": 559.72,
}  # twice, of a molecule, cm^-1
ROOM = 298.15  # K


def entropy(element: str, temperature: float) -> float:
    """J/(mol-atom K), by a difference."""
    step = 1e-3 * temperature
    return (gibbs_energy(element, temperature - step) - gibbs_energy(element, temperature + step)) / (
        2 * step
    )


def test_entropies_are_those_of_tables():
    assert set(ENTROPIES) == GASES
    for element, expected in ENTROPIES.items():
        molecule = 2 if element in ZERO_POINTS else 1
        # hydrogen rotates too fast for the classical sum over rotations, by 1/3 of a rotational quantum per kT
        tolerance = 0.01 if element == "H" else 2e-3
        assert molecule * entropy(element, ROOM) == pytest.approx(expected, rel=tolerance), element


@pytest.mark.parametrize("temperature", [20.0, 100.0])
def test_cold_gases_have_the_enthalpy_of_translation_rotation_and_zero_point(temperature):
    quantum = constants.N_A * constants.h * constants.c * 100  # J/mol for 1 cm^-1
    for element in GASES:
        classical = 5 / 2 * constants.R * temperature
        if element in ZERO_POINTS:
            classical = (7 / 2 * constants.R * temperature + quantum * ZERO_POINTS[element] / 2) / 2
        enthalpy = gibbs_energy(element, temperature) + temperature * entropy(element, temperature)
        # chlorine's vibration wakes at 100 K
        assert enthalpy == pytest.approx(classical, rel=5e-4), element
