"""Starting structures of candidates: structures of their prototypes with other elements in them."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from pymatgen.core import Structure

from cloud_model.arguments import checked_path
from cloud_model.crystal.files import read_crystal
from cloud_model.errors import CloudError, CloudWarning
from cloud_model.model import CloudModel
from cloud_model.scope.string import Scope

if TYPE_CHECKING:
    import pandas as pd

_VOLUME = "volume_per_atom"
_Key = tuple[int, tuple[str, ...]]


def write_structures(
    candidates: pd.DataFrame,
    structures: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
) -> list[Path]:
    """Write a starting structure for relaxation of each candidate whose prototype is among structures of the user.

    Parameters
    ----------
    candidates : DataFrame
        From `screen`.
    structures : str or path-like
        Folder of files that ASE or pymatgen reads; those that hold no crystal are passed over.
    output : str or path-like
        Folder for CIFs, named by rank and formula.
    model : str, path-like or CloudModel, optional
        If it knows the volume of a crystal, the cell is scaled to it.

    Returns
    -------
    list of Path
        The files written. Each has the SCOPE string of its candidate.
    """
    loaded = CloudModel.from_pretrained(model)
    known = _by_positions(checked_path("structures", structures))
    folder = checked_path("output", output)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for rank, text in enumerate(candidates["scope"], start=1):
        scope = Scope.parse(text)
        for template in known[_positions(scope)]:
            structure = _decorated(template, scope)
            if structure is not None:
                if _VOLUME in loaded.properties:
                    volume = loaded.predict_arrays([scope], _VOLUME)[_VOLUME][0]
                    structure = structure.scale_lattice(float(volume) * len(structure))
                written.append(folder / f"{rank:04d}_{scope.formula}.cif")
                structure.to_file(str(written[-1]))
                break
    return written


def _by_positions(folder: Path) -> dict[_Key, list[Structure]]:
    """Structures by space group and occupied positions."""
    found: dict[_Key, list[Structure]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CloudWarning)
                crystal = read_crystal(path)
                scope = Scope.from_crystal(crystal, "sites")
        except CloudError:
            continue
        structure = Structure(crystal.lattice, crystal.numbers.tolist(), crystal.positions)
        found[_positions(scope)].append(structure)
    return found


def _positions(scope: Scope) -> _Key:
    return scope.space_group, tuple(sorted(symbol for symbol, _ in scope.orbits or ()))


def _decorated(template: Structure, scope: Scope) -> Structure | None:
    """A structure with the elements of a string, where it then has this string."""
    old = template.symbol_set
    new = [element for element, _ in scope.composition]
    if len(old) != len(new):
        return None
    for order in permutations(new):
        structure = template.copy()
        structure.replace_species(dict(zip(old, order, strict=True)))
        if Scope.from_crystal(structure, "sites") == scope:
            return structure
    return None
