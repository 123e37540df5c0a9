"""Read a crystal from the text of a CIF.

What databases and programs write (one crystal, fractional coordinates, symmetry operations listed, full sites)
is read here, many times faster than by the host libraries and without importing them. A space group that is only
named, and a magnetic one, is left to pymatgen's parser. Where either would have to guess, the file is refused.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import cos, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.conversions import disordered, from_pymatgen
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.crystal.symmetry_operations import Operations, named_space_group, read_operations
from cloud_model.errors import CrystalError, first_line

Block = dict[str, list[str]]

MAX_LENGTH = 2**25
"""Most characters of a CIF."""

MAX_IMAGES = 500_000
"""Most sites times symmetry operations that are expanded."""

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
_GROUP_SYMBOLS = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_hall",
    "_symmetry_space_group_name_hall",
)
_BEYOND_SPACE_GROUPS = (
    "_atom_site_moment",
    "_space_group_symop_magn",
    "_cell_modulation",
    "_cell_wave_vector",
)

_READ = (
    "_cell_",
    "_atom_site_",
    "_chemical_formula_sum",
    "_space_group_",
    "_symmetry_",
)  # beginnings of tags that matter here
_NOT_NUMERIC = re.compile(r"[^-+.()0-9eE\s]", re.ASCII)
_ELEMENT = re.compile(r"\d*([A-Za-z]+)[-+.\d]*", re.ASCII)
_SITE = re.compile(r"([A-Za-z]+)[^,/&]*", re.ASCII)
_SITE_WITH_LETTER = re.compile(r"([A-Z][a-z]?)(?=[A-Z])[^,/&]*", re.ASCII)  # "SiT1", "OW"
_UNKNOWN = ("?", ".", "")
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


class _Malformed(Exception):  # noqa: N818
    """Why a file is refused."""


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
        not those of the stated space group or of the cell, a tag has two values, or the atoms do not add up to
        the stated formula.
    """
    try:
        block = _crystal_block(text)
        crystal = _read_sites(block, text, label)
        _check_formula(block, crystal)
    except _Malformed as reason:
        raise CrystalError(label, str(reason), "Check that it is a complete CIF of one crystal.") from None
    return crystal


def _crystal_block(text: str) -> Block:
    if len(text) > MAX_LENGTH:
        raise _Malformed(f"it is longer than {MAX_LENGTH // 2**20} MiB")
    if "\0" in text:
        raise _Malformed("it is not text")
    blocks = [block for block in _blocks(text) if block.get(_COORDINATES[0])]
    if not blocks:
        raise _Malformed("it holds no atom sites")
    if len(blocks) > 1:
        raise _Malformed(f"it holds {len(blocks)} crystals")
    return blocks[0]


def _blocks(text: str) -> list[Block]:
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
            _put(blocks[-1], key, values)
        else:
            header.append(key)
            if len(values) % len(header):
                raise _Malformed("a table in it is cut off")
            if values:
                for i, tag in enumerate(header):
                    _put(blocks[-1], tag, values[i :: len(header)])
                header = None
    return blocks


def _put(block: Block, tag: str, values: list[str]) -> None:
    if block.setdefault(tag, values) != values and tag.startswith(_READ):
        raise _Malformed(f"it states {tag} twice")


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
    if field is not None:
        raise _Malformed("a text field in it is cut off")
    return words, quoted


def _read_sites(block: Block, text: str, label: str) -> Crystal:
    numbers = _atomic_numbers(block)
    lattice = _lattice(block)
    columns = [_numbers(block, tag) for tag in _COORDINATES]
    if {len(numbers)} != {len(column) for column in columns}:
        raise _Malformed("its atom sites lack elements or coordinates")
    if not all(abs(occupancy - 1) <= 1e-3 for occupancy in _numbers(block, "_atom_site_occupancy", _UNKNOWN)):
        raise disordered(label)
    listed = next((block[tag] for tag in _OPERATIONS if tag in block), [])
    stated = _stated_group(block, bool(listed))
    if any(tag.startswith(_BEYOND_SPACE_GROUPS) for tag in block) or (stated > 1 and not listed):
        return _read_with_pymatgen(text, label)
    operations = _operations(listed or ["x,y,z"], stated, lattice)
    positions = np.array(columns).T
    if len(operations.rotations) > 1:
        positions, numbers = _expand(positions, numbers, operations, lattice)
    return Crystal(lattice, positions, np.array(numbers), label)


def _numbers(block: Block, tag: str, unknown: Sequence[str] = ()) -> list[float]:
    """Read numbers, less their standard uncertainties in parentheses and words for unknown values."""
    words = [word for word in block.get(tag, ()) if word not in unknown]
    try:
        if not _NOT_NUMERIC.search(" ".join(words)):
            return [float(word.partition("(")[0]) for word in words]
    except ValueError:
        pass
    raise _Malformed(f"not all its values of {tag} are numbers")


