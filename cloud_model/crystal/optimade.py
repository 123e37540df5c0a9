"""Convert structures of the OPTIMADE specification (Andersen et al., Scientific Data 8, 217 (2021))."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.occupancies import filled_sites
from cloud_model.crystal.reading import malformed
from cloud_model.crystal.stated import (
    check_count,
    check_elements,
    check_formula,
    check_positions,
    contradiction,
)
from cloud_model.errors import CrystalError

_FORMULAS = ("chemical_formula_reduced", "chemical_formula_hill", "chemical_formula_descriptive")


def from_optimade(attributes: Mapping[str, Any], label: str) -> Crystal:
    """Convert the attributes of an OPTIMADE entry.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        As `Crystal` does, and if an attribute is missing or malformed.
    """
    with malformed(label, "lacks or garbles an attribute", "Tell its provider."):
        if (attributes.get("nperiodic_dimensions") or 3) != 3 or 0 in (
            attributes.get("dimension_types") or ()
        ):
            raise CrystalError(label, "is not periodic in three dimensions", "CLOUD describes bulk crystals.")
        if "implicit_atoms" in (attributes.get("structure_features") or ()):
            raise CrystalError(label, "leaves out atoms (implicit_atoms)", "Add them to its sites.")
        if attributes.get("site_coordinate_span", "unit_cell") not in (None, "unit_cell"):
            raise CrystalError(
                label,
                "it lists other sites than those of a cell (site_coordinate_span)",
                "Expand them to a cell.",
            )
        kinds = {kind["name"]: kind for kind in attributes["species"]}
        if len(kinds) < len(attributes["species"]):
            raise CrystalError(label, "it defines a species twice", "Keep the right one.")
        if any(kind.get("attached") for kind in kinds.values()):
            raise CrystalError(label, "has attached atoms without positions", "Add them to its sites.")
        contents = {name: _shares(kind) for name, kind in kinds.items()}
        shares = [contents[site] for site in attributes["species_at_sites"]]
        check_count(len(shares), attributes.get("nsites"), "nsites", label)
        lattice = np.array(attributes["lattice_vectors"], dtype=float).reshape(3, 3)
        cartesian = np.array(attributes["cartesian_site_positions"], dtype=float).reshape(len(shares), 3)
        positions = np.linalg.solve(lattice.T, cartesian.T).T
        fractional = attributes.get("fractional_site_positions")
        if fractional is not None:
            stated = np.array(fractional, dtype=float).reshape(positions.shape)
            check_positions(lattice, positions, stated, "fractional_site_positions", label)
        crystal = Crystal(lattice, *filled_sites(lattice, positions, shares, label), label)
        _compare(crystal, attributes, label)
        return crystal


def _compare(crystal: Crystal, attributes: Mapping[str, Any], label: str) -> None:
    """Compare a crystal with what the attributes state besides its sites."""
    check_elements(crystal, attributes.get("elements"), "elements", label)
    for name in _FORMULAS:
        check_formula(crystal, attributes.get(name), name, label)
    elements = Counter(crystal.numbers.tolist())
    if attributes.get("nelements") not in (None, len(elements)):
        raise contradiction(
            label, f"the atoms {crystal.formula}", f"{attributes['nelements']!r:.20} as nelements"
        )
    anonymous = attributes.get("chemical_formula_anonymous")
    amounts = sorted(int(digits or 1) for digits in re.findall(r"[A-Z][a-z]?(\d{0,9})", anonymous or ""))
    found = sorted(elements.values())
    if amounts and [n * sum(amounts) for n in found] != [n * sum(found) for n in amounts]:
        raise contradiction(
            label, f"the atoms {crystal.formula}", f"{anonymous:.80} as chemical_formula_anonymous"
        )
    ratios = attributes.get("elements_ratios")
    if ratios and attributes.get("elements"):
        ratio = dict(zip(attributes["elements"], map(float, ratios), strict=True))
        check_formula(crystal, ratio, "elements_ratios", label)


def _shares(kind: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Elements of an OPTIMADE species and their shares; vacancies have a concentration too."""
    shares = zip(kind["chemical_symbols"], kind["concentration"], strict=True)
    return [
        (ATOMIC_NUMBERS[symbol], float(amount)) for symbol, amount in shares if symbol not in ("X", "vacancy")
    ]
