"""Convert structures of the OPTIMADE specification (Andersen et al., Scientific Data 8, 217 (2021))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.occupancies import sole_elements
from cloud_model.errors import CrystalError


def from_optimade(attributes: Mapping[str, Any], label: str) -> Crystal:
    """Convert the attributes of an OPTIMADE entry.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        As `Crystal` does, and if an attribute is missing or malformed.
    """
    try:
        if (attributes.get("nperiodic_dimensions") or 3) != 3 or 0 in (
            attributes.get("dimension_types") or ()
        ):
            raise CrystalError(label, "is not periodic in three dimensions", "CLOUD describes bulk crystals.")
        if "implicit_atoms" in (attributes.get("structure_features") or ()):
            raise CrystalError(label, "leaves out atoms (implicit_atoms)", "Add them to its sites.")
        kinds = {kind["name"]: kind for kind in attributes["species"]}
        if any(kind.get("attached") for kind in kinds.values()):
            raise CrystalError(label, "has attached atoms without positions", "Add them to its sites.")
        contents = {name: _shares(kind) for name, kind in kinds.items()}
        shares = [contents[site] for site in attributes["species_at_sites"]]
        lattice = np.array(attributes["lattice_vectors"], dtype=float).reshape(3, 3)
        cartesian = np.array(attributes["cartesian_site_positions"], dtype=float).reshape(len(shares), 3)
        positions = np.linalg.solve(lattice.T, cartesian.T).T
        return Crystal(lattice, positions, sole_elements(lattice, positions, shares, label), label)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, np.linalg.LinAlgError) as error:
        if isinstance(error, CrystalError):
            raise
        raise CrystalError(
            label, f"lacks or garbles an attribute ({error!r})", "Tell its provider."
        ) from None


def _shares(kind: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Elements of an OPTIMADE species and their shares; vacancies have a concentration too."""
    shares = zip(kind["chemical_symbols"], kind["concentration"], strict=True)
    return [
        (ATOMIC_NUMBERS[symbol], float(amount)) for symbol, amount in shares if symbol not in ("X", "vacancy")
    ]
