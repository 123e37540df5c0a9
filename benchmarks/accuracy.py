"""Errors of networks on validation crystals, as the tables of several benchmarks show them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cloud_model.network.predictor import Output
from cloud_model.physics.mixture import DebyeMixture
from cloud_model.properties.targets import ScalarTarget

SHOWN = {
    "formation_energy_per_atom": "E_f, eV/atom",
    "band_gap": "gap, eV",
    "log10(bulk_modulus)": "log10 K",
    "log10(shear_modulus)": "log10 G",
    "refractive_index": "n",
    "debye_temperature": "Debye, K",
    "max_phonon_frequency": "phonon peak, cm^-1",
    "heat_capacity(75 K)": "Cv 75 K",
    "heat_capacity(300 K)": "Cv 300 K",
    "perovskite_formation_energy": "perovskites, eV",
}
"""Mean absolute errors in the tables; heat capacities in J/(mol-atom K)."""


def output_errors(
    output: Output, targets: Mapping[str, ScalarTarget], validation: pd.DataFrame
) -> dict[str, float]:
    """Mean absolute errors of a network's predictions for the validation crystals."""
    found: dict[str, float] = {}
    if output.scalars is not None:
        for i, (name, target) in enumerate(targets.items()):
            value = output.scalars.value[:, i].double().numpy()
            found |= scalar_errors(name, target, value, validation[name].to_numpy(float))
    if output.spectra is not None:
        known = validation.heat_capacities.notna().to_numpy()
        rows = torch.from_numpy(np.flatnonzero(known))
        spectra = output.spectra.each(lambda part: part[rows].double())
        grid = np.stack(validation.temperatures[known].to_list())
        label = np.stack(validation.heat_capacities[known].to_list())
        error = np.abs(DebyeMixture(spectra, torch.from_numpy(grid)).heat_capacity.numpy() - label).mean(0)
        found |= {f"heat_capacity({T:g} K)": float(e) for T, e in zip(grid[0], error, strict=True)}
    return found


def scalar_errors(name: str, target: ScalarTarget, value: NDArray, label: NDArray) -> dict[str, float]:
    """Mean absolute error of normalised predictions in physical units, and of the logarithm where that is learned."""
    predicted, _ = target.physical(value, np.zeros_like(value))
    found = {name: float(np.nanmean(np.abs(predicted - label)))}
    if target.transform == "log10":
        found[f"log10({name})"] = float(np.nanmean(np.abs(np.log10(predicted) - np.log10(label))))
    return found
