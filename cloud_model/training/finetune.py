"""Fine-tuning: several properties at once, labels missing where they are, thermodynamics among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cloud_model import debye
from cloud_model.heads import Spectra
from cloud_model.predictor import Output, Predictor, run_heads
from cloud_model.properties import ScalarTarget
from cloud_model.tokenizer import TokenBatch, Tokens
from cloud_model.training.batching import bucketed_batches
from cloud_model.training.loop import Metrics, Schedule, train

FLOOR = 0.02  # J/(mol-atom K), the smallest error that the heat capacity is given credit for


@dataclass(frozen=True)
class Labels:
    """Labels of n crystals; NaN where there is none.

    Attributes
    ----------
    scalars : ndarray, shape (n, number of scalar properties)
        In physical units.
    temperatures : ndarray, shape (n, nT)
        K.
    heat_capacities : ndarray, shape (n, nT)
        J/(mol-atom K).
    """

    scalars: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    heat_capacities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scalars)


def mixture_heat_capacity(spectra: Spectra, temperatures: Tensor) -> Tensor:
    """Heat capacity of mixtures of Debye spectra, J/(mol-atom K).

    Parameters
    ----------
    spectra : Spectra
        Of a batch of crystals.
    temperatures : Tensor
        K, shape (batch, nT).

    Returns
    -------
    Tensor
        Shape (batch, nT).
    """
    modes = debye.heat_capacity(spectra.debye_temperatures[:, None, :], temperatures[:, :, None])
    return (modes * spectra.weights[:, None, :]).sum(-1)


def thermal_sensitivity(spectra: Spectra, temperatures: Tensor, step: float = 0.01) -> Tensor:
    """Change of the heat capacity when all Debye temperatures of a crystal grow by a small relative amount."""
    up, down = (
        mixture_heat_capacity(spectra._replace(debye_temperatures=spectra.debye_temperatures * factor), temperatures)
        for factor in (1 + step, 1 - step)
    )
    return (up - down).abs() / (2 * step)


class MultiTaskLoss(nn.Module):
    """Mean absolute errors in normalised units, and the likelihood of the error bars.

    Parameters
    ----------
    weights : Tensor
        Of the scalar properties, shape (number of scalar properties,).
    heat_capacity_weight : float
        Of the heat capacity curve of a crystal.
    """

    def __init__(self, weights: Tensor, heat_capacity_weight: float) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.heat_capacity_weight = heat_capacity_weight

    def forward(self, output: Output, scalars: Tensor, temperatures: Tensor, heat_capacities: Tensor) -> Tensor:
        """Loss of a batch: sum over its labels, divided by its size."""
        total = torch.zeros(())
        if output.scalars is not None:
            known = ~scalars.isnan()
            residual = (output.scalars.value - scalars.nan_to_num()).abs()
            likelihood = laplace_likelihood(residual.detach(), output.scalars.scale)
            total = total + ((residual + likelihood) * self.weights * known).sum()
        if output.spectra is not None and (rows := ~heat_capacities.isnan().all(1)).any():
            spectra = Spectra(*(part[rows] for part in output.spectra))
            total = total + self.heat_capacity_weight * _curve_loss(spectra, temperatures[rows], heat_capacities[rows])
        return total / len(scalars)


def laplace_likelihood(residual: Tensor, scale: Tensor) -> Tensor:
    """Negative log likelihood of absolute residuals under a Laplace distribution of this standard deviation."""
    width = scale / 2**0.5
    return residual / width + width.log()


def _curve_loss(spectra: Spectra, temperatures: Tensor, heat_capacities: Tensor) -> Tensor:
    known = ~heat_capacities.isnan()
    temperatures = torch.where(known, temperatures, 300.0)
    residual = (mixture_heat_capacity(spectra, temperatures) - heat_capacities.nan_to_num()).abs()
    typical = Spectra(torch.full_like(spectra.spread, 350.0)[:, None], torch.ones_like(spectra.spread)[:, None], spectra.spread)
    unit = 0.3 * thermal_sensitivity(typical, temperatures) + 0.1
    with torch.no_grad():
        sensitivity = thermal_sensitivity(spectra, temperatures)
    likelihood = laplace_likelihood(residual.detach(), sensitivity * spectra.spread[:, None] + FLOOR)
    return ((residual / unit + 0.1 * likelihood) * known).sum() / known.sum(1).float().mean()


def finetune(
    predictor: Predictor,
    targets: Mapping[str, ScalarTarget],
    tokens: Sequence[Tokens],
    labels: Labels,
    schedule: Schedule,
    directory: Path,
    *,
    validation: tuple[Sequence[Tokens], Labels] | None = None,
    task_weights: Sequence[float] | None = None,
    heat_capacity_weight: float = 1.0,
    repeats: NDArray[np.int64] | None = None,
    tokens_per_batch: int = 4096,
) -> list[Metrics]:
    """Train encoder and heads together, in place, resuming from `directory` if training began there.

    Parameters
    ----------
    predictor : Predictor
        Trained in place.
    targets : mapping of str to ScalarTarget
        Scalar properties in the order of the predictor's heads.
    tokens : sequence of Tokens
        The training crystals.
    labels : Labels
        Theirs.
    schedule : Schedule
        How long and how fast.
    directory : Path
        Receives the resumable state and the metrics.
    validation : (sequence of Tokens, Labels), optional
        Crystals whose errors are reported after each epoch.
    task_weights : sequence of float, optional
        Weight of each scalar property; one if left out.
    heat_capacity_weight : float
        Weight of the heat capacity curve.
    repeats : ndarray of int, optional
        How often each crystal is seen in an epoch; once if left out.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch.

    Returns
    -------
    list of dict
        The metrics of each epoch.
    """
    normalised = _normalised(targets, labels.scalars)
    temperatures = torch.from_numpy(labels.temperatures).float()
    heat_capacities = torch.from_numpy(labels.heat_capacities).float()
    criterion = MultiTaskLoss(torch.tensor(task_weights or [1.0] * len(targets)), heat_capacity_weight)
    rows = np.arange(len(tokens)) if repeats is None else np.repeat(np.arange(len(tokens)), repeats)
    lengths = np.array([len(tokens[row].ids) for row in rows])

    def epoch_batches(epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng([schedule.seed, epoch])
        return [rows[batch] for batch in bucketed_batches(lengths, tokens_per_batch, rng)]

    def loss(module: nn.Module, batch_rows: NDArray[np.int64]) -> tuple[Tensor, int]:
        batch = TokenBatch.collate([tokens[row] for row in batch_rows])
        output = module(batch)
        with torch.autocast("cpu", enabled=False):
            value = criterion(output, normalised[batch_rows], temperatures[batch_rows], heat_capacities[batch_rows])
        return value, int(batch.mask.sum())

    def validate(module: nn.Module) -> Metrics:
        assert validation is not None and isinstance(module, Predictor)  # noqa: S101
        return errors(module, targets, *validation)

    return train(predictor, epoch_batches, loss, schedule, directory, validate=validate if validation else None)


def _normalised(targets: Mapping[str, ScalarTarget], scalars: NDArray[np.float64]) -> Tensor:
    columns = [target.normalise(scalars[:, i]) for i, target in enumerate(targets.values())]
    table = np.stack(columns, axis=1) if columns else np.empty((len(scalars), 0))
    return torch.from_numpy(table).float()


def errors(
    predictor: Predictor, targets: Mapping[str, ScalarTarget], tokens: Sequence[Tokens], labels: Labels
) -> Metrics:
    """Mean absolute errors in physical units; of the heat capacity at each temperature of the labels."""
    output = run_heads(predictor, tokens)
    metrics: Metrics = {}
    if output.scalars is not None:
        value, scale = (part.double().numpy() for part in output.scalars)
        for i, (name, target) in enumerate(targets.items()):
            predicted, _ = target.physical(value[:, i], scale[:, i])
            label = labels.scalars[:, i]
            metrics[name] = float(np.nanmean(np.abs(predicted - label)))
            if target.transform == "log10":
                metrics[f"log10({name})"] = float(np.nanmean(np.abs(np.log10(predicted) - np.log10(label))))
    if output.spectra is not None:
        rows = ~np.isnan(labels.heat_capacities).all(1)
        spectra = Spectra(*(part[torch.from_numpy(rows)].double() for part in output.spectra))
        predicted = mixture_heat_capacity(spectra, torch.from_numpy(labels.temperatures[rows])).numpy()
        residual = np.abs(predicted - labels.heat_capacities[rows])
        for temperature in np.unique(labels.temperatures[rows]):
            at = labels.temperatures[rows] == temperature
            metrics[f"heat_capacity_per_atom({temperature:g} K)"] = float(np.nanmean(residual[at]))
    return metrics
