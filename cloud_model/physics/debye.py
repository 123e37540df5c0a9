r"""Thermodynamics of a Debye solid, differentiable in the Debye temperature and in the temperature.

Debye, Ann. Phys. 344, 789 (1912). With :math:`x = θ/T` everything follows from the third Debye function
:math:`D(x) = 3 x^{-3} \int_0^x t^3 / (e^t - 1)\,dt`:

.. math::

    U &= \tfrac{9}{8} Rθ + 3RT D(x)                 & S &= R\,[4 D(x) - 3 \ln(1 - e^{-x})] \\
    C_v &= 3R\,[4 D(x) - 3x / (e^x - 1)]        & F &= \tfrac{9}{8} Rθ + RT\,[3 \ln(1 - e^{-x}) - D(x)]

Two convergent series stand in for the integral. Below :math:`x = 2`, :math:`E(x) = D(x) + \tfrac{3}{8} x` is
an even power series with Bernoulli numbers that holds the zero-point energy too: :math:`U = 3RT E(x)`.
Above, the integral is :math:`π^4/15` less a sum over :math:`e^{-kx}`, written in :math:`y = T/θ` so that
:math:`T = 0` is an ordinary point. Both are exact to rounding, and so are their derivatives.

Arguments are tensors of any floating dtype that broadcast against each other, in K; one of the two may be a
plain number. All quantities are per mole of atoms. Debye temperatures must be positive and temperatures not
negative: the functions do not check this, for they run inside training steps.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from cloud_model.errors import ArgumentError, shortly

__all__ = ["DebyeSolid", "R", "debye_function", "entropy", "free_energy", "heat_capacity", "internal_energy"]

R = 8.31446261815324  # J/(mol K), exact in the SI

_LARGEST = 1e38  # number that a tensor of single precision holds
_SWITCH = 2.0  # the x at which one series hands over to the other; either is exact to rounding there
_FROZEN = 1e4  # x is held here: e^-x is zero long before, and 1 / y would overflow later

# E(x) = sum_n e_n x^2n with e_n = 3 B_2n / ((2n)! (2n + 3)), C_v / 3R = E - x E', and the slope of that over ln x
_N = torch.arange(18, dtype=torch.float64)
_E = torch.cat([torch.ones(1, dtype=torch.float64), -6 * torch.special.zeta(2 * _N[1:], 1.0)])
_E[1:] *= (-1) ** _N[1:] / ((2 * _N[1:] + 3) * (2 * math.pi) ** (2 * _N[1:]))
_EVEN_SERIES = torch.stack([_E, (1 - 2 * _N) * _E, 2 * _N * (1 - 2 * _N) * _E])

_K = torch.arange(1, 21, dtype=torch.float64)
_POLYLOGARITHMS = torch.stack([9 / _K**2, 18 / _K**3, 18 / _K**4])


class DebyeSolid:
    """The functions of one Debye solid, which share one evaluation of the integral.

    Parameters
    ----------
    theta : Tensor or float
        Debye temperature, K, positive.
    T : Tensor or float
        Temperature, K, not negative; broadcasts against `theta`.
    """

    def __init__(self, theta: Tensor | float, T: Tensor | float) -> None:
        self.theta, self.T = theta, T
        self._hot, self._x, self._y = _split(theta, T)

    @cached_property
    def _cold(self) -> tuple[Tensor, Tensor, Tensor]:
        return _cold_debye(self._y)

    @cached_property
    def _warm(self) -> tuple[Tensor, Tensor, Tensor]:
        return _even_series(self._x)

    @cached_property
    def _logarithm(self) -> Tensor:
        """ln(2 sinh(x/2)), without sinh, whose last digit in torch depends on the number of elements."""
        return self._x / 2 + torch.log(-torch.expm1(-self._x))

    @property
    def heat_capacity(self) -> Tensor:
        """Heat capacity at constant volume, J/(mol-atom K)."""
        debye, x, _ = self._cold
        bosons = torch.exp(-x) / -torch.expm1(-x)
        _, warm, _ = self._warm
        return R * torch.where(self._hot, 3 * warm, 12 * debye - 9 * x * bosons)

    @property
    def heat_capacity_slope(self) -> Tensor:
        """Derivative of the heat capacity with respect to the logarithm of theta, J/(mol-atom K)."""
        debye, x, _ = self._cold
        bosons = torch.exp(-x) / -torch.expm1(-x)
        cold = 9 * x * bosons * (3 - x / torch.expm1(-x)) - 36 * debye
        return R * torch.where(self._hot, 3 * self._warm[2], cold)

    @property
    def internal_energy(self) -> Tensor:
        """Vibrational internal energy, zero-point energy included, J/mol-atom."""
        debye, _, _ = self._cold
        warm, _, _ = self._warm
        return R * torch.where(self._hot, 3 * self.T * warm, self.theta * (9 / 8 + 3 * self._y * debye))

    @property
    def entropy(self) -> Tensor:
        """Vibrational entropy, J/(mol-atom K)."""
        debye, _, logarithm = self._cold
        warm = 4 * self._warm[0] - 3 * self._logarithm
        return R * torch.where(self._hot, warm, 4 * debye - logarithm)

    @property
    def free_energy(self) -> Tensor:
        """Vibrational Helmholtz free energy, zero-point energy included, J/mol-atom."""
        debye, _, logarithm = self._cold
        warm = self.T * (3 * self._logarithm - self._warm[0])
        cold = self.theta * (9 / 8 + self._y * (logarithm - debye))
        return R * torch.where(self._hot, warm, cold)


def heat_capacity(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Heat capacity at constant volume.

    Parameters
    ----------
    theta : Tensor or float
        Debye temperature, K, positive.
    T : Tensor or float
        Temperature, K, not negative; broadcasts against `theta`.

    Returns
    -------
    Tensor
        J/(mol-atom K), of the broadcast shape.

    Examples
    --------
    >>> import torch
    >>> round(heat_capacity(torch.tensor(645.0), 300.0).item(), 2)
    20.01
    """
    return DebyeSolid(theta, T).heat_capacity


