"""What a checkpoint predicts: names, units, bases, and how a network's output becomes a quantity."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cloud_model.errors import DataError
from cloud_model.physics.thermodynamics import ISOBARIC_QUANTITIES, QUANTITIES
from cloud_model.properties.intervals import growth_factor

Transform = Literal["identity", "log10", "logistic"]
Basis = Literal["atom", "cell", "crystal"]
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PropertyInfo:
    """Metadata of a predicted property.

    Attributes
    ----------
    unit : str
        Unit of the values; empty for a pure number.
    basis : {'atom', 'cell', 'crystal'}
        What the value refers to: ``"atom"``, ``"cell"`` (the one that the user passed in) or ``"crystal"`` for
        intensive properties.
    description : str
        One sentence.
    training_set : str
        Where the labels came from, and how many.
    test_error : float or None
        Mean absolute error on crystals not trained on, in `unit`; None where it was not measured.
    theory : str
        Method that calculated the labels, such as ``"PBE"``; errors count against its values, not against experiment.
    experiment_ratio : float or None
        Median ratio of predictions to measured values, from ``benchmarks/experiment``; None where not compared.
    positive : bool
        Whether it is positive by nature, so that an error as large as the value leaves nothing known.
    """

    unit: str
    basis: Basis
    description: str
    training_set: str = ""
    test_error: float | None = None
    theory: str = ""
    experiment_ratio: float | None = None
    positive: bool = False


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


UNLIKELY_STABLE = 0.5  # probability below which thermodynamics comes with a warning
SCALARS: dict[str, PropertyInfo] = {
    "formation_energy_per_atom": PropertyInfo(
        unit="eV/atom",
        basis="atom",
        description="Formation energy from the elements (PBE/PBE+U, MP corrections of 2020).",
        theory="PBE+U",
    ),
    "formation_energy_per_atom_2018": PropertyInfo(
        unit="eV/atom",
        basis="atom",
        description="The same with the corrections of the Materials Project before 2020, as in MatBench.",
        theory="PBE+U",
    ),
    "band_gap": PropertyInfo(
        unit="eV",
        basis="crystal",
        description="Kohn-Sham band gap (PBE).",
        theory="PBE",
    ),
    "bulk_modulus": PropertyInfo(
        unit="GPa",
        basis="crystal",
        description="Bulk modulus (VRH, AFLOW AEL).",
        theory="AEL",
        positive=True,
    ),
    "shear_modulus": PropertyInfo(
        unit="GPa",
        basis="crystal",
        description="Shear modulus (VRH, AFLOW AEL).",
        theory="AEL",
        positive=True,
    ),
    "refractive_index": PropertyInfo(
        unit="",
        basis="crystal",
        description="Static refractive index (DFPT).",
        theory="DFPT",
        positive=True,
    ),
    "debye_temperature": PropertyInfo(
        unit="K",
        basis="crystal",
        description="Debye temperature (AFLOW AGL); not that of the heat capacity.",
        theory="AGL",
        positive=True,
    ),
    "max_phonon_frequency": PropertyInfo(
        unit="cm^-1",
        basis="crystal",
        description="Highest peak of the phonon density of states (DFPT).",
        theory="DFPT",
        positive=True,
    ),
    "thermal_conductivity": PropertyInfo(
        unit="W/(m K)",
        basis="crystal",
        description="Lattice thermal conductivity at 300 K in the Debye-Slack model of AFLOW AGL, which has silicon at "
        "an eighth of experiment: for trends, not for values.",
        theory="AGL",
        positive=True,
    ),
    "thermal_expansion": PropertyInfo(
        unit="1/K",
        basis="crystal",
        description="Volume thermal expansion at 300 K in the Debye-Grueneisen model of AFLOW AGL, 1.5 to 6 times "
        "experiment for common crystals: for trends, not for values.",
        theory="AGL",
        positive=True,
    ),
    "volume_per_atom": PropertyInfo(
        unit="A^3", basis="atom", description="Volume at rest (PBE).", theory="PBE", positive=True
    ),
    "dynamic_stability": PropertyInfo(
        unit="",
        basis="crystal",
        description="Probability that the crystal has no imaginary phonon modes (DFPT).",
        theory="DFPT",
    ),
}
"""Scalar properties of the shipped checkpoints."""

HARMONIC: dict[str, PropertyInfo] = {
    name: PropertyInfo(
        unit=quantity.unit,
        basis=quantity.basis,
        description=f"Harmonic {quantity.description[0].lower()}{quantity.description[1:]}, at the given temperature.",
        theory="DFPT",
    )
    for name, quantity in QUANTITIES.items()
}
"""Properties of the harmonic crystal, all from one vibrational density of states; per mole of atoms and of cells."""

ISOBARIC: dict[str, PropertyInfo] = {
    name: PropertyInfo(
        unit=quantity.unit,
        basis=quantity.basis,
        description=f"{quantity.description}, at the given temperature.",
        theory="experiment",
    )
    for name, quantity in ISOBARIC_QUANTITIES.items()
}
"""Properties at constant pressure, all from one free energy F(V, T); per mole of atoms and of cells."""

THERMODYNAMICS = HARMONIC | ISOBARIC
"""Properties that depend on the temperature."""


MAGNETIC = {"Cr", "Mn", "Fe", "Co", "Ni"} | {
    "Ce",
    "Pr",
    "Nd",
    "Sm",
    "Eu",
    "Gd",
    "Tb",
    "Dy",
    "Ho",
    "Er",
    "Tm",
    "Yb",
}
"""Elements whose atoms often keep a moment in crystals."""


def magnetism_warning(elements: Collection[str]) -> str | None:
    """What to say beside the thermodynamics of a crystal of these elements, if it is likely magnetic."""
    if not (found := sorted(MAGNETIC.intersection(elements))):
        return None
    return (
        f"{', '.join(found)} may be magnetic. The entropy of spins, up to R ln(2S + 1) an ion, and the peak of the "
        "heat capacity where they order are in no term of their own."
    )


def imaginary_modes_warning(dynamic_stability: float) -> str | None:
    """What to say beside the thermodynamics of a crystal of this probability, if it probably has imaginary modes."""
    if dynamic_stability >= UNLIKELY_STABLE:
        return None
    return (
        f"The crystal has imaginary phonon modes with a probability of {1 - dynamic_stability:.2f}. Its heat capacity "
        "and other vibrational quantities are those of a crystal without them."
    )
