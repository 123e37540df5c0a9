"""From crystals to Parquet shards of distinct SCOPE strings: the implementation of ``cloud ingest``.

One SQLite file in the folder of the shards knows what is done: the strings seen (as hashes), the place in each
source, and the counts of the report. It is changed in one transaction after a shard has been put in its place, so
that a run that is killed at any time goes on without a gap or a duplicate, and memory does not grow.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import gcd
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloud_model.arguments import check_column, check_type, checked_path, checked_settings
from cloud_model.atomic import locked, write_atomically
from cloud_model.corpus.sources import Record, records
from cloud_model.display.progress import ProgressReport
from cloud_model.errors import (
    ArgumentError,
    CloudError,
    DataError,
    OutputError,
    VocabularyError,
    first_line,
    shortly,
)
from cloud_model.network.tokenizer import Tokenizer
from cloud_model.parallel import number_of_processes
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.batches import scopes
from cloud_model.scope.description import Describer, Dialect
from cloud_model.scope.string import Scope

BLOCK = 8192  # crystals that are described together; the most rows of a shard
STATE, REPORT, UNREADABLE = "_ingest.sqlite", "_report.json", "_unreadable.csv"
"""Names that readers of Parquet folders pass over."""

_TABLES = """
    CREATE TABLE IF NOT EXISTS seen (hash BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS places (source TEXT PRIMARY KEY, place TEXT, finished INTEGER);
    CREATE TABLE IF NOT EXISTS counts (kind TEXT, key TEXT, number INTEGER, PRIMARY KEY (kind, key));
    CREATE TABLE IF NOT EXISTS unreadable (source TEXT, id TEXT, error TEXT);
    CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT);
