"""Functions of crystals at constant pressure, and their standard errors."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from cloud_model.physics.mixture import Spectra
from cloud_model.physics.quasi_harmonic import Equilibrium, Expansion, equilibrium

IsobaricFunction = Literal[
    "isobaric_heat_capacity",
    "entropy",
    "enthalpy",
    "gibbs_energy",
    "thermal_expansion",
    "bulk_modulus",
    "adiabatic_bulk_modulus",
    "volume",
]

_STEP = 1e-3  # of the logarithm of a parameter, for the derivatives behind an error bar


class UncertainExpansion(NamedTuple):
    """Parameters of F(V, T) besides the spectra, for a batch of crystals, in the order of the fields of `Expansion`.

    Attributes
    ----------
    logarithms : Tensor
        Natural logarithms, shape (batch, 5).
    errors : Tensor
        Their standard errors, shape (batch, 5).
    """

    logarithms: Tensor
    errors: Tensor


class IsobaricCrystals:
    """Crystals at given temperatures and a pressure, per mole of atoms.

    Enthalpy and Gibbs energy count from the enthalpy at 0 K without pressure. A standard error is what independent
    errors of the parameters make of a function; that of the spectra is also an error of their scale.

    Parameters
    ----------
    spectra : Spectra
        Spectra of a batch of crystals.
    expansion : UncertainExpansion
        Expansion of the same crystals.
    T : Tensor
        Temperatures, K, shape (nT,).
    pressure : float
        GPa, not negative.
    """

    def __init__(
        self, spectra: Spectra, expansion: UncertainExpansion, T: Tensor, pressure: float = 0.0
    ) -> None:
        errors = expansion.errors.clone()
        errors[:, 0] = torch.hypot(errors[:, 0], spectra.spread)
        self._errors = errors.T[..., None]
        steps = _STEP * torch.eye(errors.shape[1]).to(errors)
        shifts = torch.cat([torch.zeros_like(steps[:1]), steps, -steps])
        varied = (expansion.logarithms + shifts[:, None]).exp()
        self._spectra, self._expansion = spectra, Expansion(*varied.unbind(-1))
        self._state = equilibrium(spectra, self._expansion, T, pressure)

    @cached_property
    def _at_rest(self) -> Equilibrium:
        zero = torch.zeros(1).to(self._errors)
        return equilibrium(self._spectra, self._expansion, zero)

    def sensitivities(self, function: IsobaricFunction) -> tuple[Tensor, Tensor]:
        """Values of a function of `Equilibrium`, shape (batch, nT), and derivatives, shape (5, batch, nT).

        The derivatives are with respect to the logarithms of the fields of `Expansion`.
        """
        varied: Tensor = getattr(self._state, function)
        if function in ("enthalpy", "gibbs_energy"):
            varied = varied - self._at_rest.enthalpy
        above, below = varied[1:].chunk(2)
        return varied[0], (above - below) / (2 * _STEP)

    def __call__(self, function: IsobaricFunction) -> tuple[Tensor, Tensor]:
        """Values and standard errors of a function of `Equilibrium`, both of shape (batch, nT)."""
        value, derivatives = self.sensitivities(function)
        variances = (derivatives * self._errors).square()
        return value, sum(variances, torch.zeros_like(value)).sqrt()
