"""CLOUD's thermodynamics at constant pressure against phonopy's quasi-harmonic approximation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cloud_model.arguments import checked_number, checked_path
from cloud_model.crystal.crystal import Crystal
from cloud_model.display.html import render
from cloud_model.display.plots import CLOUD_COLOUR, HARMONIC_COLOUR, style, svg
from cloud_model.errors import ArgumentError, shortly
from cloud_model.physics.conditions import checked_pressure
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_plugins.phonopy.cells import crystal_to_predict, described_crystal, formula
from cloud_plugins.phonopy.displacements import Calculation
from cloud_plugins.phonopy.quasi_harmonic_references import (
    QuasiHarmonicReference,
    checked_strains,
    from_calculation,
    from_folder,
)
from cloud_plugins.phonopy.spectrum import Array

if TYPE_CHECKING:
    import pandas as pd
    from ase.calculators.calculator import Calculator
    from matplotlib.figure import Figure

    from cloud_model import CloudModel

STRAINS = tuple(np.linspace(-0.04, 0.08, 7).round(3).tolist())
"""Changes of the volume at which a calculator is asked, relative to the cell at rest."""

HIGHEST = 10_000.0
"""Highest temperature in K; no crystal is solid at half of it."""


QUANTITIES = {
    "heat_capacity": ("isobaric_heat_capacity_per_atom", "Heat capacity (J/(mol-atom K))"),
    "thermal_expansion": ("thermal_expansion", "Volume expansion (1/K)"),
    "bulk_modulus": ("bulk_modulus", "Bulk modulus (GPa)"),
    "gibbs_energy": ("gibbs_energy_per_atom", "Gibbs energy from 0 K (J/mol-atom)"),
    "volume": ("volume_per_atom", "Volume (Å³ per atom)"),
}
"""Attributes of the reference -> those of CLOUD, and how figures name them."""


@dataclass(frozen=True, eq=False)
class QuasiHarmonicValidation:
    """CLOUD's functions at constant pressure beside those of quasi-harmonic phonons, per mole of atoms.

    Parameters
    ----------
    crystal : Crystal or str
        What CLOUD predicted; a string is SCOPE.
    reference : QuasiHarmonicReference
        The phonons.
    cloud : Thermodynamics
        CLOUD's prediction at the same temperatures and pressure.
    """

    crystal: Crystal | str
    reference: QuasiHarmonicReference
    cloud: Thermodynamics

    @property
    def formula(self) -> str:
        """Reduced formula of the crystal; the SCOPE string where there is nothing else."""
        return self.crystal if isinstance(self.crystal, str) else formula(self.crystal)

    @property
    def temperatures(self) -> Array:
        """Temperatures, K, shape (nT,)."""
        return self.cloud.temperatures

    @property
    def mae(self) -> float:
        """Mean absolute difference of the heat capacities, J/(mol-atom K)."""
        return float(np.abs(self.cloud.isobaric_heat_capacity_per_atom - self.reference.heat_capacity).mean())

    def to_frame(self) -> pd.DataFrame:
        """Table with one row a temperature.

        Returns
        -------
        DataFrame
            ``temperature`` in K and, with prefix ``quasi_harmonic_`` or ``cloud_``, ``heat_capacity`` in
            J/(mol-atom K), ``thermal_expansion`` in 1/K, ``bulk_modulus`` in GPa, ``gibbs_energy`` from 0 K in
            J/mol-atom and ``volume`` in cubic Angstrom per atom; CLOUD's with a standard error ``cloud_<name>_std``.
        """
        import pandas as pd

        columns: dict[str, Any] = {"temperature": self.temperatures}
        for name, (attribute, _) in QUANTITIES.items():
            columns[f"quasi_harmonic_{name}"] = getattr(self.reference, name)
            columns[f"cloud_{name}"] = getattr(self.cloud, attribute)
            columns[f"cloud_{name}_std"] = getattr(self.cloud, f"{attribute}_std")
        return pd.DataFrame(columns)

    def summary(self) -> dict[str, Any]:
        """Figures of merit: mean absolute differences, in the units of `to_frame`, and what was compared."""
        frame = self.to_frame()
        differences = {
            f"{name}_mae": float((frame[f"cloud_{name}"] - frame[f"quasi_harmonic_{name}"]).abs().mean())
            for name in QUANTITIES
        }
        described = {
            "formula": self.formula,
            "source": self.reference.source,
            "pressure": self.cloud.pressure,
        }
        return {**described, **differences}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and strings, ready for JSON."""
        return {**self.summary(), "table": self.to_frame().to_dict(orient="list")}

    def plot(self) -> Figure:
        """Draw heat capacity, expansion, bulk modulus and Gibbs energy of both over the temperature."""
        from matplotlib.figure import Figure

        frame = self.to_frame()
        with style():
            figure = Figure(figsize=(9.0, 6.4))
            for axes, name in zip(figure.subplots(2, 2, sharex=True).flat, QUANTITIES, strict=False):
                value, error = frame[f"cloud_{name}"], frame[f"cloud_{name}_std"]
                axes.plot(
                    self.temperatures,
                    frame[f"quasi_harmonic_{name}"],
                    color=HARMONIC_COLOUR,
                    label="quasi-harmonic phonons",
                )
                axes.plot(self.temperatures, value, color=CLOUD_COLOUR, label="CLOUD")
                axes.fill_between(
                    self.temperatures,
                    value - error,
                    value + error,
                    color=CLOUD_COLOUR,
                    alpha=0.2,
                    linewidth=0,
                )
                axes.set_ylabel(QUANTITIES[name][1])
            figure.axes[0].legend(loc="lower right")
            for axes in figure.axes[2:]:
                axes.set_xlabel("Temperature (K)")
            figure.suptitle(self.formula)
        return figure

    def to_html(self) -> str:
        """Fragment of HTML: figures of merit, plots and the table."""
        return render(
            "cloud_plugins.phonopy",
            "quasi_harmonic.html.j2",
            result=self,
            summary=self.summary(),
            table=self.to_frame().to_html(index=False, border=0, float_format="%.4g"),
            svg=svg,
        )

    def _repr_html_(self) -> str:
        return f"<h3>{self.formula}</h3>{self.to_html()}"


