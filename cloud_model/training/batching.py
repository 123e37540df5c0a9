"""Batches of strings of similar length, so that almost nothing is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def bucketed_batches(
    lengths: NDArray[np.integer], tokens_per_batch: int, rng: np.random.Generator, pool: int = 8192
) -> list[NDArray[np.int64]]:
    """Shuffle rows into batches of similar length.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Tokens of each row.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch.
    rng : numpy.random.Generator
        Decides the order.
    pool : int
        Rows that are sorted by length together; small enough for batches to differ from epoch to epoch.

    Returns
    -------
    list of ndarray of int
        Row numbers of each batch, every row once, batches in random order.
    """
    order = rng.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), pool):
        chunk = order[start : start + pool]
        batches += _cut(chunk[np.argsort(lengths[chunk], kind="stable")], lengths, tokens_per_batch)
    return [batches[i] for i in rng.permutation(len(batches))]


def _cut(
    rows: NDArray[np.int64], lengths: NDArray[np.integer], tokens_per_batch: int
) -> Sequence[NDArray[np.int64]]:
    """Cut rows, sorted by length, so that no batch holds more than its tokens."""
    cuts, first = [], 0
    for i, row in enumerate(rows):
        if i > first and (i - first + 1) * int(lengths[row]) > tokens_per_batch:
            cuts.append(i)
            first = i
    return np.split(rows, cuts)
