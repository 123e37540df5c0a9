"""Ordered cells of a disordered crystal.

The smallest supercell that keeps the composition is filled at random, always in the same way, and the fillings with
the lowest electrostatic energy (Ewald sum of pymatgen, guessed oxidation states) are taken, one of each energy. Without
oxidation states, as in an alloy, the first ones that differ are.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.crystal.occupancies import DisorderedSites
from cloud_model.errors import CrystalError

COMPOSITION = 0.01
"""Most that the share of an element among the atoms may change, the precision of SCOPE."""

MAX_ATOMS = 120
"""Most sites of a supercell."""

FILLINGS = 300
"""Fillings of a supercell that are compared."""

_VACANCY = 0
_Filling = NDArray[np.int64]


def ordered_cells(sites: DisorderedSites, most: int, label: str) -> list[Crystal]:
    """Order a disordered crystal.

    Parameters
    ----------
    sites : DisorderedSites
    most : int
        How many cells to return at most.
    label : str
        What to call it in errors.

    Returns
    -------
    list of Crystal
        Cells of one size whose composition differs by at most ``COMPOSITION``; the same for the same sites.

    Raises
    ------
    CrystalError
        If no supercell of at most ``MAX_ATOMS`` sites keeps the composition.
    """
    groups = _groups(sites)
    for multiples in sorted(product(range(1, 9), repeat=3), key=lambda m: (np.prod(m), max(m), m)):
        cells = int(np.prod(multiples))
        if cells * len(sites.shares) > MAX_ATOMS:
            break
        contents = [_contents(dict(shares), cells * len(members)) for shares, members in groups.items()]
        if _deviation(sites, np.concatenate(contents)) <= COMPOSITION:
            return _cells(sites, list(groups.values()), contents, multiples, most, label)
    raise CrystalError(
        label,
        f"no ordered cell of at most {MAX_ATOMS} sites keeps its composition to {COMPOSITION}",
        "Order a larger supercell of it yourself.",
    )


def _groups(sites: DisorderedSites) -> dict[tuple[tuple[int, float], ...], list[int]]:
    """Sites by what shares them."""
    groups: dict[tuple[tuple[int, float], ...], list[int]] = {}
    for i, shares in enumerate(sites.shares):
        groups.setdefault(tuple(sorted((n, round(amount, 3)) for n, amount in shares.items())), []).append(i)
    return groups


def _contents(shares: dict[int, float], places: int) -> _Filling:
    """Elements of so many places, by largest remainders; the rest is empty."""
    amounts = {**shares, _VACANCY: max(0.0, 1 - sum(shares.values()))}
    counts = {number: int(amount * places + 1e-6) for number, amount in amounts.items()}
    remainders = sorted(amounts, key=lambda number: counts[number] - amounts[number] * places)
    for number in remainders[: places - sum(counts.values())]:
        counts[number] += 1
    return np.repeat(list(counts), list(counts.values()))[:places]


def _deviation(sites: DisorderedSites, contents: _Filling) -> float:
    wanted: dict[int, float] = {}
    for shares in sites.shares:
        for number, amount in shares.items():
            wanted[number] = wanted.get(number, 0.0) + amount
    total = sum(wanted.values())
    atoms = contents[contents != _VACANCY]
    return max(
        abs(float((atoms == number).mean()) - amount / total) if len(atoms) else 1.0
        for number, amount in wanted.items()
    )


def _cells(
    sites: DisorderedSites,
    groups: list[list[int]],
    contents: list[_Filling],
    multiples: tuple[int, ...],
    most: int,
    label: str,
) -> list[Crystal]:
    """Fill a supercell in different ways, the most favourable ones first."""
    cells = np.array(list(product(*map(range, multiples))))
    lattice = sites.lattice * np.array(multiples)[:, None]
    positions = ((sites.positions[:, None] + cells) / np.array(multiples)).reshape(-1, 3)
    places = [
        np.concatenate([np.arange(i * len(cells), (i + 1) * len(cells)) for i in group]) for group in groups
    ]
    generator = np.random.default_rng(0)
    fillings: dict[bytes, _Filling] = {}
    for _ in range(FILLINGS):
        filling = np.zeros(len(positions), dtype=np.int64)
        for place, content in zip(places, contents, strict=True):
            filling[place] = generator.permutation(content)
        fillings.setdefault(filling.tobytes(), filling)
    chosen = _by_energy(lattice, positions, list(fillings.values()), most)
    return [
        Crystal(
            lattice,
            positions[filling != _VACANCY],
            filling[filling != _VACANCY],
            f"{label} (ordered cell {i})",
        )
        for i, filling in enumerate(chosen, 1)
    ]


def _by_energy(
    lattice: NDArray[np.float64], positions: NDArray[np.float64], fillings: list[_Filling], most: int
) -> list[_Filling]:
    """Fillings of different electrostatic energy, the lowest first; as they come without oxidation states."""
    if len(fillings) == 1:
        return fillings
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Structure

    places = Structure(lattice, ["H+"] * len(positions), positions)
    matrix = EwaldSummation(places, compute_forces=False).total_energy_matrix
    of_number = np.zeros(len(SYMBOLS) + 1)
    charges = _charges(fillings[0])
    present = np.unique(fillings[0])
    of_number[present] = [charges.get(number, 0.0) if charges else number for number in present.tolist()]
    energies = np.array([of_number[filling] @ matrix @ of_number[filling] for filling in fillings])
    _, first = np.unique(energies.round(4), return_index=True)
    return [fillings[i] for i in (first if charges else np.sort(first))[:most]]


def _charges(filling: _Filling) -> dict[int, float]:
    """Guess oxidation states, which bring the charge to nought; none if there are no such states."""
    from pymatgen.core import Composition

    numbers, counts = np.unique(filling[filling != _VACANCY], return_counts=True)
    amounts: dict[Any, int] = {SYMBOLS[n - 1]: int(count) for n, count in zip(numbers, counts, strict=True)}
    guesses = Composition(amounts).oxi_state_guesses(max_sites=-40) if len(amounts) > 1 else ()
    found: dict[str, float] = guesses[0] if guesses else {}
    return {n: float(found[SYMBOLS[n - 1]]) for n in numbers.tolist()} if found else {}
