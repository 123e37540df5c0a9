"""Configuration of a checkpoint: everything but its weights and its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.heads import KNOWN
from cloud_model.properties.catalogue import HARMONIC, ISOBARIC, PropertyInfo
from cloud_model.properties.targets import ScalarTarget
from cloud_model.scope.description import Dialect

MAX_NAME = 200  # characters


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Everything about a checkpoint but its weights and its vocabulary.

    Attributes
    ----------
    name : str
        Name of the checkpoint.
    dialect : {'reference', 'canonical', 'sites'}
        Dialect of the SCOPE strings that it was trained on; it reads no other.
    symprec : float
        Tolerance of the symmetry search, Angstrom.
    encoder : EncoderConfig
        Shape of each encoder.
    targets : dict of str to ScalarTarget
        Scalar properties, in the order of the heads.
    properties : dict of str to PropertyInfo
        What is known of each property, scalar and thermodynamic.
    spectra : int
        Debye spectra of each thermodynamics head; 0 for none.
    spread_calibration : float
        Factor on the predicted relative error of the Debye temperatures.
    domain : bool
        Whether the networks know how far a crystal is from their training crystals.
    intervals : dict of str to dict
        Property -> coverage -> half-width of the prediction interval in standard errors, or apart for both sides as
        ``<property>_low`` and ``<property>_high``; that of
        ``heat_capacity_per_atom`` is for all of the harmonic crystal, that of ``isobaric_heat_capacity_per_atom`` for
        all at constant pressure.
    expansion : bool
        Whether the networks know how a crystal expands, so that it has properties at constant pressure.
    """

    name: str
    dialect: Dialect
    symprec: float
    encoder: EncoderConfig
    targets: Mapping[str, ScalarTarget] = field(default_factory=dict)
    properties: Mapping[str, PropertyInfo] = field(default_factory=dict)
    spectra: int = 0
    spread_calibration: float = 1.0
    domain: bool = False
    intervals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    expansion: bool = False

    def __post_init__(self) -> None:
        thermodynamics = {**(HARMONIC if self.spectra else {}), **(ISOBARIC if self.expansion else {})}.keys()
        if not (self.name.isprintable() and len(self.name) <= MAX_NAME):
            raise ValueError(f"name is {self.name[:MAX_NAME]!r}")
        if not (0 < self.symprec < inf and self.spectra >= 0 and self.spread_calibration >= 0):
            raise ValueError("symprec is not positive, or spectra or spread_calibration is negative")
        if self.expansion and not (
            self.spectra and self.targets.keys() >= {name for name, _ in KNOWN.values()}
        ):
            raise ValueError("it has an expansion, but no spectra, no volume or no bulk modulus")
        if not self.targets.keys() <= self.properties.keys() <= self.targets.keys() | thermodynamics:
            raise ValueError("its properties are not those of its targets and spectra")
