"""Deviation of CLOUD's heat capacity from a harmonic one, and the best that one Debye temperature could do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from cloud_model.crystal.crystal import Crystal
from cloud_model.display.html import render
from cloud_model.display.plots import density_of_states_figure, heat_capacity_figure, svg
from cloud_model.errors import ArgumentError
from cloud_model.physics import debye
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_plugins.phonopy.cells import atoms_in_primitive_cell, formula
from cloud_plugins.phonopy.spectrum import Array, PhononSpectrum

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Basis = Literal["atom", "primitive", "cell"]

_DEBYE_TEMPERATURES = np.geomspace(5.0, 10_000.0, 400)
_ROOM_TEMPERATURE = 300.0


@dataclass(frozen=True, eq=False)
class HeatCapacityValidation:
    """CLOUD's vibrational thermodynamics beside those of harmonic phonons.

    All properties are per mole of atoms; `to_frame` gives them per cell too.

    Parameters
    ----------
    crystal : Crystal or str
        What CLOUD predicted; a string is SCOPE.
    source : str
        Where the phonons come from.
    spectrum : PhononSpectrum
        Harmonic phonons.
    cloud : Thermodynamics
        CLOUD's prediction; its temperatures are those of the comparison.
    n_q_points : int or None
        q-points of the mesh; None for a density of states.
    mesh_change : float or None
        Largest relative change of the heat capacity against a mesh of half the density.
    warnings : tuple of str
        What the user should know.
    """

    crystal: Crystal | str
    source: str
    spectrum: PhononSpectrum
    cloud: Thermodynamics
    n_q_points: int | None = None
    mesh_change: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def temperatures(self) -> Array:
        """Temperatures, K, shape (nT,)."""
        return self.cloud.temperatures

    @cached_property
    def formula(self) -> str:
        """Reduced formula of the crystal; the SCOPE string where there is nothing else."""
        return self.crystal if isinstance(self.crystal, str) else formula(self.crystal)

    @property
    def n_atoms_cell(self) -> int | None:
        """Atoms in the cell that was passed in; None for SCOPE."""
        return None if isinstance(self.crystal, str) else len(self.crystal)

    @cached_property
    def n_atoms_primitive(self) -> int | None:
        """Atoms in the primitive cell; None for SCOPE."""
        return None if isinstance(self.crystal, str) else atoms_in_primitive_cell(self.crystal)

    @property
    def stable(self) -> bool:
        """Whether the harmonic phonons are real."""
        return self.spectrum.stable

    @cached_property
    def harmonic_heat_capacity(self) -> Array:
        """Heat capacity of the phonons, J/(mol-atom K), shape (nT,)."""
        return self.spectrum.heat_capacity(self.temperatures)

    @property
    def error(self) -> Array:
        """CLOUD's heat capacity less the harmonic one, J/(mol-atom K), shape (nT,)."""
        return self.cloud.heat_capacity_per_atom - self.harmonic_heat_capacity

    @property
    def mae(self) -> float:
        """Mean of the absolute error over the temperatures, J/(mol-atom K)."""
        return float(np.abs(self.error).mean())

    @property
    def max_error(self) -> float:
        """Largest absolute error, J/(mol-atom K)."""
        return float(np.abs(self.error).max())

    @property
    def max_error_temperature(self) -> float:
        """Temperature of the largest absolute error, K."""
        return float(self.temperatures[np.abs(self.error).argmax()])

    @cached_property
    def debye_temperature(self) -> float:
        """Debye temperature that has the harmonic heat capacity at 300 K, K."""
        return _debye_temperature_of(self.spectrum.heat_capacity([_ROOM_TEMPERATURE]).item())

    @cached_property
    def cloud_debye_temperature(self) -> float:
        """Debye temperature that has CLOUD's heat capacity at 300 K, K."""
        at_room_temperature = Thermodynamics(
            np.array([_ROOM_TEMPERATURE]), self.cloud.debye_temperatures, self.cloud.weights
        )
        return _debye_temperature_of(at_room_temperature.heat_capacity_per_atom.item())

    @cached_property
    def best_debye_temperature(self) -> float:
        """Debye temperature of the least mean absolute error against the harmonic heat capacity, K."""
        return _best_debye_temperature(self.temperatures, self.harmonic_heat_capacity)

    @property
    def debye_floor_heat_capacity(self) -> Array:
        """Heat capacity of the best single Debye temperature, J/(mol-atom K), shape (nT,)."""
        return _heat_capacity(self.best_debye_temperature, self.temperatures)

    @property
    def debye_floor(self) -> float:
        """Mean absolute error of the best single Debye temperature, J/(mol-atom K)."""
        return float(np.abs(self.debye_floor_heat_capacity - self.harmonic_heat_capacity).mean())

    def to_frame(self, basis: Basis = "atom") -> pd.DataFrame:
        """Table with one row a temperature.

        Parameters
        ----------
        basis : {"atom", "primitive", "cell"}
            Per mole of atoms, of primitive cells, or of the cells that were passed in.

        Returns
        -------
        DataFrame
            ``temperature`` in K. With prefix ``harmonic_`` or ``cloud_``: ``heat_capacity`` and
            ``entropy`` in J/(mol K), ``thermal_energy``, that is U - U(0), and ``free_energy``, zero-point
            energy included, in J/mol. ``debye_floor_heat_capacity``, of the best single Debye temperature,
            in J/(mol K).

        Raises
        ------
        ArgumentError
            The number of atoms of that cell is not known.
        """
        import pandas as pd

        T, phonons, cloud = self.temperatures, self.spectrum, self.cloud
        columns = {
            "harmonic_heat_capacity": self.harmonic_heat_capacity,
            "cloud_heat_capacity": cloud.heat_capacity_per_atom,
            "debye_floor_heat_capacity": self.debye_floor_heat_capacity,
            "harmonic_thermal_energy": phonons.thermal_energy(T),
            "cloud_thermal_energy": cloud.vibrational_internal_energy_per_atom
            - cloud.zero_point_energy_per_atom,
            "harmonic_entropy": phonons.entropy(T),
            "cloud_entropy": cloud.vibrational_entropy_per_atom,
            "harmonic_free_energy": phonons.free_energy(T),
            "cloud_free_energy": cloud.vibrational_free_energy_per_atom,
        }
        return pd.DataFrame({"temperature": T, **{k: self._atoms(basis) * v for k, v in columns.items()}})

    def summary(self) -> dict[str, Any]:
        """Figures of merit, in the units of the properties of the same names."""
        return {
            "formula": self.formula,
            "source": self.source,
            "mae": self.mae,
            "max_error": self.max_error,
            "max_error_temperature": self.max_error_temperature,
            "debye_floor": self.debye_floor,
            "debye_temperature": self.debye_temperature,
            "best_debye_temperature": self.best_debye_temperature,
            "cloud_debye_temperature": self.cloud_debye_temperature,
            "harmonic_zero_point_energy": self.spectrum.zero_point_energy,
            "cloud_zero_point_energy": self.cloud.zero_point_energy_per_atom,
            "stable": self.stable,
            "imaginary_share": self.spectrum.imaginary_share,
            "n_atoms_primitive": self.n_atoms_primitive,
            "n_atoms_cell": self.n_atoms_cell,
            "n_q_points": self.n_q_points,
            "mesh_change": self.mesh_change,
            "warnings": list(self.warnings),
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and strings, ready for JSON; per mole of atoms."""
        spectra = zip(self.cloud.debye_temperatures.tolist(), self.cloud.weights.tolist(), strict=True)
        return {
            **self.summary(),
            "cloud_spectra": [{"debye_temperature": theta, "weight": weight} for theta, weight in spectra],
            "table": self.to_frame().to_dict(orient="list"),
        }

    def plot(self, experiment: tuple[ArrayLike, ArrayLike] | None = None) -> Figure:
        """Draw the heat capacities, with the best single Debye temperature and measured points if given.

        Parameters
        ----------
        experiment : tuple of array_like, optional
            Temperatures in K and heat capacities in J/(mol-atom K), shape (n,) each. Most are measured at
            constant pressure and lie above by Cp - Cv.

        Returns
        -------
        matplotlib.figure.Figure
            Call its ``savefig(path)``.
        """
        cloud = self.cloud
        return heat_capacity_figure(
            self.temperatures,
            cloud.heat_capacity_per_atom,
            cloud.heat_capacity_per_atom_std,
            isobaric=None if cloud.expansion is None else cloud.isobaric_heat_capacity_per_atom,
            harmonic=self.harmonic_heat_capacity,
            debye_floor=self.debye_floor_heat_capacity,
            experiment=experiment,
            title=self.formula,
        )

    def plot_density_of_states(self) -> Figure:
        """Draw the phonon density of states before CLOUD's Debye spectra."""
        frequencies, density = self.spectrum.density_of_states()
        grid = np.linspace(0, 1.03 * max(self.cloud.cutoff_frequencies.max(), frequencies[-1]), 2000)
        return density_of_states_figure(
            grid, self.cloud.density_of_states(grid), harmonic=(frequencies, density), title=self.formula
        )

    def to_html(self) -> str:
        """Fragment of HTML: figures of merit, both plots and the table."""
        return render(
            "cloud_plugins.phonopy",
            "crystal.html.j2",
            result=self,
            spectra=sorted(zip(self.cloud.debye_temperatures, self.cloud.weights, strict=True)),
            table=self.to_frame().to_html(index=False, border=0, float_format="%.4g"),
            svg=svg,
        )

    def _repr_html_(self) -> str:
        return f"<h3>{self.formula}</h3>{self.to_html()}"

    def _atoms(self, basis: Basis) -> int:
        counts = {"atom": 1, "primitive": self.n_atoms_primitive, "cell": self.n_atoms_cell}
        count = counts.get(basis)
        if count is None:
            raise ArgumentError(
                f"basis {basis!r}", "is unknown for this crystal", "Use 'atom', or pass a crystal."
            )
        return count


def _heat_capacity(theta: ArrayLike, temperatures: ArrayLike) -> Array:
    """Debye heat capacities, J/(mol-atom K), shape (..., nT) for Debye temperatures of shape (...)."""
    thetas = torch.as_tensor(theta, dtype=torch.float64)[..., None]
    return debye.heat_capacity(thetas, torch.as_tensor(temperatures, dtype=torch.float64)).numpy()


def _debye_temperature_of(heat_capacity: float) -> float:
    """Debye temperature with this heat capacity, J/(mol-atom K), at 300 K."""
    return float(
        brentq(lambda theta: _heat_capacity(theta, [_ROOM_TEMPERATURE]).item() - heat_capacity, 0.1, 1e5)
    )


def _best_debye_temperature(temperatures: Array, heat_capacity: Array) -> float:
    def loss(theta: float) -> float:
        return float(np.abs(_heat_capacity(theta, temperatures) - heat_capacity).mean())

    coarse = np.abs(_heat_capacity(_DEBYE_TEMPERATURES, temperatures) - heat_capacity).mean(axis=-1)
    near = int(np.clip(coarse.argmin(), 1, len(coarse) - 2))
    bounds = _DEBYE_TEMPERATURES[near - 1], _DEBYE_TEMPERATURES[near + 1]
    return float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3}).x)