"""


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """How crystals become strings.

    Attributes
    ----------
    dialect, symprec
        As in `Scope.from_crystal`.
    column : str
        The strings of tables.
    n_jobs : int
        Processes, as in joblib; the backend is that of ``joblib.parallel_config``.

    Raises
    ------
    ArgumentError
        If one is out of its range.
    """

    dialect: Dialect = "sites"
    symprec: float = DEFAULT_SYMPREC
    column: str = "scope"
    n_jobs: int = 1

    def __post_init__(self) -> None:
        Describer(self.dialect, self.symprec, None)
        check_column("column", self.column)
        number_of_processes(self.n_jobs)


def ingest(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: Path,
    tokenizer: Tokenizer,
    settings: IngestSettings | None = None,
) -> dict[str, Any]:
    """Describe the crystals of sources, and write each distinct string once.

    Parameters
    ----------
    sources : str, path-like or iterable of these
        As `cloud_model.corpus.sources.records` reads them.
    output : Path
        Folder of the shards ``part-00000.parquet`` (columns ``id``, ``scope``, ``space_group``, ``formula``,
        ``source``), of ``_report.json`` and of ``_unreadable.csv``. An interrupted run resumes.
    tokenizer : Tokenizer
        Its vocabulary is compared with the strings, and gives their lengths.
    settings : IngestSettings, optional
        How to describe them.

    Returns
    -------
    dict
        The content of ``_report.json``.

    Raises
    ------
    DataError
        If a source does not exist or ends in an error; what came before is kept.
    ArgumentError
        If the folder was begun with other settings, or an argument is of a wrong type.
    OutputError
        If it cannot be written, or another process is writing to it.
    """
    names = _names(sources)
    output = checked_path("output", output)
    check_type("tokenizer", tokenizer, Tokenizer, "Give that of a checkpoint.")
    settings = checked_settings(settings, IngestSettings)
    with locked(output, "cloud ingest"):
        try:
            return _ingest(names, output, tokenizer, settings)
        except sqlite3.OperationalError as error:
            reason = "the disk is full" if "full" in str(error) else first_line(error)
            raise OutputError(
                str(output / STATE), f"cannot be written: {reason}", "Free some space, or use another folder."
            ) from error


def _names(sources: Any) -> list[str]:
    """Names of the sources, or an `ArgumentError`."""
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    found = list(sources) if isinstance(sources, Iterable) else []
    if not found or not all(isinstance(source, str | os.PathLike) for source in found):
        raise ArgumentError(
            f"sources {shortly(sources)}", "are not names of sources", "Give a list of paths or URLs."
        )
    for source in found:
        checked_path("source", source)
    return [os.fspath(source) for source in found]


def _ingest(
    sources: Sequence[str], output: Path, tokenizer: Tokenizer, settings: IngestSettings
) -> dict[str, Any]:
    state = _State(output)
    try:
        state.check(settings)
        for source in sources:
            for part in _blocks(source, state, settings.column):
                described = scopes(
                    [record.crystal for record in part if not isinstance(record.crystal, CloudError)],
                    settings.dialect,
                    settings.symprec,
                    n_jobs=settings.n_jobs,
                )
                state.add(source, part, described, tokenizer)
            state.finish(source)
        return state.report()
    finally:
        state.close()


def formula(scope: Scope) -> str:
    """Reduced formula in the order of electronegativity; of fractions where the orbits are not known."""
    if scope.orbits is None:
        return "".join(f"{element}{fraction:g}" for element, fraction in scope.composition)
    counts: Counter[str] = Counter()
    for symbol, element in scope.orbits:
        counts[element] += int(symbol[:-1])
    divisor = gcd(*counts.values())
    numbers = {element: counts[element] // divisor for element, _ in scope.composition}
    return "".join(f"{element}{number if number > 1 else ''}" for element, number in numbers.items())


def _blocks(source: str, state: _State, column: str) -> Iterator[list[Record]]:
    place, finished = state.place(source)
    if finished:
        return
    stream = records(source, place, column)
    failure: DataError | None = None
    with closing(ProgressReport(source, None, "crystals")) as report:
        while failure is None:
            block: list[Record] = []
            try:
                for record in islice(stream, BLOCK):
                    block.append(record)
                    report.update(1)
            except DataError as error:
                failure = error
            if block:
                yield block
            elif failure is None:
                return
    raise failure


class _State:
    """Shards and the SQLite file that says which of them count."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.database = sqlite3.connect(output / STATE)
        self.database.executescript(_TABLES)

    def close(self) -> None:
        self.database.close()

    def check(self, settings: IngestSettings) -> None:
        """Remember the settings that decide the strings, or compare them with those remembered."""
        mine = {"dialect": settings.dialect, "symprec": repr(settings.symprec)}
        theirs = dict(self.database.execute("SELECT key, value FROM settings"))
        if theirs and theirs != mine:
            raise ArgumentError(str(self.output), f"was begun with {theirs}", "Use these, or another folder.")
        with self.database:
            self.database.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", mine.items())

    def place(self, source: str) -> tuple[str, bool]:
        found = self.database.execute(
            "SELECT place, finished FROM places WHERE source = ?", [source]
        ).fetchone()
        return (found[0], bool(found[1])) if found else ("", False)

    def finish(self, source: str) -> None:
        place, _ = self.place(source)
        with self.database:
            self.database.execute("REPLACE INTO places VALUES (?, ?, 1)", [source, place])

    def add(
        self,
        source: str,
        part: Sequence[Record],
        described: Iterable[Scope | CloudError],
        tokenizer: Tokenizer,
    ) -> None:
        """Write the new strings of a block as a shard, and then that it is done."""
        counts: Counter[tuple[str, str]] = Counter()
        kept: list[tuple[str, Scope]] = []
        unreadable: list[tuple[str, str, str]] = []
        answers = iter(described)
        with self.database:  # rolled back if anything fails before the end
            for record in part:
                found = record.crystal if isinstance(record.crystal, CloudError) else next(answers)
                if isinstance(found, CloudError):
                    unreadable.append((source, record.id, str(found)))
                    counts["unreadable", type(found).__name__] += 1
                elif self._is_new(found):
                    kept.append((record.id, found))
                    _count_tokens(counts, found, tokenizer)
                else:
                    counts["total", "duplicates"] += 1
            counts["total", "crystals"] += len(part)
            counts["total", "kept"] += len(kept)
            counts["total", "unreadable"] += len(unreadable)
            if kept:
                number = self.database.execute("SELECT number FROM counts WHERE kind='shards'").fetchone()
                self._write_shard(number[0] if number else 0, source, kept)
                counts["shards", ""] += 1
            self.database.executemany("INSERT INTO unreadable VALUES (?, ?, ?)", unreadable)
            self.database.executemany(
                "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number",
                [(*key, number) for key, number in counts.items()],
            )
            self.database.execute("REPLACE INTO places VALUES (?, ?, 0)", [source, part[-1].after])

    def _is_new(self, scope: Scope) -> bool:
        text = scope.to("canonical") if scope.dialect == "reference" else scope
        key = hashlib.blake2b(str(text).encode(), digest_size=16).digest()
        return self.database.execute("INSERT OR IGNORE INTO seen VALUES (?)", [key]).rowcount == 1

    def _write_shard(self, number: int, source: str, kept: Sequence[tuple[str, Scope]]) -> None:
        table = pa.table(
            {
                "id": [name for name, _ in kept],
                "scope": [str(scope) for _, scope in kept],
                "space_group": pa.array([scope.space_group for _, scope in kept], pa.uint8()),
                "formula": [formula(scope) for _, scope in kept],
                "source": [source] * len(kept),
            }
        )
        shard = self.output / f"part-{number:05d}.parquet"
        write_atomically(shard, partial(pq.write_table, table, compression="zstd"))

    def report(self) -> dict[str, Any]:
        """Write ``_report.json`` and ``_unreadable.csv``."""
        counts: dict[str, dict[str, int]] = {}
        for kind, key, number in self.database.execute(
            "SELECT kind, key, number FROM counts ORDER BY kind, key"
        ):
            counts.setdefault(kind, {})[key] = number
        lengths = {int(key): number for key, number in counts.get("length", {}).items()}
        report = {
            **{
                key: counts.get("total", {}).get(key, 0)
                for key in ("crystals", "kept", "duplicates", "unreadable")
            },
            "unreadable_by_reason": counts.get("unreadable", {}),
            "unknown_tokens": counts.get("unknown", {}),
            "lengths": {str(length): lengths[length] for length in sorted(lengths)},
        }
        unreadable = io.StringIO()
        writer = csv.writer(unreadable)
        writer.writerow(["source", "id", "error"])
        writer.writerows(self.database.execute("SELECT source, id, error FROM unreadable"))
        write_atomically(self.output / REPORT, json.dumps(report, indent=1) + "\n")
        write_atomically(self.output / UNREADABLE, unreadable.getvalue())
        return report


def _count_tokens(counts: Counter[tuple[str, str]], scope: Scope, tokenizer: Tokenizer) -> None:
    try:
        counts["length", str(len(tokenizer.encode(scope).ids))] += 1
    except VocabularyError as error:
        counts["unknown", error.reason] += 1
