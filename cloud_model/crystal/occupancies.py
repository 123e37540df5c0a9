"""Site occupancies: one element or disorder, by one tolerance for files and objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cell import heights_and_directions, volume_and_normals
from cloud_model.crystal.crystal import check_coordinates
from cloud_model.errors import CrystalError, DisorderedCrystalError, warn_user

TOLERANCE = 0.002
"""How far the occupancies of a site may add up to something else than one: 0.999 and 1.001 are rounded ones."""


SAME_SITE = 0.01
"""Atoms that are partly there and closer than this, in Angstrom, share a site."""


class DisorderedSites(NamedTuple):
    """The sites of a cell, some of which are shared or partly empty.

    Attributes
    ----------
    lattice : array of float (3, 3)
        Lattice vectors in rows, in Angstrom.
    positions : array of float (n, 3)
        Fractional coordinates.
    shares : list of dict
        Atomic number -> occupancy, for each site.
    alternatives : list of (array of bool (n,), float)
        Which sites are filled together and how often, if the file says so; they are whole then.
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    shares: list[dict[int, float]]
    alternatives: Sequence[tuple[NDArray[np.bool_], float]] = ()


def shared_sites(
    positions: NDArray[np.float64], shares: Sequence[list[tuple[int, float]]], lattice: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[list[tuple[int, float]]]]:
    """Bring together the atoms that share a site, such as two elements or two valences of one.

    Parameters
    ----------
    positions : array of float (n, 3)
        Fractional coordinates.
    shares : sequence of list of (int, float)
        Atomic numbers and occupancies.
    lattice : array of float (3, 3)

    Returns
    -------
    rows : array of int (m,)
        Rows of the sites: of partial atoms at one place only the first, and every other atom.
    shares : list of list
        Occupants of these sites.
    """
    full = [abs(sum(amount for _, amount in site) - 1) <= TOLERANCE for site in shares]
    kept = {row: shares[row] for row in np.flatnonzero(full).tolist()}
    left = np.flatnonzero(~np.array(full))
    for members in _coincident(positions[left], lattice):
        rows = left[members]
        kept[int(rows[0])] = [share for row in rows for share in shares[row]]
    return np.array(sorted(kept)), [kept[row] for row in sorted(kept)]


def _coincident(positions: NDArray[np.float64], lattice: NDArray[np.float64]) -> Iterator[list[int]]:
    """Rows at the place of the first row that is left, again and again."""
    if not len(positions):
        return

    from scipy.spatial import cKDTree

    heights, _ = heights_and_directions(*volume_and_normals(lattice.tolist()))
    angles = 2 * np.pi * positions
    torus = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * np.tile(heights, 2) / (2 * np.pi)
    tree = cKDTree(torus)  # along each height points are at most as far apart as in the crystal
    free = np.ones(len(positions), dtype=bool)
    for first in range(len(positions)):
        if not free[first]:
            continue
        near = np.array(sorted(tree.query_ball_point(torus[first], 2 * SAME_SITE)))
        near = near[free[near]]
        offsets = positions[near] - positions[first]
        offsets -= np.rint(offsets)
        members = near[np.linalg.norm(offsets @ lattice, axis=1) < SAME_SITE]
        free[members] = False
        yield members.tolist()


def filled_sites(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    shares: Sequence[Iterable[tuple[int, float]]],
    label: str,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sites that are not empty, and the element that fills each; raises as `sole_elements`."""
    sites = [list(site) for site in shares]
    empty = [not any(amount for _, amount in site) for site in sites]
    if any(empty):
        warn_of_empty_sites(sum(empty), label)
        positions = positions[~np.array(empty)]
        sites = [site for site in sites if any(amount for _, amount in site)]
    return positions, sole_elements(lattice, positions, sites, label)


def warn_of_empty_sites(number: int, label: str) -> None:
    """Tell that sites of occupancy 0 are no atoms."""
    warn_user(
        f"{label}: {number} of its sites {'is' if number == 1 else 'are'} empty (occupancy 0), and left out."
    )


def sole_elements(
    lattice: NDArray[np.float64],
    positions: NDArray[np.float64],
    shares: Sequence[Iterable[tuple[int, float]]],
    label: str,
) -> NDArray[np.int64]:
    """Return the element that fills each site; raises as `sole_element`, with all sites if they can be ordered."""
    sites = [list(site) for site in shares]
    try:
        return np.array([sole_element(site, label) for site in sites], dtype=np.int64)
    except DisorderedCrystalError:
        amounts = [
            {number: sum(a for n, a in site if n == number) for number, amount in site if amount}
            for site in sites
        ]
        if not all(
            sum(site.values()) <= 1 + TOLERANCE and min(site.values(), default=1) > 0 for site in amounts
        ):
            raise
        check_coordinates(positions, label)
        raise disordered(label, DisorderedSites(lattice, positions, amounts)) from None


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
    if min(amounts.values(), default=0.0) < 0:
        raise CrystalError(
            label, f"a site has a negative occupancy, {min(amounts.values()):.4g}", "Correct it."
        )
    if total > 1 + TOLERANCE:
        raise overfull(label, total)
    if len(amounts) == 1 and total >= 1 - TOLERANCE:
        return next(iter(amounts))
    raise disordered(label)


def disordered(label: str, sites: DisorderedSites | None = None) -> DisorderedCrystalError:
    """Return the error about a crystal with partial occupancies, which holds the sites if they can be ordered."""
    option = (
        "Predict it with order=10, or --order 10 on the command line, as the mean of ordered cells; or order"
    )
    error = DisorderedCrystalError(
        label,
        "some sites are partly occupied or shared by elements, which SCOPE cannot describe",
        f"{option if sites else 'Order'} it first, for example with OrderDisorderedStructureTransformation of "
        "pymatgen.transformations.standard_transformations.",
    )
    error.sites = sites
    return error


def overfull(label: str, total: float) -> CrystalError:
    """Return the error about a site with occupancies of more than one."""
    return CrystalError(
        label,
        f"a site has an occupancy above 1, namely {total:.4g}",
        "Correct it: an occupancy is the filled share of a site, not a number of atoms.",
    )
