"""Iterate over the crystals of a source, from its beginning or from where an earlier run stopped."""

from __future__ import annotations

import gzip
import os
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from cloud_model.corpus.optimade import optimade_records
from cloud_model.crystal.ase_files import database_rows
from cloud_model.crystal.files import MAX_BYTES, open_crystals, read_crystals
from cloud_model.crystal.json_documents import crystals_of
from cloud_model.errors import CloudError, CrystalError, DataError, first_line
from cloud_model.untrusted_json import parse_json

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
TABLES = (".csv", ".csv.gz", ".parquet")
LINES = (".jsonl", ".jsonl.gz")
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    sqlite3.Error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
IDENTIFIERS = ("id", "material_id", "entry_id", "mpid", "name")


class Record(NamedTuple):
    """A crystal of a source.

    Attributes
    ----------
    id : str
        Its name there.
    crystal : Any
        Input of `cloud_model.scope.batches.scopes`, or the error raised when it was read.
    after : str
        The place in the source after it.
    """

    id: str
    crystal: Any
    after: str


def records(source: str, place: str = "", column: str = "scope") -> Iterator[Record]:
    """Crystals of a source.

    Parameters
    ----------
    source : str
        A folder (with all folders in it), an archive of structure files, an ASE database (``.db``), JSON lines of
        structures or entries, a CSV or Parquet table with SCOPE strings, the URL of an OPTIMADE provider, or one
        structure file. Of a file that holds several crystals, each is a record.
    place : str
        Where to go on: `Record.after` of an earlier record; at the beginning if empty.
    column : str
        The strings of a table.

    Raises
    ------
    DataError
        If there is no such source, or it ends in an error.
    """
    if source.startswith(("http://", "https://")):
        for name, entry, after in optimade_records(source, place):
            yield Record(name, entry, after)
        return
    path = Path(source)
    if not os.path.exists(path):  # noqa: PTH110 (which is False where there can be no such name)
        raise DataError(source, "does not exist", "Give a file, a folder or the URL of an OPTIMADE provider.")
    if not (path.is_file() or path.is_dir()):  # opening a pipe would wait for its writer
        raise DataError(source, "is neither a file nor a folder", "Give the name of one.")
    passed = int(place or 0)
    try:
        for i, (name, crystal) in enumerate(_reader(path, column)(path), start=1):
            if i > passed:
                yield Record(name, _opened(name, crystal) if callable(crystal) else crystal, str(i))
    except CloudError:
        raise
    except _DAMAGE as error:
        raise DataError(source, f"cannot be read to its end ({first_line(error)})", "Repair it.") from error


def _opened(name: str, crystal: Callable[[], Any]) -> Any:
    """Read a row of a database."""
    try:
        return crystal()
    except CloudError as error:
        return error
    except Exception as error:  # readers raise whatever a damaged row runs into
        return CrystalError(name, f"is damaged ({first_line(error)})", "Repair it.")


def _reader(path: Path, column: str) -> Callable[[Path], Iterator[tuple[str, Any]]]:
    name = path.name.lower()
    if path.is_dir():
        return _folder
    if name.endswith(ARCHIVES):
        return _archive
    if name.endswith(".db"):
        return _ase_database
    if name.endswith(LINES):
        return _json_lines
    if name.endswith(TABLES):
        return lambda table: _table(table, column)
    return lambda file: _crystals(file, file.name)


def _folder(path: Path) -> Iterator[tuple[str, Any]]:
    for folder, subfolders, files in os.walk(path):  # symbolic links to folders are not followed
        subfolders.sort()
        for name in sorted(files):
            file = Path(folder, name)
            yield from _crystals(file, str(file.relative_to(path)))


def _crystals(file: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Crystals of a file; the file itself, to be read by whatever process describes it, if it holds one."""
    try:
        opened = open_crystals(file)
    except CloudError as error:
        yield name, error
        return
    if opened.form.several and opened.form.several(opened.content):
        for label, crystal in opened:
            yield name + label.removeprefix(opened.label), crystal
    else:
        yield name, file


def _archive(path: Path) -> Iterator[tuple[str, Any]]:
    return (_zip if path.suffix.lower() == ".zip" else _tar)(path)


def _zip(path: Path) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield from _member(member.filename, partial(archive.open, member))


def _tar(path: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                yield from _member(member.name, partial(archive.extractfile, member))


def _member(name: str, opened: Callable[[], Any]) -> Iterator[tuple[str, Any]]:
    """Crystals of a member of an archive; nothing is written outside of it."""
    try:
        with opened() as stream:
            content = stream.read(MAX_BYTES + 1)
    except Exception as error:  # readers raise whatever a damaged member runs into
        yield name, CrystalError(name, f"is damaged ({first_line(error)})", "Repair it.")
        return
    yield from read_crystals(content, name, name=Path(name).name)


def _ase_database(path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    address = f"file:{quote(os.fspath(path.resolve()))}?mode=ro&immutable=1"  # and no other file beside it
    with closing(sqlite3.connect(address, uri=True)) as connection:
        for key, reading in database_rows(connection):
            yield str(key), partial(reading, str(key))


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        lines = iter(partial(file.readline, MAX_BYTES), b"")
        for i, line in enumerate(lines):
            yield _parsed_line(line, f"line {i + 1}")


def _parsed_line(line: bytes, label: str) -> tuple[str, Any]:
    try:
        entry = parse_json(line)
    except ValueError as error:
        return label, CrystalError(label, f"is not JSON ({first_line(error)})", "Repair it.")
    if not isinstance(entry, dict):
        return label, CrystalError(label, "is not a JSON object", "Write Structure.as_dict().")
    name = next((str(entry[key]) for key in IDENTIFIERS if key in entry), label)
    try:
        return name, next(crystals_of(entry, name))(name)
    except CloudError as error:
        return name, error


def _table(path: Path, column: str) -> Iterator[tuple[str, str]]:
    for rows in _parquet_parts(path) if path.suffix == ".parquet" else _csv_parts(path):
        if column not in rows:
            raise DataError(
                str(path), f"has no column {column!r}", f"It has: {', '.join(map(str, rows.columns))}."
            )
        key = next((name for name in IDENTIFIERS if name in rows), None)
        names = rows[key] if key else rows.index
        yield from zip(map(str, names), map(str, rows[column]), strict=True)


def _csv_parts(path: Path) -> Iterator[Any]:
    import pandas as pd

    with pd.read_csv(path, keep_default_na=False, chunksize=8192, encoding_errors="replace") as parts:
        yield from parts


def _parquet_parts(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(8192):
            yield part.to_pandas()
