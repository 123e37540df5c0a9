"""Read or calculate phonons at several volumes, and fit the quasi-harmonic approximation of phonopy to them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cloud_model.crystal.crystal import Crystal
from cloud_model.errors import ArgumentError, PhononError, shortly
from cloud_plugins.phonopy.cells import unit_cell
from cloud_plugins.phonopy.displacements import Calculation, calculate_phonons, static_energy
from cloud_plugins.phonopy.references import Reference, check_tags, from_phonopy, load_phonopy, phonopy_file
from cloud_plugins.phonopy.spectrum import Array

ENERGIES = "e-v.dat"
PROPERTIES = "thermal_properties.yaml*"

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


def checked_strains(strains: Any) -> list[float]:
    """Relative changes of the volume, enough for an equation of state, or an `ArgumentError`."""
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


def from_folder(folder: Path, max_temperature: float, pressure: float) -> QuasiHarmonicReference:
    """Read a folder of static energies and of the phonons at each volume; K and GPa."""
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


def from_calculation(
    calculation: Calculation, strains: Sequence[float], max_temperature: float, pressure: float
) -> QuasiHarmonicReference:
    """Calculate static energies and phonons of a crystal at strained volumes; K and GPa."""
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
