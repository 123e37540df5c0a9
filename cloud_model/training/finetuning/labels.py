"""Labels of crystals, as arrays or as tensors; NaN where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloud_model.network.tokenizer import Tokens
from cloud_model.properties.targets import ScalarTarget

T = TypeVar("T", NDArray[np.float64], Tensor)
S = TypeVar("S", NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class Labels(Generic[T]):
    """Labels of n crystals; NaN where there is none.

    Attributes
    ----------
    scalars : ndarray or Tensor, shape (n, number of scalar properties)
        In physical units; normalised in a tensor.
    temperatures : ndarray or Tensor, shape (n, nT)
        K.
    heat_capacities : ndarray or Tensor, shape (n, nT)
        J/(mol-atom K).
    internal_energies : ndarray or Tensor, shape (n, nT), optional
        J/mol-atom, zero-point energy included; of crystals that have a heat capacity.
    weights : ndarray or Tensor, shape (n,), optional
        Weight of each crystal in the loss; one if left out.
    """

    scalars: T
    temperatures: T
    heat_capacities: T
    internal_energies: T | None = None
    weights: T | None = None

    def __len__(self) -> int:
        return len(self.scalars)

    def __getitem__(self, rows: NDArray[np.int64] | Tensor) -> Labels[T]:
        return self.each(lambda part: part[rows])

    @classmethod
    def of_scalars(cls, scalars: NDArray[np.float64]) -> Labels[NDArray[np.float64]]:
        """Labels without thermodynamics; scalars of shape (n, number of scalar properties)."""
        none = np.empty((len(scalars), 0))
        return Labels(scalars, none, none)

    def each(self, function: Callable[[T], S]) -> Labels[S]:
        """Apply a function to every kind of label that there is."""
        energies, weights = self.internal_energies, self.weights
        return Labels(
            function(self.scalars),
            function(self.temperatures),
            function(self.heat_capacities),
            None if energies is None else function(energies),
            None if weights is None else function(weights),
        )


def normalised(labels: Labels[NDArray[np.float64]], targets: Mapping[str, ScalarTarget]) -> Labels[Tensor]:
    """Labels as float32 tensors, their scalars in the units of the heads; `targets` in the order of the scalars."""
    columns = [target.normalise(labels.scalars[:, i]) for i, target in enumerate(targets.values())]
    scalars = np.stack(columns, axis=1) if columns else np.empty((len(labels), 0))
    weights = np.ones(len(labels)) if labels.weights is None else labels.weights
    return replace(labels, scalars=scalars, weights=weights).each(
        lambda part: torch.from_numpy(np.asarray(part, dtype=np.float32))
    )


@dataclass(frozen=True)
class LabelledTokens:
    """Crystals as the network reads them, and their labels.

    Attributes
    ----------
    tokens : sequence of Tokens
        n of them.
    labels : Labels
        As many.
    features : Tensor, optional
        What an encoder makes of them, as `Predictor.features`.
    """

    tokens: Sequence[Tokens]
    labels: Labels[NDArray[np.float64]]
    features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: NDArray[np.int64]) -> LabelledTokens:
        features = None if self.features is None else self.features[torch.from_numpy(rows)]
        return LabelledTokens([self.tokens[row] for row in rows], self.labels[rows], features)
