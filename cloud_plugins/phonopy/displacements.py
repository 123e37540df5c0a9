"""Phonons of a crystal from the forces that an ASE calculator gives on displaced supercells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloud_model.arguments import checked_number, checked_path
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.files import to_crystal
from cloud_model.display.progress import ProgressReport
from cloud_model.errors import ArgumentError, PhononError
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_plugins.phonopy.calculators import checked_calculator
from cloud_plugins.phonopy.cells import primitive_matrix, to_phonopy
from cloud_plugins.phonopy.spectrum import Array

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from phonopy import Phonopy

BornCharges = tuple[ArrayLike, ArrayLike]

MAX_ATOMS = 5_000
"""Most atoms of a supercell, whose force constants take 2 GB."""

_DISPLACEMENT = 0.01  # Angstrom
_RELAXED_FORCE = 0.001  # eV/Angstrom
_RELAXATION_STEPS = 500


class Calculation(NamedTuple):
    """Phonons to be calculated: of which crystal, by what, and two options of `calculate_phonons`."""

    crystal: Crystal
    calculator: Calculator
    supercell_length: float
    cache: Path | None

    @classmethod
    def of(cls, reference: Any, calculator: Any, supercell_length: Any, cache: Any) -> Calculation | None:
        """Check what a user gives; None if there is no calculator, and none is attached to the reference.

        Raises
        ------
        CrystalError
            The reference is not a crystal.
        ArgumentError
            Another argument is out of its range, or the supercell has more than ``MAX_ATOMS`` atoms.
        """
        if calculator is None:
            calculator = getattr(reference, "calc", None)
        if calculator is None:
            return None
        crystal = to_crystal(reference)
        length = checked_number("supercell_length", supercell_length, 0, "Give it in Angstrom.", above=True)
        _repeats(_conventional_cell(_standardise(crystal)), length, crystal.name)
        cache = None if cache is None else checked_path("cache", cache)
        return cls(crystal, checked_calculator(calculator), length, cache)


def calculate_phonons(
    crystal: Crystal,
    calculator: Calculator,
    *,
    supercell_length: float = 10.0,
    relax: bool = False,
    born: BornCharges | None = None,
    cache: str | Path | None = None,
) -> tuple[Phonopy, float]:
    """Force constants by finite displacements.

    The supercell repeats the conventional cell, so that every cell of one crystal gives the same phonons.

    Parameters
    ----------
    crystal : Crystal
        Any cell of the crystal.
    calculator : ase Calculator
        Gives forces, and stresses if `relax`.
    supercell_length : float
        No axis of the supercell is shorter, Angstrom.
    relax : bool
        Whether cell and positions are relaxed first, keeping the symmetry.
    born : tuple of array_like, optional
        Born effective charges, e, shape (n_atoms, 3, 3), in the order and axes of the crystal, and the
        high-frequency dielectric tensor, shape (3, 3), for the non-analytical correction.
    cache : path, optional
        Directory in which forces are kept; an interrupted calculation resumes from them.

    Returns
    -------
    tuple of phonopy.Phonopy and float
        Phonons with symmetrised force constants, and the largest force on an undisplaced atom, eV/Angstrom.

    Raises
    ------
    PhononError
        The calculator fails, or the relaxation does not end.
    """
    from ase import Atoms
    from joblib import Memory
    from phonopy import Phonopy

    standard = _standardise(crystal)
    atoms = _conventional_cell(standard)
    with _calculator_errors(crystal, calculator):
        if relax:
            _relax(atoms, calculator)
        atoms.calc = calculator
        residual = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
        # two models of one class differ in nothing but what they predict
        identity = f"{type(calculator).__name__} {atoms.get_potential_energy():.6g} eV"

    cell = Crystal(atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, crystal.label)
    repeats = _repeats(atoms, supercell_length, crystal.name)
    phonon = Phonopy(to_phonopy(cell), np.diag(repeats), primitive_matrix(cell), symprec=DEFAULT_SYMPREC)
    phonon.generate_displacements(distance=_DISPLACEMENT)

    @Memory(cache, verbose=0).cache  # type: ignore[untyped-decorator]
    def forces(numbers: Array, cell: Array, positions: Array, identity: str) -> Array:
        return np.asarray(Atoms(numbers, positions, cell=cell, pbc=True, calculator=calculator).get_forces())

    supercells = phonon.supercells_with_displacements or []
    report = ProgressReport(f"Forces of {crystal.name}", len(supercells), "supercells")
    calculated = []
    with closing(report), _calculator_errors(crystal, calculator):
        for supercell in supercells:
            calculated.append(forces(supercell.numbers, supercell.cell, supercell.positions, identity))
            report.update(1)
        phonon.forces = calculated
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants(show_drift=False)
    if born is not None:
        phonon.nac_params = _nac_params(born, standard, phonon)
    return phonon, residual


def static_energy(
    crystal: Crystal, calculator: Calculator, *, relax: Literal["cell", "positions"]
) -> tuple[Crystal, float]:
    """Relax a crystal, keeping its symmetry.

    Parameters
    ----------
    crystal : Crystal
        Any cell of the crystal.
    calculator : ase Calculator
        Gives energies and forces, and stresses for the cell.
    relax : {"cell", "positions"}
        Whether the cell may change too.

    Returns
    -------
    tuple of Crystal and float
        The conventional cell and its energy, eV.

    Raises
    ------
    PhononError
        The calculator fails, or the relaxation does not end.
    """
    atoms = _conventional_cell(_standardise(crystal))
    with _calculator_errors(crystal, calculator):
        _relax(atoms, calculator, cell=relax == "cell")
        energy = float(atoms.get_potential_energy())
    return Crystal(atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers, crystal.label), energy


def _standardise(crystal: Crystal) -> Any:
    """Symmetry dataset of spglib; its ``std_`` fields hold the conventional cell."""
    import phonopy  # noqa: F401  # has spglib raise its errors
    import spglib

    cell: Any = (crystal.lattice, crystal.positions, crystal.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=DEFAULT_SYMPREC)
    if dataset is None:
        raise PhononError(crystal.name, "its symmetry was not found", "Check for atoms that overlap.")
    return dataset


def _conventional_cell(standard: Any) -> Atoms:
    from ase import Atoms

    return Atoms(
        standard.std_types, cell=standard.std_lattice, scaled_positions=standard.std_positions, pbc=True
    )


def _repeats(atoms: Atoms, length: float, name: str) -> NDArray[np.int64]:
    """How often a cell is repeated along its axes, none of which is shorter then."""
    repeats = np.ceil(length / atoms.cell.lengths())
    count = len(atoms) * repeats.prod()
    if count > MAX_ATOMS:
        raise ArgumentError(
            f"supercell_length {length:g}",
            f"gives {name} a supercell of {count:.6g} atoms, more than {MAX_ATOMS:,}",
            "Give a smaller one.",
        )
    return repeats.astype(np.int64)


def _relax(atoms: Atoms, calculator: Calculator, cell: bool = True) -> None:
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import LBFGS

    atoms.calc = calculator
    atoms.set_constraint(FixSymmetry(atoms, symprec=DEFAULT_SYMPREC))
    filtered: Any = FrechetCellFilter(atoms) if cell else atoms
    optimizer = LBFGS(filtered, logfile=None)  # type: ignore[arg-type]  # ASE lets None be no log
    if not optimizer.run(fmax=_RELAXED_FORCE, steps=_RELAXATION_STEPS):
        raise PhononError(
            str(atoms.symbols),
            f"did not relax in {_RELAXATION_STEPS} steps",
            "Relax it first, or use relax=False.",
        )
    atoms.set_constraint()


def _nac_params(born: BornCharges, standard: Any, phonon: Phonopy) -> Any:
    """Symmetrised charges, turned from the given cell into the axes and order of the conventional one."""
    from phonopy.physical_units import get_calculator_physical_units
    from phonopy.structure.symmetry import symmetrize_borns_and_epsilon

    charges, dielectric = (np.asarray(tensors, dtype=float) for tensors in born)
    n_atoms = len(standard.mapping_to_primitive)
    if charges.shape != (n_atoms, 3, 3) or dielectric.shape != (3, 3):
        raise ArgumentError(
            "born",
            f"has arrays of shapes {charges.shape} and {dielectric.shape}",
            f"Give Born charges of shape ({n_atoms}, 3, 3) and a dielectric tensor of shape (3, 3).",
        )
    first = {orbit: atom for atom, orbit in reversed(list(enumerate(standard.mapping_to_primitive)))}
    order = [first[orbit] for orbit in standard.std_mapping_to_primitive]
    rotation = standard.std_rotation_matrix
    charges, dielectric = symmetrize_borns_and_epsilon(
        rotation @ charges[order] @ rotation.T,
        rotation @ dielectric @ rotation.T,
        phonon.unitcell,
        primitive_matrix=phonon.primitive_matrix,
        symprec=DEFAULT_SYMPREC,
    )
    factor = get_calculator_physical_units().nac_factor
    return {"born": charges, "dielectric": dielectric, "factor": factor}


@contextmanager
def _calculator_errors(crystal: Crystal, calculator: Calculator) -> Iterator[None]:
    try:
        yield
    except PhononError:
        raise
    except Exception as error:  # a calculator wraps any program and may raise anything
        raise PhononError(
            crystal.name,
            f"{type(calculator).__name__} failed: {error}",
            "Use a calculator for its elements.",
        ) from error