def validate_quasi_harmonic(
    reference: Any,
    crystal: Any = None,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
    calculator: Calculator | str | None = None,
    max_temperature: float = 1000.0,
    pressure: float = 0.0,
    strains: Sequence[float] = STRAINS,
    supercell_length: float = 10.0,
    cache: str | Path | None = None,
) -> QuasiHarmonicValidation:
    """Compare CLOUD at constant pressure with phonopy's quasi-harmonic approximation.

    Parameters
    ----------
    reference : path or crystal
        A folder with ``e-v.dat`` (volumes in cubic Angstrom and energies in eV of the cells, one line a volume) and,
        for each line in the order of their names, either a file ``thermal_properties.yaml*`` of the same cell or a
        folder with a phonopy file; or a crystal (ASE Atoms, pymatgen Structure, path to a structure file), with a
        calculator.
    crystal : crystal or SCOPE string, optional
        What CLOUD predicts. Needed where the folder holds thermal properties only.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.
    calculator : ase Calculator or {"emt", "7net-0", "7net-l3i5", "chgnet"}, optional
        Gives energies and forces of the crystal, which is relaxed first and then strained; by default the one attached
        to the Atoms.
    max_temperature : float
        K; the table is in steps of 10 K from 0. Thermal properties must reach 30 K beyond it, or it ends sooner.
    pressure : float
        GPa, at most 30.
    strains : sequence of float
        Relative changes of the volume, at least five, for `calculator`.
    supercell_length, cache
        As in `validate_heat_capacity`; with a cache a calculation that was cut off goes on from there.

    Returns
    -------
    QuasiHarmonicValidation
        Heat capacity, expansion, bulk modulus, Gibbs energy and volume of both sides over temperature.

    Raises
    ------
    PhononError
        The reference cannot be read, has imaginary modes, or its energies have no minimum.
    ArgumentError
        An argument is out of its range or missing.
    """
    from cloud_model import CloudModel

    max_temperature = checked_number(
        "max_temperature", max_temperature, 0, "Give it in K.", above=True, most=HIGHEST
    )
    pressure = checked_pressure(pressure)
    loaded = CloudModel.from_pretrained(model)
    described = None if crystal is None else described_crystal(crystal)
    calculation = Calculation.of(reference, calculator, supercell_length, cache)
    if calculation is not None:
        strains = checked_strains(strains)
        # what CLOUD cannot predict is refused before phonons, which take long
        cell = calculation.crystal
        loaded.thermodynamics(crystal_to_predict(described, cell, cell.name), max_temperature, pressure)
        found = from_calculation(calculation, strains, max_temperature, pressure)
    elif isinstance(reference, str | os.PathLike):
        found = from_folder(checked_path("reference", reference), max_temperature, pressure)
    else:
        raise ArgumentError(
            f"reference {shortly(reference)}",
            "has no calculator, and is not a folder of volumes",
            "Pass a crystal and a calculator, or a folder.",
        )
    described = crystal_to_predict(described, found.crystal, found.source)
    cloud = loaded.thermodynamics(described, found.temperatures, pressure)
    return QuasiHarmonicValidation(described, found, cloud)
