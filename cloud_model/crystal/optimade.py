"""Convert structures of the OPTIMADE specification (Andersen et al., Scientific Data 8, 217 (2021))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cloud_model.crystal.conversions import disordered
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
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
        if (attributes.get("nperiodic_dimensions") or 3) != 3:
            raise CrystalError(label, "is not periodic in three dimensions", "CLOUD describes bulk crystals.")
        kinds = {kind["name"]: kind for kind in attributes["species"]}
        occupied = [kinds[site]["chemical_symbols"] for site in attributes["species_at_sites"]]
        if any(len(symbols) != 1 or symbols[0] in ("X", "vacancy") for symbols in occupied):
            raise disordered(label)
        if any(min(kind["concentration"]) < 1 for kind in kinds.values()):
            raise disordered(label)
        numbers = np.array([ATOMIC_NUMBERS[symbols[0]] for symbols in occupied])
        lattice = np.array(attributes["lattice_vectors"], dtype=float).reshape(3, 3)
        cartesian = np.array(attributes["cartesian_site_positions"], dtype=float).reshape(len(numbers), 3)
        return Crystal(lattice, np.linalg.solve(lattice.T, cartesian.T).T, numbers, label)
    except (KeyError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError) as error:
        if isinstance(error, CrystalError):
            raise
        raise CrystalError(
            label, f"lacks or garbles an attribute ({error!r})", "Tell its provider."
        ) from None
