"""Fine-tuning: several properties at once, labels missing where they are, thermodynamics among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cloud_model.network.predictor import Output, Predictor, run_heads
from cloud_model.network.tokenizer import TokenBatch, Tokens
from cloud_model.physics.debye import DebyeSolid
from cloud_model.physics.mixture import DebyeMixture, Spectra
from cloud_model.properties.catalogue import ScalarTarget
from cloud_model.training.batching import bucketed_batches
from cloud_model.training.loop import Schedule, Step, parameter_groups, train
from cloud_model.training.state import Metrics


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
    internal_energies : ndarray, shape (n, nT), optional
        J/mol-atom, zero-point energy included; of crystals that have a heat capacity.
    """

    scalars: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    heat_capacities: NDArray[np.float64]
    internal_energies: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.scalars)

    def __getitem__(self, rows: NDArray[np.int64]) -> Labels:
        energies = self.internal_energies
        return Labels(
            self.scalars[rows],
            self.temperatures[rows],
            self.heat_capacities[rows],
            None if energies is None else energies[rows],
        )

    @classmethod
    def of_scalars(cls, scalars: NDArray[np.float64]) -> Labels:
        """Labels without thermodynamics; scalars of shape (n, number of scalar properties)."""
        none = np.empty((len(scalars), 0))
        return cls(scalars, none, none)


class Batch(NamedTuple):
    """Labels of a batch as tensors, NaN where there is none; scalars are normalised."""

    scalars: Tensor
    temperatures: Tensor
    heat_capacities: Tensor
    internal_energies: Tensor | None
    weights: Tensor

    @classmethod
    def of(cls, labels: Labels, scalars: Tensor, weights: NDArray[np.float64] | None) -> Batch:
        """All labels as one batch, to be indexed by `rows`."""

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values).float()

        energies = labels.internal_energies
        return cls(
            scalars,
            tensor(labels.temperatures),
            tensor(labels.heat_capacities),
            None if energies is None else tensor(energies),
            torch.ones(len(labels)) if weights is None else tensor(np.asarray(weights)),
        )

    def rows(self, index: NDArray[np.int64] | Tensor) -> Batch:
        """Pick the labels of some rows."""
        return self._each(lambda part: part[index])

    def to(self, device: torch.device) -> Batch:
        """Move all labels."""
        return self._each(lambda part: part.to(device))

    def _each(self, function: Callable[[Tensor], Tensor]) -> Batch:
        energies = self.internal_energies
        return Batch(
            function(self.scalars),
            function(self.temperatures),
            function(self.heat_capacities),
            None if energies is None else function(energies),
            function(self.weights),
        )


