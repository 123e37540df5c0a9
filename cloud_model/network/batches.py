"""How networks run over many crystals: in batches that do not affect the individual results.

A crystal goes through a network in a batch of its own length, rounded up to a multiple of eight, and the rows of each
product of matrices are a multiple of four. MKL then sums in one order whatever else is in the batch, so that the
outputs for a crystal are the same to the last bit, alone or among others, with any number of threads that is a power of
two. With others, torch divides an activation among threads within a vector of the processor, which changes last digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from cloud_model.network.precision import Precision, kernels, padded_to
from cloud_model.network.tokenizer import TokenBatch, Tokens

TOKENS_PER_BATCH = 1024
"""Few enough that the C library keeps the memory of hidden states for the next batch."""
LENGTHS = 8
"""Strings are padded to a multiple of this many tokens."""
ROWS = 4
"""Rows of a product of matrices are a multiple of this."""

CPU = torch.device("cpu")

Result = TypeVar("Result")


@torch.inference_mode()
def run_batched(
    function: Callable[[TokenBatch], Result],
    tokens: Sequence[Tokens],
    precision: Precision = "float32",
    device: torch.device = CPU,
) -> Result:
    """Apply a function to batches of equal length and put the results back in order.

    Parameters
    ----------
    function : callable
        Batch -> a tensor whose first axis is the batch, or a tuple of such, of None and of tuples.
    tokens : sequence of Tokens
        At least one.
    precision : {'float32', 'bfloat16', 'float16'}
        In which the function multiplies matrices.
    device : torch.device
        Where the function wants its batches.

    Returns
    -------
    Tensor or tuple
        What `function` returns, over all rows, on the CPU.
    """
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row].ids))
    batches = _batches([-(-len(tokens[row].ids) // LENGTHS) * LENGTHS for row in order])
    with kernels(precision, device):
        parts = [
            function(TokenBatch.collate([tokens[row] for row in order[rows]], LENGTHS).to(device))
            for rows in batches
        ]
    if len(tokens) == 1:
        return each(lambda part: part.cpu(), *parts)
    inverse = torch.empty(len(order), dtype=torch.int64)
    inverse[torch.tensor(order)] = torch.arange(len(order))
    return each(lambda *pieces: torch.cat(pieces).cpu()[inverse], *parts)


def padded_rows(function: Callable[[Tensor], Result], features: Tensor) -> Result:
    """Apply a function of rows to some rows, and to as many of zeros as make their number a multiple of `ROWS`."""
    result = function(padded_to(-(-len(features) // ROWS) * ROWS, features))
    return each(lambda part: part[: len(features)], result)


def each(function: Callable[..., Tensor], *results: Any) -> Any:
    """Apply a function to the tensors in the same place of several results."""
    first = results[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return function(*results)
    parts = [each(function, *pieces) for pieces in zip(*results, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)


def _batches(lengths: Sequence[int]) -> Iterator[slice]:
    """Slices of strings, sorted by length, that go through a network together."""
    start = 0
    for stop, length in enumerate(lengths):
        if stop > start and (length > lengths[start] or (stop - start + 1) * length > TOKENS_PER_BATCH):
            yield slice(start, stop)
            start = stop
    yield slice(start, len(lengths))
