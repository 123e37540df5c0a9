"""Read a crystal from the text of a CIF.

Symmetry may be stated by its operations, or by the number or symbol of a space group in any of its settings. The cell,
the formula, the multiplicities of the sites and the distances between the atoms decide between settings that a file
leaves open. Where they do not decide, or contradict each other, the file is refused: no reader should have to guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import compress
from math import cos, floor, inf, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cell import heights_and_directions, volume_and_normals
from cloud_model.crystal.cif_symmetry import LIST_OPERATIONS, Candidate, stated_symmetry
from cloud_model.crystal.cif_syntax import (
    UNKNOWN,
    Block,
    MalformedCifError,
    data_blocks,
    first_words,
    numbers,
)
from cloud_model.crystal.contacts import FAR, closest_contact
from cloud_model.crystal.crystal import MAX_LENGTH as LONGEST
from cloud_model.crystal.crystal import Crystal, check_coordinates, is_oblique
from cloud_model.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from cloud_model.crystal.labels import elements_of_label, label_against
from cloud_model.crystal.occupancies import (
    TOLERANCE,
    DisorderedSites,
    disordered,
    shared_sites,
    sole_elements,
    warn_of_empty_sites,
)
from cloud_model.crystal.stated import is_volume
from cloud_model.crystal.symmetry_operations import IDENTITY, Operations
from cloud_model.errors import CrystalError, DisorderedCrystalError, warn_user

MAX_LENGTH = 2**25
"""Most characters of a CIF."""

MAX_IMAGES = 500_000
"""Most sites times symmetry operations that are expanded."""

SAME_ATOM = 0.1
"""Symmetry images of a site closer than this, in Angstrom, are one atom, at their mean."""

COLLISION = 0.25
"""Distance in Angstrom, a third of that in hydrogen, at which a setting is ruled out."""

ORDINARY = 0.7
"""Share of the sum of the covalent radii that atoms of nearly all crystals keep."""

GROUP = 0.02
"""How much the occupancies of a disorder group may differ, and those of an assembly from one."""

MAX_ALTERNATIVES = 64
"""Most combinations of disorder groups."""

DENSITY = 0.05
"""How much a stated density or formula weight may differ from that of the atoms, as a share of it."""

_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
_COORDINATES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_FORMULAS = ("_chemical_formula_sum", "_chemical_formula_structural", "_chemical_formula_moiety")
_MULTIPLICITIES = ("_atom_site_site_symmetry_multiplicity", "_atom_site_symmetry_multiplicity")
_CARTESIAN = "_atom_site_cartn_x"
_ORDERS = (
    "_atom_site_site_symmetry_order",
    "_atom_site_symmetry_multiplicity",
)  # SHELXL meant the order once
_WYCKOFF = ("_atom_site_wyckoff_symbol", "_atom_site_wyckoff_label")
_SYSTEMS = ("_space_group_crystal_system", "_symmetry_cell_setting")
_SYSTEMS_OF_GROUPS = (
    (2, ("triclinic", "anorthic")),
    (15, ("monoclinic",)),
    (74, ("orthorhombic",)),
    (142, ("tetragonal",)),
    (167, ("trigonal", "rhombohedral", "hexagonal")),
    (194, ("hexagonal",)),
    (230, ("cubic", "isometric")),
)  # last number of each
_DENSITY, _WEIGHT = "_exptl_crystal_density_diffrn", "_chemical_formula_weight"
_LEAST = 1e-6  # of a density or weight that means something
_GRAMS = 1.66053907  # per cubic centimetre, of one u per cubic Angstrom
_DIGITS = 9  # of a multiplicity that are read
_CORRECT = "Check that it is complete, and correct its sites, symmetry, formula or Z."
_ELEMENT = re.compile(r"\d*([A-Za-z]+)[-+.\d]*", re.ASCII)
_FORMULA_PART = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


class Sites(NamedTuple):
    """The sites of an asymmetric unit.

    Attributes
    ----------
    positions : array of float (n, 3)
        Fractional coordinates.
    numbers : array of int (n,)
        Atomic numbers; of a shared site that of its first row.
    rows : array of int (n,)
        Their rows in the file.
    shares : list of list
        Atomic numbers and occupancies, for each site.
    """

    positions: NDArray[np.float64]
    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    shares: list[list[tuple[int, float]]]


class Expansion(NamedTuple):
    """The atoms of a cell.

    Attributes
    ----------
    positions : array of float (n, 3)
        Fractional coordinates.
    sites : array of int (n,)
        Index of the site of each.
    """

    positions: NDArray[np.float64]
    sites: NDArray[np.int64]


def read_cif(text: str, label: str = "CIF") -> Crystal:
    """Read the crystal of a CIF.

    Parameters
    ----------
    text : str
        Content of the file.
    label : str
        What to call it in errors.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        If the file holds no crystal or several, is cut off, leaves open what its symmetry is, or contradicts
        itself: cell, symmetry, multiplicities, formula or volume do not belong together, or a tag has two values.
    """
    blocks = crystal_blocks(text, label)
    if len(blocks) > 1:
        raise CrystalError(label, f"it holds {len(blocks)} crystals", "Put each into a separate file.")
    return read_block(blocks[0], label)


def crystal_blocks(text: str, label: str = "CIF") -> list[Block]:
    """Split a CIF into the data blocks that hold crystals.

    Raises
    ------
    CrystalError
        If there are none, or the file is cut off.
    """
    with _named_in_errors(label):
        if len(text) > MAX_LENGTH:
            raise MalformedCifError(f"it is longer than {MAX_LENGTH // 2**20} MiB")
        if "\0" in text:
            raise MalformedCifError("it is not text")
        every = data_blocks(text)
        blocks = [
            block for block in every if any(set(block.get(tag, ())) - set(UNKNOWN) for tag in _COORDINATES)
        ]
        if not blocks and any(_CARTESIAN in block for block in every):
            raise MalformedCifError(
                "its atom sites have Cartesian coordinates only",
                "Write fractional ones (_atom_site_fract_x).",
            )
        if not blocks:
            raise MalformedCifError("it holds no atom sites")
    return blocks


def read_block(block: Block, label: str = "CIF") -> Crystal:
    """Read the crystal of a data block; raises as `read_cif` does."""
    with _named_in_errors(label):
        block = _only_atoms(block, label)
        lattice = _lattice(block)
        sites = _sites(block, lattice, label)
        if alternatives := _alternatives(block, label):
            raise _alternative_places(
                _atoms(block, sites, lattice, label), sites, lattice, alternatives, label
            )
        try:
            numbers_of_sites = sole_elements(lattice, sites.positions, sites.shares, label)
        except DisorderedCrystalError as error:
            with suppress(MalformedCifError):
                atoms = _atoms(block, sites, lattice, label)
                shares = [sites.shares[i] for i in atoms.sites]
                sole_elements(lattice, atoms.positions, shares, label)
            raise disordered(label) from error
        atoms = _atoms(block, sites, lattice, label)
        return Crystal(lattice, atoms.positions, numbers_of_sites[atoms.sites], label)


def _atoms(block: Block, sites: Sites, lattice: NDArray[np.float64], label: str) -> Expansion:
    """Atoms of the cell by the stated symmetry, or the sites if none is stated."""
    candidates = stated_symmetry(block, lattice)
    if candidates:
        return _decide(block, sites, lattice, candidates)
    return _without_symmetry(block, sites, lattice, label)


@contextmanager
def _named_in_errors(label: str) -> Iterator[None]:
    try:
        yield
    except MalformedCifError as error:
        raise CrystalError(label, str(error), error.remedy) from None


def _only_atoms(block: Block, label: str) -> Block:
    """Leave out sites that are not atoms: centroids and empty ones."""
    labels = set(block.get("_atom_site_label", ()))
    for word in block.get("_atom_site_aniso_label", ()) if labels else ():
        if word not in labels and word not in UNKNOWN:
            raise MalformedCifError(
                f"it has displacement parameters of {word[:40]}, which is not among its sites",
                "Add the site, or delete the parameters of it.",
            )
    block = _of_sites(block, [flag.lower() != "dum" for flag in block.get("_atom_site_calc_flag", ())])
    filled = [amount != 0 for amount in numbers(block, "_atom_site_occupancy", 1.0)]
    if not all(filled):
        if not any(filled):
            raise MalformedCifError("all its sites have occupancy 0", "Correct their occupancies.")
        warn_of_empty_sites(filled.count(False), label)
    return _of_sites(block, filled)


def _of_sites(block: Block, kept: Sequence[bool]) -> Block:
    """A block with some of its sites."""
    if all(kept):
        return block
    return {
        tag: list(compress(values, kept))
        if tag.startswith("_atom_site_") and len(values) == len(kept)
        else values
        for tag, values in block.items()
    }


def _lattice(block: Block) -> NDArray[np.float64]:
    """Lattice vectors with a along x and b in the plane of x and y."""
    parameters = [number for tag in (*_LENGTHS, *_ANGLES) for number in numbers(block, tag)]
    lengths, angles = parameters[:3], parameters[3:]
    if len(parameters) != 6 or not (min(lengths) > 0 and all(0 < angle < 180 for angle in angles)):
        raise MalformedCifError("it has no cell, or lengths or angles that do not form one")
    a, b, c = lengths
    alpha, beta, gamma = map(radians, angles)
    x = cos(beta)
    y = (cos(alpha) - x * cos(gamma)) / sin(gamma)
    z = sqrt(max(0.0, 1 - x * x - y * y))  # no volume if the angles make no cell
    volume = a * b * sin(gamma) * c * z
    for stated in numbers(block, "_cell_volume", volume):
        if volume and not is_volume(stated, volume):
            raise MalformedCifError(
                f"its cell has a volume of {volume:.4g} cubic Angstrom, but it states {stated:.4g}",
                "Correct its lengths and angles, or its volume.",
            )
    if not max(lengths) <= LONGEST:
        raise MalformedCifError(
            f"a lattice vector is longer than {LONGEST:.0f} Angstrom, or not finite", "Correct its lengths."
        )
    return np.array([[a, 0, 0], [b * cos(gamma), b * sin(gamma), 0], [c * x, c * y, c * z]])


def _sites(block: Block, lattice: NDArray[np.float64], label: str) -> Sites:
    elements = _elements(block)
    if not elements:
        raise MalformedCifError("it holds no atom sites")
    columns = [numbers(block, tag) for tag in _COORDINATES]
    if {len(elements)} != {len(column) for column in columns}:
        raise MalformedCifError("its atom sites lack elements or coordinates")
    positions = np.array(columns).T
    rows = np.arange(len(elements))
    if any(word not in (*UNKNOWN, "0") for word in block.get("_atom_site_attached_hydrogens", ())):
        raise MalformedCifError("some of its hydrogen atoms have no positions", "Add them to its atom sites.")
    occupancies = np.array(numbers(block, "_atom_site_occupancy", 1.0) or [1.0] * len(elements))
    if len(occupancies) != len(elements):
        raise MalformedCifError("some of its atom sites lack occupancies")
    shares = [[(element, float(amount))] for element, amount in zip(elements, occupancies, strict=True)]
    if (np.abs(occupancies - 1) > TOLERANCE).any() and not _excluding_groups(block):
        check_coordinates(positions, label)
        rows, shares = shared_sites(positions, shares, lattice)
    return Sites(positions[rows], np.array(elements)[rows], rows, shares)


def _excluding_groups(block: Block) -> dict[str, dict[str, list[int]]]:
    """Assemblies of sites of which one group is there at a time, or none (negative): group -> its rows."""
    groups = block.get("_atom_site_disorder_group", [])
    assemblies = block.get("_atom_site_disorder_assembly", ["."] * len(groups))
    found: dict[str, dict[str, list[int]]] = {}
    for row, (assembly, group) in enumerate(zip(assemblies, groups, strict=False)):
        if group not in (*UNKNOWN, "0"):
            found.setdefault(assembly, {}).setdefault(group, []).append(row)
    return {
        name: members
        for name, members in found.items()
        if len(members) > 1 or any(group.startswith("-") for group in members)
    }


def _alternatives(block: Block, label: str) -> list[tuple[NDArray[np.bool_], float]]:
    """Rows that are there together, and their weight, for each choice of one group of every assembly."""
    found = _excluding_groups(block)
    if not found:
        return []
    occupancies = np.array(numbers(block, "_atom_site_occupancy", 1.0))
    rows = len(block["_atom_site_disorder_group"])
    combinations: list[tuple[NDArray[np.bool_], float]] = [(np.ones(rows, dtype=bool), 1.0)]
    fixed = np.ones(rows, dtype=bool)
    for members in found.values():
        together = [row for group in members.values() for row in group]
        fixed[together] = False
        if len(occupancies) == rows:
            amounts = [occupancies[group] for group in members.values()]
        else:
            amounts = [np.full(len(group), 1 / len(members)) for group in members.values()]
        weights = [float(amount.mean()) for amount in amounts]
        uneven = any(np.ptp(amount) > GROUP for amount in amounts)
        too_many = len(combinations) * len(members) > MAX_ALTERNATIVES
        on_symmetry = any(group.startswith("-") for group in members)
        if uneven or too_many or on_symmetry or abs(sum(weights) - 1) > GROUP:
            raise _to_be_chosen(label)
        combinations = [
            (_without(mask, set(together) - set(group)), weight * share / sum(weights))
            for mask, weight in combinations
            for group, share in zip(members.values(), weights, strict=True)
        ]
    if len(occupancies) == rows and (np.abs(occupancies[fixed] - 1) > TOLERANCE).any():
        raise _to_be_chosen(label)
    return combinations


def _without(mask: NDArray[np.bool_], rows: set[int]) -> NDArray[np.bool_]:
    mask = mask.copy()
    mask[sorted(rows)] = False
    return mask


def _to_be_chosen(label: str, remedy: str = "") -> DisorderedCrystalError:
    return DisorderedCrystalError(
        label,
        "some atoms have alternative places (_atom_site_disorder_group), which SCOPE cannot describe",
        f"{remedy}Keep one group of each assembly of sites with occupancies of 1 and delete the others; of a negative "
        "group, write the cell in P 1 and keep one of its images.",
    )


def _alternative_places(
    atoms: Expansion,
    sites: Sites,
    lattice: NDArray[np.float64],
    alternatives: Sequence[tuple[NDArray[np.bool_], float]],
    label: str,
) -> DisorderedCrystalError:
    """Return the error about alternatives, each of which can be taken whole."""
    amounts = sum(weight * mask for mask, weight in alternatives)
    error = _to_be_chosen(
        label,
        "Predict it with order=10, or --order 10 on the command line, as the mean of its alternatives, weighted by "
        "their occupancies. Or: ",
    )
    error.sites = DisorderedSites(
        lattice,
        atoms.positions,
        [{int(sites.numbers[i]): float(np.asarray(amounts)[sites.rows[i]])} for i in atoms.sites],
        [(mask[sites.rows[atoms.sites]], weight) for mask, weight in alternatives],
    )
    return error


def _elements(block: Block) -> list[int]:
    """Atomic numbers of the sites, by their types or else their labels."""
    labels = block.get("_atom_site_label", [])
    types = block.get("_atom_site_type_symbol", ["?"] * len(labels))
    if "?" not in types and "." not in types:
        elements = [_element(word) for word in types]
        if not _stated_formula(block):  # which decides
            _check_labels(labels, elements)
        return elements
    if len(labels) != len(types):
        raise MalformedCifError("its atom sites lack elements")
    present = frozenset(_stated_formula(block)) or _listed_types(block)
    return [
        _element_of_label(label, present) if kind in UNKNOWN else _element(kind)
        for kind, label in zip(types, labels, strict=True)
    ]


def _check_labels(labels: Sequence[str], elements: Sequence[int]) -> None:
    for label, number in zip(labels, elements, strict=False):
        if label_against(label, number):
            raise MalformedCifError(
                f"its site {label[:40]} is {SYMBOLS[number - 1]} by its type symbol",
                "Correct the one or the other, or state the formula and Z.",
            )


def _listed_types(block: Block) -> frozenset[int]:
    words = block.get("_atom_type_symbol", [])
    matches = [_ELEMENT.fullmatch(word) for word in words]
    return frozenset(
        ATOMIC_NUMBERS[symbol]
        for match in matches
        if match and (symbol := match[1].capitalize()) in ATOMIC_NUMBERS
    )


@lru_cache(maxsize=4096)
def _element(word: str) -> int:
    match = _ELEMENT.fullmatch(word)
    symbol = match[1] if match else ""
    for spelling in (symbol, symbol.capitalize()):
        if spelling in ATOMIC_NUMBERS:
            return ATOMIC_NUMBERS[spelling]
    raise _no_element(word)


@lru_cache(maxsize=4096)
def _element_of_label(label: str, present: frozenset[int]) -> int:
    """Read 'Na1', 'SiT1' and 'OW'; 'HO1' may be H or Ho, which only the elements that are known to be present tell."""
    found = elements_of_label(label)
    if not found:
        raise _no_element(label)
    if len(found) > 1:
        found = found & present or found
    if len(found) > 1:
        choices = " or ".join(SYMBOLS[number - 1] for number in sorted(found))
        raise MalformedCifError(
            f"its label {label[:40]!r} may mean {choices}", "State the elements as _atom_site_type_symbol."
        )
    return next(iter(found))


def _no_element(word: str) -> MalformedCifError:
    return MalformedCifError(
        f"it holds {word[:40]!r}, which is not an element", "Correct its _atom_site_type_symbol."
    )


def _without_symmetry(block: Block, sites: Sites, lattice: NDArray[np.float64], label: str) -> Expansion:
    """Take the sites for all atoms, unless something else in the file speaks against it."""
    try:
        atoms = _expand_and_check(block, sites, lattice, IDENTITY)
    except MalformedCifError as error:
        raise MalformedCifError(f"it states no symmetry, and {error}", LIST_OPERATIONS) from None
    system = _other_system(block, 1)
    if system:
        raise MalformedCifError(f"it states no symmetry, but that its cell is {system}", LIST_OPERATIONS)
    warn_user(
        f"{label}: it states no symmetry; its {len(atoms.sites)} sites are taken for all atoms of the cell, as in P 1."
    )
    return atoms


def _other_system(block: Block, number: int) -> str:
    """Crystal system that the file states, if it is not that of a space group."""
    allowed = next(names for last, names in _SYSTEMS_OF_GROUPS if number <= last)
    return next((word[:40] for word in first_words(block, _SYSTEMS) if word.lower() not in allowed), "")


def _check_system(block: Block, number: int) -> None:
    """Compare the crystal system with the space group, unless formula and Z, which the atoms have, decide."""
    system = _other_system(block, number)
    if system and not (_stated_formula(block) and _stated_units(block)):
        raise MalformedCifError(
            f"it states that it is {system}, and space group {number}, which is not",
            "Correct the one or the other.",
        )


def _decide(
    block: Block, sites: Sites, lattice: NDArray[np.float64], candidates: Sequence[Candidate]
) -> Expansion:
    """Expand the sites by the symmetry that they fit."""
    _check_system(block, candidates[0].operations.number)
    if len(candidates) == 1:
        return _expand_and_check(block, sites, lattice, candidates[0].operations)
    found: list[tuple[str, Expansion]] = []
    reasons: list[MalformedCifError] = []
    for name, operations in candidates:
        try:
            atoms = _expand_and_check(block, sites, lattice, operations)
        except MalformedCifError as reason:
            reasons.append(reason)
        else:
            if not any(_same_atoms(atoms, sites, other) for _, other in found):
                found.append((name, atoms))
    if not found:
        raise reasons[0]
    if len(found) > 1 and all(len(site) == 1 and abs(site[0][1] - 1) <= TOLERANCE for site in sites.shares):
        found = _without_collisions(found, sites, lattice)
    if len(found) > 1:
        names = [name for name, _ in found]
        raise MalformedCifError(
            f"its space group may be {names[0]} or {names[1]}"
            + (f", and {len(names)} settings in all fit" if len(names) > 2 else "")
            + "; they give different crystals, and nothing else in it decides",
            f"Name the setting that is meant, or state formula and Z. {LIST_OPERATIONS}",
        )
    return found[0][1]


def _expand_and_check(
    block: Block, sites: Sites, lattice: NDArray[np.float64], operations: Operations
) -> Expansion:
    atoms = _expand(sites, lattice, operations)
    images = np.bincount(atoms.sites, minlength=len(sites.numbers))
    _check_multiplicities(block, sites.rows, images, len(operations.rotations))
    counts: dict[int, float] = {}
    for shares, count in zip(sites.shares, images.tolist(), strict=True):
        for number, amount in shares:
            counts[number] = counts.get(number, 0.0) + count * amount
    _check_formula(block, counts)
    _check_numbers_of_types(block, counts)
    _check_masses(block, counts, lattice)
    return atoms


def _expand(sites: Sites, lattice: NDArray[np.float64], operations: Operations) -> Expansion:
    """Apply the operations to the sites and keep each distinct image once."""
    order = len(operations.rotations)
    if order == 1:
        return Expansion(sites.positions, np.arange(len(sites.numbers)))
    if len(sites.numbers) * order > MAX_IMAGES:
        raise MalformedCifError(
            f"its {len(sites.numbers)} sites have more than {MAX_IMAGES} images under its symmetry operations"
        )
    offsets = _images(sites.positions, operations) - sites.positions[:, None]
    offsets -= np.rint(offsets)
    stays = np.linalg.norm(offsets @ lattice, axis=2) < SAME_ATOM  # site, operation
    stabilisers = stays.sum(axis=1)
    centres = sites.positions + (offsets * stays[..., None]).sum(axis=1) / stabilisers[:, None]
    images = _images(centres, operations)
    atoms, indices = [], []
    for i, (image, stabiliser) in enumerate(zip(images, stabilisers.tolist(), strict=True)):
        if stabiliser > 1:
            image = image[_distinct(image)]
        if len(image) * stabiliser != order:
            raise MalformedCifError(
                f"its site {i + 1} is neither on a symmetry element nor off it, but some {SAME_ATOM} Angstrom away",
                "Correct its coordinates.",
            )
        atoms.append(image)
        indices += [i] * len(image)
    return Expansion(np.concatenate(atoms), np.array(indices))


def _images(positions: NDArray[np.float64], operations: Operations) -> NDArray[np.float64]:
    """Images (n, m, 3) of n positions under m operations."""
    return np.einsum("mij,nj->nmi", operations.rotations, positions) + operations.translations


def _distinct(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of positions that differ by more than lattice vectors: of two, the sum of cos(2 pi d) is below 3."""
    angles = 2 * np.pi * positions
    torus = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    same = torus @ torus.T > 3 - 1e-6
    return np.flatnonzero(same.argmax(axis=1) == np.arange(len(same)))