def internal_energy(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Vibrational internal energy, zero-point energy included.

    Parameters and shape as in `heat_capacity`; J/mol-atom.
    """
    return DebyeSolid(theta, T).internal_energy


def entropy(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Vibrational entropy.

    Parameters and shape as in `heat_capacity`; J/(mol-atom K).
    """
    return DebyeSolid(theta, T).entropy


def free_energy(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Vibrational Helmholtz free energy, zero-point energy included.

    Parameters and shape as in `heat_capacity`; J/mol-atom.
    """
    return DebyeSolid(theta, T).free_energy


def debye_function(x: Tensor) -> Tensor:
    """Third Debye function, 3 / x^3 times the integral of t^3 / (e^t - 1) from 0 to x.

    Parameters
    ----------
    x : Tensor
        Debye temperature over temperature, positive.

    Returns
    -------
    Tensor
        Between 1 (x = 0) and 0, of the shape of `x`.
    """
    hot, x_hot, y = _split(x, 1.0)
    return torch.where(hot, _even_series(x_hot)[0] - 3 / 8 * x_hot, _cold_debye(y)[0])


def _split(theta: Tensor | float, T: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """Where x = theta / T is small; x there and y = T / theta elsewhere, each 1 outside its range."""
    for value in (theta, T):
        if not isinstance(value, Tensor) and (
            not isinstance(value, float | int) or isinstance(value, bool) or abs(value) > _LARGEST
        ):
            raise ArgumentError(
                f"value {shortly(value)}", "is neither a number nor a tensor", "Give kelvins."
            )
    hot = torch.as_tensor(theta < _SWITCH * T)
    return hot, theta / torch.where(hot, T, theta), torch.where(hot, theta, T) / theta


def _even_series(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """E(x), and the heat capacity and its slope over 3R, for small x."""
    powers = (x * x)[..., None] ** _N.to(x)
    energy, heat_capacity, slope = _sums(powers, _EVEN_SERIES)
    return energy, heat_capacity, slope


def _cold_debye(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """D(1/y) for small y, x = 1/y up to where e^-x is negligible, and 3 ln(1 - e^-x)."""
    x = 1 / y.clamp(min=1 / _FROZEN)
    powers = torch.exp(-x[..., None] * _K.to(x))
    second, third, fourth = _sums(powers, _POLYLOGARITHMS)
    logarithm = 3 * torch.log1p(-torch.exp(-x))
    return y**3 * (math.pi**4 / 5 - fourth) - y * (second + y * third) + logarithm, x, logarithm


def _sums(powers: Tensor, series: Tensor) -> tuple[Tensor, ...]:
    """Sum of each series, row by row: the last digit of a matrix product depends on the number of rows."""
    return tuple((powers * coefficients).sum(-1) for coefficients in series.to(powers))
