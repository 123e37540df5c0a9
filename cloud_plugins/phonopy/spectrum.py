"""Phonon spectra and their harmonic thermodynamics per mole of atoms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from cloud_model.errors import ArgumentError, PhononError

Array = NDArray[np.float64]

THZ_PER_UNIT = {
    "THz": 1.0,
    "cm^-1": constants.c * 1e-10,
    "meV": constants.e / constants.h * 1e-15,
    "eV": constants.e / constants.h * 1e-12,
}
IMAGINARY_FREQUENCY = -0.1  # THz; what lies between this and zero is interpolation noise, not an instability
IMAGINARY_SHARE = 1e-3
_KELVIN_PER_THZ = 1e12 * constants.h / constants.k
_FROZEN = 800.0  # exp(-x) is exactly zero from here on
_DOS_CELLS = 8192


@dataclass(frozen=True, eq=False)
class PhononSpectrum:
    """Phonon frequencies of a crystal with the share of all modes that each stands for.

    Shares instead of counts make every property one per mole of atoms, whichever cell the phonons were
    calculated in. Modes of imaginary or zero frequency carry no thermodynamics: the properties are those of
    the other modes, renormalised to three an atom, and `imaginary_share` says how many were left out.

    Parameters
    ----------
    frequencies : ndarray
        Frequencies, THz, shape (n,); negative for imaginary ones.
    shares : ndarray
        Share of the modes at each frequency, shape (n,), sum 1.
    """

    frequencies: Array
    shares: Array

    @classmethod
    def from_modes(cls, frequencies: ArrayLike, weights: ArrayLike) -> PhononSpectrum:
        """Spectrum from frequencies in THz, shape (nq, nb), at q-points of these weights, shape (nq,)."""
        frequencies = np.asarray(frequencies, dtype=float)
        shares = np.broadcast_to(np.asarray(weights, dtype=float)[:, None], frequencies.shape)
        return cls(frequencies.ravel(), shares.ravel() / shares.sum())

    @classmethod
    def from_density_of_states(
        cls, frequencies: ArrayLike, density: ArrayLike, unit: str = "THz"
    ) -> PhononSpectrum:
        """Spectrum from a density of states of any normalisation, taken as linear between its points.

        Parameters
        ----------
        frequencies : array_like
            Frequencies or energies in increasing order, shape (n,), imaginary ones negative.
        density : array_like
            Density of states, shape (n,), not negative but for ripples of a thousandth of its peak.
        unit : {"THz", "cm^-1", "meV", "eV"}
            Unit of `frequencies`.

        Raises
        ------
        ArgumentError
            The unit is unknown.
        PhononError
            The arrays are not a density of states.
        """
        if unit not in THZ_PER_UNIT:
            raise ArgumentError(f"unit {unit!r}", "is not known", f"Use one of {', '.join(THZ_PER_UNIT)}.")
        points = THZ_PER_UNIT[unit] * np.asarray(frequencies, dtype=float)
        values = np.asarray(density, dtype=float)
        _check_density(points, values)
        edges = np.linspace(points[0], points[-1], _DOS_CELLS + 1)
        centres = (edges[1:] + edges[:-1]) / 2
        shares = np.maximum(np.interp(centres, points, values), 0)
        return cls(centres, shares / shares.sum())

    @property
    def imaginary_share(self) -> float:
        """Share of the modes with an imaginary frequency beyond numerical noise (0.1 THz)."""
        return float(self.shares[self.frequencies < IMAGINARY_FREQUENCY].sum())

    @property
    def stable(self) -> bool:
        """Whether no more than 0.1 % of the modes are imaginary."""
        return self.imaginary_share <= IMAGINARY_SHARE

    def lowest_frequencies(self, count: int) -> Array:
        """Lowest frequencies that differ to a tenth of a THz, THz, shape (count,) at most."""
        return np.unique(self.frequencies.round(1))[:count]

    @property
    def zero_point_energy(self) -> float:
        """Zero-point energy, J/mol-atom."""
        theta, shares = self._modes()
        return float(1.5 * constants.R * (shares @ theta))

    def heat_capacity(self, temperatures: ArrayLike) -> Array:
        """Heat capacity at constant volume, J/(mol-atom K), at temperatures in K of shape (nT,)."""
        return self._sum(temperatures, lambda x: x**2 * np.exp(-x) / np.expm1(-x) ** 2)

    def thermal_energy(self, temperatures: ArrayLike) -> Array:
        """Return the energy above the zero-point energy, J/mol-atom, at temperatures in K of shape (nT,)."""
        return np.asarray(temperatures, dtype=float) * self._sum(temperatures, lambda x: x * _bose(x))

    def entropy(self, temperatures: ArrayLike) -> Array:
        """Entropy, J/(mol-atom K), at temperatures in K of shape (nT,)."""
        return self._sum(temperatures, lambda x: x * _bose(x) - np.log(-np.expm1(-x)))

    def free_energy(self, temperatures: ArrayLike) -> Array:
        """Free energy with the zero-point energy, J/mol-atom, at temperatures in K of shape (nT,)."""
        temperatures = np.asarray(temperatures, dtype=float)
        thermal = temperatures * self._sum(temperatures, lambda x: np.log(-np.expm1(-x)))
        return self.zero_point_energy + thermal

    def density_of_states(self, bins: int = 120) -> tuple[Array, Array]:
        """Histogram of the spectrum.

        Parameters
        ----------
        bins : int
            Number of bins over the whole range of frequencies.

        Returns
        -------
        tuple of ndarray
            Centres of the bins in THz and modes per atom and THz, each of shape (bins,).
        """
        density, edges = np.histogram(self.frequencies, bins=bins, weights=3 * self.shares)
        return (edges[1:] + edges[:-1]) / 2, density / np.diff(edges)

    def _modes(self) -> tuple[Array, Array]:
        """Characteristic temperatures in K and shares of the modes with a real frequency."""
        real = self.frequencies > 0
        return _KELVIN_PER_THZ * self.frequencies[real], self.shares[real] / self.shares[real].sum()

    def _sum(self, temperatures: ArrayLike, mode: Callable[[Array], Array]) -> Array:
        theta, shares = self._modes()
        temperatures = np.asarray(temperatures, dtype=float)
        with np.errstate(over="ignore", divide="ignore"):
            reduced = (np.minimum(theta / T, _FROZEN) for T in temperatures)
            means = np.array([shares @ mode(x) for x in reduced])
        total: Array = 3 * constants.R * means
        return total


def _bose(x: Array) -> Array:
    """Mean number of phonons in a mode of energy x kT."""
    return np.exp(-x) / -np.expm1(-x)


def _check_density(frequencies: Array, density: Array) -> None:
    subject, remedy = (
        "density of states",
        "Give two arrays of one length, frequencies increasing, density not negative.",
    )
    if frequencies.ndim != 1 or frequencies.shape != density.shape or len(frequencies) < 2:
        raise PhononError(subject, f"has shapes {frequencies.shape} and {density.shape}", remedy)
    if not (np.isfinite(frequencies).all() and np.isfinite(density).all()):
        raise PhononError(subject, "holds values that are not finite", remedy)
    if (np.diff(frequencies) <= 0).any():
        raise PhononError(subject, "has frequencies that do not increase", remedy)
    if (density < -1e-3 * density.max()).any():
        raise PhononError(subject, f"goes down to {density.min():g}", remedy)
    if frequencies[-1] <= 0 or not density[frequencies > 0].any():
        raise PhononError(subject, "has no state at a positive frequency", remedy)
