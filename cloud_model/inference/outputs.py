"""Outputs of the networks of a checkpoint, computed once for each distinct crystal."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import CheckpointError
from cloud_model.network.batches import each
from cloud_model.network.ensemble import Pooling, embed, in_physical_units, run_ensemble
from cloud_model.network.precision import Precision
from cloud_model.network.predictor import Output
from cloud_model.network.tokenizer import Tokens

Result = TypeVar("Result", Output, Tensor)


def outputs_of(checkpoint: Checkpoint, tokens: Sequence[Tokens], precision: Precision) -> Output:
    """Outputs for crystals, in physical units; at least one."""

    def compute(new: Sequence[Tokens]) -> Output:
        output = run_ensemble(checkpoint.members, new, precision)
        return in_physical_units(output, checkpoint.config.targets, checkpoint.config.spread_calibration)

    return _remembered(checkpoint, ("outputs", precision), tokens, compute)


def embeddings_of(
    checkpoint: Checkpoint, tokens: Sequence[Tokens], pooling: Pooling, precision: Precision
) -> Tensor:
    """Embeddings of crystals, as `cloud_model.network.ensemble.embed`; at least one."""
    return _remembered(
        checkpoint,
        (pooling, precision),
        tokens,
        lambda new: embed(checkpoint.members, new, pooling, precision),
    )


def _remembered(
    checkpoint: Checkpoint,
    kind: Hashable,
    tokens: Sequence[Tokens],
    compute: Callable[[Sequence[Tokens]], Result],
) -> Result:
    """Results for crystals, computed for those that the cache of the checkpoint does not hold."""
    keys = [(kind, crystal.ids) for crystal in tokens]
    rows = {key: row for key in keys if (row := checkpoint.cache.get(key)) is not None}
    new = {key: crystal for key, crystal in zip(keys, tokens, strict=True) if key not in rows}
    if new:
        computed = compute(list(new.values()))
        each(lambda part: _check_finite(part, checkpoint), computed)
        found = {key: _row(computed, i) for i, key in enumerate(new)}
        rows |= found
        checkpoint.cache.update(found)
    return each(lambda *parts: torch.stack(parts), *[rows[key] for key in keys])


def _row(results: Result, i: int) -> Result:
    """One row, in memory of its own."""
    return each(lambda part: part[i].clone(), results)


def _check_finite(part: Tensor, checkpoint: Checkpoint) -> Tensor:
    if not part.isfinite().all():
        raise CheckpointError(
            checkpoint.config.name, "gives numbers that are not finite", "Use another checkpoint."
        )
    return part
