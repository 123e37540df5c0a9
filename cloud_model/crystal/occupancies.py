"""Site occupancies: one element or disorder, by one tolerance for files and objects."""

from __future__ import annotations

from collections.abc import Iterable

from cloud_model.errors import CrystalError, DisorderedCrystalError

TOLERANCE = 0.002
"""How far the occupancies of a site may add up to something else than one: 0.999 and 1.001 are rounded ones."""


def sole_element(shares: Iterable[tuple[int, float]], label: str) -> int:
    """Return the element that fills a site, whatever its valences and isotopes.

    Parameters
    ----------
    shares : iterable of (int, float)
        Atomic numbers, which may repeat, and their occupancies.
    label : str
        What to call the crystal in errors.

    Raises
    ------
    DisorderedCrystalError
        If elements share the site, or it is partly empty.
    CrystalError
        If its occupancies add up to more than one.
    """
    amounts: dict[int, float] = {}
    for number, amount in shares:
        if amount:
            amounts[number] = amounts.get(number, 0.0) + amount
    total = sum(amounts.values())
    if total > 1 + TOLERANCE:
        raise overfull(label, total)
    if len(amounts) == 1 and total >= 1 - TOLERANCE:
        return next(iter(amounts))
    raise disordered(label)


def disordered(label: str) -> DisorderedCrystalError:
    """Return the error about a crystal with partial occupancies."""
    return DisorderedCrystalError(
        label,
        "some sites are partly occupied or shared by elements, which SCOPE cannot describe",
        "Order it first, for example with OrderDisorderedStructureTransformation of "
        "pymatgen.transformations.standard_transformations.",
    )


def overfull(label: str, total: float) -> CrystalError:
    """Return the error about a site with occupancies of more than one."""
    return CrystalError(
        label,
        f"a site has an occupancy above 1, namely {total:.4g}",
        "Correct it: an occupancy is the filled share of a site, not a number of atoms.",
    )