class MultiTaskLoss(nn.Module):
    """Mean absolute errors in normalised units, and the likelihood of the error bars.

    Parameters
    ----------
    weights : Tensor
        Of the scalar properties, shape (number of scalar properties,).
    heat_capacity_weight : float
        Of the heat capacity curve of a crystal.
    probabilities : Tensor
        Which scalar properties are probabilities; their loss is the cross entropy.
    """

    weights: Tensor
    probabilities: Tensor

    def __init__(self, weights: Tensor, heat_capacity_weight: float, probabilities: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("probabilities", probabilities)
        self.heat_capacity_weight = heat_capacity_weight

    def forward(self, output: Output, batch: Batch, size: int) -> Tensor:
        """Loss of some rows of a batch of this size: weighted sum over their labels, divided by the size."""
        total = torch.zeros((), device=self.weights.device)
        if output.scalars is not None:
            known = ~batch.scalars.isnan()
            value, label = output.scalars.value, batch.scalars.nan_to_num()
            entropy = functional.binary_cross_entropy_with_logits(value, label, reduction="none")
            residual = torch.where(self.probabilities, entropy, (value - label).abs())
            likelihood = laplace_likelihood(residual.detach(), output.scalars.scale)
            total = total + ((residual + likelihood) * self.weights * known * batch.weights[:, None]).sum()
        if output.spectra is not None and (rows := ~batch.heat_capacities.isnan().all(1)).any():
            spectra = output.spectra.each(lambda part: part[rows])
            total = total + self.heat_capacity_weight * _curve_loss(spectra, batch.rows(rows))
        return total / size


def laplace_likelihood(residual: Tensor, scale: Tensor) -> Tensor:
    """Negative log likelihood of absolute residuals under a Laplace distribution of this deviation."""
    width = scale / 2**0.5
    return residual / width + width.log()


_TYPICAL = 350.0  # K, Debye temperature whose sensitivity weighs temperatures against each other


def _curve_loss(spectra: Spectra, batch: Batch) -> Tensor:
    known = ~batch.heat_capacities.isnan()
    temperatures = torch.where(known, batch.temperatures, 300.0)
    mixture = DebyeMixture(spectra, temperatures)
    residual = (mixture.heat_capacity - batch.heat_capacities.nan_to_num()).abs()
    unit = 0.3 * DebyeSolid(_TYPICAL, temperatures).heat_capacity_slope.abs() + 0.1
    fixed = spectra._replace(
        debye_temperatures=spectra.debye_temperatures.detach(), weights=spectra.weights.detach()
    )
    error = DebyeMixture(fixed, temperatures).standard_error("heat_capacity")
    loss = residual / unit + 0.1 * laplace_likelihood(residual.detach(), error)
    if batch.internal_energies is not None:
        missing = (mixture.internal_energy - batch.internal_energies).abs().nan_to_num()
        loss = loss + missing / (unit * temperatures.clamp(min=100.0))
    return (loss * known * batch.weights[:, None]).sum() / known.sum(1).float().mean()


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
    sample_weights: NDArray[np.float64] | None = None,
    encoder_rate: float = 1.0,
    layer_decay: float = 1.0,
    patience: int | None = None,
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
    sample_weights : ndarray of float, optional
        Weight of each crystal in the loss; one if left out.
    encoder_rate : float
        Learning rate of the encoder's last layer over that of the heads; 0 freezes the encoder.
    layer_decay : float
        Learning rate of each layer of the encoder over that of the next; the embeddings are the first layer.
    patience : int, optional
        Stop after this many epochs without a lower validation error and keep the best; needs `validation`.

    Returns
    -------
    list of dict
        The metrics of each epoch; ``validation_error`` is the mean absolute error over all labels in
        normalised units (one for 1 J/(mol-atom K) of heat capacity).
    """
    return train(
        predictor,
        _Finetuning(
            tokens=tokens,
            each=np.arange(len(tokens)) if repeats is None else np.repeat(np.arange(len(tokens)), repeats),
            labels=Batch.of(labels, _normalised(targets, labels.scalars), sample_weights),
            criterion=MultiTaskLoss(
                torch.tensor(task_weights or [1.0] * len(targets)),
                heat_capacity_weight,
                torch.tensor(
                    [target.transform == "logistic" for target in targets.values()], dtype=torch.bool
                ),
            ),
            targets=targets,
            validation=validation,
            tokens_per_batch=tokens_per_batch,
            seed=schedule.seed,
        ),
        schedule,
        directory,
        groups=layer_groups(predictor, schedule, encoder_rate, layer_decay),
        patience=patience,
    )


@dataclass(frozen=True, kw_only=True)
class _Finetuning:
    """The task of the training loop: crystals, their labels and the loss."""

    tokens: Sequence[Tokens]
    each: NDArray[np.int64]  # number of the crystal that a row of an epoch stands for
    labels: Batch
    criterion: MultiTaskLoss
    targets: Mapping[str, ScalarTarget]
    validation: tuple[Sequence[Tokens], Labels] | None
    tokens_per_batch: int
    seed: int
    uses_all = False  # a batch may lack a kind of label

    @property
    def rows(self) -> int:
        return len(self.each)

    @cached_property
    def identity(self) -> str:
        digest = hashlib.sha256(repr([row.ids for row in self.tokens]).encode())
        for part in self.labels:
            if part is not None:
                digest.update(part.numpy().tobytes())
        return digest.hexdigest()

    def steps(self, epoch: int, start: tuple[int, int]) -> Iterator[Step]:
        lengths = np.array([len(self.tokens[row].ids) for row in self.each])
        rng = np.random.default_rng([self.seed, epoch])
        batches = bucketed_batches(lengths, self.tokens_per_batch, rng)
        for i in range(start[1], len(batches)):
            yield Step(self.each[batches[i]], len(batches[i]), (0, i + 1))

    def loss(self, model: nn.Module, batch: NDArray[np.int64], part: slice) -> tuple[Tensor, int]:
        own = batch[part]
        crystals = TokenBatch.collate([self.tokens[row] for row in (own if len(own) else batch[:1])])
        device = next(model.parameters()).device
        output = model(crystals.to(device))
        labels = self.labels.rows(own if len(own) else batch[:1])
        if not len(own):  # a process without rows takes part in the step, with no weight
            labels = labels._replace(weights=torch.zeros(1))
        with torch.autocast(device.type, enabled=False):
            value = self.criterion.to(device)(output, labels.to(device), len(batch))
        return value, int(crystals.mask.sum())

    def validate(self, model: nn.Module) -> Metrics:
        if self.validation is None:
            return {}
        assert isinstance(model, Predictor)  # noqa: S101
        return errors(model, self.targets, *self.validation)


def layer_groups(
    predictor: Predictor, schedule: Schedule, encoder_rate: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups whose learning rates fall from the heads to the embeddings.

    Parameters
    ----------
    predictor : Predictor
        Its encoder is frozen if `encoder_rate` is 0.
    schedule : Schedule
        Gives the learning rate of the heads, and the weight decay.
    encoder_rate, layer_decay : float
        As in `finetune`.
    """
    encoder = predictor.encoder
    layers: list[nn.Module] = [*encoder.encoder["layer"].children()]
    encoder.requires_grad_(encoder_rate > 0)
    heads = [head for head in (predictor.scalars, predictor.thermodynamics) if head is not None]
    rated: list[tuple[nn.Module, float]] = [(head, 1.0) for head in heads]
    rated += [
        (layer, encoder_rate * layer_decay**i)
        for i, layer in enumerate([*reversed(layers), encoder.embeddings])
    ]
    return [
        group | {"lr": rate * schedule.learning_rate}
        for module, rate in rated
        if rate > 0
        for group in parameter_groups(module, schedule.weight_decay)
        if group["params"]
    ]


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
    normalised = np.empty(0)
    if output.scalars is not None:
        value, scale = (part.double().numpy() for part in output.scalars)
        for i, (name, target) in enumerate(targets.items()):
            label = labels.scalars[:, i]
            if np.isnan(label).all():
                continue
            predicted, _ = target.physical(value[:, i], scale[:, i])
            metrics[name] = float(np.nanmean(np.abs(predicted - label)))
            if target.transform == "log10":
                metrics[f"log10({name})"] = float(np.nanmean(np.abs(np.log10(predicted) - np.log10(label))))
            said = predicted if target.transform == "logistic" else value[:, i]
            normalised = np.append(normalised, np.abs(said - target.normalise(label)))
    if output.spectra is not None:
        rows = ~np.isnan(labels.heat_capacities).all(1)
        spectra = output.spectra.each(lambda part: part[torch.from_numpy(rows)].double())
        predicted = DebyeMixture(spectra, torch.from_numpy(labels.temperatures[rows])).heat_capacity.numpy()
        residual = np.abs(predicted - labels.heat_capacities[rows])
        for temperature in np.unique(labels.temperatures[rows]):
            at = labels.temperatures[rows] == temperature
            metrics[f"heat_capacity_per_atom({temperature:g} K)"] = float(np.nanmean(residual[at]))
        normalised = np.append(normalised, residual)
    metrics["validation_error"] = float(np.nanmean(normalised))
    return metrics
