"""Read a crystal from the text of a CIF.

What databases and programs write (one crystal, fractional coordinates, symmetry operations listed, full sites)
is read here, many times faster than by the host libraries and without importing them. The rest, such as a
space group that is only named, goes to pymatgen's parser, which knows many irregular files.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from math import cos, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystals import Crystal, disordered, from_pymatgen
from cloud_model.elements import ATOMIC_NUMBERS
from cloud_model.errors import CrystalError
from cloud_model.space_groups import point_group_order

Block = dict[str, list[str]]

SAME_ATOM = 0.1
"""Symmetry images of a site closer than this, in Angstrom, are one atom, at their mean."""

_TOKEN = re.compile(
    r"""
      ^;(?P<text>.*?)^;                            # text field
    | (?<!\S)'(?P<single>(?:[^'\n]|'(?=\S))*)'     # a quote ends where white space follows
    | (?<!\S)"(?P<double>(?:[^"\n]|"(?=\S))*)"
    | (?<!\S)\#[^\n]*                              # comment
    | (?P<word>\S+)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
_COORDINATES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_GROUP_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
_GROUP_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m")
_BEYOND_SPACE_GROUPS = (
    "_atom_site_moment",
    "_space_group_symop_magn",
    "_cell_modulation",
    "_cell_wave_vector",
)

_TERM = re.compile(r"([+-]?)(?:([xyz])|(\d+\.?\d*|\.\d+)(?:/(\d+))?)")
_ELEMENT = re.compile(r"([A-Z][a-z]?)(?![A-Za-z])")
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


