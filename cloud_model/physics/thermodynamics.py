"""Vibrational thermodynamics of one crystal over temperature."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cloud_model.errors import PropertyError
from cloud_model.physics import debye
from cloud_model.physics.isobaric import IsobaricCrystals, IsobaricFunction, UncertainExpansion
from cloud_model.physics.mixture import DebyeFunction, DebyeMixture, Spectra

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_KELVIN_TO_THZ = 1.380649e-23 / 6.62607015e-34 * 1e-12  # k / h, exact in the SI


class Quantity(NamedTuple):
    """A thermodynamic quantity: which function it is, per mole of what, in which unit."""

    function: DebyeFunction
    basis: Literal["atom", "cell"]
    unit: str
    description: str


class IsobaricQuantity(NamedTuple):
    """A quantity at constant pressure, as `Quantity`; ``crystal`` is per mole of nothing."""

    function: IsobaricFunction
    basis: Literal["atom", "cell", "crystal"]
    unit: str
    description: str


QUANTITIES = {
    "heat_capacity_per_atom": Quantity(
        "heat_capacity", "atom", "J/(mol-atom K)", "Heat capacity at constant volume"
    ),
    "heat_capacity": Quantity("heat_capacity", "cell", "J/(mol K)", "Heat capacity at constant volume"),
    "vibrational_internal_energy_per_atom": Quantity(
        "internal_energy", "atom", "J/mol-atom", "Vibrational internal energy, zero-point energy included"
    ),
    "vibrational_internal_energy": Quantity(
        "internal_energy", "cell", "J/mol", "Vibrational internal energy, zero-point energy included"
    ),
    "vibrational_entropy_per_atom": Quantity("entropy", "atom", "J/(mol-atom K)", "Vibrational entropy"),
    "vibrational_entropy": Quantity("entropy", "cell", "J/(mol K)", "Vibrational entropy"),
    "vibrational_free_energy_per_atom": Quantity(
        "free_energy", "atom", "J/mol-atom", "Vibrational Helmholtz free energy, zero-point energy included"
    ),
    "vibrational_free_energy": Quantity(
        "free_energy", "cell", "J/mol", "Vibrational Helmholtz free energy, zero-point energy included"
    ),
}
"""Name -> quantity of the harmonic crystal; each is a property of checkpoints and an attribute of `Thermodynamics`."""

ISOBARIC_QUANTITIES = {
    "isobaric_heat_capacity_per_atom": IsobaricQuantity(
        "isobaric_heat_capacity", "atom", "J/(mol-atom K)", "Heat capacity at constant pressure"
    ),
    "isobaric_heat_capacity": IsobaricQuantity(
        "isobaric_heat_capacity", "cell", "J/(mol K)", "Heat capacity at constant pressure"
    ),
    "isobaric_entropy_per_atom": IsobaricQuantity(
        "entropy", "atom", "J/(mol-atom K)", "Entropy of the expanded crystal"
    ),
    "isobaric_entropy": IsobaricQuantity("entropy", "cell", "J/(mol K)", "Entropy of the expanded crystal"),
    "enthalpy_per_atom": IsobaricQuantity("enthalpy", "atom", "J/mol-atom", "Enthalpy, from that at 0 K"),
    "enthalpy": IsobaricQuantity("enthalpy", "cell", "J/mol", "Enthalpy, from that at 0 K"),
    "gibbs_energy_per_atom": IsobaricQuantity(
        "gibbs_energy", "atom", "J/mol-atom", "Gibbs energy, from the enthalpy at 0 K"
    ),
    "gibbs_energy": IsobaricQuantity(
        "gibbs_energy", "cell", "J/mol", "Gibbs energy, from the enthalpy at 0 K"
    ),
}
"""Name -> quantity at constant pressure; as `QUANTITIES` of checkpoints that know how crystals expand."""

STATE_QUANTITIES = {
    "thermal_expansion": IsobaricQuantity(
        "thermal_expansion", "crystal", "1/K", "Coefficient of volume expansion"
    ),
    "bulk_modulus": IsobaricQuantity("bulk_modulus", "crystal", "GPa", "Isothermal bulk modulus"),
    "adiabatic_bulk_modulus": IsobaricQuantity(
        "adiabatic_bulk_modulus", "crystal", "GPa", "Adiabatic bulk modulus"
    ),
    "volume_per_atom": IsobaricQuantity("volume", "atom", "A^3", "Volume"),
}
"""Name -> quantity that is an attribute of `Thermodynamics` only, since a property of a static crystal has its name."""

_ALL: dict[str, Quantity | IsobaricQuantity] = {**QUANTITIES, **ISOBARIC_QUANTITIES, **STATE_QUANTITIES}


def _curve(name: str, error: bool = False) -> property:
    quantity = _ALL[name]

    def curve(self: Thermodynamics) -> Array:
        curves = self._harmonic if name in QUANTITIES else self._isobaric
        return self._scale(name) * curves[quantity.function][error]

    what = f"Standard error of `{name}`" if error else quantity.description
    return property(curve, doc=f"{what}, {quantity.unit}, shape (nT,).")


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    """Thermodynamic functions of one crystal over temperature: harmonic, and at constant pressure.

    The harmonic functions derive from one partition function, that of a mixture of Debye spectra, so
    ``C = dU/dT = T dS/dT`` and ``F = U - TS`` hold exactly. Those at constant pressure derive from the free energy of
    `cloud_model.physics.quasi_harmonic`, so ``Cp = dH/dT = T dS/dT`` and ``G = H - TS`` do; checkpoints that do not
    know how crystals expand have none, and their attributes raise a `PropertyError`. Attributes have the names of the
    columns of `CloudModel.predict`: those that end in ``_per_atom`` are per mole of atoms, the others per mole of the
    cell that was passed in or, as ``thermal_expansion``, of nothing; ``<name>_std`` is the standard error.

    Parameters
    ----------
    temperatures : ndarray
        Temperatures, K, shape (nT,).
    debye_temperatures : ndarray
        Debye temperatures of the spectra, K, shape (K,).
    weights : ndarray
        Share of the modes in each spectrum, shape (K,), sum 1.
    n_atoms : int, optional
        Atoms in the cell that was passed in; None when it is not known, as for a SCOPE string. Quantities per cell
        then raise a `PropertyError`.
    spread : float
        Relative standard error common to all Debye temperatures. NaN, as are all standard errors then, if it is not
        known.
    floor : float
        Share of the modes that may lie at the lowest frequencies unnoticed.
    expansion : UncertainExpansion, optional
        What the free energy has beyond the spectra, shapes (1, 5).
    pressure : float
        GPa, of the functions at constant pressure.
    """

    temperatures: Array
    debye_temperatures: Array
    weights: Array
    n_atoms: int | None = None
    spread: float = field(default=float("nan"), repr=False)
    floor: float = field(default=0.0, repr=False)
    expansion: UncertainExpansion | None = field(default=None, repr=False)
    pressure: float = 0.0

    heat_capacity_per_atom = _curve("heat_capacity_per_atom")
    heat_capacity_per_atom_std = _curve("heat_capacity_per_atom", error=True)
    heat_capacity = _curve("heat_capacity")
    heat_capacity_std = _curve("heat_capacity", error=True)
    vibrational_internal_energy_per_atom = _curve("vibrational_internal_energy_per_atom")
    vibrational_internal_energy_per_atom_std = _curve("vibrational_internal_energy_per_atom", error=True)
    vibrational_internal_energy = _curve("vibrational_internal_energy")
    vibrational_internal_energy_std = _curve("vibrational_internal_energy", error=True)
    vibrational_entropy_per_atom = _curve("vibrational_entropy_per_atom")
    vibrational_entropy_per_atom_std = _curve("vibrational_entropy_per_atom", error=True)
    vibrational_entropy = _curve("vibrational_entropy")
    vibrational_entropy_std = _curve("vibrational_entropy", error=True)
    vibrational_free_energy_per_atom = _curve("vibrational_free_energy_per_atom")
    vibrational_free_energy_per_atom_std = _curve("vibrational_free_energy_per_atom", error=True)
    vibrational_free_energy = _curve("vibrational_free_energy")
    vibrational_free_energy_std = _curve("vibrational_free_energy", error=True)

    isobaric_heat_capacity_per_atom = _curve("isobaric_heat_capacity_per_atom")
    isobaric_heat_capacity_per_atom_std = _curve("isobaric_heat_capacity_per_atom", error=True)
    isobaric_heat_capacity = _curve("isobaric_heat_capacity")
    isobaric_heat_capacity_std = _curve("isobaric_heat_capacity", error=True)
    isobaric_entropy_per_atom = _curve("isobaric_entropy_per_atom")
    isobaric_entropy_per_atom_std = _curve("isobaric_entropy_per_atom", error=True)
    isobaric_entropy = _curve("isobaric_entropy")
    isobaric_entropy_std = _curve("isobaric_entropy", error=True)
    enthalpy_per_atom = _curve("enthalpy_per_atom")
    enthalpy_per_atom_std = _curve("enthalpy_per_atom", error=True)
    enthalpy = _curve("enthalpy")
    enthalpy_std = _curve("enthalpy", error=True)
    gibbs_energy_per_atom = _curve("gibbs_energy_per_atom")
    gibbs_energy_per_atom_std = _curve("gibbs_energy_per_atom", error=True)
    gibbs_energy = _curve("gibbs_energy")
    gibbs_energy_std = _curve("gibbs_energy", error=True)
    thermal_expansion = _curve("thermal_expansion")
    thermal_expansion_std = _curve("thermal_expansion", error=True)
    bulk_modulus = _curve("bulk_modulus")
    bulk_modulus_std = _curve("bulk_modulus", error=True)
    adiabatic_bulk_modulus = _curve("adiabatic_bulk_modulus")
    adiabatic_bulk_modulus_std = _curve("adiabatic_bulk_modulus", error=True)
    volume_per_atom = _curve("volume_per_atom")
    volume_per_atom_std = _curve("volume_per_atom", error=True)

    @property
    def zero_point_energy_per_atom(self) -> float:
        """Zero-point energy, J/mol-atom."""
        return float(9 / 8 * debye.R * (self.weights @ self.debye_temperatures))

    @property
    def cutoff_frequencies(self) -> Array:
        """Highest frequency of each Debye spectrum, THz, shape (K,)."""
        cutoffs: Array = _KELVIN_TO_THZ * self.debye_temperatures
        return cutoffs

    def density_of_states(self, frequencies: ArrayLike) -> Array:
        """Density of states of the mixture, ``sum_k w_k 9 f^2 / f_k^3`` for f below each cut-off ``f_k``.

        Parameters
        ----------
        frequencies : array_like
            Frequencies, THz, shape (n,).

        Returns
        -------
        ndarray
            Modes per atom and THz, shape (n,); its integral is 3.
        """
        f = np.asarray(frequencies, dtype=float)[:, None]
        cutoffs = self.cutoff_frequencies
        spectra = np.where((f >= 0) & (f <= cutoffs), 9 * f**2 / cutoffs**3, 0.0)
        return spectra @ self.weights

    def to_frame(self) -> pd.DataFrame:
        """Table with one row a temperature.

        Returns
        -------
        DataFrame
            ``temperature`` in K, and a column for each attribute: ``heat_capacity_per_atom`` and
            ``vibrational_entropy_per_atom`` in J/(mol-atom K), ``vibrational_internal_energy_per_atom`` and
            ``vibrational_free_energy_per_atom`` in J/mol-atom, each followed by its standard error ``<name>_std``.
            With an expansion, the same of ``isobaric_heat_capacity``, ``isobaric_entropy``, ``enthalpy`` and
            ``gibbs_energy``, then ``thermal_expansion`` in 1/K, ``bulk_modulus`` and ``adiabatic_bulk_modulus`` in GPa
            and ``volume_per_atom`` in cubic Angstrom. Where `n_atoms` is known, all that is extensive per mole of cells
            too, without ``_per_atom``.
        """
        import pandas as pd

        columns = {"temperature": self.temperatures}
        for basis in ("atom",) if self.n_atoms is None else ("atom", "cell"):
            known = QUANTITIES if self.expansion is None else _ALL
            bases = (basis, "crystal") if basis == "atom" else (basis,)
            for name in [name for name, quantity in known.items() if quantity.basis in bases]:
                columns[name], columns[f"{name}_std"] = getattr(self, name), getattr(self, f"{name}_std")
        return pd.DataFrame(columns)

    def plot(self, title: str = "") -> Figure:
        """Draw the heat capacity over the temperature, at constant volume and, with an expansion, pressure."""
        from cloud_model.display.plots import heat_capacity_figure

        return heat_capacity_figure(
            self.temperatures,
            self.heat_capacity_per_atom,
            self.heat_capacity_per_atom_std,
            isobaric=None if self.expansion is None else self.isobaric_heat_capacity_per_atom,
            title=title,
        )

    def _repr_html_(self) -> str:
        from cloud_model.display.html import render
        from cloud_model.display.plots import svg

        return render(
            "cloud_model.display",
            "thermodynamics.html.j2",
            thermodynamics=self,
            spectra=sorted(zip(self.debye_temperatures, self.weights, strict=True)),
            figure=svg(self.plot()),
        )

    @property
    def _spectra(self) -> Spectra:
        parts = (self.debye_temperatures, self.weights, self.spread, self.floor)
        return Spectra(*(torch.as_tensor(part, dtype=torch.float64) for part in parts))

    @cached_property
    def _isobaric(self) -> dict[str, tuple[Array, Array]]:
        """Each function at constant pressure per mole of atoms, and its standard error."""
        if self.expansion is None:
            raise PropertyError(
                "Properties at constant pressure",
                "are not known to this checkpoint",
                "Use another checkpoint.",
            )
        T = torch.as_tensor(self.temperatures, dtype=torch.float64)
        batch = self._spectra.each(lambda part: part[None])
        crystal = IsobaricCrystals(batch, self.expansion, T, self.pressure)
        quantities = ISOBARIC_QUANTITIES | STATE_QUANTITIES
        functions = {quantity.function for quantity in quantities.values()}
        curves = {function: crystal(function) for function in functions}
        return {function: (value[0].numpy(), error[0].numpy()) for function, (value, error) in curves.items()}

    @cached_property
    def _harmonic(self) -> dict[str, tuple[Array, Array]]:
        """Each harmonic function per mole of atoms, and its standard error."""
        mixture = DebyeMixture(self._spectra, torch.as_tensor(self.temperatures, dtype=torch.float64))
        functions = {quantity.function for quantity in QUANTITIES.values()}
        return {
            function: (getattr(mixture, function).numpy(), mixture.standard_error(function).numpy())
            for function in functions
        }

    def _scale(self, name: str) -> int:
        if _ALL[name].basis != "cell":
            return 1
        if self.n_atoms is None:
            raise PropertyError(
                name,
                "is per cell, and this crystal has no known cell",
                f"Use {name}_per_atom, or pass a cell.",
            )
        return self.n_atoms
