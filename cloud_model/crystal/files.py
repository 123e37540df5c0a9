"""Read the crystals of a file or a text: its bytes, its format, and names for its crystals."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cloud_model.confined import confined, confined_iterator
from cloud_model.crystal.compression import BEGINNINGS, DAMAGE, SUFFIXES, decompressed
from cloud_model.crystal.conversions import from_object
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.formats import Format, find_format
from cloud_model.crystal.json_documents import crystals_of
from cloud_model.crystal.reading import Reading, ends_inside_number
from cloud_model.errors import CloudError, CrystalError, first_line, shortly

Selection = int | slice | None
"""Which crystals of a file; all of them if None."""

MAX_BYTES = 2**27
"""Largest content of a file, after decompression."""

CONFINED = 2**14
"""Bytes from which a content is read in a process of its own, whose time and memory are limited. Its start takes 0.3 s,
once, and each content 0.2 ms; no mutated file of fewer bytes took longer than 2 s (``tools/mutate.py``)."""

_UNCLEAR = (LookupError, TypeError, AttributeError, AssertionError, OverflowError, StopIteration)
_SELECTION = re.compile(r"(.+)@(-?\d{1,18}|-?\d{0,18}:-?\d{0,18}(?::-?\d{0,18})?)", re.DOTALL)
_QUOTED = 80  # most characters of a text that errors show


@dataclass(frozen=True)
class CrystalFile:
    """The crystals of a file or a text, read one by one while iterating.

    Attributes
    ----------
    label : str
        What to call it in errors.
    content : bytes
    form : Format
    selection : int, slice or None
        Which crystals.
    is_file : bool
        Whether crystals can be chosen by the name of the file.
    """

    label: str
    content: bytes
    form: Format
    selection: Selection = None
    is_file: bool = True

    def __iter__(self) -> Iterator[tuple[str, Crystal | CloudError]]:
        """Name and crystal; in place of one that cannot be read, its error. Several are called ``label@index``."""
        if len(self.content) < CONFINED:
            yield from self.read()
            return
        try:
            yield from confined_iterator(CrystalFile.read, self)
        except (TimeoutError, MemoryError) as error:
            yield self.label, self._unbounded(error)

    def read(self) -> Iterator[tuple[str, Crystal | CloudError]]:
        """Do so in this process, without limits of time and memory."""
        chosen = self._chosen()
        first = next(chosen, None)
        if first is None:
            return
        second = next(chosen, None)
        alone = second is None and self.selection is None
        name = self.label if alone else f"{self.label}@{first[0]}"
        yield name, self._read(first[1], name)
        del first
        while second is not None:
            name = f"{self.label}@{second[0]}"
            yield name, self._read(second[1], name)
            second = next(chosen, None)

    def only(self) -> Crystal:
        """Read the one crystal there is.

        Raises
        ------
        CrystalError
            If there are several, or it cannot be read.
        """
        if len(self.content) < CONFINED:
            return self._only()
        try:
            crystal: Crystal = confined(CrystalFile._only, self)
        except (TimeoutError, MemoryError) as error:
            raise self._unbounded(error) from None
        return crystal

    def _unbounded(self, error: Exception) -> CrystalError:
        return CrystalError(self.label, f"it cannot be read: {error}", "Write it as a CIF of one crystal.")

    def _only(self) -> Crystal:
        chosen = self._chosen()
        found = list(islice(chosen, 2))
        if len(found) > 1:
            total = 2 + sum(1 for _ in chosen)
            raise CrystalError(
                self.label,
                f"it holds {total} crystals",
                "Give it to what takes several crystals"
                + (f", or choose one of them, such as {self.label}@0." if self.is_file else "."),
            )
        name = self.label if self.selection is None else f"{self.label}@{found[0][0]}"
        crystal = self._read(found[0][1], name)
        if isinstance(crystal, CloudError):
            raise crystal
        return crystal

    def __len__(self) -> int:
        """How many there are, chosen or not."""
        return sum(1 for _ in self._readings())

    def _chosen(self) -> Iterator[tuple[int, Reading | CloudError]]:
        """Index of each chosen crystal and what reads it; at least one."""
        wanted = self.selection
        found: Iterator[tuple[int, Reading | CloudError]]
        if wanted is None:
            found = enumerate(self._readings())
        elif isinstance(wanted, slice) and not any(
            (part or 0) < 0 for part in (wanted.start, wanted.stop, wanted.step)
        ):
            found = islice(enumerate(self._readings()), wanted.start, wanted.stop, wanted.step)
        else:
            total = len(self)
            every = range(total)
            chosen = [every[wanted]] if isinstance(wanted, int) and -total <= wanted < total else []
            found = self._picked(every[wanted] if isinstance(wanted, slice) else chosen)
        empty = True
        for item in found:
            empty = False
            yield item
        if empty:
            total = len(self)
            if not total:
                raise CrystalError(self.label, "it holds no crystal", f"Check that it is {self.form.name}.")
            raise CrystalError(
                self.label,
                f"it holds {total} crystal{'' if total == 1 else 's'}, and none that was chosen",
                f"Choose from {self.label}@0 to @{total - 1}.",
            )

    def _picked(self, indices: Any) -> Iterator[tuple[int, Reading | CloudError]]:
        last = -1
        readings = enumerate(self._readings())
        for index in indices:
            if index <= last:
                readings = enumerate(self._readings())
            last = index
            yield next(item for item in readings if item[0] == index)

    def _readings(self) -> Iterator[Reading | CloudError]:
        """Reader of each crystal; an error in place of the rest where the file cannot be divided further."""
        try:
            readings = self.form.read(self.content, self.label)
            if ends_inside_number(self.content):
                readings = iter(list(readings)[:-1])
            yield from readings
        except Exception as error:  # readers raise whatever a malformed file runs into
            yield self._error(error, self.label)
            return
        if ends_inside_number(self.content):
            yield CrystalError(
                self.label, "it breaks off inside its last number", "Check that it is complete."
            )

    def _read(self, reading: Reading | CloudError, name: str) -> Crystal | CloudError:
        if isinstance(reading, CloudError):
            return reading
        try:
            return reading(name)
        except Exception as error:  # as above
            return self._error(error, name)

    def _error(self, error: Exception, name: str) -> CloudError:
        if isinstance(error, CloudError):
            return error
        return CrystalError(
            name,
            f"it cannot be read as {self.form.name}: {_reason(error)}",
            "Check that it is complete and in the format that its name says.",
        )


def _reason(error: Exception) -> str:
    """Reason of a reader's error; an own one for those that tell of the reader rather than of the file."""
    if isinstance(error, KeyError) and error.args:
        return f"{str(error.args[0])[:_QUOTED]!r} is not an element, or missing"
    if isinstance(error, _UNCLEAR) or "broadcast" in str(error) or "integer string conversion" in str(error):
        return "a line or a number in it is missing or malformed"
    return first_line(error)


