"""Cells of crystals: to and from phonopy, and the number of atoms in the primitive one."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.files import is_scope_string, to_crystal
from cloud_model.errors import ArgumentError, PhononError
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.string import Scope
from cloud_plugins.phonopy.spectrum import Array

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms


def unit_cell(phonon: Phonopy) -> Crystal:
    """Read the unit cell of phonons, in Angstrom whatever units the force code works in."""
    from phonopy.physical_units import get_calculator_physical_units

    cell = phonon.unitcell
    angstrom = get_calculator_physical_units(phonon.calculator).distance_to_A
    return Crystal(angstrom * cell.cell, cell.scaled_positions, cell.numbers)


def described_crystal(crystal: Any) -> Crystal | str:
    """Crystal, or SCOPE string, that CLOUD predicts."""
    if isinstance(crystal, Scope):
        return str(crystal)
    return crystal if is_scope_string(crystal) else to_crystal(crystal)


def to_phonopy(crystal: Crystal) -> PhonopyAtoms:
    """Cell in phonopy's form."""
    from phonopy.structure.atoms import PhonopyAtoms

    return PhonopyAtoms(cell=crystal.lattice, scaled_positions=crystal.positions, numbers=crystal.numbers)


def primitive_matrix(crystal: Crystal) -> Array:
    """Express the axes of the primitive cell, as columns, in those of the crystal."""
    from phonopy.structure.cells import guess_primitive_matrix

    return np.asarray(guess_primitive_matrix(to_phonopy(crystal), symprec=DEFAULT_SYMPREC))


def atoms_in_primitive_cell(crystal: Crystal) -> int:
    """Count the atoms of the primitive cell, whichever cell the crystal is given in."""
    return round(float(np.linalg.det(primitive_matrix(crystal))) * len(crystal.numbers))


def formula(crystal: Crystal) -> str:
    """Write the reduced chemical formula."""
    from pymatgen.core.composition import Composition
    from pymatgen.core.periodic_table import Element

    counts = Counter(Element.from_Z(number) for number in crystal.numbers)
    return str(Composition(counts).reduced_formula)


def composition(crystal: Crystal) -> dict[int, Fraction]:
    """Share of each element, by atomic number."""
    counts = Counter(int(number) for number in crystal.numbers)
    return {number: Fraction(count, counts.total()) for number, count in counts.items()}


def crystal_to_predict(
    described: Crystal | str | None, crystal: Crystal | None, source: str
) -> Crystal | str:
    """What CLOUD predicts beside phonons: what is described if that is given, else the crystal of the phonons.

    Raises
    ------
    PhononError
        If the phonons are of a crystal of another composition.
    ArgumentError
        If neither is known.
    """
    if described is None:
        described = crystal
    if described is None:
        raise ArgumentError(
            source, "does not say which crystal it is of", "Pass the crystal as the second argument."
        )
    if (
        isinstance(described, Crystal)
        and crystal is not None
        and composition(described) != composition(crystal)
    ):
        raise PhononError(
            source,
            f"is of {formula(crystal)}, not of {formula(described)}",
            "Pass the crystal of the phonons.",
        )
    return described
