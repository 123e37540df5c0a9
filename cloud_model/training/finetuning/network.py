"""Fine-tuning of one network: several properties at once, with missing labels, thermodynamics included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cloud_model.network.predictor import Heads, Output, Predictor, run_heads
from cloud_model.network.tokenizer import TokenTable
from cloud_model.physics.mixture import DebyeMixture
from cloud_model.properties.targets import ScalarTarget
from cloud_model.training.batching import bucketed_batches
from cloud_model.training.finetuning.labels import LabelledTokens, Labels, normalised
from cloud_model.training.finetuning.loss import MultiTaskLoss
from cloud_model.training.loop import Schedule, Step, parameter_groups, train
from cloud_model.training.state import Metrics


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How one network is fine-tuned, besides its schedule.

    Attributes
    ----------
    task_weights : sequence of float, optional
        Weight of each scalar property; one if left out.
    heat_capacity_weight : float
        Weight of the heat capacity curve.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch.
    encoder_rate : float
        Learning rate of the encoder's last layer over that of the heads. With 0 the encoder stays as it is, and
        every crystal goes through it once.
    layer_decay : float
        Learning rate of each layer of the encoder over that of the next; the embeddings are the first layer.
    patience : int, optional
        Stop after this many epochs without a lower validation error and keep the best; needs validation crystals.
    """

    task_weights: Sequence[float] | None = None
    heat_capacity_weight: float = 1.0
    tokens_per_batch: int = 4096
    encoder_rate: float = 1.0
    layer_decay: float = 1.0
    patience: int | None = None


def finetune_network(
    predictor: Predictor,
    targets: Mapping[str, ScalarTarget],
    training: LabelledTokens,
    schedule: Schedule,
    directory: Path,
    settings: NetworkSettings | None = None,
    *,
    validation: LabelledTokens | None = None,
    repeats: NDArray[np.int64] | None = None,
) -> list[Metrics]:
    """Train encoder and heads together, in place, resuming from `directory` if training began there.

    Parameters
    ----------
    predictor : Predictor
        Trained in place.
    targets : mapping of str to ScalarTarget
        Scalar properties in the order of the predictor's heads.
    training : LabelledTokens
        The training crystals and their labels.
    schedule : Schedule
        How long and how fast.
    directory : Path
        Receives the resumable state and the metrics.
    settings : NetworkSettings, optional
        How to train besides.
    validation : LabelledTokens, optional
        Crystals whose errors are reported after each epoch.
    repeats : ndarray of int, optional
        How often each training crystal is seen in an epoch; once if left out.

    Returns
    -------
    list of dict
        The metrics of each epoch; ``validation_error`` is the mean absolute error over all labels in
        normalised units (one for 1 J/(mol-atom K) of heat capacity).
    """
    settings = settings or NetworkSettings()
    everything = np.arange(len(training))
    probabilities = [target.transform == "logistic" for target in targets.values()]
    data: dict[str, Any] = {
        "crystals": training,
        "each": everything if repeats is None else np.repeat(everything, repeats),
        "labels": normalised(training.labels, targets),
        "criterion": MultiTaskLoss(
            torch.tensor(settings.task_weights or [1.0] * len(targets)),
            settings.heat_capacity_weight,
            torch.tensor(probabilities, dtype=torch.bool),
        ),
        "targets": targets,
        "validation": validation,
        "tokens_per_batch": settings.tokens_per_batch,
        "seed": schedule.seed,
    }
    frozen = settings.encoder_rate == 0
    predictor.encoder.requires_grad_(not frozen)
    return train(
        Heads(predictor.scalars, predictor.thermodynamics) if frozen else predictor,
        _HeadTuning(**data, predictor=predictor) if frozen else _Finetuning(**data),
        schedule,
        directory,
        groups=layer_groups(predictor, schedule, settings.encoder_rate, settings.layer_decay),
        patience=settings.patience,
    )


