"""Heat capacities from 0 to 1000 K with their uncertainty, beside measured points.

Needs: nothing beyond cloud-plugins. Run: python examples/heat_capacity.py
Writes: heat_capacity.png

The points are those of the NIST-JANAF tables (MgO, NaCl, Si) and of the CRC Handbook (Al2O3), at constant pressure.
CLOUD predicts the harmonic heat capacity at constant volume, which stays below 3R: the measured ones exceed it at
high temperature, by thermal expansion and anharmonicity, most in soft crystals such as NaCl.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cloud_model import CloudModel
from cloud_model.display.plots import CLOUD_COLOUR, EXPERIMENT_COLOUR, style
from cloud_model.physics.debye import R

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

HERE = Path(__file__).parent
TEMPERATURES = np.linspace(0, 1000, 201)  # K

model = CloudModel.from_pretrained()
measured = pd.read_csv(HERE / "heat_capacities.csv")  # J/(mol-atom K)

curves = measured.groupby("formula", sort=False)

print("J/(mol-atom K)       T (K)  predicted        measured, at constant pressure")
for formula, points in curves:
    cold = points[points.temperature <= 300]
    predicted = model.thermodynamics(HERE / f"{formula}.cif", cold.temperature)
    values = zip(
        cold.temperature,
        predicted.heat_capacity_per_atom,
        predicted.heat_capacity_per_atom_std,
        cold.heat_capacity,
        strict=True,
    )
    for kelvin, value, error, point in values:
        print(f"{formula:18s} {kelvin:7.2f}  {value:6.2f} +- {error:.2f}   {point:6.2f}")

with style():
    figure, panels = plt.subplots(2, 2, figsize=(7.2, 5.2), sharex=True, sharey=True)
    for axes, (formula, points) in zip(panels.flat, curves, strict=True):
        curve = model.thermodynamics(HERE / f"{formula}.cif", TEMPERATURES)
        low, high = (
            curve.heat_capacity_per_atom + sign * curve.heat_capacity_per_atom_std for sign in (-1, 1)
        )
        axes.axhline(3 * R, color="0.5", linestyle=":", linewidth=1, label="3R")
        axes.plot(
            TEMPERATURES, curve.heat_capacity_per_atom, color=CLOUD_COLOUR, label="CLOUD, constant volume"
        )
        axes.fill_between(
            TEMPERATURES, low, high, color=CLOUD_COLOUR, alpha=0.3, linewidth=0, label="standard error"
        )
        circles = {"marker": "o", "linestyle": "none", "color": EXPERIMENT_COLOUR, "markerfacecolor": "none"}
        axes.plot(points.temperature, points.heat_capacity, **circles, label="measured, constant pressure")
        axes.set_title(formula)
    panels[0, 0].set(xlim=(0, 1030), ylim=(0, None))
    panels[0, 1].legend(loc="lower right")
    figure.supxlabel("Temperature (K)")
    figure.supylabel("Heat capacity (J/(mol-atom K))")
    figure.savefig("heat_capacity.png")
print("wrote heat_capacity.png")
