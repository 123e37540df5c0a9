"""How a network's normalised output becomes a quantity, and a label becomes what a network is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cloud_model.errors import DataError
from cloud_model.properties.intervals import growth_factor

Transform = Literal["identity", "log10", "logistic"]
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScalarTarget:
    """How the normalised output of a scalar head becomes a property.

    Attributes
    ----------
    transform : {'identity', 'log10', 'logistic'}
        Applied to the property before it was normalised. ``logistic`` is for a probability, whose labels are 0 and 1:
        the output is the logarithm of its odds.
    location, scale : float
        Mean and standard deviation of the transformed training labels.
    minimum : float or None
        Values below it are physically impossible, and are raised to it.
    maximum : float or None
        The same above.
    calibration : float
        Factor on predicted errors that makes 68% of validation crystals fall within one of them.
    growth : float
        Increase of the logarithm of that factor with the distance from the training crystals, in units of the
        distance that is the end of the domain.
    """

    transform: Transform
    location: float
    scale: float
    minimum: float | None = None
    maximum: float | None = None
    calibration: float = 1.0
    growth: float = 0.0

    def __post_init__(self) -> None:
        if not (self.scale > 0 and self.calibration >= 0):
            raise ValueError(f"scale is {self.scale} and calibration {self.calibration}")

    @classmethod
    def fit(cls, labels: Array, transform: Transform, minimum: float | None = None) -> ScalarTarget:
        """Normalisation of these labels; NaN where there is no label."""
        if transform == "log10" and np.nanmin(labels) <= 0:
            raise DataError(
                "Labels", "are not all positive, so have no logarithm", "Train without the transform."
            )
        if transform == "logistic":
            return cls(transform=transform, location=0.0, scale=1.0, minimum=0.0, maximum=1.0)
        transformed = np.log10(labels) if transform == "log10" else labels
        deviation = float(np.nanstd(transformed))
        return cls(
            transform=transform,
            location=float(np.nanmean(transformed)),
            scale=deviation if deviation > 0 else 1.0,
            minimum=minimum,
        )

    def normalise(self, labels: Array) -> Array:
        """Physical to normalised; a probability stays as it is."""
        transformed = np.log10(labels) if self.transform == "log10" else labels
        return (transformed - self.location) / self.scale

    def physical(self, value: Array, error: Array, distance: Array | float = 0.0) -> tuple[Array, Array]:
        """Normalised values and standard errors to physical ones.

        The distance is that from the training crystals, in units of the one that is the end of the domain.
        Under a logarithm the standard error is that of first order, ``value * ln 10 * error``. That of a probability
        p is the deviation of the outcome, ``sqrt(p (1 - p))``.
        """
        value = self.location + self.scale * value
        error = self.calibration * growth_factor(self.growth, distance) * self.scale * error
        if self.transform == "logistic":
            value = 1 / (1 + np.exp(-np.clip(value, -700, 700)))
            return value, np.sqrt(value * (1 - value))
        if self.transform == "log10":
            value = 10.0**value
            error = np.log(10) * value * error
        return self._possible(value), error

    def interval(self, value: Array, error: Array, below: float, above: float) -> tuple[Array, Array]:
        """Bounds so many standard errors below and above physical values; under a logarithm they are ratios."""
        if self.transform == "log10":
            low, high = value * np.exp(-below * error / value), value * np.exp(above * error / value)
        else:
            low, high = value - below * error, value + above * error
        return self._possible(low), self._possible(high)

    def standardised(self, label: Array, value: Array, error: Array) -> Array:
        """Residuals in standard errors, positive above the value, for which `interval` has the label as a bound."""
        if self.transform == "log10":
            return np.log(label / value) * value / error
        return (label - value) / error

    def _possible(self, value: Array) -> Array:
        if self.minimum is None and self.maximum is None:
            return value
        return np.clip(value, self.minimum, self.maximum)