@dataclass(frozen=True, kw_only=True)
class _Finetuning:
    """The task of the training loop: crystals, their labels and the loss."""

    crystals: LabelledTokens
    each: NDArray[np.int64]  # number of the crystal that a row of an epoch stands for
    labels: Labels[Tensor]
    criterion: MultiTaskLoss
    targets: Mapping[str, ScalarTarget]
    validation: LabelledTokens | None
    tokens_per_batch: int
    seed: int
    uses_all = False  # a batch may lack a kind of label

    @property
    def rows(self) -> int:
        return len(self.each)

    @cached_property
    def identity(self) -> str:
        digest = hashlib.sha256(repr([row.ids for row in self.crystals.tokens]).encode())
        for part in vars(self.labels).values():
            if part is not None:
                digest.update(part.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def table(self) -> TokenTable:
        """The crystals, to pick batches from."""
        return TokenTable.of(self.crystals.tokens)

    def steps(self, epoch: int, start: tuple[int, int]) -> Iterator[Step]:
        rng = np.random.default_rng([self.seed, epoch])
        batches = bucketed_batches(self.table.lengths[self.each], self.tokens_per_batch, rng)
        for i in range(start[1], len(batches)):
            yield Step(self.each[batches[i]], len(batches[i]), (0, i + 1))

    def loss(self, model: nn.Module, batch: NDArray[np.int64], part: slice) -> tuple[Tensor, int]:
        rows = batch[part] if len(batch[part]) else batch[:1]
        labels = self.labels[torch.from_numpy(rows)]
        if not len(batch[part]):  # a process without rows takes part in the step, with no weight
            labels = replace(labels, weights=torch.zeros(1))
        device = next(model.parameters()).device
        output, tokens = self.output(model, rows, device)
        with torch.autocast(device.type, enabled=False):
            value = self.criterion.to(device)(output, labels.each(lambda part: part.to(device)), len(batch))
        return value, tokens

    def output(self, model: nn.Module, rows: NDArray[np.int64], device: torch.device) -> tuple[Output, int]:
        """Outputs of the network for some training crystals, and the number of their tokens."""
        crystals = self.table.batch(rows)
        return model(crystals.to(device)), int(crystals.mask.sum())

    def validate(self, model: nn.Module) -> Metrics:
        if self.validation is None:
            return {}
        assert isinstance(model, Predictor)  # noqa: S101
        return errors(run_heads(model, self.validation.tokens), self.targets, self.validation.labels)


@dataclass(frozen=True, kw_only=True)
class _HeadTuning(_Finetuning):
    """The same of heads alone: what the encoder, which stays as it is, makes of a crystal is computed once."""

    predictor: Predictor

    @cached_property
    def features(self) -> Tensor:
        return self._features(self.crystals)

    @cached_property
    def validation_features(self) -> Tensor:
        assert self.validation is not None  # noqa: S101
        return self._features(self.validation)

    def _features(self, crystals: LabelledTokens) -> Tensor:
        return (
            self.predictor.eval().features(crystals.tokens)
            if crystals.features is None
            else crystals.features
        )

    def output(self, model: nn.Module, rows: NDArray[np.int64], device: torch.device) -> tuple[Output, int]:
        features = self.features[torch.from_numpy(rows)].to(device)
        return model(features), int(self.table.lengths[rows].sum())

    @torch.inference_mode()
    def validate(self, model: nn.Module) -> Metrics:
        if self.validation is None:
            return {}
        device = next(model.parameters()).device
        return errors(model(self.validation_features.to(device)).cpu(), self.targets, self.validation.labels)


def layer_groups(
    predictor: Predictor, schedule: Schedule, encoder_rate: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups whose learning rates fall from the heads to the embeddings.

    Parameters
    ----------
    predictor : Predictor
        The network.
    schedule : Schedule
        Gives the learning rate of the heads, and the weight decay.
    encoder_rate, layer_decay : float
        As in `NetworkSettings`.
    """
    encoder = predictor.encoder
    layers: list[nn.Module] = [*encoder.encoder["layer"].children()]
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


def errors(
    output: Output, targets: Mapping[str, ScalarTarget], labels: Labels[NDArray[np.float64]]
) -> Metrics:
    """Mean absolute errors in physical units; of the heat capacity at each temperature of the labels."""
    metrics: Metrics = {}
    in_units_of_heads = np.empty(0)
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
            in_units_of_heads = np.append(in_units_of_heads, np.abs(said - target.normalise(label)))
    if output.spectra is not None:
        rows = ~np.isnan(labels.heat_capacities).all(1)
        spectra = output.spectra.each(lambda part: part[torch.from_numpy(rows)].double())
        predicted = DebyeMixture(spectra, torch.from_numpy(labels.temperatures[rows])).heat_capacity.numpy()
        residual = np.abs(predicted - labels.heat_capacities[rows])
        for temperature in np.unique(labels.temperatures[rows]):
            at = labels.temperatures[rows] == temperature
            metrics[f"heat_capacity_per_atom({temperature:g} K)"] = float(np.nanmean(residual[at]))
        in_units_of_heads = np.append(in_units_of_heads, residual)
    metrics["validation_error"] = float(np.nanmean(in_units_of_heads))
    return metrics