def _lattice(block: Block) -> NDArray[np.float64]:
    """Lattice vectors with a along x and b in the plane of x and y."""
    parameters = [number for tag in (*_LENGTHS, *_ANGLES) for number in _numbers(block, tag)]
    lengths, angles = parameters[:3], parameters[3:]
    if len(parameters) != 6 or not (min(lengths) > 0 and all(0 < angle < 180 for angle in angles)):
        raise _Malformed("it has no cell, or lengths or angles that make none")
    a, b, c = lengths
    alpha, beta, gamma = map(radians, angles)
    x = cos(beta)
    y = (cos(alpha) - x * cos(gamma)) / sin(gamma)
    z = sqrt(max(0.0, 1 - x * x - y * y))  # no volume if the angles make no cell
    return np.array([[a, 0, 0], [b * cos(gamma), b * sin(gamma), 0], [c * x, c * y, c * z]])


def _atomic_numbers(block: Block) -> list[int]:
    symbols = block.get("_atom_site_type_symbol")
    if symbols:
        return [_atomic_number(word, _ELEMENT) for word in symbols]
    return [_atomic_number(word, _SITE) for word in block.get("_atom_site_label", ())]


@lru_cache(maxsize=4096)
def _atomic_number(word: str, pattern: re.Pattern[str]) -> int:
    match = pattern.fullmatch(word)
    symbol = match[1] if match else ""
    for spelling in (symbol, symbol.capitalize()):
        if spelling in ATOMIC_NUMBERS:
            return ATOMIC_NUMBERS[spelling]
    if pattern is _SITE:
        return _atomic_number(word, _SITE_WITH_LETTER)
    raise _Malformed(f"it holds {word!r}, which is not an element")


def _stated_group(block: Block, has_operations: bool) -> int:
    """Number of the space group by whatever the file says of it; 0 if it says nothing that is understood."""
    numbers = {word: int(word) if word.isdecimal() else 0 for word in _first_words(block, _GROUP_NUMBERS)}
    symbols = {word: named_space_group(word) or 0 for word in _first_words(block, _GROUP_SYMBOLS)}
    stated = {number for number in symbols.values() if number} | set(numbers.values())
    if len(stated) > 1:
        raise _Malformed(f"it states several space groups: {', '.join(map(str, sorted(stated)))}")
    if not all(1 <= number <= 230 for number in stated) or not (stated or has_operations or not symbols):
        raise _Malformed(f"its space group {' '.join(numbers or symbols)!r} does not exist")
    return max(stated, default=0)


def _first_words(block: Block, tags: Sequence[str]) -> list[str]:
    return [word for tag in tags for word in block.get(tag, ())[:1] if word not in _UNKNOWN]


def _operations(listed: Sequence[str], stated: int, lattice: NDArray[np.float64]) -> Operations:
    try:
        operations = read_operations(tuple(listed))
    except ValueError as error:
        raise _Malformed(str(error)) from None
    if stated and stated != operations.number:
        raise _Malformed(
            f"its {len(listed)} symmetry operations are not those of space group {stated}, which it states, "
            f"but of {operations.number}"
        )
    if len(operations.rotations) > 1 and not operations.keep(lattice):
        raise _Malformed(f"its cell does not have the symmetry of space group {operations.number}")
    return operations


def _expand(
    positions: NDArray[np.float64],
    numbers: list[int],
    operations: Operations,
    lattice: NDArray[np.float64],
) -> tuple[NDArray[np.float64], list[int]]:
    """Apply the operations to the sites and keep each distinct image once."""
    if len(numbers) * len(operations.rotations) > MAX_IMAGES:
        raise _Malformed(
            f"its {len(numbers)} sites have more than {MAX_IMAGES} images under its symmetry operations"
        )
    images = np.einsum("mij,nj->nim", operations.rotations, positions) + operations.translations.T
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
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*Defaulting to P1")
            structures = CifParser.from_str(text).parse_structures(primitive=False)
    except Exception as error:  # its parser raises whatever a malformed file runs into
        raise _Malformed(f"pymatgen cannot read it: {first_line(error)}") from error
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
    if not amounts:
        return
    counts = Counter(crystal.numbers.tolist())
    units = max(1, round(counts.total() / (sum(amounts.values()) or 1)))
    if any(
        abs(counts[number] - units * amounts.get(number, 0)) > 0.5
        for number in counts.keys() | amounts.keys()
    ):
        raise _Malformed(f"its atoms are {crystal.formula} but its formula is {' '.join(words)[:80]}")