def open_crystals(source: Any, label: str = "", selection: Selection = None, name: str = "") -> CrystalFile:
    """Open a file or a text of crystals.

    Parameters
    ----------
    source : str, os.PathLike, bytes or file object
        The name of a file, perhaps followed by an index or a slice as in ASE (``run.traj@-1``, ``run.traj@0:10:2``) and
        perhaps compressed, with the further suffix ``.gz``, ``.bz2`` or ``.xz``; or the text of one. A ``str`` is a
        text if no file has that name and it holds several lines or begins as JSON does.
    label : str
        What to call it in errors; its name if left out.
    selection : int or slice, optional
        Which crystals of a file; as its name says if left out.
    name : str
        Name of the file that a text comes from, which tells its format; no file of that name is opened.

    Raises
    ------
    CrystalError
        If it cannot be read, or its format is none of `cloud_model.crystal.formats.FORMATS`.
    """
    if hasattr(source, "read"):
        source = source.read(MAX_BYTES + 1)
    if isinstance(source, bytes | bytearray) or is_text(source):
        content = source.encode(errors="replace") if isinstance(source, str) else bytes(source)
        return _open_text(content, label, name, selection)
    if not isinstance(source, str | os.PathLike):
        raise CrystalError(
            label or f"crystal {shortly(source)}",
            "is neither a file nor a text",
            "Give the name or the text of a file.",
        )
    if not os.fspath(source):
        raise CrystalError(label or "''", "is not the name of a file", "Give the name or the text of a file.")
    file, chosen = split_selection(os.fsdecode(source)) if selection is None else (source, selection)
    path = Path(file)
    label = label or shown(path)
    content = read_bytes(path, label)
    return CrystalFile(label, content, find_format(_without_compression(path), content, label), chosen)


def read_crystal(source: Any) -> Crystal:
    """Read the crystal of a file or a text that holds one; as `open_crystals`.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        If it cannot be read, holds several crystals, or does not hold a physical one.
    """
    return open_crystals(source).only()


def read_crystals(
    source: Any, label: str = "", selection: Selection = None, name: str = ""
) -> Iterator[tuple[str, Crystal | CloudError]]:
    """Names and crystals of a file or a text, one after another; as `open_crystals`, whose errors are an item.

    Memory does not grow with their number.
    """
    try:
        yield from open_crystals(source, label, selection, name)
    except CloudError as error:
        yield label or error.subject, error


