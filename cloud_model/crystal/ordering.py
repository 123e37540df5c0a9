"""Ordered cells of a disordered crystal.

The smallest supercell that keeps the composition is filled at random, always in the same way; of split sites, which
are too close to each other to be both filled, one at most is. The fillings with the lowest electrostatic energy (Ewald
sum of pymatgen, guessed oxidation states) are taken, one of each energy. Without oxidation states, as in an alloy or a
formula of more than 40 atoms, the first ones that differ are. Where a file says which atoms are there together (the
disorder groups of molecules), each of these alternatives is taken whole, as often as its occupancy says.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.confined import confined
from cloud_model.crystal.crystal import TOO_CLOSE, Crystal
from cloud_model.crystal.elements import COVALENT_RADII, SYMBOLS
from cloud_model.crystal.occupancies import TOLERANCE, DisorderedSites
from cloud_model.errors import CrystalError

COMPOSITION = 0.01
"""Most that the share of an element among the atoms may change, the precision of SCOPE."""

MAX_ATOMS = 120
"""Most sites of a supercell."""

FILLINGS = 300
"""Fillings of a supercell that are compared."""

_LARGEST_FORMULA = 40  # atoms up to which oxidation states are guessed
_ORDER_IT = "Order a supercell of it yourself."
_VACANCY = 0
_Filling = NDArray[np.int64]
_Option = tuple[int, int]  # which of the sites of a place, and the element there


class _Place(NamedTuple):
    """Sites of which one at most is filled, and what fills them in which share."""

    members: tuple[int, ...]
    options: tuple[tuple[_Option, float], ...]


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
        Cells of one size whose composition differs by at most ``COMPOSITION``; the same for the same sites. Stated
        alternatives repeat according to their weights.

    Raises
    ------
    CrystalError
        If no supercell of at most ``MAX_ATOMS`` sites keeps the composition, if more than one of several sites would
        be filled that are too close to each other, or if it takes too long.
    """
    if sites.alternatives:
        return _whole_alternatives(sites, most, label)
    try:
        found: list[Crystal] = confined(_ordered_cells, sites, most, label)
    except (TimeoutError, MemoryError) as error:
        raise CrystalError(label, f"it cannot be ordered: {error}", _ORDER_IT) from None
    return found


def _whole_alternatives(sites: DisorderedSites, most: int, label: str) -> list[Crystal]:
    """Each alternative of a cell as it is, as many times as its share of the cells is, by largest remainders."""
    weights = np.array([weight for _, weight in sites.alternatives])
    counts = np.floor(weights * most + 1e-6).astype(int)
    counts[np.argsort(counts - weights * most, kind="stable")[: most - counts.sum()]] += 1
    elements = np.array([next(iter(shares)) for shares in sites.shares])
    chosen = [mask for (mask, _), count in zip(sites.alternatives, counts, strict=True) for _ in range(count)]
    amounts = np.array([sum(shares.values()) for shares in sites.shares])
    filled = np.mean(chosen, axis=0)
    wrong = max(
        abs(filled[here].sum() / filled.sum() - amounts[here].sum() / amounts.sum())
        for here in (elements == element for element in np.unique(elements))
    )
    if wrong > COMPOSITION:
        raise CrystalError(
            label,
            f"{most} ordered cells do not keep its composition to {COMPOSITION}",
            "Allow more of them, or keep one group of each assembly of sites and delete the others.",
        )
    return [
        Crystal(sites.lattice, sites.positions[mask], elements[mask], f"{label} (ordered cell {i})")
        for i, mask in enumerate(chosen, 1)
    ]


def _ordered_cells(sites: DisorderedSites, most: int, label: str) -> list[Crystal]:
    kinds: dict[tuple[tuple[_Option, float], ...], list[tuple[int, ...]]] = {}
    for place in _places(sites, label):
        kinds.setdefault(place.options, []).append(place.members)
    for multiples in sorted(product(range(1, 9), repeat=3), key=lambda m: (np.prod(m), max(m), m)):
        cells = int(np.prod(multiples))
        if cells * len(sites.shares) > MAX_ATOMS:
            break
        contents = [_contents(options, cells * len(places)) for options, places in kinds.items()]
        if _deviation(sites, contents) <= COMPOSITION:
            whole = sites._replace(positions=_together(sites.positions, kinds.values()))
            return _cells(whole, list(kinds.values()), contents, multiples, most, label)
    raise CrystalError(
        label,
        f"no ordered cell of at most {MAX_ATOMS} sites keeps its composition to {COMPOSITION}",
        _ORDER_IT,
    )