def _same_atoms(one: Expansion, sites: Sites, other: Expansion) -> bool:
    """Whether two expansions of the sites are the same crystal."""
    if len(one.sites) != len(other.sites):
        return False
    codes = [
        np.column_stack([sites.numbers[atoms.sites], np.rint(atoms.positions * 1e4).astype(int) % 10_000])
        for atoms in (one, other)
    ]
    ours, theirs = (np.unique(rows, axis=0) for rows in codes)
    return np.array_equal(ours, theirs)


def _without_collisions(
    found: list[tuple[str, Expansion]], sites: Sites, lattice: NDArray[np.float64]
) -> list[tuple[str, Expansion]]:
    """Leave out settings in which atoms collide, if in the only other one they keep their distances."""
    heights, directions = heights_and_directions(*volume_and_normals(lattice.tolist()))
    if is_oblique(heights):
        return found
    contacts = [
        closest_contact(lattice, atoms.positions, sites.numbers[atoms.sites], heights, directions, ORDINARY)
        for _, atoms in found
    ]
    apart = [i for i, contact in enumerate(contacts) if contact.shortest >= COLLISION]
    if len(apart) == 1 and contacts[apart[0]] is FAR:
        return [found[apart[0]]]
    return found


def _check_multiplicities(
    block: Block, rows: NDArray[np.int64], images: NDArray[np.int64], order: int
) -> None:
    """Compare the numbers of images of the sites with those that the file states."""
    for tag in (*_MULTIPLICITIES, *_ORDERS, *_WYCKOFF):
        words = block.get(tag, [])
        matches = [re.match(r"\d+", words[row]) for row in rows] if len(words) > max(rows) else []
        stated = [(i, int(match[0][:_DIGITS])) for i, match in enumerate(matches) if match]
        of_orders = tag in _ORDERS and all(number * images[i] == order for i, number in stated)
        wrong = [i for i, number in stated if number != images[i]]
        if wrong and not of_orders:
            raise MalformedCifError(
                f"its site {rows[wrong[0]] + 1} has {images[wrong[0]]} images under its symmetry operations, but it "
                f"states {words[rows[wrong[0]]]!r:.40} as {tag}",
                "Correct its coordinates or its space group; of a space group with two origins, name the one meant.",
            )