def to_crystal(crystal: Any) -> Crystal:
    """Convert a crystal of another library, or read it from a file or a text.

    Raises
    ------
    CrystalError
        As `read_crystal` and `cloud_model.crystal.conversions.from_object`.
    """
    if isinstance(crystal, dict):
        return _only_of(crystal)
    return read_crystal(crystal) if is_source(crystal) else from_object(crystal)


def _only_of(document: dict[str, Any]) -> Crystal:
    found = list(islice(crystals_of(document, "dict"), 2))
    if len(found) > 1:
        raise CrystalError("dict", "it holds several crystals", "Pass one of them.")
    return found[0]("dict")


def all_crystals(crystals: Any) -> Any:
    """The crystals of a file or a text as a Series, called ``file@index``, if it holds several; else what is given."""
    if not is_source(crystals) or is_scope_string(crystals):
        return crystals
    found = list(read_crystals(crystals))
    if len(found) < 2:
        return found[0][1] if hasattr(crystals, "read") else crystals

    import pandas as pd

    names, values = zip(*found, strict=True)
    return pd.Series(values, index=names, dtype=object)


def is_source(crystal: Any) -> bool:
    """Whether this is a file or a text rather than an object."""
    return isinstance(crystal, str | bytes | bytearray | os.PathLike) or hasattr(crystal, "read")


def split_selection(name: str) -> tuple[str, Selection]:
    """Take the index or slice off the name of a file, unless a file has all of that name."""
    match = _SELECTION.fullmatch(name)
    if not match or os.path.lexists(name):
        return name, None
    file, selection = match.groups()
    if ":" not in selection:
        return file, int(selection)
    parts = [int(part) if part not in ("", "-") else None for part in selection.split(":")]
    return file, slice(*parts)


def shown(path: Path) -> str:
    """Name of a file as errors show it: printable, and not too long."""
    label = os.fsencode(path).decode(errors="backslashreplace")
    return label if len(label) <= 4 * _QUOTED else f"...{label[-_QUOTED:]}"


def read_bytes(path: Path, label: str) -> bytes:
    """Read a file, decompressed if its suffix says so.

    Raises
    ------
    CrystalError
        If it cannot be read, is not a regular file, or holds more than ``MAX_BYTES``.
    """
    compression = SUFFIXES.get(path.suffix.lower())
    try:
        content = _content(path)
        if content and compression:
            content = decompressed(content, compression, MAX_BYTES + 1, CONFINED)
    except DAMAGE as error:
        raise CrystalError(
            label,
            f"it cannot be read: {getattr(error, 'strerror', None) or first_line(error)}",
            "Check its name, permissions and content.",
        ) from None
    if content is None:
        raise CrystalError(label, "it is not a regular file", "Give the name of a file.")
    _check_bytes(content, label)
    return content


def _content(path: Path) -> bytes | None:
    """Bytes of a file, at most one more than are allowed; None of what is no regular file."""
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
        return None
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):  # it has been replaced
            return None
        return file.read(min(MAX_BYTES, status.st_size) + 1)  # all of which is allocated


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_bytes(content: bytes, label: str) -> None:
    if len(content) > MAX_BYTES:
        raise CrystalError(
            label, f"it holds more than {MAX_BYTES // 2**20} MiB", "Split it, or write one crystal to a file."
        )
    if content.startswith(tuple(BEGINNINGS)):
        raise CrystalError(label, "it is compressed, twice or with an unusual name", "Decompress it.")


def is_scope_string(crystal: Any) -> bool:
    """Whether this is a SCOPE string, rather than the name or the text of a file."""
    return isinstance(crystal, str) and crystal.count("|") == 2 and "\n" not in crystal.strip()


def is_text(source: Any) -> bool:
    """Whether this is a ``str`` that holds crystals, rather than the name of a file."""
    if not isinstance(source, str):
        return False
    stripped = source.lstrip("\ufeff").strip()
    ends = stripped[:1] + stripped[-1:]
    return (ends in ("{}", "[]") or len(source.splitlines()) > 1) and not os.path.lexists(source)


def _without_compression(path: Path) -> str:
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _open_text(content: bytes, label: str, name: str, selection: Selection) -> CrystalFile:
    compression = next((kind for start, kind in BEGINNINGS.items() if content.startswith(start)), "")
    if compression:
        try:
            content = decompressed(content, compression, MAX_BYTES + 1, CONFINED)
        except DAMAGE as error:
            raise CrystalError(
                label or "text", f"it cannot be decompressed: {first_line(error)}", "Repair it."
            ) from None
    quoted = f"text {content[:_QUOTED].decode(errors='replace')[: _QUOTED // 2]!r}"
    _check_bytes(content, label or quoted)
    form = find_format(_without_compression(Path(name)) if name else "", content, label or quoted)
    return CrystalFile(label or f"{form.name} text", content, form, selection, is_file=False)