def _places(sites: DisorderedSites, label: str) -> list[_Place]:
    """The sites, split ones together."""
    from scipy.sparse.csgraph import connected_components

    radii = [max((COVALENT_RADII[n - 1] for n in shares), default=0.0) for shares in sites.shares]
    partial = np.array([sum(shares.values()) < 1 - TOLERANCE for shares in sites.shares])
    offsets = sites.positions[:, None] - sites.positions
    distances = np.linalg.norm((offsets - np.rint(offsets)) @ sites.lattice, axis=2)
    exclusive = (distances < TOO_CLOSE * np.add.outer(radii, radii)) & partial & partial[:, None]
    count, clusters = connected_components(exclusive, directed=False)
    places = []
    for cluster in range(count):
        members = sorted(
            np.flatnonzero(clusters == cluster).tolist(), key=lambda i: _rounded(sites.shares[i])
        )
        options = [
            ((which, number), amount)
            for which, member in enumerate(members)
            for number, amount in _rounded(sites.shares[member])
        ]
        if sum(amount for _, amount in options) > 1 + TOLERANCE:
            raise CrystalError(
                label,
                "some of its sites are too close to each other to be both filled, and are filled by more than half",
                f"Correct its occupancies. {_ORDER_IT}",
            )
        places.append(_Place(tuple(members), tuple(options)))
    return places


def _together(
    positions: NDArray[np.float64], places: Iterable[Iterable[tuple[int, ...]]]
) -> NDArray[np.float64]:
    """Coordinates by which the sites of each place are beside each other, not in different cells."""
    positions = positions.copy()
    for members in chain.from_iterable(places):
        first = positions[members[0]]
        positions[list(members)] -= np.rint(positions[list(members)] - first)
    return positions


def _rounded(shares: dict[int, float]) -> list[tuple[int, float]]:
    return sorted((number, round(amount, 3)) for number, amount in shares.items())


def _contents(options: Iterable[tuple[_Option | None, float]], places: int) -> list[_Option | None]:
    """Occupants of so many places, by largest remainders; the rest are empty."""
    amounts = dict(options)
    amounts[None] = max(0.0, 1 - sum(amounts.values()))
    counts = {option: int(amount * places + 1e-6) for option, amount in amounts.items()}
    remainders = sorted(amounts, key=lambda option: counts[option] - amounts[option] * places)
    for option in remainders[: places - sum(counts.values())]:
        counts[option] += 1
    return [option for option, count in counts.items() for _ in range(count)][:places]


def _deviation(sites: DisorderedSites, contents: list[list[_Option | None]]) -> float:
    """Largest difference of a share of an element among the atoms."""
    wanted: dict[int, float] = {}
    for shares in sites.shares:
        for number, amount in shares.items():
            wanted[number] = wanted.get(number, 0.0) + amount
    total = sum(wanted.values())
    atoms = [option[1] for options in contents for option in options if option]
    return max(
        abs(atoms.count(number) / len(atoms) - amount / total) if atoms else 1.0
        for number, amount in wanted.items()
    )


def _cells(
    sites: DisorderedSites,
    places: list[list[tuple[int, ...]]],
    contents: list[list[_Option | None]],
    multiples: tuple[int, ...],
    most: int,
    label: str,
) -> list[Crystal]:
    """Fill a supercell in different ways, the most favourable ones first."""
    cells = np.array(list(product(*map(range, multiples))))
    lattice = sites.lattice * np.array(multiples)[:, None]
    positions = ((sites.positions[:, None] + cells) / np.array(multiples)).reshape(-1, 3)
    generator = np.random.default_rng(0)
    fillings: dict[bytes, _Filling] = {}
    for _ in range(FILLINGS):
        filling = np.full(len(positions), _VACANCY)
        for groups, options in zip(places, contents, strict=True):
            order = generator.permutation(len(options)).tolist()
            for (members, cell), i in zip(product(groups, range(len(cells))), order, strict=True):
                if option := options[i]:
                    filling[members[option[0]] * len(cells) + cell] = option[1]
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
    """Guess oxidation states, which make the total charge zero; none if there are none."""
    from pymatgen.core import Composition

    numbers, counts = np.unique(filling[filling != _VACANCY], return_counts=True)
    amounts: dict[Any, int] = {SYMBOLS[n - 1]: int(count) for n, count in zip(numbers, counts, strict=True)}
    composition = Composition(amounts)
    small = len(amounts) > 1 and composition.reduced_composition.num_atoms <= _LARGEST_FORMULA
    guesses = composition.oxi_state_guesses(max_sites=-_LARGEST_FORMULA) if small else ()
    found: dict[str, float] = guesses[0] if guesses else {}
    return {n: float(found[SYMBOLS[n - 1]]) for n in numbers.tolist()} if found else {}
