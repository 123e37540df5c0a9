"""Training strings, read in pools from memory or Parquet shards, in memory that does not grow with the corpus."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cloud_model.errors import DataError

POOL = 8192  # strings that are tokenised, sorted by length and cut into batches together
MIXED = 65536  # strings, from row groups of the whole corpus, that are shuffled together
COLUMN = "scope"


class Corpus(Protocol):
    """Groups of strings of known sizes that can be read one at a time."""

    @property
    def sizes(self) -> Sequence[int]:
        """Strings in each group."""

    @property
    def identity(self) -> str:
        """Tells this corpus from others."""

    def read(self, group: int) -> pa.Array:
        """Strings of a group."""


class TextCorpus:
    """Strings in memory, one group.

    Parameters
    ----------
    texts : sequence of str
        The strings.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = pa.array(texts, pa.string())
        self.sizes = [len(self.texts)]

    @property
    def identity(self) -> str:
        """Hash of the strings."""
        digest = hashlib.sha256()
        for buffer in self.texts.buffers():
            if buffer is not None:
                digest.update(buffer)
        return digest.hexdigest()

    def read(self, group: int) -> pa.Array:
        """All strings."""
        return self.texts


class ParquetCorpus:
    """Strings in Parquet shards; a group is a row group, so that no more than a few of these are in memory.

    Parameters
    ----------
    paths : sequence of Path
        Parquet files, or folders of such.
    column : str
        The strings.

    Raises
    ------
    DataError
        If there are no files, or one is not Parquet or lacks the column.
    """

    def __init__(self, paths: Sequence[Path], column: str = COLUMN) -> None:
        self.column = column
        self.groups: list[tuple[Path, int]] = []
        self.sizes: list[int] = []
        files = [
            file for path in paths for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])
        ]
        if not files:
            raise DataError(
                ", ".join(map(str, paths)), "holds no Parquet shards", "Write some with 'cloud ingest'."
            )
        for file in files:
            try:
                metadata = pq.read_metadata(file)
            except (OSError, pa.ArrowInvalid) as error:
                raise DataError(
                    str(file), f"cannot be read as Parquet ({error})", "Remove or rewrite it."
                ) from error
            if column not in metadata.schema.names:
                raise DataError(
                    str(file), f"has no column {column!r}", f"It has: {', '.join(metadata.schema.names)}."
                )
            for group in range(metadata.num_row_groups):
                self.groups.append((file, group))
                self.sizes.append(metadata.row_group(group).num_rows)

    @property
    def identity(self) -> str:
        """Names of the shards and sizes of their row groups."""
        return str([(file.name, size) for (file, _), size in zip(self.groups, self.sizes, strict=True)])

    def read(self, group: int) -> pa.Array:
        """Strings of a row group."""
        file, number = self.groups[group]
        with pq.ParquetFile(file) as parquet:
            column = parquet.read_row_group(number, columns=[self.column])[self.column]
        return column.combine_chunks().cast(pa.string())


def pools(corpus: Corpus, seed: int, epoch: int, first: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Every string of a corpus once, in random order.

    Parameters
    ----------
    corpus : Corpus
        The strings.
    seed, epoch : int
        Decide the order.
    first : int
        Pools to pass over, without reading them.

    Yields
    ------
    (int, list of str)
        Number of a pool, and its strings.
    """
    number = 0
    for groups in _together(
        corpus.sizes, np.random.default_rng([seed, epoch]).permutation(len(corpus.sizes))
    ):
        rows = sum(corpus.sizes[group] for group in groups)
        count = -(-rows // POOL)
        if number + count > first:
            texts = pa.concat_arrays([corpus.read(group) for group in groups])
            order = np.random.default_rng([seed, epoch, number]).permutation(rows)
            for i in range(max(0, first - number), count):
                yield number + i, texts.take(pa.array(order[i * POOL : (i + 1) * POOL])).to_pylist()
        number += count


def _together(sizes: Sequence[int], order: np.ndarray) -> Iterator[list[int]]:
    """Groups that are shuffled together."""
    groups: list[int] = []
    rows = 0
    for group in order.tolist():
        if groups and rows + sizes[group] > MIXED:
            yield groups
            groups, rows = [], 0
        groups.append(group)
        rows += sizes[group]
    if groups:
        yield groups