def _stated_formula(block: Block) -> dict[int, float]:
    """Atomic numbers and amounts of the first formula that is understood; nothing if there is none."""
    for words in first_words(block, _FORMULAS):
        amounts: dict[int, float] = {}
        for word in words.split() if " " in words else re.findall(r"[A-Z][^A-Z]*|.", words):
            match = _FORMULA_PART.fullmatch(word)
            if not match or match[1] not in ATOMIC_NUMBERS:
                break
            number = ATOMIC_NUMBERS[match[1]]
            amounts[number] = amounts.get(number, 0.0) + float(match[2] or 1)
        else:
            return amounts
    return {}


def _check_formula(block: Block, counts: dict[int, float]) -> None:
    """Compare the atoms with the stated formula and Z, which show what a file leaves out."""
    amounts = _stated_formula(block)
    units = _stated_units(block)
    atoms = _formula(counts)
    if not amounts:
        if units and any(abs(count / units - round(count / units)) > 0.1 for count in counts.values()):
            raise MalformedCifError(
                f"its atoms are {atoms}, which is not a multiple of {units} formula units, its Z",
                _CORRECT,
            )
        return
    formula = " ".join(SYMBOLS[n - 1] + f"{amount:g}" * (amount != 1) for n, amount in amounts.items())
    total = sum(amounts.values())
    if not units:
        multiples = [max(1, round(sum(counts.values()) / (total or 1)))]
    elif units > 1 and all(amount % units == 0 for amount in amounts.values()):
        multiples = [1, units]  # some write the formula of the cell
    else:
        multiples = [units]
    for multiple in multiples:
        if all(
            abs(counts.get(number, 0) - multiple * amounts.get(number, 0)) <= 0.5
            for number in counts.keys() | amounts.keys()
        ):
            return
    times = f"{units} times, its Z, " if units else ""
    raise MalformedCifError(f"its atoms are {atoms} but its formula is {times}{formula[:80]}", _CORRECT)


