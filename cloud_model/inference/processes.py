"""Reading and running in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.errors import check_choice
from cloud_model.inference.crystals import Errors, ReadBatch, read, read_all, report
from cloud_model.network.batches import each
from cloud_model.network.predictor import Output
from cloud_model.network.tokenizer import Tokens
from cloud_model.parallel import in_processes, number_of_processes
from cloud_model.scope.batches import compact

SMALLEST, LARGEST = 128, 512  # crystals of a task

Result = TypeVar("Result", Output, Tensor)
Run = Callable[[Checkpoint, Sequence[Tokens]], Result]


def read_and_run(
    checkpoint: Checkpoint,
    crystals: Any,
    run: Run[Result],
    errors: Errors,
    order: int = 0,
    n_jobs: int | None = None,
) -> tuple[ReadBatch, Result | None]:
    """Read crystals, and run networks over the good ones.

    Parameters
    ----------
    checkpoint, crystals, errors, order
        As in `cloud_model.inference.crystals.read`.
    run : callable
        Checkpoint and tokens of crystals -> tensors with a row for each.
    n_jobs : int, optional
        Number of processes, as in joblib; what is less than a task stays in this one. Crystals travel to them as
        arrays, the checkpoint once.

    Returns
    -------
    ReadBatch
        The crystals.
    tensors or None
        Results for all good crystals, in order; None if there is none.
    """
    check_choice("errors", errors, get_args(Errors))
    jobs = number_of_processes(n_jobs)
    items = crystal_list(crystals) if jobs > 1 and is_collection(crystals) else []
    size = max(SMALLEST, min(LARGEST, -(-len(items) // (4 * jobs))))
    if len(items) <= size:
        batch = read(checkpoint, crystals, errors, order)
        return batch, run(checkpoint, batch.tokens) if batch.good else None
    portions = (
        compact(items[start : start + size], checkpoint.config.dialect)
        for start in range(0, len(items), size)
    )
    parts = list(in_processes(partial(_read_and_run, run=run, order=order), checkpoint, portions, n_jobs))
    results = [result for _, result in parts if result is not None]
    batch = report(ReadBatch.together(batch for batch, _ in parts), errors)
    return batch, each(lambda *pieces: torch.cat(pieces), *results) if results else None


def _read_and_run(
    checkpoint: Checkpoint, crystals: Sequence[Any], *, run: Run[Result], order: int
) -> tuple[ReadBatch, Result | None]:
    batch = read_all(checkpoint, crystals, order)
    return batch, run(checkpoint, batch.tokens) if batch.good else None
