"""Read phonon references of every kind into a spectrum and its crystal."""

from __future__ import annotations

import os
import warnings
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cloud_model.arguments import checked_path
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.files import read_bytes, to_crystal
from cloud_model.crystal.reading import ends_inside_number
from cloud_model.errors import ArgumentError, CrystalError, PhononError
from cloud_plugins.phonopy import brillouin
from cloud_plugins.phonopy.cells import unit_cell
from cloud_plugins.phonopy.displacements import BornCharges, Calculation, calculate_phonons
from cloud_plugins.phonopy.spectrum import PhononSpectrum

if TYPE_CHECKING:
    from phonopy import Phonopy

PHONOPY_FILES = tuple(
    name + suffix
    for name in ("phonopy_params.yaml", "phonopy.yaml", "phonopy_disp.yaml")
    for suffix in ("", ".xz", ".gz")
)
_WORKING_DIRECTORY = Lock()  # there is one for all threads
_ACOUSTIC_GAP = 0.1  # THz
_RESIDUAL_FORCE = 0.05  # eV/Angstrom


@dataclass(frozen=True, eq=False)
class Reference:
    """Harmonic phonons of a crystal.

    Parameters
    ----------
    source : str
        Where they come from.
    spectrum : PhononSpectrum
        Their frequencies.
    crystal : Crystal or None
        Their unit cell; None where the reference does not tell.
    mesh : Mesh or None
        Sampling of the Brillouin zone; None where the reference is a density of states.
    warnings : tuple of str
        What the user should know.
    """

    source: str
    spectrum: PhononSpectrum
    crystal: Crystal | None = None
    mesh: brillouin.Mesh | None = None
    warnings: tuple[str, ...] = ()


def read_reference(reference: Any, temperatures: ArrayLike) -> Reference:
    """Read phonons.

    Parameters
    ----------
    reference : phonopy.Phonopy, path, pymatgen PhononDos, NCrystal Info or tuple
        As in `cloud_plugins.phonopy.validate_heat_capacity`.
    temperatures : array_like
        Temperatures for which the mesh is converged, K, shape (nT,).

    Raises
    ------
    PhononError
        The reference cannot be read or holds no phonons.
    """
    hosts = {cls.__module__.partition(".")[0] for cls in type(reference).__mro__}
    if isinstance(reference, str | os.PathLike):
        return _from_path(reference, temperatures)
    if isinstance(reference, tuple):
        return _from_arrays(*reference)
    if "phonopy" in hosts:
        return from_phonopy(reference, "phonopy", temperatures)
    if "pymatgen" in hosts and hasattr(reference, "densities"):
        return _from_pymatgen(reference)
    if "NCrystal" in hosts:
        return _from_ncrystal(reference, "NCrystal")
    raise PhononError(
        f"reference of type {type(reference).__name__}",
        "holds no phonons",
        "Give a Phonopy object, a phonopy file, a density of states, or a crystal with a calculator.",
    )


def from_phonopy(phonon: Phonopy, source: str, temperatures: ArrayLike) -> Reference:
    """Phonons of a Phonopy object with force constants, on a converged mesh."""
    mesh = brillouin.sample(phonon, temperatures)
    remarks = []
    if not mesh.converged:
        remarks.append(f"the heat capacity still changes by {mesh.change:.1%} when the mesh is doubled")
    if mesh.acoustic_gap > _ACOUSTIC_GAP:
        remarks.append(
            f"acoustic modes at Gamma reach {mesh.acoustic_gap:.2f} THz: "
            "the force constants break translational invariance"
        )
    return Reference(source, mesh.spectrum, unit_cell(phonon), mesh, tuple(remarks))


def from_calculation(
    calculation: Calculation, temperatures: ArrayLike, relax: bool = False, born: BornCharges | None = None
) -> Reference:
    """Phonons of a crystal from a calculator; `relax` and `born` are those of `calculate_phonons`."""
    crystal, calculator, supercell_length, cache = calculation
    phonon, residual = calculate_phonons(
        crystal, calculator, supercell_length=supercell_length, relax=relax, born=born, cache=cache
    )
    reference = from_phonopy(phonon, f"{crystal.name} by {type(calculator).__name__}", temperatures)
    remarks = reference.warnings
    if residual > _RESIDUAL_FORCE:
        remarks += (f"forces on undisplaced atoms reach {residual:.2f} eV/Angstrom: relax the crystal",)
    return replace(reference, crystal=crystal, warnings=remarks)


def _from_path(path: str | os.PathLike[str], temperatures: ArrayLike) -> Reference:
    text = os.fspath(checked_path("reference", path))
    if ".ncmat" in text:
        return _from_ncrystal(_ncrystal_info(text), text)
    file = phonopy_file(Path(text))
    return from_phonopy(load_phonopy(file), text, temperatures)


def phonopy_file(path: Path) -> Path:
    """Pick the file of a folder that phonopy would read; a file is picked itself."""
    if not path.exists():
        raise PhononError(str(path), "does not exist", "Check the path.")
    if path.is_file():
        return path
    for name in PHONOPY_FILES:
        if (path / name).is_file():
            return path / name
    raise PhononError(str(path), "holds no phonopy file", f"Name one of them {PHONOPY_FILES[0]}.")


