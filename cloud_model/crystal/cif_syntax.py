"""The data blocks of a CIF (Hall, Allen & Brown, Acta Cryst. A 47, 655 (1991))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

Block = dict[str, list[str]]
"""Tag in small letters, with underscores for the dots of DDLm -> its values."""

UNKNOWN = ("?", ".", "")
"""Words for values that are unknown or do not apply."""

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
_READ = (
    "_cell_",
    "_atom_site_",
    "_chemical_formula_sum",
    "_space_group_",
    "_symmetry_",
)  # beginnings of tags that matter here
_NOT_NUMERIC = re.compile(r"[^-+.()0-9eE\s]", re.ASCII)


class MalformedCifError(Exception):
    """Why a file is refused, and what to do about it."""

    def __init__(self, reason: str, remedy: str = "Check that it is a complete CIF of one crystal.") -> None:
        super().__init__(reason)
        self.remedy = remedy


def data_blocks(text: str) -> list[Block]:
    """Split a CIF into its data blocks.

    Raises
    ------
    MalformedCifError
        If a table or a text field in it is cut off, or a tag that matters has two values.
    """
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
                raise MalformedCifError("a table in it is cut off")
            if values:
                for i, tag in enumerate(header):
                    _put(blocks[-1], tag, values[i :: len(header)])
                header = None
    return blocks


def numbers(block: Block, tag: str, unknown: float | None = None) -> list[float]:
    """Read the values of a tag as numbers, less their standard uncertainties in parentheses.

    Parameters
    ----------
    block : dict
    tag : str
    unknown : float, optional
        What stands for unknown values.

    Raises
    ------
    MalformedCifError
        If a value is not a number.
    """
    words = block.get(tag, [])
    if unknown is not None:
        words = [str(unknown) if word in UNKNOWN else word for word in words]
    try:
        if not _NOT_NUMERIC.search(" ".join(words)):
            return [float(word.partition("(")[0]) for word in words]
    except ValueError:
        pass
    raise MalformedCifError(
        f"not all its values of {tag} are numbers",
        "Write them with a decimal point; fractions and '?' are none.",
    )


def first_words(block: Block, tags: Sequence[str]) -> list[str]:
    """First value of each of these tags that has a known one."""
    return [word for tag in tags for word in block.get(tag, ())[:1] if word not in UNKNOWN]


def _put(block: Block, tag: str, values: list[str]) -> None:
    tag = tag.replace(".", "_")
    if block.setdefault(tag, values) != values and tag.startswith(_READ):
        raise MalformedCifError(
            f"it states {tag} twice", "Keep the right one, or begin each crystal with a line 'data_name'."
        )


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
        raise MalformedCifError("a text field in it is cut off")
    return words, quoted
