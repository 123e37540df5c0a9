"""The file format ``.scope``: one SCOPE string a line.

ASE loads this module with its other formats, by the entry point ``ase.ioformats``. That is the one hook
through which a package can bring a calculator to ``ase run`` and ``get_calculator_class``, so it registers
ours too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from ase.calculators.calculator import external_calculators, register_calculator_class
from ase.utils.plugins import ExternalIOFormat

from cloud_model.errors import ScopeError
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_plugins.ase.calculator import CloudCalculator

if TYPE_CHECKING:
    from ase import Atoms

    from cloud_model.scope.description import Dialect

scope_format = ExternalIOFormat(
    desc="SCOPE strings of the crystal language model CLOUD", code="+F", module=__name__, ext=["scope"]
)

if "cloud" not in external_calculators:
    register_calculator_class("cloud", CloudCalculator)


def write_scope(
    fd: TextIO, images: Sequence[Atoms], dialect: Dialect = "canonical", symprec: float = DEFAULT_SYMPREC
) -> None:
    """Write one SCOPE string a line; ASE calls it for ``write("x.scope", images)``.

    Parameters
    ----------
    fd : text file
        Written to.
    images : sequence of Atoms
        The crystals.
    dialect : {'canonical', 'sites', 'reference'}
        How the strings are written.
    symprec : float
        Tolerance of the symmetry search, Angstrom.

    Raises
    ------
    CrystalError
        If one of them is not a crystal that SCOPE can describe.
    """
    from cloud_model.scope.string import Scope

    for atoms in images:
        fd.write(f"{Scope.from_crystal(atoms, dialect=dialect, symprec=symprec)}\n")


def read_scope(fd: TextIO, index: int | slice | str = -1) -> NoReturn:
    """Refuse to read: many crystals share a SCOPE string, so it determines no structure.

    Raises
    ------
    ScopeError
        Always.
    """
    raise ScopeError(
        getattr(fd, "name", "a .scope file"),
        "holds SCOPE strings, which have no lattice and no coordinates and so determine no structure",
        "Read its lines with cloud_model.Scope.parse, or pass them to CloudModel.predict as they are.",
    )