def _check_numbers_of_types(block: Block, counts: dict[int, float]) -> None:
    """Compare the atoms with the numbers that the list of atom types states."""
    words, symbols = (block.get(tag, []) for tag in ("_atom_type_number_in_cell", "_atom_type_symbol"))
    if not words or len(words) != len(symbols) or not all(word.isdecimal() for word in words):
        return
    stated: dict[int, float] = {}
    for word, symbol in zip(words, symbols, strict=True):
        number = _element(symbol)
        stated[number] = stated.get(number, 0.0) + int(word[:_DIGITS])
    if any(abs(counts.get(n, 0) - stated.get(n, 0)) > 0.5 for n in counts.keys() | stated.keys()):
        raise MalformedCifError(
            f"its atoms are {_formula(counts)}, but it states {_formula(stated)} (_atom_type_number_in_cell)",
            _CORRECT,
        )


def _formula(counts: dict[int, float]) -> str:
    return "".join(f"{SYMBOLS[number - 1]}{round(counts[number], 1):g}" for number in sorted(counts))


def _check_masses(block: Block, counts: dict[int, float], lattice: NDArray[np.float64]) -> None:
    """Compare the mass of the atoms with the stated density and formula weight; hydrogen may be deuterium."""
    density, weight = (_positive(block, tag) for tag in (_DENSITY, _WEIGHT))
    if not density and not weight:
        return

    from ase.data import atomic_masses

    mass = sum(atomic_masses[number] * count for number, count in counts.items())
    heaviest = mass + counts.get(1, 0.0)
    volume = abs(volume_and_normals(lattice.tolist())[0])
    stated = density * volume / _GRAMS
    if density and not (1 - DENSITY) * mass <= stated <= (1 + DENSITY) * heaviest:
        raise MalformedCifError(
            f"its atoms have a density of {mass * _GRAMS / volume:.4g} g/cm3, but it states {density:.4g}",
            _CORRECT,
        )
    units = _stated_units(block)
    multiples = [1, units or max(1, floor((1 + DENSITY) * heaviest / weight))] if weight else []
    if weight and not any((1 - DENSITY) * mass <= n * weight <= (1 + DENSITY) * heaviest for n in multiples):
        times = f"{units} times, its Z," if units else "a multiple of"
        raise MalformedCifError(
            f"its atoms weigh {mass:.5g} u, which is not {times} the weight of its formula, {weight:.5g}",
            _CORRECT,
        )


def _positive(block: Block, tag: str) -> float:
    """First value of a tag if it is a positive number, else 0."""
    try:
        value = max(0.0, *numbers({tag: first_words(block, [tag])}, tag), 0.0)
    except MalformedCifError:
        return 0.0
    return value if _LEAST < value < inf else 0.0


def _stated_units(block: Block) -> int | None:
    """Z, the formula units of the cell."""
    words = first_words(block, ["_cell_formula_units_z"])
    return int(words[0][:9]) or None if words and words[0].isdecimal() else None