class _Irregular(Exception):  # noqa: N818
    """A file that is left to pymatgen."""


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
        If the file holds no crystal or several, is cut off, or contradicts itself: the symmetry operations are
        not those of the stated space group, or the atoms do not add up to the stated formula.
    """
    block = _crystal_block(text, label)
    try:
        crystal = _read_regular(block, label)
    except _Irregular:
        crystal = _read_with_pymatgen(text, label)
    _check_formula(block, crystal)
    return crystal


def _crystal_block(text: str, label: str) -> Block:
    blocks = [block for block in _blocks(text, label) if _COORDINATES[0] in block]
    if not blocks:
        raise CrystalError(label, "it holds no atom sites", "Check that it is a complete CIF.")
    if len(blocks) > 1:
        raise CrystalError(
            label,
            f"it holds {len(blocks)} crystals",
            "Put each in a file of its own, or pass one as an object.",
        )
    return blocks[0]


def _blocks(text: str, label: str) -> list[Block]:
    """Split a CIF into its data blocks: tag in lower case -> values."""
    words, keys = [], []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind:  # not a comment
            words.append(match[kind])
            keys.append(match[kind].lower() if kind == "word" else "")
    is_key = [key.startswith(("_", "data_", "loop_")) for key in keys]

    n = len(words)
    blocks: list[Block] = [{}]
    start = 0
    while start < n:
        key = keys[start]
        first = start + 1
        if key == "loop_":
            first = next((i for i in range(first, n) if not keys[i].startswith("_")), n)
        end = next((i for i in range(first, n) if is_key[i]), n)
        if key.startswith("data_"):
            blocks.append({})
        elif key == "loop_":
            tags, values = keys[start + 1 : first], words[first:end]
            if not tags or len(values) % len(tags):
                raise CrystalError(label, "a table in it is cut off", "Check that it is a complete CIF.")
            blocks[-1].update({tag: values[column :: len(tags)] for column, tag in enumerate(tags)})
        elif is_key[start]:
            blocks[-1][key] = words[first:end]
        start = end
    return blocks


def _read_regular(block: Block, label: str) -> Crystal:
    if any(tag.startswith(_BEYOND_SPACE_GROUPS) for tag in block):
        raise _Irregular
    numbers = _atomic_numbers(block)
    lattice = _lattice(block)
    columns = [_numbers(block.get(tag, ())) for tag in _COORDINATES]
    if {len(numbers)} != {len(column) for column in columns}:
        raise _Irregular
    occupancies = [word for word in block.get("_atom_site_occupancy", ()) if word not in {"?", "."}]
    if any(abs(occupancy - 1) > 1e-3 for occupancy in _numbers(occupancies)):
        raise disordered(label)
    operations = _operations(block, label)
    positions = np.array(columns, dtype=float).T
    if len(operations) > 1:
        positions, numbers = _expand(positions, numbers, operations, lattice)
    return Crystal(lattice, positions, np.array(numbers), label)


def _numbers(words: list[str] | tuple[()]) -> list[float]:
    """Read numbers, less their standard uncertainties in parentheses."""
    try:
        return [float(word.partition("(")[0]) for word in words]
    except ValueError:
        raise _Irregular from None


def _lattice(block: Block) -> NDArray[np.float64]:
    """Lattice vectors with a along x and b in the plane of x and y."""
    parameters = _numbers([word for tag in (*_LENGTHS, *_ANGLES) for word in block.get(tag, ())])
    if len(parameters) != 6:
        raise _Irregular
    a, b, c, *angles = parameters
    alpha, beta, gamma = map(radians, angles)
    x = cos(beta)
    y = (cos(alpha) - x * cos(gamma)) / sin(gamma)
    z = sqrt(max(0.0, 1 - x * x - y * y))  # no volume if the angles make no cell
    return np.array([[a, 0, 0], [b * cos(gamma), b * sin(gamma), 0], [c * x, c * y, c * z]])


def _atomic_numbers(block: Block) -> list[int]:
    words = block.get("_atom_site_type_symbol") or block.get("_atom_site_label", [])
    symbols = [match[1] if (match := _ELEMENT.match(word)) else "" for word in words]
    if not all(symbol in ATOMIC_NUMBERS for symbol in symbols):
        raise _Irregular
    return [ATOMIC_NUMBERS[symbol] for symbol in symbols]


def _operations(block: Block, label: str) -> NDArray[np.float64]:
    """Symmetry operations (m, 3, 4): rotation and translation."""
    listed = next((block[tag] for tag in _OPERATIONS if tag in block), None)
    number = next((block[tag][0] for tag in _GROUP_NUMBERS if block.get(tag)), "")
    name = next((block[tag][0] for tag in _GROUP_NAMES if block.get(tag)), "")
    if not listed:
        if number == "1" or name.replace(" ", "") == "P1":
            return np.eye(3, 4)[None]
        raise _Irregular
    operations = np.array([_operation(text) for text in listed])
    if number.isdecimal() and 1 <= int(number) <= 230:
        rotations = len(np.unique(operations[:, :, :3], axis=0))
        if rotations != point_group_order(int(number)):
            raise CrystalError(
                label,
                f"its {len(operations)} symmetry operations are not those of space group {number}, which it states",
                "Correct the operations or the space group.",
            )
    return operations


@lru_cache(maxsize=4096)
def _operation(text: str) -> tuple[tuple[float, ...], ...]:
    """Read an operation such as '-x, y+1/2, -z+1/2'."""
    rows = []
    for expression in text.lower().replace(" ", "").split(","):
        if not expression or _TERM.sub("", expression):
            raise _Irregular
        row = [0.0, 0.0, 0.0, 0.0]
        for sign, axis, numerator, denominator in _TERM.findall(expression):
            value = 1.0 if axis else float(numerator) / float(denominator or 1)
            row["xyz".index(axis) if axis else 3] += -value if sign == "-" else value
        rows.append(tuple(row))
    if len(rows) != 3:
        raise _Irregular
    return tuple(rows)


def _expand(
    positions: NDArray[np.float64],
    numbers: list[int],
    operations: NDArray[np.float64],
    lattice: NDArray[np.float64],
) -> tuple[NDArray[np.float64], list[int]]:
    """Apply the operations to the sites and keep each distinct image once."""
    images = np.einsum("mij,nj->nmi", operations[:, :, :3], positions) + operations[:, :, 3]
    tolerance = SAME_ATOM / np.linalg.norm(lattice, axis=1)
    atoms, species = [], []
    for number, image in zip(numbers, images, strict=True):
        offset = image[None] - image[:, None]
        offset -= np.rint(offset)
        same = (np.abs(offset) < tolerance).all(axis=-1)
        first = np.unique(same.argmax(axis=1))
        mean_offset = (offset[first] * same[first, :, None]).sum(axis=1) / same[first].sum(axis=1)[:, None]
        atoms.append(image[first] + mean_offset)
        species += [number] * len(first)
    return np.concatenate(atoms), species


def _read_with_pymatgen(text: str, label: str) -> Crystal:
    from pymatgen.io.cif import CifParser

    try:
        structures = CifParser.from_str(text).parse_structures(primitive=False)
    except Exception as error:  # its parser raises whatever a malformed file runs into
        raise CrystalError(
            label, f"pymatgen cannot read it: {error}", "Check that it is a complete CIF."
        ) from error
    return from_pymatgen(structures[0], label)


def _check_formula(block: Block, crystal: Crystal) -> None:
    """Compare the atoms with the stated formula, which shows what a file leaves out."""
    words = " ".join(block.get("_chemical_formula_sum", ())).split()
    matches = [_FORMULA.fullmatch(word) for word in words]
    amounts: dict[int, float] = {}
    for match in matches:
        if not match or match[1] not in ATOMIC_NUMBERS:
            return
        number = ATOMIC_NUMBERS[match[1]]
        amounts[number] = amounts.get(number, 0) + float(match[2] or 1)
    counts = Counter(crystal.numbers.tolist())
    units = counts.total() / (sum(amounts.values()) or 1)
    if amounts and any(
        abs(counts[number] - units * amounts.get(number, 0)) > 1e-3 * counts.total()
        for number in counts.keys() | amounts.keys()
    ):
        raise CrystalError(
            crystal.label,
            f"its atoms are {crystal.formula} but its formula is {' '.join(words)}",
            "Complete the sites, or correct _chemical_formula_sum.",
        )
