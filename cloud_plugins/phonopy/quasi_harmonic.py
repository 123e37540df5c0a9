"""CLOUD's thermodynamics at constant pressure against phonopy's quasi-harmonic approximation."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cloud_model.arguments import checked_number, checked_path
from cloud_model.crystal.crystal import Crystal
from cloud_model.display.html import render
from cloud_model.display.plots import CLOUD_COLOUR, HARMONIC_COLOUR, style, svg
from cloud_model.errors import ArgumentError, PhononError, shortly
from cloud_model.physics.conditions import checked_pressure
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_plugins.phonopy.cells import crystal_to_predict, described_crystal, formula, unit_cell
from cloud_plugins.phonopy.displacements import Calculation, calculate_phonons, static_energy
from cloud_plugins.phonopy.references import Reference, check_tags, from_phonopy, load_phonopy, phonopy_file
from cloud_plugins.phonopy.spectrum import Array

if TYPE_CHECKING:
    import pandas as pd
    from ase.calculators.calculator import Calculator
    from matplotlib.figure import Figure

    from cloud_model import CloudModel

ENERGIES = "e-v.dat"
PROPERTIES = "thermal_properties.yaml*"
STRAINS = tuple(np.linspace(-0.04, 0.08, 7).round(3).tolist())
"""Changes of the volume at which a calculator is asked, relative to the cell at rest."""

HIGHEST = 10_000.0
"""Highest temperature in K; no crystal is solid at half of it."""

_STEP = 10.0  # K between the temperatures of the fit
_MARGIN = 3  # temperatures that phonopy's numerical derivatives lose at the end
_FEWEST = 5  # volumes that an equation of state takes
_EXTRAPOLATED = 0.1  # of the range of the volumes, by which an equation of state may be trusted beyond them
_ROUGHEST = 0.05  # deviation of free energies from a cubic, as a share of the range of the static energies


@dataclass(frozen=True, eq=False)
class QuasiHarmonicReference:
    """Thermodynamics of phonons at several volumes, fitted by phonopy; per mole of atoms, shapes (nT,).

    Parameters
    ----------
    source : str
        Where the phonons come from.
    temperatures : ndarray
        K.
    heat_capacity : ndarray
        At constant pressure, J/(mol-atom K).
    gibbs_energy : ndarray
        From the enthalpy at 0 K without pressure, J/mol-atom.
    thermal_expansion : ndarray
        Coefficient of volume expansion, 1/K.
    bulk_modulus : ndarray
        Isothermal, GPa.
    volume : ndarray
        Cubic Angstrom per atom.
    crystal : Crystal or None
        One of the cells; None where only thermal properties were read.
    """

    source: str
    temperatures: Array
    heat_capacity: Array
    gibbs_energy: Array
    thermal_expansion: Array
    bulk_modulus: Array
    volume: Array
    crystal: Crystal | None = None


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
        The default checkpoint if left out.
    calculator : ase Calculator or {"emt", "7net-0", "7net-l3i5", "chgnet"}, optional
        Gives energies and forces of the crystal, which is relaxed first and then strained; by default the one attached
        to the Atoms.
    max_temperature : float
        K; the table is in steps of 10 K from 0. Thermal properties must reach 30 K beyond it, or it ends sooner.
    pressure : float
        GPa.
    strains : sequence of float
        Relative changes of the volume, at least five, for `calculator`.
    supercell_length, cache
        As in `validate_heat_capacity`; with a cache a calculation that was cut off goes on from there.

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
        strains = _checked_strains(strains)
        # what CLOUD cannot predict is refused before phonons, which take long
        cell = calculation.crystal
        loaded.thermodynamics(crystal_to_predict(described, cell, cell.name), max_temperature, pressure)
        found = _from_calculation(calculation, strains, max_temperature, pressure)
    elif isinstance(reference, str | os.PathLike):
        found = _from_folder(checked_path("reference", reference), max_temperature, pressure)
    else:
        raise ArgumentError(
            f"reference {shortly(reference)}",
            "has no calculator, and is not a folder of volumes",
            "Pass a crystal and a calculator, or a folder.",
        )
    described = crystal_to_predict(described, found.crystal, found.source)
    cloud = loaded.thermodynamics(described, found.temperatures, pressure)
    return QuasiHarmonicValidation(described, found, cloud)


def _checked_strains(strains: Any) -> list[float]:
    try:
        found = np.asarray(strains, dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.ndim != 1 or len(found) < _FEWEST or not (np.isfinite(found) & (found > -1)).all():
        raise ArgumentError(
            f"strains {shortly(strains)}",
            f"are not at least {_FEWEST} finite numbers above -1",
            "Give relative changes of the volume.",
        )
    return found.tolist()


def _from_folder(folder: Path, max_temperature: float, pressure: float) -> QuasiHarmonicReference:
    volumes, energies = _energies(folder / ENERGIES)
    grid = _grid(max_temperature)
    files = sorted(folder.glob(PROPERTIES), key=_natural)
    folders = [path for path in sorted(folder.iterdir(), key=_natural) if path.is_dir()]
    if not files and not folders:
        raise PhononError(
            str(folder),
            f"holds neither {PROPERTIES} nor folders",
            "Give the thermal properties of each volume.",
        )
    found = files or folders
    if len(found) != len(volumes):
        raise PhononError(
            str(folder),
            f"holds phonons of {len(found)} volumes, and {ENERGIES} {len(volumes)}",
            "Give both for the same volumes, in the same order.",
        )
    if files:
        atoms, tables = _thermal_properties(files)
        return _fit(str(folder), volumes / atoms, energies / atoms, *tables, pressure, max_temperature)
    phonons = [load_phonopy(phonopy_file(path)) for path in found]
    atoms = round(volumes[0] / (phonons[0].primitive.volume / len(phonons[0].primitive)))
    references = [from_phonopy(phonon, str(path), grid) for phonon, path in zip(phonons, found, strict=True)]
    tables = _tables(references, grid)
    crystal = unit_cell(phonons[int(np.argmin(energies))])
    return _fit(str(folder), volumes / atoms, energies / atoms, *tables, pressure, max_temperature, crystal)


def _natural(path: Path) -> tuple[int, str]:
    """Key that puts the numbers at the ends of names, such as thermal_properties.yaml--5, in their order."""
    _, _, number = path.name.partition("-")
    try:
        return int(number), path.name
    except ValueError:
        return 0, path.name


def _grid(max_temperature: float) -> Array:
    """Temperatures of phonons, beyond the highest that is asked for."""
    return np.arange(0.0, max_temperature + (_MARGIN + 0.5) * _STEP, _STEP)


def _energies(file: Path) -> tuple[Array, Array]:
    try:
        volumes, energies = np.loadtxt(file, unpack=True, ndmin=2)
    except (OSError, ValueError) as error:
        raise PhononError(
            str(file), f"cannot be read ({error})", "Give a volume and an energy in each line."
        ) from error
    return volumes, energies


def _thermal_properties(files: Sequence[Path]) -> tuple[int, tuple[Array, Array, Array, Array]]:
    """Atoms of the cell; temperatures, free energies, heat capacities and entropies of all files a mole of atoms."""
    from phonopy.file_IO import read_thermal_properties_yaml

    for file in files:
        check_tags(file)
    try:
        found = re.search(r"^natom:\s*(\d+)", files[0].read_text(encoding="utf-8"), re.MULTILINE)
        atoms = int(found[1]) if found else 0
        T, heat_capacity, entropy, free_energy, *_ = read_thermal_properties_yaml(
            [str(file) for file in files]
        )
    except Exception as error:  # phonopy's parser raises whatever it meets
        raise PhononError(
            str(files[0].parent),
            f"has thermal properties that phonopy cannot read ({error})",
            "Write them again.",
        ) from error
    if not atoms:
        raise PhononError(str(files[0]), "does not state natom", "Write it again with phonopy.")
    return atoms, (T, free_energy / atoms, heat_capacity / atoms, entropy / atoms)


def _tables(references: Sequence[Reference], grid: Array) -> tuple[Array, Array, Array, Array]:
    """Temperatures, free energies in kJ/mol-atom, heat capacities and entropies, of shapes (temperatures, volumes)."""
    for reference in references:
        if not reference.spectrum.stable:
            lowest = reference.spectrum.lowest_frequencies(1)[0]
            raise PhononError(
                reference.source, f"has imaginary modes, down to {lowest:.1f} THz", "Leave out this volume."
            )
    spectra = [reference.spectrum for reference in references]
    return (
        grid,
        np.stack([spectrum.free_energy(grid) / 1000 for spectrum in spectra], axis=1),
        np.stack([spectrum.heat_capacity(grid) for spectrum in spectra], axis=1),
        np.stack([spectrum.entropy(grid) for spectrum in spectra], axis=1),
    )


def _from_calculation(
    calculation: Calculation, strains: Sequence[float], max_temperature: float, pressure: float
) -> QuasiHarmonicReference:
    crystal, calculator, supercell_length, cache = calculation
    grid = _grid(max_temperature)
    relaxed, _ = static_energy(crystal, calculator, relax="cell")
    phonons, volumes, energies = [], [], []
    for strain in strains:
        scaled = Crystal(
            (1 + strain) ** (1 / 3) * relaxed.lattice, relaxed.positions, relaxed.numbers, crystal.label
        )
        at_rest, energy = static_energy(scaled, calculator, relax="positions")
        phonon, _ = calculate_phonons(at_rest, calculator, supercell_length=supercell_length, cache=cache)
        phonons.append(from_phonopy(phonon, f"{crystal.name} at a strain of {strain:g}", grid))
        volumes.append(abs(float(np.linalg.det(at_rest.lattice))) / len(at_rest))
        energies.append(energy / len(at_rest))
    source = f"{crystal.name} by {type(calculator).__name__}"
    return _fit(
        source,
        np.array(volumes),
        np.array(energies),
        *_tables(phonons, grid),
        pressure,
        max_temperature,
        crystal,
    )


def _fit(
    source: str,
    volumes: Array,
    energies: Array,
    temperatures: Array,
    free_energy: Array,
    heat_capacity: Array,
    entropy: Array,
    pressure: float,
    max_temperature: float,
    crystal: Crystal | None = None,
) -> QuasiHarmonicReference:
    """Fit phonopy's equation of state at each temperature; all per atom, energies in eV, free energies in kJ/mol."""
    from phonopy import PhonopyQHA
    from scipy.constants import N_A, e

    if len(volumes) < _FEWEST:
        raise PhononError(source, f"has {len(volumes)} volumes", f"Give at least {_FEWEST}.")
    _check_smooth(source, volumes, energies, free_energy)
    wanted = int(np.searchsorted(temperatures, max_temperature, side="right"))
    kept = slice(wanted + _MARGIN)
    arguments: dict[str, Any] = {
        "volumes": volumes,
        "temperatures": temperatures[kept],
        "free_energy": free_energy[kept],
        "cv": heat_capacity[kept],
        "entropy": entropy[kept],
    }
    try:
        with warnings.catch_warnings():  # what replaces it takes no thermal properties
            warnings.filterwarnings("ignore", "PhonopyQHA", DeprecationWarning)
            fitted = PhonopyQHA(electronic_energies=energies, pressure=pressure, **arguments)
            free = fitted if not pressure else PhonopyQHA(electronic_energies=energies, **arguments)
    except Exception as error:  # its optimiser raises whatever it meets
        raise PhononError(
            source,
            f"has energies that no equation of state fits ({error})",
            "Give volumes about the minimum.",
        ) from error
    count = min(wanted, len(fitted.thermal_expansion) - 1)
    gibbs, start = np.asarray(fitted.gibbs_temperature), float(free.gibbs_temperature[0])
    curves = {
        "heat_capacity": fitted.heat_capacity_P_polyfit,
        "gibbs_energy": e * N_A * (gibbs - start),
        "thermal_expansion": fitted.thermal_expansion,
        "bulk_modulus": fitted.bulk_modulus_temperature,
        "volume": fitted.volume_temperature,
    }
    found = {name: np.asarray(values, dtype=float)[:count] for name, values in curves.items()}
    bad = ~np.all([np.isfinite(values) for values in found.values()], axis=0)
    beyond = _EXTRAPOLATED * np.ptp(volumes)
    bad |= (found["volume"] < volumes.min() - beyond) | (found["volume"] > volumes.max() + beyond)
    if bad.any():
        first = temperatures[bad.argmax()]
        raise PhononError(
            source,
            f"has no minimum of the free energy among its volumes at {first:g} K",
            "Give volumes on both sides of it, or a lower maximum of the temperature.",
        )
    return QuasiHarmonicReference(source, temperatures[kept][:count], **found, crystal=crystal)


def _check_smooth(source: str, volumes: Array, energies: Array, free_energy: Array) -> None:
    """Refuse vibrational free energies, kJ/mol, that jump between volumes, as those of some potentials do."""
    from scipy.constants import N_A, e

    x = (volumes - volumes.mean()) / np.ptp(volumes)
    powers = np.vander(x, 4)
    deviation = free_energy.T - powers @ np.linalg.lstsq(powers, free_energy.T)[0]
    jump = np.abs(deviation).max()
    if jump > _ROUGHEST * np.ptp(energies) * e * N_A / 1000:
        raise PhononError(
            source,
            f"has phonon free energies that jump by {jump:.2g} kJ/mol between volumes",
            "Use a potential whose forces change smoothly, or other volumes.",
        )
