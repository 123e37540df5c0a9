r"""Thermodynamics of a Debye solid, differentiable in the Debye temperature and in the temperature.

Debye, Ann. Phys. 344, 789 (1912). With :math:`x = θ/T` everything follows from the third Debye function
:math:`D(x) = 3 x^{-3} \int_0^x t^3 / (e^t - 1)\,dt`:

.. math::

    U &= \tfrac98 Rθ + 3RT D(x)                 & S &= R\,[4 D(x) - 3 \ln(1 - e^{-x})] \\
    C_v &= 3R\,[4 D(x) - 3x / (e^x - 1)]        & F &= \tfrac98 Rθ + RT\,[3 \ln(1 - e^{-x}) - D(x)]

Two convergent series stand in for the integral. Below :math:`x = 2`, :math:`E(x) = D(x) + \tfrac38 x` is
an even power series with Bernoulli numbers that holds the zero-point energy too: :math:`U = 3RT E(x)`.
Above, the integral is :math:`π^4/15` less a sum over :math:`e^{-kx}`, written in :math:`y = T/θ` so that
:math:`T = 0` is an ordinary point. Both are exact to rounding, and so are their derivatives.

Arguments are tensors of any floating dtype that broadcast against each other, in K; one of the two may be a
plain number. All quantities are per mole of atoms. Debye temperatures must be positive and temperatures not
negative: the functions do not check this, for they run inside training steps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["debye_function", "entropy", "free_energy", "heat_capacity", "internal_energy"]

R = 8.31446261815324  # J/(mol K), exact in the SI

_SWITCH = 2.0  # the x at which one series hands over to the other; either is exact to rounding there
_FROZEN = 1e4  # x is held here: e^-x is zero long before, and 1 / y would overflow later

# E(x) = sum_n e_n x^2n with e_n = 3 B_2n / ((2n)! (2n + 3)), and C_v / 3R = E - x E'
_EVEN = torch.arange(2.0, 36.0, 2.0, dtype=torch.float64)
_ENERGY_SERIES = [1.0] + [
    (-1) ** (n + 1) * 6 * zeta / ((2 * n + 3) * (2 * math.pi) ** (2 * n))
    for n, zeta in enumerate(torch.special.zeta(_EVEN, 1).tolist(), start=1)
]
_HEAT_CAPACITY_SERIES = [(1 - 2 * n) * e for n, e in enumerate(_ENERGY_SERIES)]

_K = torch.arange(1, 21, dtype=torch.float64)
_POLYLOGARITHMS = torch.stack([9 / _K**2, 18 / _K**3, 18 / _K**4], dim=1)


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
    """
    hot, x, y = _split(theta, T)
    debye, x_cold = _cold_debye(y)
    bosons = torch.exp(-x_cold) / -torch.expm1(-x_cold)
    return R * torch.where(hot, 3 * _even_series(_HEAT_CAPACITY_SERIES, x), 12 * debye - 9 * x_cold * bosons)


def internal_energy(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Vibrational internal energy, zero-point energy included.

    Parameters and shape as in `heat_capacity`; J/mol-atom.
    """
    hot, x, y = _split(theta, T)
    debye, _ = _cold_debye(y)
    return R * torch.where(hot, 3 * T * _even_series(_ENERGY_SERIES, x), theta * (9 / 8 + 3 * y * debye))


def entropy(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Vibrational entropy.

    Parameters and shape as in `heat_capacity`; J/(mol-atom K).
    """
    hot, x, y = _split(theta, T)
    debye, x_cold = _cold_debye(y)
    warm = 4 * _even_series(_ENERGY_SERIES, x) - 3 * torch.log(2 * torch.sinh(x / 2))
    return R * torch.where(hot, warm, 4 * debye - 3 * torch.log1p(-torch.exp(-x_cold)))


def free_energy(theta: Tensor | float, T: Tensor | float) -> Tensor:
    """Vibrational Helmholtz free energy, zero-point energy included.

    Parameters and shape as in `heat_capacity`; J/mol-atom.
    """
    hot, x, y = _split(theta, T)
    debye, x_cold = _cold_debye(y)
    warm = T * (3 * torch.log(2 * torch.sinh(x / 2)) - _even_series(_ENERGY_SERIES, x))
    cold = theta * (9 / 8 + y * (3 * torch.log1p(-torch.exp(-x_cold)) - debye))
    return R * torch.where(hot, warm, cold)


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
    return torch.where(hot, _even_series(_ENERGY_SERIES, x_hot) - 3 / 8 * x_hot, _cold_debye(y)[0])


def _split(theta: Tensor | float, T: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """Where x = theta / T is small; x there and y = T / theta elsewhere, each 1 outside its range."""
    hot = torch.as_tensor(theta < _SWITCH * T)
    return hot, theta / torch.where(hot, T, theta), torch.where(hot, theta, T) / theta


def _even_series(coefficients: list[float], x: Tensor) -> Tensor:
    z = x * x
    total = torch.full_like(z, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * z + coefficient
    return total


def _cold_debye(y: Tensor) -> tuple[Tensor, Tensor]:
    """D(1/y) for small y, and x = 1/y up to where e^-x is negligible."""
    x = 1 / y.clamp(min=1 / _FROZEN)
    powers = torch.exp(-x[..., None] * _K.to(x))
    second, third, fourth = (powers @ _POLYLOGARITHMS.to(x)).unbind(-1)
    logarithm = 3 * torch.log1p(-torch.exp(-x))
    return y**3 * (math.pi**4 / 5 - fourth) - y * (second + y * third) + logarithm, x
