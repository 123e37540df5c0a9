r"""Mixtures of Debye spectra: thermodynamic functions, how they depend on the spectra, and standard errors.

The functions of a mixture are the means of those of its spectra, with the weights of the spectra. When all Debye
temperatures change by the same relative amount, they change by

.. math::

    \frac{∂F}{∂\ln θ} = U, \qquad \frac{∂S}{∂\ln θ} = -C_v, \qquad \frac{∂U}{∂\ln θ} = U - T C_v,

since :math:`F = θ f(T/θ)` in each spectrum. A standard error is the change that the relative standard error of the
Debye temperatures makes, and a floor: a small share of the modes may lie at the lowest frequencies unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from cloud_model.physics.debye import DebyeSolid, R

DebyeFunction = Literal["heat_capacity", "internal_energy", "entropy", "free_energy"]

FLOOR = 0.02 / (3 * R)
"""Share of the modes whose frequencies are uncertain: 0.02 J/(mol-atom K) of the heat capacity."""

_SOFTEST = 15.0  # K, Debye temperature of modes of the lowest frequencies


class Spectra(NamedTuple):
    """A mixture of Debye spectra for each crystal of a batch.

    Attributes
    ----------
    debye_temperatures : Tensor
        K, shape (batch, spectra).
    weights : Tensor
        Not negative, summing to one over the spectra, shape (batch, spectra).
    spread : Tensor
        Relative standard error common to all Debye temperatures of a crystal, shape (batch,).
    floor : Tensor
        Share of the modes that may lie at the lowest frequencies unnoticed, shape (batch,).
    """

    debye_temperatures: Tensor
    weights: Tensor
    spread: Tensor
    floor: Tensor

    @classmethod
    def together(cls, members: Sequence[Spectra]) -> Spectra:
        """Mean of what the networks of an ensemble predict: their spectra side by side, in equal parts."""
        temperatures, weights, spreads, floors = zip(*members, strict=True)
        joined = torch.cat(weights, dim=-1)
        return cls(
            torch.cat(temperatures, dim=-1),
            joined / joined.sum(-1, keepdim=True),
            torch.stack(spreads).mean(0),
            torch.stack(floors).mean(0),
        )

    def each(self, function: Callable[[Tensor], Tensor]) -> Spectra:
        """Apply a function, such as the choice of some rows, to all parts."""
        return Spectra(*map(function, self))

    def calibrated(self, factor: float) -> Spectra:
        """Multiply all standard errors by a factor."""
        return self._replace(spread=factor * self.spread, floor=factor * self.floor)


class DebyeMixture:
    """Thermodynamic functions of mixtures of Debye spectra, and their standard errors.

    All quantities are per mole of atoms, and have the shape of the temperatures: one row per crystal.

    Parameters
    ----------
    spectra : Spectra
        Spectra of one crystal, whose arrays have no axis ``batch``, or of a batch.
    T : Tensor or float
        Temperature, K, not negative: a number, or of shape (nT,) or (batch, nT).
    """

    def __init__(self, spectra: Spectra, T: Tensor | float) -> None:
        theta = spectra.debye_temperatures
        self.spectra = spectra
        self.T = torch.as_tensor(T, dtype=theta.dtype, device=theta.device)
        self._solids = (
            DebyeSolid(theta[..., None, :], self.T[..., None]) if self.T.ndim else DebyeSolid(theta, self.T)
        )

    @cached_property
    def heat_capacity(self) -> Tensor:
        """Heat capacity at constant volume, J/(mol-atom K)."""
        return self._mean(self._solids.heat_capacity)

    @cached_property
    def internal_energy(self) -> Tensor:
        """Vibrational internal energy, zero-point energy included, J/mol-atom."""
        return self._mean(self._solids.internal_energy)

    @cached_property
    def entropy(self) -> Tensor:
        """Vibrational entropy, J/(mol-atom K)."""
        return self._mean(self._solids.entropy)

    @cached_property
    def free_energy(self) -> Tensor:
        """Vibrational Helmholtz free energy, zero-point energy included, J/mol-atom."""
        return self._mean(self._solids.free_energy)

    def derivative(self, function: DebyeFunction) -> Tensor:
        """Derivative with respect to the logarithm of all Debye temperatures, in the unit of the function."""
        if function == "heat_capacity":
            return self._mean(self._solids.heat_capacity_slope)
        if function == "entropy":
            return -self.heat_capacity
        if function == "internal_energy":
            return self.internal_energy - self.T * self.heat_capacity
        return self.internal_energy

    def standard_error(self, function: DebyeFunction) -> Tensor:
        """Standard error, in the unit of the function."""
        spread, floor = self.spectra.spread, self.spectra.floor
        if self.T.ndim:
            spread, floor = spread[..., None], floor[..., None]
        return self.derivative(function).abs() * spread + self._softest(function) * floor

    def _softest(self, function: DebyeFunction) -> Tensor:
        """Size of a function of modes of the lowest frequencies, without their zero-point energy."""
        value: Tensor = getattr(self._softest_solid, function)
        return (value - 9 / 8 * R * _SOFTEST).abs() if function.endswith("energy") else value

    @cached_property
    def _softest_solid(self) -> DebyeSolid:
        return DebyeSolid(torch.as_tensor(_SOFTEST).to(self.T), self.T)

    def _mean(self, terms: Tensor) -> Tensor:
        weights = self.spectra.weights
        return (terms * (weights[..., None, :] if self.T.ndim else weights)).sum(-1)
