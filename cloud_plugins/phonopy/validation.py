"""Validation of CLOUD's heat capacity: one call for every kind of phonon reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cloud_model.errors import PhononError
from cloud_model.physics.conditions import checked_temperatures
from cloud_plugins.phonopy.cells import crystal_to_predict, described_crystal
from cloud_plugins.phonopy.comparison import HeatCapacityValidation
from cloud_plugins.phonopy.displacements import BornCharges, Calculation
from cloud_plugins.phonopy.references import Reference, from_calculation, read_reference

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from cloud_model import CloudModel

DEFAULT_TEMPERATURES = np.arange(0.0, 1001.0, 10.0)


def validate_heat_capacity(
    reference: Any,
    crystal: Any = None,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
    calculator: Calculator | str | None = None,
    temperatures: ArrayLike = DEFAULT_TEMPERATURES,
    allow_unstable: bool = False,
    supercell_length: float = 10.0,
    relax: bool = False,
    born: BornCharges | None = None,
    cache: str | Path | None = None,
) -> HeatCapacityValidation:
    """Compare CLOUD's heat capacity with that of harmonic phonons.

    Parameters
    ----------
    reference : phonopy.Phonopy, path, density of states or crystal
        Harmonic phonons, as one of

        - a Phonopy object with force constants;
        - a path to ``phonopy_params.yaml`` or ``phonopy.yaml``, plain or compressed, with FORCE_SETS,
          FORCE_CONSTANTS and BORN beside it if they are not inside, or to a directory that holds it;
        - a density of states: pymatgen's PhononDos or CompletePhononDos, a tuple (frequencies, densities,
          unit) with a unit of THz, cm^-1, meV or eV, an NCrystal Info or the name of an NCrystal material;
        - a crystal (ASE Atoms, pymatgen Structure, path to a structure file), with a calculator.
    crystal : crystal, Scope or SCOPE string, optional
        What CLOUD predicts, if not the unit cell of the reference. Needed where a density of states has none.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.
    calculator : ase Calculator or {"emt", "7net-0", "7net-l3i5", "chgnet"}, optional
        Gives the forces on displaced supercells of the crystal; by default the one attached to the Atoms.
    temperatures : array_like
        Temperatures, K, shape (nT,); by default 0 to 1000 K in steps of 10 K.
    allow_unstable : bool
        Whether crystals with imaginary modes are compared all the same, without those modes.
    supercell_length, relax, born, cache
        For `calculator`; see `cloud_plugins.phonopy.displacements.calculate_phonons`.

    Returns
    -------
    HeatCapacityValidation
        Both sides, their differences, and the least error that one Debye temperature could have.

    Raises
    ------
    PhononError
        The reference cannot be read, is unstable, or is not of this crystal.
    ArgumentError
        An argument is out of its range or missing.
    CheckpointError
        There is no such checkpoint.
    """
    temperatures = checked_temperatures(temperatures)
    loaded: Any = model if hasattr(model, "thermodynamics") else _load(model)
    described = None if crystal is None else described_crystal(crystal)
    calculation = Calculation.of(reference, calculator, supercell_length, cache)
    if calculation is None:
        phonons = read_reference(reference, temperatures)
    else:
        # what CLOUD cannot predict is refused before phonons, which take long
        cell = calculation.crystal
        loaded.thermodynamics(crystal_to_predict(described, cell, cell.name), temperatures)
        phonons = from_calculation(calculation, temperatures, relax, born)
    if not (phonons.spectrum.stable or allow_unstable):
        raise _unstable(phonons)

    described = crystal_to_predict(described, phonons.crystal, phonons.source)
    return HeatCapacityValidation(
        crystal=described,
        source=phonons.source,
        spectrum=phonons.spectrum,
        cloud=loaded.thermodynamics(described, temperatures),
        n_q_points=None if phonons.mesh is None else phonons.mesh.n_points,
        mesh_change=None if phonons.mesh is None else phonons.mesh.change,
        warnings=(*phonons.warnings, *_imaginary_modes(phonons)),
    )


def _unstable(phonons: Reference) -> PhononError:
    lowest = ", ".join(f"{frequency:.1f}" for frequency in phonons.spectrum.lowest_frequencies(3))
    return PhononError(
        phonons.source,
        f"the crystal is unstable: {phonons.spectrum.imaginary_share:.1%} of its modes are imaginary, "
        f"the lowest at {lowest} THz (negative for imaginary)",
        "Relax it into a stable structure, or use allow_unstable=True to leave these modes out.",
    )


def _imaginary_modes(phonons: Reference) -> list[str]:
    share = phonons.spectrum.imaginary_share
    return [f"{100 * share:.2g} % of the modes are imaginary and left out"] if share else []


def _load(model: str | os.PathLike[str] | CloudModel | None) -> CloudModel:
    from cloud_model import CloudModel

    return CloudModel.from_pretrained(model)
