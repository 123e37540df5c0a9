"""Outputs of a checkpoint to the columns of a table of properties."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cloud_model.checkpoints.config import CheckpointConfig
from cloud_model.errors import ArgumentError, PropertyError, shortly
from cloud_model.network.predictor import Output
from cloud_model.physics.isobaric import IsobaricCrystals
from cloud_model.physics.mixture import DebyeMixture
from cloud_model.physics.thermodynamics import ISOBARIC_QUANTITIES, QUANTITIES
from cloud_model.properties.catalogue import THERMODYNAMICS
from cloud_model.properties.intervals import interval_factor

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]


def property_names(config: CheckpointConfig, properties: str | Sequence[str] | None) -> list[str]:
    """Names that were asked for; all if there are none.

    Raises
    ------
    ArgumentError, PropertyError
        If they are not names, or the checkpoint does not have such a property.
    """
    known = config.properties
    if properties is None:
        return list(known)
    names = [properties] if isinstance(properties, str) else properties
    if not (isinstance(names, Collection) and all(isinstance(name, str) for name in names)):
        raise ArgumentError(f"properties {shortly(properties)}", "are not names", "Give a list of names.")
    for name in names:
        if name not in known:
            close = get_close_matches(name.lower().replace(" ", "_"), known, cutoff=0.5)
            meant = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
            raise PropertyError(
                f"property {name!r}",
                f"is unknown to {config.name!r}",
                f"{meant}It has: {', '.join(known) or 'none'}.",
            )
    return list(names)


def column_names(config: CheckpointConfig, names: Sequence[str], interval: bool = False) -> list[str]:
    """Names of the columns of `property_columns`."""
    suffixes = ("", "_low", "_high") if interval else ("", "_std")
    columns = [name + suffix for name in names for suffix in suffixes]
    return [*columns, "out_of_domain"] if config.domain else columns


def property_columns(
    config: CheckpointConfig,
    output: Output,
    n_atoms: Array,
    names: Sequence[str],
    temperature: float,
    interval: float | None = None,
) -> Columns:
    """Values of properties, standard errors or bounds, and the domain.

    Parameters
    ----------
    config : CheckpointConfig
    output : Output
        For n crystals, in physical units.
    n_atoms : ndarray, shape (n,)
        Atoms in their cells, NaN where there is none.
    names : sequence of str
        The properties.
    temperature : float
        K.
    interval : float, optional
        Share of the crystals that bounds hold, which then stand in place of standard errors.

    Returns
    -------
    dict of str to ndarray
        One number a crystal; ``out_of_domain`` is 1.0 or 0.0.
    """
    curves = _curves(output, names, temperature)
    columns: Columns = {}
    for name in names:
        if name in curves:
            factor = n_atoms if THERMODYNAMICS[name].basis == "cell" else 1.0
            value, error = (factor * part for part in curves[name])
        else:
            assert output.scalars is not None  # noqa: S101
            i = list(config.targets).index(name)
            value, error = (part[:, i].numpy() for part in output.scalars)
        columns[name] = value
        if interval is None:
            columns[f"{name}_std"] = error
        else:
            columns[f"{name}_low"], columns[f"{name}_high"] = _bounds(config, name, value, error, interval)
    if config.domain:
        assert output.distance is not None  # noqa: S101
        columns["out_of_domain"] = (output.distance > 1).double().numpy()
    return columns


def _curves(output: Output, names: Sequence[str], temperature: float) -> dict[str, tuple[Array, Array]]:
    """Values and standard errors of those names that depend on the temperature, per mole of atoms."""
    curves: dict[str, tuple[Array, Array]] = {}
    spectra, expansion = output.spectra, output.expansion
    if spectra is not None and not QUANTITIES.keys().isdisjoint(names):
        mixture = DebyeMixture(spectra, temperature)
        functions = {name: QUANTITIES[name].function for name in names if name in QUANTITIES}
        found = {
            function: (getattr(mixture, function).numpy(), mixture.standard_error(function).numpy())
            for function in set(functions.values())
        }
        curves |= {name: found[function] for name, function in functions.items()}
    if spectra is not None and expansion is not None and not ISOBARIC_QUANTITIES.keys().isdisjoint(names):
        expanded = IsobaricCrystals(spectra, expansion, torch.tensor([temperature], dtype=torch.float64))
        for name, isobaric in ISOBARIC_QUANTITIES.items():
            if name in names:
                values, errors = expanded(isobaric.function)
                curves[name] = values[:, 0].numpy(), errors[:, 0].numpy()
    return curves


def _bounds(
    config: CheckpointConfig, name: str, value: Array, error: Array, interval: float
) -> tuple[Array, Array]:
    """Bounds of the interval that holds this share of the crystals."""
    both = config.intervals.get(_calibrated(name), {})
    below, above = (
        interval_factor(config.intervals.get(f"{name}_{end}", both), interval) for end in ("low", "high")
    )
    if name in config.targets:
        return config.targets[name].interval(value, error, below, above)
    low = value - below * error
    if "heat_capacity" in name or "entropy" in name:
        low = np.maximum(low, 0.0)
    return low, value + above * error


def _calibrated(name: str) -> str:
    """Property whose interval was measured, for one whose interval is taken from it."""
    if name in ISOBARIC_QUANTITIES:
        return "isobaric_heat_capacity_per_atom"
    return "heat_capacity_per_atom" if name in QUANTITIES else name