def load_phonopy(file: Path) -> Phonopy:
    """Read a phonopy file with forces in it or beside it."""
    import phonopy

    check_tags(file)
    try:
        # phonopy looks for FORCE_SETS, FORCE_CONSTANTS and BORN in the working directory only
        with _WORKING_DIRECTORY, chdir(file.parent), warnings.catch_warnings():
            # which primitive cell it takes is of no matter: properties are per mole of atoms
            warnings.filterwarnings("ignore", message="primitive_matrix defaulted")
            phonon = phonopy.load(file.name, log_level=0)
    except Exception as error:  # phonopy's parsers raise whatever they meet
        raise PhononError(
            str(file),
            "a file of forces beside it is cut short"
            if isinstance(error, RecursionError)  # which phonopy's readers run into at the end of a file
            else f"phonopy cannot read it ({error})",
            "Give a phonopy.yaml or phonopy_params.yaml, or a calculator for a structure file.",
        ) from error
    if phonon.force_constants is None:
        raise PhononError(
            str(file),
            "holds no forces and none lie beside it",
            "Put FORCE_SETS or FORCE_CONSTANTS next to it, or save it with phonopy's --include-all.",
        )
    for name in ("FORCE_SETS", "FORCE_CONSTANTS"):
        companion = file.with_name(name)
        if companion.is_file() and ends_inside_number(companion.read_bytes()):
            raise PhononError(
                str(companion), "breaks off inside its last number", "Check that it is complete."
            )
    return phonon


def check_tags(file: Path) -> None:
    """Refuse a YAML file with tags, of which phonopy writes none: its loader would run what they name."""
    try:
        content = read_bytes(file, str(file))
    except CrystalError as error:
        raise PhononError(str(file), error.reason, error.remedy) from None
    if b"!" in content and _has_tags(content):
        raise PhononError(
            str(file), "holds a YAML tag, which could run a command", "Write it again with phonopy."
        )


def _has_tags(content: bytes) -> bool:
    """Whether there is a tag, and not just an exclamation mark in a comment or a text."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return any(isinstance(token, yaml.TagToken) for token in yaml.scan(content, Loader=loader))
    except yaml.YAMLError:  # phonopy would read it to where it breaks
        return True


def _from_arrays(*arrays: Any) -> Reference:
    if len(arrays) != 3:
        raise ArgumentError(
            "reference",
            f"is a tuple of {len(arrays)}",
            "Give (frequencies, densities, unit), unit such as 'THz'.",
        )
    return Reference("density of states", PhononSpectrum.from_density_of_states(*arrays))


def _from_pymatgen(dos: Any) -> Reference:
    spectrum = PhononSpectrum.from_density_of_states(dos.frequencies, dos.densities, "THz")
    structure = getattr(dos, "structure", None)
    crystal = None if structure is None else to_crystal(structure)
    return Reference("pymatgen density of states", spectrum, crystal)


def _ncrystal_info(name: str) -> Any:
    try:
        import NCrystal
    except ImportError as error:
        raise PhononError(name, "needs NCrystal", "Run: pip install ncrystal") from error
    try:
        return NCrystal.createInfo(name)
    except NCrystal.NCException as error:
        raise PhononError(name, f"NCrystal cannot read it ({error})", "Check its name.") from error


def _from_ncrystal(info: Any, source: str) -> Reference:
    """Densities of states of all species, weighted with their shares of the atoms."""
    if not all(isinstance(species, info.DI_VDOS) for species in info.dyninfos):
        raise PhononError(source, "has no density of states for each of its species", "Use another material.")
    parts = [PhononSpectrum.from_density_of_states(*_ncrystal_density(s), "eV") for s in info.dyninfos]
    fractions = [species.fraction for species in info.dyninfos]
    spectrum = PhononSpectrum(
        np.concatenate([part.frequencies for part in parts]),
        np.concatenate([fraction * part.shares for fraction, part in zip(fractions, parts, strict=True)]),
    )
    return Reference(source, spectrum, _ncrystal_crystal(info, source) if info.hasAtomInfo() else None)


def _ncrystal_density(species: Any) -> tuple[ArrayLike, ArrayLike]:
    """Energies in eV and densities; below its first point, NCrystal's density is a parabola."""
    (lowest, highest), density = species.vdosData()
    parabola = np.linspace(0, 1, 64, endpoint=False)
    energies = np.concatenate([lowest * parabola, np.linspace(lowest, highest, len(density))])
    return energies, np.concatenate([density[0] * parabola**2, density])


def _ncrystal_crystal(info: Any, source: str) -> Crystal:
    from ase.geometry import cellpar_to_cell

    cell = info.structure_info
    sites = [(atom.atomData.Z(), position) for atom in info.atominfos for position in atom.positions]
    numbers, positions = zip(*sites, strict=True)
    lattice = cellpar_to_cell([cell[name] for name in ("a", "b", "c", "alpha", "beta", "gamma")])
    return Crystal(lattice, np.array(positions), np.array(numbers), source)
