r"""Thermodynamics at constant pressure from one free energy F(V, T): quasi-harmonic, with a term beyond.

With :math:`x = \ln(V / V_0)`, per mole of atoms,

.. math::

    F(x, T) = V_0 B_0 Φ(x) + F_0(s, T) - \tfrac{1}{2} a\,U_0(s_0, T)^2, \qquad s = s_0 e^{-γx},

where :math:`F_0(s, T) = s F_0(1, T/s)` and :math:`U_0` are the free energy and the energy of a mixture of Debye spectra
whose temperatures are all scaled by s.

- Cold energy: the logarithmic equation of state (Poirier and Tarantola, Phys. Earth Planet. Inter. 109, 1 (1998)),
  :math:`Φ = (y^2/2 - y^3/6 + y^4/36) / b^2` with :math:`b = B' - 2` and :math:`y = b x`. Its third order is theirs;
  the fourth keeps :math:`Φ'' = 1 - y + y^2/3 \ge 1/4`, so that :math:`F + PV` is strictly convex in x and has one
  minimum at every temperature and every pressure >= 0.
- Vibrations: one Grüneisen parameter γ for all spectra (Mie-Grüneisen-Debye).
- Beyond: the first-order anharmonic free energy, bilinear in the occupation of the modes (Wallace, Thermodynamics of
  Crystals, 1972; Oganov and Dorogokupets, J. Phys.: Condens. Matter 16, 1351 (2004)), as the square of the mean
  energy at the static volume. It grows with :math:`T^2` at high and is constant but for :math:`T^4` at low temperature.

Everything else is a derivative at the volume where :math:`∂F/∂V = -P`. With C and U of the spectra at that volume and
:math:`G_{xx} = V_0 B_0 Φ'' + γ^2 (U - TC) + PV > 0`,

.. math::

    S &= -F_T & G &= F + PV & H &= G + TS & α &= γ C / G_{xx} \\
    C_v &= -T F_{TT} & C_p &= C_v + α^2 K_T V T & K_T &= G_{xx} / V & K_S &= K_T C_p / C_v .
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from cloud_model.physics.mixture import DebyeMixture, Spectra

__all__ = ["GPA_CUBIC_ANGSTROM", "Equilibrium", "Expansion", "equilibrium"]

GPA_CUBIC_ANGSTROM = 602.214076  # J/mol, exact in the SI

_SOFTENING = 2.5  # b = B' - 2: the static bulk modulus grows by 4.5 GPa a GPa
_STEPS = 60  # of the search for the volume, which ends in ten


class Expansion(NamedTuple):
    """Parameters of F(V, T) besides the spectra; positive tensors of one shape.

    Attributes
    ----------
    spectral_scale : Tensor
        Frequencies at the static volume over those of the spectra.
    volume : Tensor
        Static volume V0, cubic Angstrom per atom.
    bulk_modulus : Tensor
        Static bulk modulus B0, GPa.
    gruneisen : Tensor
        Grüneisen parameter γ.
    anharmonicity : Tensor
        The coefficient a, mol/J.
    """

    spectral_scale: Tensor
    volume: Tensor
    bulk_modulus: Tensor
    gruneisen: Tensor
    anharmonicity: Tensor


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """Crystals at temperatures, each at a strain; at that of `equilibrium` its functions are those at the pressure.

    All quantities are per mole of atoms and have the shape of the temperatures, whose last axis is none of the spectra
    and of the expansion.

    Attributes
    ----------
    spectra : Spectra
        Shapes (..., K).
    expansion : Expansion
        Shape (...).
    T, P : Tensor
        Temperature, K, and pressure, GPa, not negative, of shapes that broadcast to (..., nT).
    strain : Tensor
        ln(V / V0), shape (..., nT).
    """

    spectra: Spectra
    expansion: Expansion
    T: Tensor
    P: Tensor
    strain: Tensor

    @cached_property
    def _parameters(self) -> Expansion:
        return Expansion(*(parameter[..., None] for parameter in self.expansion))

    @cached_property
    def _scale(self) -> Tensor:
        return self._parameters.spectral_scale * torch.exp(-self._parameters.gruneisen * self.strain)

    @cached_property
    def _mixture(self) -> DebyeMixture:
        """The spectra at the temperature at which those that are scaled have the same occupation."""
        return DebyeMixture(self.spectra, self.T / self._scale)

    @cached_property
    def _static(self) -> DebyeMixture:
        return DebyeMixture(self.spectra, (self.T / self._parameters.spectral_scale).expand_as(self.strain))

    @property
    def _cold_stiffness(self) -> Tensor:
        """V0 B0, J/mol-atom."""
        return GPA_CUBIC_ANGSTROM * self._parameters.volume * self._parameters.bulk_modulus

    @property
    def _work(self) -> Tensor:
        """PV, J/mol-atom."""
        return GPA_CUBIC_ANGSTROM * self.P * self.volume

    @property
    def _energy(self) -> Tensor:
        """U of the spectra, J/mol-atom."""
        return self._scale * self._mixture.internal_energy

    @property
    def _static_energy(self) -> Tensor:
        return self._parameters.spectral_scale * self._static.internal_energy

    @property
    def slope(self) -> Tensor:
        """Derivative of F + PV by the strain, J/mol-atom; zero at equilibrium."""
        y = _SOFTENING * self.strain
        cold = self._cold_stiffness * y * (1 - y / 2 + y**2 / 9) / _SOFTENING
        return cold - self._parameters.gruneisen * self._energy + self._work

    @cached_property
    def stiffness(self) -> Tensor:
        """Second derivative of F + PV by the strain, J/mol-atom, positive."""
        y = _SOFTENING * self.strain
        zero_point = self._energy - self.T * self._mixture.heat_capacity
        return (
            self._cold_stiffness * (1 - y + y**2 / 3)
            + self._parameters.gruneisen**2 * zero_point
            + self._work
        )

    @property
    def volume(self) -> Tensor:
        """Volume, cubic Angstrom per atom."""
        return self._parameters.volume * torch.exp(self.strain)

    @property
    def thermal_expansion(self) -> Tensor:
        """Coefficient of volume expansion, 1/K."""
        return self._parameters.gruneisen * self._mixture.heat_capacity / self.stiffness

    @property
    def bulk_modulus(self) -> Tensor:
        """Isothermal bulk modulus, GPa."""
        return self.stiffness / (GPA_CUBIC_ANGSTROM * self.volume)

    @property
    def adiabatic_bulk_modulus(self) -> Tensor:
        """Adiabatic bulk modulus, GPa."""
        isochoric = self.isochoric_heat_capacity
        share = torch.where(isochoric > 0, self._mixture.heat_capacity / isochoric, 1.0)
        return self.bulk_modulus * (1 + share * self._parameters.gruneisen * self.thermal_expansion * self.T)

    @property
    def isochoric_heat_capacity(self) -> Tensor:
        """Heat capacity Cv at this volume, J/(mol-atom K)."""
        heat_capacity = self._static.heat_capacity
        growth = -self._static.derivative("heat_capacity")  # T dC/dT
        anharmonic = self.T * heat_capacity**2 + self._static_energy * growth
        return self._mixture.heat_capacity + self._parameters.anharmonicity * anharmonic

    @property
    def isobaric_heat_capacity(self) -> Tensor:
        """Heat capacity Cp, J/(mol-atom K)."""
        pressure = self._parameters.gruneisen * self._mixture.heat_capacity  # V dP/dT at constant volume
        return self.isochoric_heat_capacity + self.T * pressure**2 / self.stiffness

    @property
    def entropy(self) -> Tensor:
        """Entropy, J/(mol-atom K)."""
        anharmonic = self._static_energy * self._static.heat_capacity
        return self._mixture.entropy + self._parameters.anharmonicity * anharmonic

    @property
    def free_energy(self) -> Tensor:
        """Helmholtz free energy, from the energy of the static lattice at V0, J/mol-atom."""
        y = _SOFTENING * self.strain
        cold = self._cold_stiffness * y**2 * (1 / 2 - y / 6 + y**2 / 36) / _SOFTENING**2
        anharmonic = self._parameters.anharmonicity * self._static_energy**2 / 2
        return cold + self._scale * self._mixture.free_energy - anharmonic

    @property
    def gibbs_energy(self) -> Tensor:
        """Gibbs energy, from the energy of the static lattice at V0, J/mol-atom."""
        return self.free_energy + self._work

    @property
    def enthalpy(self) -> Tensor:
        """Enthalpy, from the energy of the static lattice at V0, J/mol-atom."""
        return self.gibbs_energy + self.T * self.entropy

    def moved(self) -> Equilibrium:
        """One step of Newton's nearer to equilibrium; differentiable by the parameters, the temperature and pressure.

        From equilibrium the step is zero and its first derivatives are those of the equilibrium strain.
        """
        strain = self.strain.detach() - self.slope / self.stiffness.detach()
        return Equilibrium(self.spectra, self.expansion, self.T, self.P, strain)


def equilibrium(
    spectra: Spectra, expansion: Expansion, T: Tensor | float, P: Tensor | float = 0.0
) -> Equilibrium:
    """Crystals at the volume that minimises F + PV.

    Parameters
    ----------
    spectra, expansion
        Shapes (..., K) and (...), float64.
    T, P : Tensor or float
        K and GPa, not negative, of shapes that broadcast with (..., 1) to (..., nT).

    Returns
    -------
    Equilibrium
        First derivatives of its functions by whatever requires gradients are exact.
    """
    volume = expansion.volume[..., None]
    T, P = (torch.as_tensor(x, dtype=volume.dtype, device=volume.device) for x in (T, P))
    with torch.no_grad():
        here = Equilibrium(spectra, expansion, T, P, torch.zeros_like(volume + T + P))
        here = _solve(here)
    return here.moved() if torch.is_grad_enabled() else here


def _solve(here: Equilibrium) -> Equilibrium:
    """Newton's method from the static volume, within a bracket.

    The slope grows with the strain. Its cold part is at least a quarter of the strain beyond it, and the vibrations
    push no more than at x = 0, which PV alone resists where it has grown as large; before it the cold part is at least
    the strain, and the pressure pushes no more.
    """
    lower = here.strain - here.P / here.expansion.bulk_modulus[..., None]
    push = here._work - here.slope
    upper = torch.minimum(4 * push / here._cold_stiffness, (push / here._work).log().clamp(min=0))
    found = torch.zeros_like(here.strain, dtype=torch.bool)
    for _ in range(_STEPS):
        slope, x = here.slope, here.strain
        lower, upper = torch.where(slope < 0, x, lower), torch.where(slope < 0, upper, x)
        step = x - slope / here.stiffness
        new = torch.where((step >= lower) & (step <= upper), step, (lower + upper) / 2)
        new = torch.where(found, x, new)
        here = Equilibrium(here.spectra, here.expansion, here.T, here.P, new)
        found = (new - x).abs() <= 4 * torch.finfo(x.dtype).eps * (1 + x.abs())
        if bool(found.all()):
            break
    return here
