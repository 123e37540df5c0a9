"""Phonons over the Brillouin zone, on meshes doubled until the heat capacity has converged."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import constants

from cloud_model.errors import PhononError
from cloud_plugins.phonopy.spectrum import Array, PhononSpectrum

if TYPE_CHECKING:
    from phonopy import Phonopy

MESH_TOLERANCE = 1e-3  # relative change of the heat capacity when the mesh is doubled
_LENGTHS = (25.0, 50.0, 100.0, 200.0)  # Angstrom; q-points along an axis = length * |b|, as phonopy has it
_GAMMA_DIVISIONS = 4  # even, so that no point falls on Gamma itself


@dataclass(frozen=True, eq=False)
class Mesh:
    """Phonons on a mesh of q-points.

    Parameters
    ----------
    spectrum : PhononSpectrum
        All modes.
    n_points : int
        q-points before reduction by symmetry.
    change : float
        Largest relative change of the heat capacity against the mesh of half this density.
    acoustic_gap : float
        Largest acoustic frequency at Gamma, THz; zero if the force constants obey translational invariance.
    """

    spectrum: PhononSpectrum
    n_points: int
    change: float
    acoustic_gap: float

    @property
    def converged(self) -> bool:
        """Whether the heat capacity has converged within 0.1 %."""
        return self.change < MESH_TOLERANCE


def sample(phonon: Phonopy, temperatures: ArrayLike) -> Mesh:
    """Phonons on the first mesh that changes the heat capacity by less than 0.1 % against half its density.

    The heat capacity is compared where it exceeds 1 % of its classical limit.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants; it is not changed.
    temperatures : array_like
        Temperatures of the comparison, K, shape (nT,).

    Raises
    ------
    PhononError
        There are no force constants.
    """
    if phonon.force_constants is None:
        raise PhononError(
            "Phonopy object",
            "has no force constants",
            "Call its produce_force_constants() or read a file that holds forces.",
        )
    scratch: Any = copy(phonon)
    previous = None
    for length in _LENGTHS:
        spectrum, n_points, gap = _mesh(scratch, length)
        heat_capacity = spectrum.heat_capacity(temperatures)
        change = np.inf if previous is None else _change(heat_capacity, previous)
        mesh = Mesh(spectrum, n_points, change, gap)
        if mesh.converged:
            break
        previous = heat_capacity
    return mesh


def _mesh(phonon: Any, length: float) -> tuple[PhononSpectrum, int, float]:
    """Spectrum, number of q-points and acoustic gap of a Gamma-centred mesh.

    The cell around Gamma is sampled on its own grid: one point in its middle would count three acoustic modes
    at zero frequency, which is the leading error of a plain mesh.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mesh .* rebuilt as a generalized regular grid")
        phonon.run_mesh(length)
    frequencies, weights = phonon.mesh.frequencies, phonon.mesh.weights.astype(float)
    gamma = np.flatnonzero(~phonon.mesh.qpoints.any(axis=1))[0]
    n_points = weights.sum()

    divisions = np.linalg.norm(np.linalg.inv(phonon.primitive.cell), axis=0)
    divisions *= np.cbrt(n_points / divisions.prod())
    offsets = (np.arange(_GAMMA_DIVISIONS) + 0.5) / _GAMMA_DIVISIONS - 0.5
    around_gamma = np.array(list(product(offsets, repeat=3))) / divisions
    phonon.run_qpoints(around_gamma)
    share = np.full(len(around_gamma), weights[gamma] / len(around_gamma))

    spectrum = PhononSpectrum.from_modes(
        np.vstack([np.delete(frequencies, gamma, axis=0), phonon.qpoints.frequencies]),
        np.concatenate([np.delete(weights, gamma), share]),
    )
    return spectrum, int(n_points), float(np.sort(np.abs(frequencies[gamma]))[:3].max())


def _change(heat_capacity: Array, previous: Array) -> float:
    relevant = heat_capacity > 0.01 * 3 * constants.R
    return float(np.max(np.abs(heat_capacity[relevant] / previous[relevant] - 1), initial=0.0))
