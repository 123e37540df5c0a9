"""Elements that are gases: the Gibbs energy of an ideal gas of atoms or of two-atomic molecules.

Translation, rigid rotation and one harmonic vibration of a molecule, as in every textbook of statistical
thermodynamics. The constants of the molecules are those of Huber and Herzberg, *Constants of Diatomic Molecules*
(1979), as in the NIST Chemistry WebBook.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import constants

PRESSURE = 1e5  # Pa


class _Gas(NamedTuple):
    mass: float  # of an atom, u
    atoms: int = 1
    rotation: float = 0.0  # rotational constant, cm^-1
    vibration: float = 0.0  # wavenumber, cm^-1
    degeneracy: int = 1  # of the electronic ground state


_GASES = {
    "H": _Gas(1.008, 2, 60.853, 4401.21),
    "N": _Gas(14.007, 2, 1.99824, 2358.57),
    "O": _Gas(15.999, 2, 1.43768, 1580.19, 3),
    "F": _Gas(18.998, 2, 0.89019, 916.64),
    "Cl": _Gas(35.45, 2, 0.24399, 559.72),
    "He": _Gas(4.0026),
    "Ne": _Gas(20.180),
    "Ar": _Gas(39.95),
    "Kr": _Gas(83.798),
    "Xe": _Gas(131.29),
}

GASES = frozenset(_GASES)
"""Elements that are gases at room temperature."""

_WAVENUMBER = 100 * constants.h * constants.c / constants.k  # K for 1 cm^-1


def gibbs_energy(element: str, temperature: float) -> float:
    """Gibbs energy of a gaseous element at 1 bar, J/mol-atom.

    Parameters
    ----------
    element : str
        One of `GASES`.
    temperature : float
        K, positive.

    Returns
    -------
    float
        From molecules at rest at the bottom of their potential, so with the zero-point energy, as the vibrational
        free energy of a solid is counted.

    Examples
    --------
    >>> round(gibbs_energy("O", 1000.0) / 1000)  # kJ/mol-atom
    -101
    """
    gas = _GASES[element]
    mass = gas.atoms * gas.mass * constants.atomic_mass
    kT = constants.k * temperature
    wavelength = constants.h / np.sqrt(2 * np.pi * mass * kT)
    logarithm = np.log(kT / PRESSURE / wavelength**3 * gas.degeneracy)
    zero_point = 0.0
    if gas.atoms == 2:
        theta = _WAVENUMBER * gas.vibration
        logarithm += np.log(temperature / (2 * _WAVENUMBER * gas.rotation)) - np.log1p(
            -np.exp(-theta / temperature)
        )
        zero_point = theta / 2
    return float(constants.R * (zero_point - temperature * logarithm) / gas.atoms)
