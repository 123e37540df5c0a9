"""scikit-learn plugin: embedding, fine-tuned properties and fine-tuned heat capacities as estimators.

X is a list, tuple, Series, one-column DataFrame or object array of pymatgen Structures, ASE Atoms, paths and SCOPE
strings. As with other estimators of raw documents, there is no ``n_features_in_``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils import InputTags, Tags, check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d

from cloud_model.crystal.batches import crystal_list
from cloud_model.errors import ArgumentError
from cloud_model.model import CloudModel
from cloud_model.network.ensemble import Pooling
from cloud_model.network.tokenizer import Tokens
from cloud_model.physics.mixture import DebyeMixture
from cloud_model.properties.catalogue import THERMODYNAMICS, PropertyInfo
from cloud_model.training.finetuning.ensemble import EnsembleSettings, choose_transform, finetune_ensemble
from cloud_model.training.finetuning.labels import LabelledTokens, Labels

ModelName = str | os.PathLike[str] | CloudModel | None
Array = NDArray[np.float64]


class _CrystalEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose samples are crystals."""

    model_: CloudModel

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = InputTags(one_d_array=True, two_d_array=False, string=True)
        return tags


class CloudEmbedder(TransformerMixin, _CrystalEstimator):  # type: ignore[misc]
    """Crystals to their embeddings by CLOUD.

    Parameters
    ----------
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.
    pooling : {'layers', 'mean', 'atoms', 'cls'}
        How hidden states of tokens become one vector, as in `CloudModel.embed`.

    Attributes
    ----------
    model_ : CloudModel
        The loaded model; a pickle holds it.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from cloud_plugins import CloudEmbedder
    >>> crystals = [bulk("Cu"), bulk("NaCl", "rocksalt", a=5.64)]
    >>> len(CloudEmbedder().fit_transform(crystals))
    2
    """

    def __init__(self, model: ModelName = None, *, pooling: Pooling = "layers") -> None:
        self.model = model
        self.pooling = pooling

    def fit(self, X: Any, y: Any = None) -> Self:
        """Load the model; nothing is learned from X and y."""
        crystal_list(X)
        self.model_ = CloudModel.from_pretrained(self.model)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embed crystals.

        Parameters
        ----------
        X : collection of crystals
            n of them.

        Returns
        -------
        ndarray of float32
            Shape (n, d), a frame after ``set_output(transform="pandas")``.

        Raises
        ------
        BatchError
            If crystals cannot be read; its ``failures`` names each.
        """
        check_is_fitted(self)
        return self.model_.embed(crystal_list(X), self.pooling)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the components of the embedding."""
        check_is_fitted(self)
        names = [
            f"{self.model_.name} {self.pooling} {i}" for i in range(self.model_.embedding_width(self.pooling))
        ]
        return np.array(names, dtype=object)


