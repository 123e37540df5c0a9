"""A new property for a pretrained checkpoint: an ensemble of fine-tuned encoders with fresh heads.

Each member is trained without one fold of the formulas, another for each member. On its fold the member is
stopped, its error measured and its error bars calibrated: no row is judged by a network that was trained on
it, and no row is lost to all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cloud_model.arguments import checked_integer, checked_number
from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.errors import ArgumentError
from cloud_model.network.batches import padded_rows
from cloud_model.network.precision import Choice, check_precision, kernels
from cloud_model.network.predictor import Output, Predictor
from cloud_model.physics.mixture import DebyeMixture, Spectra
from cloud_model.properties.catalogue import HARMONIC, PropertyInfo
from cloud_model.properties.targets import ScalarTarget, Transform
from cloud_model.training.finetuning.labels import LabelledTokens, Labels
from cloud_model.training.finetuning.network import NetworkSettings, finetune_network
from cloud_model.training.loop import Schedule
from cloud_model.training.metrics import calibration

Array = NDArray[np.float64]
HEAT_CAPACITY = "heat_capacity_per_atom"


@dataclass(frozen=True, kw_only=True)
class EnsembleSettings:
    """How a checkpoint learns new properties; the defaults suit tables of 300 to 5,000 crystals.

    Attributes
    ----------
    members : int
        Networks of the ensemble, each with its own validation fold and seed.
    folds : int
        Folds of the formulas; one in so many crystals validates a member.
    epochs : int
        Maximum number of passes over the training crystals.
    patience : int
        Epochs without a lower validation error after which a member is done.
    learning_rate : float
        Peak learning rate of the heads.
    encoder_rate : float
        Learning rate of the encoder's last layer over that of the heads; 0 trains the heads alone, which takes
        seconds.
    layer_decay : float
        Learning rate of each layer of the encoder over that of the next.
    dropout : float
        Dropout rate of the encoder's hidden states.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch.
    spectra : int
        Debye spectra of each member, if the labels have heat capacities.
    precision : {'auto', 'float32', 'bfloat16'}
        Precision of matrix products, as in `Schedule`.
    seed : int
        Random seed of the first member; those of the others follow it.

    Raises
    ------
    ArgumentError
        If one is out of its range.
    """

    members: int = 3
    folds: int = 10
    epochs: int = 40
    patience: int = 15
    learning_rate: float = 1e-3
    encoder_rate: float = 0.5
    layer_decay: float = 0.8
    dropout: float = 0.0
    tokens_per_batch: int = 512
    spectra: int = 4
    precision: Choice = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("members", "epochs", "patience", "tokens_per_batch", "spectra"):
            object.__setattr__(self, name, checked_integer(name, getattr(self, name), 1))
        object.__setattr__(self, "folds", checked_integer("folds", self.folds, 2))
        object.__setattr__(self, "seed", checked_integer("seed", self.seed, 0))
        checked_number("learning_rate", self.learning_rate, 0, "Give one such as 0.001.", above=True)
        checked_number(
            "encoder_rate", self.encoder_rate, 0, "Give one such as 0.5, or 0 to freeze the encoder."
        )
        if checked_number("layer_decay", self.layer_decay, 0, "Give one such as 0.8.", above=True) > 1:
            raise ArgumentError(f"layer_decay {self.layer_decay}", "is above 1", "Give one such as 0.8.")
        if checked_number("dropout", self.dropout, 0, "Give a share below 1.") >= 1:
            raise ArgumentError(f"dropout {self.dropout}", "is not below 1", "Give a share below 1.")
        check_precision(self.precision)


@dataclass(frozen=True)
class HeldOut:
    """Predictions of the members for crystals that they were not trained on, in physical units.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Row numbers in the training table; a row occurs once for each member that it validated.
    values, errors : dict of str to ndarray
        Predictions and their calibrated standard errors, of shape (n,), of the heat capacity (n, nT).
    """

    rows: NDArray[np.int64]
    values: Mapping[str, Array]
    errors: Mapping[str, Array]


def choose_transform(labels: Array) -> Transform:
    """Rule for the transform of labels: the logarithm if all are positive and it makes them less skewed.

    Skewness is the third standardised moment; labels whose skewness is below one are left as they are.
    """
    from scipy.stats import skew

    known = labels[~np.isnan(labels)]
    if known.min() <= 0 or np.ptp(known) == 0 or abs(skew(known)) < 1:
        return "identity"
    return "log10" if abs(skew(np.log10(known))) < abs(skew(known)) else "identity"


def finetune_ensemble(
    base: Checkpoint,
    name: str,
    crystals: LabelledTokens,
    properties: Mapping[str, PropertyInfo],
    transforms: Mapping[str, Transform],
    folds: Sequence[NDArray[np.int64]],
    settings: EnsembleSettings,
    directory: Path,
) -> tuple[Checkpoint, HeldOut]:
    """Train an ensemble that starts from the encoders of a checkpoint.

    Parameters
    ----------
    base : Checkpoint
        Gives dialect, vocabulary and encoders.
    name : str
        Name of the new checkpoint.
    crystals : LabelledTokens
        Encoded by the tokenizer of `base`; scalars in the order of `properties`. Heat capacities make a
        thermodynamics head.
    properties : mapping of str to PropertyInfo
        Scalar properties.
    transforms : mapping of str to str
        Their transforms.
    folds : sequence of ndarray of int
        Row numbers of the validation fold of each member, recycled if there are more members.
    settings : EnsembleSettings
        How to train.
    directory : Path
        Receives one folder of resumable state and metrics for each member.

    Returns
    -------
    Checkpoint
        The ensemble, its error bars calibrated on the held-out rows.
    HeldOut
        What was predicted of them.
    """
    labels = crystals.labels
    curves = bool(labels.heat_capacities.shape[1])
    targets = {
        key: ScalarTarget.fit(column, transforms[key], _minimum(column))
        for key, column in zip(properties, labels.scalars.T, strict=True)
    }
    config = CheckpointConfig(
        name=name,
        dialect=base.config.dialect,
        symprec=base.config.symprec,
        encoder=replace(base.config.encoder, hidden_dropout_prob=settings.dropout),
        targets=targets,
        properties={**properties, **(HARMONIC if curves else {})},
        spectra=settings.spectra if curves else 0,
        domain=True,
    )
    seen = [crystals] * len(base.members)
    if settings.encoder_rate == 0:
        seen = [replace(crystals, features=member.features(crystals.tokens)) for member in base.members]
    members, validated, outputs = [], [], []
    for i in range(settings.members):
        fold = folds[i % len(folds)]
        parent = i % len(base.members)
        member, output = _member(
            base.members[parent], config, seen[parent], fold, settings, i, directory / f"member-{i}"
        )
        members.append(member)
        validated.append(fold)
        outputs.append(output)
    checkpoint = Checkpoint(config, base.tokenizer, members)
    rows = np.concatenate(validated)
    return _calibrated(checkpoint, outputs, rows, labels[rows])


def _member(
    parent: Predictor,
    config: CheckpointConfig,
    crystals: LabelledTokens,
    fold: NDArray[np.int64],
    settings: EnsembleSettings,
    number: int,
    directory: Path,
) -> tuple[Predictor, Output]:
    """Train a member; it, and its outputs for its fold."""
    seed = settings.seed + number
    torch.manual_seed(seed)
    member = Predictor(config.encoder, len(config.targets), config.spectra)
    member.encoder.load_state_dict(parent.encoder.state_dict())
    others = np.setdiff1d(np.arange(len(crystals)), fold)
    training, validation = crystals[others], crystals[fold]
    finetune_network(
        member,
        config.targets,
        training,
        Schedule(
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            precision=settings.precision,
            seed=seed,
        ),
        directory,
        NetworkSettings(
            tokens_per_batch=settings.tokens_per_batch,
            encoder_rate=settings.encoder_rate,
            layer_decay=settings.layer_decay,
            patience=settings.patience,
        ),
        validation=validation,
    )
    member.eval().requires_grad_(False)
    features = member.features(crystals.tokens) if crystals.features is None else crystals.features
    member.fit_domain(training.tokens, features[torch.from_numpy(others)], features[torch.from_numpy(fold)])
    with kernels("float32", member.device):
        return member, padded_rows(member.heads, features[torch.from_numpy(fold)])


def _minimum(labels: Array) -> float | None:
    """Zero for a property of which no label is negative."""
    return 0.0 if np.nanmin(labels) >= 0 else None


def _calibrated(
    checkpoint: Checkpoint, outputs: Sequence[Output], rows: NDArray[np.int64], labels: Labels[Array]
) -> tuple[Checkpoint, HeldOut]:
    """Scale the error bars of a checkpoint to what its members' outputs for held-out rows show."""
    config = checkpoint.config
    targets, values, errors = dict(config.targets), {}, {}
    scalars = [output.scalars for output in outputs if output.scalars is not None]
    for i, (name, target) in enumerate(config.targets.items()):
        value = np.concatenate([part.value[:, i].double().numpy() for part in scalars])
        scale = np.concatenate([part.scale[:, i].double().numpy() for part in scalars])
        factor = calibration(target.normalise(labels.scalars[:, i]), value, scale)
        targets[name] = replace(target, calibration=factor)
        values[name], errors[name] = targets[name].physical(value, scale)
    spread_calibration = 1.0
    spectra = [output.spectra for output in outputs if output.spectra is not None]
    if spectra:
        rows_of_all = Spectra(*(torch.cat(parts).double() for parts in zip(*spectra, strict=True)))
        mixture = DebyeMixture(rows_of_all, torch.from_numpy(np.nan_to_num(labels.temperatures, nan=300.0)))
        value, error = mixture.heat_capacity.numpy(), mixture.standard_error("heat_capacity").numpy()
        spread_calibration = calibration(labels.heat_capacities, value, error)
        values[HEAT_CAPACITY], errors[HEAT_CAPACITY] = value, spread_calibration * error
    config = replace(config, targets=targets, spread_calibration=spread_calibration)
    return Checkpoint(config, checkpoint.tokenizer, checkpoint.members), HeldOut(rows, values, errors)
