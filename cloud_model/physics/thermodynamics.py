"""Vibrational thermodynamics of a mixture of Debye spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cloud_model.physics import debye

if TYPE_CHECKING:
    import pandas as pd

_KELVIN_TO_THZ = 1.380649e-23 / 6.62607015e-34 * 1e-12  # k / h, exact in the SI


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    """Heat capacity, energy, entropy and free energy of one crystal over temperature.

    All four derive from one partition function, that of a mixture of Debye spectra, so
    ``C = dU/dT = T dS/dT`` and ``F = U - TS`` hold exactly.

    Parameters
    ----------
    temperatures : ndarray
        Temperatures, K, shape (nT,).
    debye_temperatures : ndarray
        Debye temperatures of the spectra, K, shape (K,).
    weights : ndarray
        Share of the modes in each spectrum, shape (K,), sum 1.
    n_atoms : int, optional
        Atoms in the cell that was passed in; None when it is not known, as for a SCOPE string.
    heat_capacity_std : ndarray, optional
        Standard error of `heat_capacity`, J/(mol-atom K), shape (nT,).
    """

    temperatures: NDArray[np.float64]
    debye_temperatures: NDArray[np.float64]
    weights: NDArray[np.float64]
    n_atoms: int | None = None
    heat_capacity_std: NDArray[np.float64] | None = None

    @cached_property
    def heat_capacity(self) -> NDArray[np.float64]:
        """Heat capacity at constant volume, J/(mol-atom K), shape (nT,)."""
        return self._mix(debye.heat_capacity)

    @cached_property
    def internal_energy(self) -> NDArray[np.float64]:
        """Internal energy with the zero-point energy, J/mol-atom, shape (nT,)."""
        return self._mix(debye.internal_energy)

    @cached_property
    def entropy(self) -> NDArray[np.float64]:
        """Entropy, J/(mol-atom K), shape (nT,)."""
        return self._mix(debye.entropy)

    @cached_property
    def free_energy(self) -> NDArray[np.float64]:
        """Helmholtz free energy with the zero-point energy, J/mol-atom, shape (nT,)."""
        return self._mix(debye.free_energy)

    @property
    def zero_point_energy(self) -> float:
        """Zero-point energy, J/mol-atom."""
        return float(9 / 8 * debye.R * (self.weights @ self.debye_temperatures))

    @property
    def cutoff_frequencies(self) -> NDArray[np.float64]:
        """Highest frequency of each Debye spectrum, THz, shape (K,)."""
        cutoffs: NDArray[np.float64] = _KELVIN_TO_THZ * self.debye_temperatures
        return cutoffs

    def density_of_states(self, frequencies: ArrayLike) -> NDArray[np.float64]:
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
            ``temperature`` in K; ``heat_capacity_per_atom`` and ``vibrational_entropy_per_atom`` in
            J/(mol-atom K); ``vibrational_internal_energy_per_atom`` and ``vibrational_free_energy_per_atom``
            in J/mol-atom. Where `n_atoms` is known, the same per mole of cells, without the suffix.
        """
        import pandas as pd

        columns = {
            "heat_capacity": self.heat_capacity,
            "vibrational_internal_energy": self.internal_energy,
            "vibrational_entropy": self.entropy,
            "vibrational_free_energy": self.free_energy,
        }
        frame = pd.DataFrame({"temperature": self.temperatures})
        for name, values in columns.items():
            frame[f"{name}_per_atom"] = values
        if self.heat_capacity_std is not None:
            frame["heat_capacity_per_atom_std"] = self.heat_capacity_std
        if self.n_atoms is not None:
            for name, values in columns.items():
                frame[name] = self.n_atoms * values
        return frame

    def _repr_html_(self) -> str:
        from cloud_model.display.html import thermodynamics_html

        return thermodynamics_html(self)

    def _mix(self, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> NDArray[np.float64]:
        theta = torch.as_tensor(self.debye_temperatures, dtype=torch.float64)
        temperatures = torch.as_tensor(self.temperatures, dtype=torch.float64)
        mixed: NDArray[np.float64] = self.weights @ function(theta[:, None], temperatures).numpy()
        return mixed