class _FineTunedRegressor(RegressorMixin, _CrystalEstimator):  # type: ignore[misc]
    """A regressor that fine-tunes an encoder to its samples."""

    def __init__(
        self,
        model: ModelName = None,
        *,
        head_only: bool = False,
        epochs: int = 40,
        learning_rate: float = 1e-3,
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.head_only = head_only
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _finetuned(
        self,
        crystals: Sequence[Any],
        labels: Labels[Array],
        sample_weight: ArrayLike | None,
        name: str | None = None,
    ) -> CloudModel:
        """The model after fine-tuning to crystals of positive weight."""
        weights = _check_sample_weight(sample_weight, crystals, dtype=np.float64, ensure_non_negative=True)
        kept = np.flatnonzero(weights)
        base = CloudModel.from_pretrained(self.model)
        tokens = base.tokens([crystal for crystal, weight in zip(crystals, weights, strict=True) if weight])
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        settings = EnsembleSettings(
            members=1,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            encoder_rate=0.0 if self.head_only else EnsembleSettings.encoder_rate,
            seed=seed,
        )
        info = PropertyInfo(
            unit="", basis="crystal", description="Fitted.", training_set=f"{len(kept)} crystals"
        )
        with TemporaryDirectory() as directory, torch.random.fork_rng(devices=[]):
            checkpoint, _ = finetune_ensemble(
                base.checkpoint,
                base.name,
                LabelledTokens(tokens, replace(labels[kept], weights=weights[kept] / weights[kept].mean())),
                {} if name is None else {name: info},
                {} if name is None else {name: choose_transform(labels.scalars[kept, 0])},
                [self._held_out(tokens, seed)],
                settings,
                Path(directory),
            )
        return CloudModel(checkpoint)

    def _held_out(self, tokens: Sequence[Tokens], seed: int) -> NDArray[np.int64]:
        """Rows for validation; equal crystals are all in or all out."""
        distinct, groups = np.unique([str(row.ids) for row in tokens], return_inverse=True)
        if len(distinct) == 1:
            raise ArgumentError(
                f"X of {len(tokens)} crystals",
                "holds only one crystal, so that none can be held out for validation",
                "Give at least two different crystals.",
            )
        splitter = GroupShuffleSplit(1, test_size=self.validation_fraction, random_state=seed)
        _, rows = next(splitter.split(tokens, groups=groups))
        return rows


class CloudRegressor(_FineTunedRegressor):
    """A property of crystals, by fine-tuning CLOUD to labelled ones.

    Parameters
    ----------
    model : str, path-like or CloudModel, optional
        Name or directory of the checkpoint to start from, or a loaded model; the default checkpoint if left out.
    head_only : bool
        Leave the encoder as it is, and train the head.
    epochs : int
        Maximum number of passes over the training crystals.
    learning_rate : float
        Peak learning rate of the head.
    validation_fraction : float
        Share of the crystals that is held out to stop training and to calibrate standard errors.
    random_state : int, RandomState or None
        Decides initialisation, order, dropout and which crystals are held out.

    Attributes
    ----------
    model_ : CloudModel
        The fine-tuned model, with one property: the name of y if it is a Series, else ``"target"``. Every other
        plugin takes it as its model, and ``model_.save(directory)`` writes a checkpoint.

    Notes
    -----
    Labels that are positive and skewed are learned as logarithms.
    """

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fine-tune.

        Parameters
        ----------
        X : collection of crystals
            n of them.
        y : array_like, shape (n,)
            In any unit.
        sample_weight : array_like, shape (n,), optional
            Weights in the loss; crystals of weight zero are left out.

        Returns
        -------
        CloudRegressor
            This one.

        Raises
        ------
        BatchError
            If crystals cannot be read; its ``failures`` names each.
        """
        crystals = crystal_list(X)
        labels = check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=np.float64)
        check_consistent_length(crystals, labels)
        name = getattr(y, "name", None)
        name = "target" if name is None or name in THERMODYNAMICS else str(name)
        self.model_ = self._finetuned(crystals, Labels.of_scalars(labels[:, None]), sample_weight, name)
        return self

    def predict(self, X: Any) -> Array:
        """Predict the property.

        Parameters
        ----------
        X : collection of crystals
            n of them.

        Returns
        -------
        ndarray
            In the unit of y, shape (n,).

        Raises
        ------
        BatchError
            If crystals cannot be read; its ``failures`` names each.
        """
        check_is_fitted(self)
        (name,) = self.model_.properties
        predicted: Array = self.model_.predict(crystal_list(X), name, errors="raise")[name].to_numpy()
        return predicted


class CloudDebyeRegressor(_FineTunedRegressor):
    """Heat capacity of crystals over temperature, by fine-tuning CLOUD and its mixture of Debye spectra.

    Whatever it is fitted to, its heat capacities are those of a vibrational density of states: zero at T = 0,
    growing with T, 3R at most.

    Parameters
    ----------
    model, head_only, epochs, learning_rate, validation_fraction, random_state
        As in `CloudRegressor`.

    Attributes
    ----------
    model_ : CloudModel
        The fine-tuned model; it has all thermodynamic properties.

    Notes
    -----
    A sample is a crystal at a temperature, ``(crystal, temperature)``: X is a list of pairs, a DataFrame of two
    columns or an object array of shape (n, 2), which every tool of scikit-learn splits as it should. Otherwise X
    holds crystals, and `temperatures` is an argument of each method; it may then have several columns, one curve a
    crystal.
    """

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        temperatures: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fine-tune.

        Parameters
        ----------
        X : collection of n crystals, or of n pairs
        y : array_like, shape (n,) or (n, nT)
            Heat capacities at constant volume, J/(mol-atom K).
        temperatures : array_like, shape of y, optional
            K; left out if X holds them.
        sample_weight : array_like, shape (n,), optional
            Weights in the loss; samples of weight zero are left out.

        Returns
        -------
        CloudDebyeRegressor
            This one.

        Raises
        ------
        ArgumentError
            If temperatures are missing, or their shape is not that of y.
        BatchError
            If crystals cannot be read; its ``failures`` names each.
        """
        crystals, kelvin = _samples(X, temperatures)
        labels = check_array(y, ensure_2d=False, dtype=np.float64)
        if labels.shape != kelvin.shape:
            raise ArgumentError(
                f"y of shape {labels.shape}",
                f"does not go with temperatures of shape {kelvin.shape}",
                "Give one temperature for each heat capacity.",
            )
        curves = labels.reshape(len(crystals), -1), kelvin.reshape(len(crystals), -1)
        self.model_ = self._finetuned(
            crystals, Labels(np.empty((len(crystals), 0)), curves[1], curves[0]), sample_weight
        )
        return self

    def predict(self, X: Any, temperatures: ArrayLike | None = None) -> Array:
        """Predict heat capacities.

        Parameters
        ----------
        X : collection of n crystals, or of n pairs
        temperatures : array_like, shape (n,) or (n, nT), optional
            K; left out if X holds them.

        Returns
        -------
        ndarray
            Heat capacities at constant volume, J/(mol-atom K), of the shape of the temperatures.

        Raises
        ------
        ArgumentError
            If temperatures are missing.
        BatchError
            If crystals cannot be read; its ``failures`` names each.
        """
        check_is_fitted(self)
        crystals, kelvin = _samples(X, temperatures)
        grid = torch.from_numpy(kelvin.reshape(len(crystals), -1))
        predicted: Array = DebyeMixture(self.model_.spectra(crystals), grid).heat_capacity.numpy()
        return predicted.reshape(kelvin.shape)

    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        temperatures: ArrayLike | None = None,
    ) -> float:
        """Coefficient of determination of `predict`; arguments are those of `fit`."""
        return float(r2_score(y, self.predict(X, temperatures), sample_weight=sample_weight))


def _samples(X: Any, temperatures: ArrayLike | None) -> tuple[list[Any], Array]:
    """Crystals and their temperatures, shape (n,) or (n, nT)."""
    if temperatures is None:
        crystals, temperatures = _unzip(X)
    else:
        crystals = crystal_list(X)
    kelvin = check_array(temperatures, ensure_2d=False, dtype=np.float64)
    check_consistent_length(crystals, kelvin)
    if kelvin.min() < 0:
        raise ArgumentError(f"temperature {kelvin.min():g}", "is negative", "Give temperatures in K.")
    return crystals, kelvin


def _unzip(X: Any) -> tuple[list[Any], list[Any]]:
    rows = X.to_numpy() if hasattr(X, "to_numpy") else list(X) if isinstance(X, Iterable) else [X]
    pairs = [row for row in rows if isinstance(row, list | tuple | np.ndarray) and len(row) == 2]
    if not pairs or len(pairs) < len(rows):
        raise ArgumentError(
            "X", "has no temperatures", "Give pairs of crystal and temperature, or the argument temperatures."
        )
    return [crystal for crystal, _ in pairs], [kelvin for _, kelvin in pairs]
