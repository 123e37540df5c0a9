"""The networks of an ensemble as one: mean outputs, whose errors count their disagreement, and embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cloud_model.network.batches import run_batched
from cloud_model.network.heads import Prediction, atom_pool, layer_pool, mean_pool, with_calculated
from cloud_model.network.precision import Precision
from cloud_model.network.predictor import Output, Predictor
from cloud_model.network.tokenizer import TokenBatch, Tokens
from cloud_model.physics.isobaric import UncertainExpansion
from cloud_model.physics.mixture import Spectra
from cloud_model.properties.targets import ScalarTarget

Pooling = Literal["layers", "mean", "atoms", "cls"]


def run_ensemble(
    members: Sequence[Predictor], tokens: Sequence[Tokens], precision: Precision = "float32"
) -> Output:
    """Mean outputs of networks for many crystals, in their order, in float64.

    The square of a standard error is the mean of those of the networks, and the variance between their values.
    """
    outputs = run_batched(
        lambda batch: [member(batch, precision) for member in members], tokens, precision, members[0].device
    )
    scalars = [output.scalars for output in outputs if output.scalars is not None]
    spectra = [output.spectra.each(Tensor.double) for output in outputs if output.spectra is not None]
    expansions = [output.expansion for output in outputs if output.expansion is not None]
    distances = [output.distance.double() for output in outputs if output.distance is not None]
    return Output(
        Prediction(*_mean_and_error(scalars)) if scalars else None,
        Spectra.together(spectra) if spectra else None,
        UncertainExpansion(*_mean_and_error(expansions)) if expansions else None,
        _mean(distances) if distances else None,
    )


def in_physical_units(
    output: Output, targets: Mapping[str, ScalarTarget], spread_calibration: float = 1.0
) -> Output:
    """Outputs of `run_ensemble` in the units of the properties, with calibrated errors."""
    scalars, distance = output.scalars, 0.0 if output.distance is None else output.distance.numpy()
    if scalars is not None:
        columns = zip(targets.values(), scalars.value.numpy().T, scalars.scale.numpy().T, strict=True)
        pairs = [target.physical(value, scale, distance) for target, value, scale in columns]
        values, errors = (torch.from_numpy(np.stack(part, axis=1)) for part in zip(*pairs, strict=True))
        scalars = Prediction(values, errors)
    spectra = output.spectra and output.spectra.calibrated(spread_calibration)
    expansion = output.expansion
    if expansion is not None and scalars is not None:
        known = zip(targets, zip(*(part.T for part in scalars), strict=True), strict=True)
        expansion = with_calculated(expansion, {name: Prediction(*column) for name, column in known})
    return output._replace(scalars=scalars, spectra=spectra, expansion=expansion)


def embed(
    members: Sequence[Predictor], tokens: Sequence[Tokens], pooling: Pooling, precision: Precision = "float32"
) -> Tensor:
    """Embeddings of many crystals, in their order, those of the networks side by side.

    Shape (n, members * hidden_size), three times as wide for ``layers``.
    """
    pooled = run_batched(
        lambda batch: [_pool(member, batch, pooling, precision) for member in members],
        tokens,
        precision,
        members[0].device,
    )
    return torch.cat(pooled, dim=1)


def _pool(member: Predictor, batch: TokenBatch, pooling: Pooling, precision: Precision) -> Tensor:
    hidden = member.hidden_states(batch, precision)
    if pooling == "layers":
        return layer_pool(member.encoder.embeddings.word_embeddings(batch.ids), hidden, batch)
    if pooling == "mean":
        return mean_pool(hidden, batch)
    return atom_pool(hidden, batch) if pooling == "atoms" else hidden[:, 0]


def _mean_and_error(members: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    values, errors = ([part.double() for part in parts] for parts in zip(*members, strict=True))
    if len(values) == 1:
        return values[0], errors[0]
    mean = _mean(values)
    return mean, torch.sqrt(_mean([error**2 for error in errors]) + _mean([(v - mean) ** 2 for v in values]))


def _mean(parts: Sequence[Tensor]) -> Tensor:
    """Mean of few tensors, which sums each element in the same order whatever the shape."""
    return reduce(torch.add, parts) / len(parts)
