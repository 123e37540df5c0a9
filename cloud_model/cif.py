"""Read a crystal from the text of a CIF.

What databases and programs write (one crystal, fractional coordinates, symmetry operations listed, full sites)
is read here, many times faster than by the host libraries and without importing them. The rest, such as a
space group that is only named, goes to pymatgen's parser, which knows many irregular files.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise
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

_WORD = re.compile(
    r"""
      (?<!\S)'(?P<single>(?:[^']|'(?=\S))*)'  # a quote ends where white space follows
    | (?<!\S)"(?P<double>(?:[^"]|"(?=\S))*)"
    | (?<!\S)\#.*                            # comment
    | (?P<bare>\S+)
    """,
    re.VERBOSE,
)
_KEY = re.compile(r"_|(?:data|loop)_", re.IGNORECASE)
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

_TERM = re.compile(r"([+-]?)(?:([xyz])|(\d+\.?\d*|\.\d+)(?:/([1-9]\d*))?)")
_ELEMENT = re.compile(r"([A-Z][a-z]?)(?![A-Za-z])")
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


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
    words, quoted = _words(text)
    keys = [i for i, word in enumerate(words) if _KEY.match(word) and i not in quoted]
    blocks: list[Block] = [{}]
    header: list[str] | None = None  # tags of a loop before its values
    for start, end in pairwise([*keys, len(words)]):
        key, values = words[start].lower(), words[start + 1 : end]
        if key.startswith("data_"):
            blocks.append({})
            header = None
        elif key == "loop_":
            header = []
        elif header is None:
            blocks[-1][key] = values
        else:
            header.append(key)
            if len(values) % len(header):
                raise CrystalError(label, "a table in it is cut off", "Check that it is a complete CIF.")
            if values:
                blocks[-1].update({tag: values[i :: len(header)] for i, tag in enumerate(header)})
                header = None
    return blocks


def _words(text: str) -> tuple[list[str], set[int]]:
    """Split a CIF into words, and tell which of them were quoted."""
    words: list[str] = []
    quoted: set[int] = set()
    field: list[str] | None = None  # lines of a text field, between lines that start with a semicolon
    for line in text.split("\n"):
        if line.startswith(";"):
            if field is not None:
                quoted.add(len(words))
                words.append("\n".join(field))
            field = [line[1:]] if field is None else None
        elif field is not None:
            field.append(line)
        elif "'" in line or '"' in line or "#" in line:
            for match in _WORD.finditer(line):
                if match.lastgroup is None:
                    continue
                if match.lastgroup != "bare":
                    quoted.add(len(words))
                words.append(match[match.lastgroup])
        else:
            words += line.split()
    return words, quoted


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
    rotations, translations = _operations(block, label)
    positions = np.array(columns).T
    if len(rotations) > 1:
        positions, numbers = _expand(positions, numbers, rotations, translations, lattice)
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
    if len(parameters) != 6 or not all(0 < angle < 180 for angle in parameters[3:]):
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


def _operations(block: Block, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the rotations (m, 3, 3) and translations (m, 3) of the space group."""
    listed = next((block[tag] for tag in _OPERATIONS if tag in block), [])
    number = next((block[tag][0] for tag in _GROUP_NUMBERS if block.get(tag)), "")
    name = next((block[tag][0] for tag in _GROUP_NAMES if block.get(tag)), "")
    if not listed and (number == "1" or name.replace(" ", "") == "P1"):
        listed = ["x,y,z"]
    if not listed:
        raise _Irregular
    operations = [_operation(text) for text in listed]
    n_rotations = len({rotation for rotation, _ in operations})
    if number.isdecimal() and 1 <= int(number) <= 230 and n_rotations != point_group_order(int(number)):
        raise CrystalError(
            label,
            f"its {len(operations)} symmetry operations are not those of space group {number}, which it states",
            "Correct the operations or the space group.",
        )
    rotations, translations = zip(*operations, strict=True)
    return np.array(rotations).reshape(-1, 3, 3), np.array(translations)


@lru_cache(maxsize=4096)
def _operation(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read the rotation (9 numbers) and translation (3) of an operation such as '-x, y+1/2, -z+1/2'."""
    expressions = text.lower().replace(" ", "").split(",")
    if len(expressions) != 3 or any(_TERM.sub("", expression) for expression in expressions):
        raise _Irregular
    rotation, translation = [0.0] * 9, [0.0] * 3
    for row, expression in enumerate(expressions):
        for sign, axis, numerator, denominator in _TERM.findall(expression):
            value = float(f"{sign}1") if axis else float(sign + numerator) / float(denominator or 1)
            if axis:
                rotation[3 * row + "xyz".index(axis)] += value
            else:
                translation[row] += value
    return tuple(rotation), tuple(translation)


def _expand(
    positions: NDArray[np.float64],
    numbers: list[int],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    lattice: NDArray[np.float64],
) -> tuple[NDArray[np.float64], list[int]]:
    """Apply the operations to the sites and keep each distinct image once."""
    images = np.einsum("mij,nj->nim", rotations, positions) + translations.T
    tolerances = SAME_ATOM / np.linalg.norm(lattice, axis=1)
    atoms, species = [], []
    for number, image in zip(numbers, images, strict=True):
        offsets = image[:, None, :] - image[:, :, None]  # axis, from, to
        offsets -= np.rint(offsets)
        x, y, z = np.abs(offsets) < tolerances[:, None, None]
        same = x & y & z
        first = np.flatnonzero(same.argmax(axis=1) == np.arange(len(same)))
        means = (offsets[:, first] * same[first]).sum(axis=2) / same[first].sum(axis=1)
        atoms.append((image[:, first] + means).T)
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
