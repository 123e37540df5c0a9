"""Predictions against measured values of well-known crystals.

    python -m benchmarks.experiment [CHECKPOINT]

Writes ``results/experiment.json`` and ``.md``, and the median ratio of predictions to measured values into the
checkpoint, as `PropertyInfo.experiment_ratio`. Both theory and network are to blame for it. The measured values,
``data/measured.csv``, are those of handbooks, at room temperature, rounded, and averaged over directions:

- band gaps, eV: O. Madelung, Semiconductors: Data Handbook, 3rd edition (Springer, 2004); of insulators W. H. Strehlow
  and E. L. Cook, J. Phys. Chem. Ref. Data 2, 163 (1973);
- bulk moduli, GPa: G. Simmons and H. Wang, Single Crystal Elastic Constants (MIT Press, 1971), and Madelung;
- Debye temperatures, K, and thermal conductivities, W/(m K): G. A. Slack, Solid State Physics 34, 1 (1979);
  D. T. Morelli and G. A. Slack in High Thermal Conductivity Materials (Springer, 2006); of metals C. Kittel,
  Introduction to Solid State Physics, 8th edition (Wiley, 2005);
- thermal expansion of the volume, 1/K: Y. S. Touloukian et al., Thermophysical Properties of Matter 12 and 13 (Plenum,
  1975 and 1977);
- heat capacity at constant pressure and 298 K, J/(mol-atom K): CRC Handbook of Chemistry and Physics.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from cloud_model import CloudModel, Scope
from cloud_model.display.plots import CLOUD_COLOUR, style

HERE = Path(__file__).parent
MEASURED = HERE / "data" / "measured.csv"
RESULTS = HERE / "results"
COLUMNS = {
    "band_gap": "band_gap",
    "bulk_modulus": "bulk_modulus",
    "debye_temperature": "debye_temperature",
    "thermal_expansion": "thermal_expansion",
    "thermal_conductivity": "thermal_conductivity",
    "heat_capacity_per_atom": "heat_capacity",
    "isobaric_heat_capacity_per_atom": "heat_capacity",
}
"""Property -> column of the measured values."""

LABELLED = 19.0
"""Heat capacities, J/(mol-atom K), below which the figure names the crystals."""


def compare(model: CloudModel, measured: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Compare predictions with measured values.

    Parameters
    ----------
    model : CloudModel
        Whose properties among `COLUMNS` are compared.
    measured : DataFrame
        Columns ``space_group`` and ``orbits``, and those of `COLUMNS`; NaN where a value is missing.

    Returns
    -------
    dict
        Property -> number of crystals, median and central 68% of the ratio of prediction to measured value, and the
        share of measured values within one standard error of the prediction.
    """
    scopes = [
        Scope.from_orbits(group, orbits)
        for group, orbits in zip(measured["space_group"], measured["orbits"], strict=True)
    ]
    names = [name for name in COLUMNS if name in model.properties]
    predicted = model.predict(scopes, names, temperature=298.15)
    rows = {}
    for name in names:
        value, error = predicted[name].to_numpy(), predicted[f"{name}_std"].to_numpy()
        known = measured[COLUMNS[name]].to_numpy()
        there = np.isfinite(known) & np.isfinite(value)
        ratios = value[there] / known[there]
        low, median, high = np.quantile(ratios, [0.16, 0.5, 0.84])
        rows[name] = {
            "crystals": int(there.sum()),
            "theory": model.properties[name].theory,
            "ratio": round(float(median), 3),
            "ratio_low": round(float(low), 3),
            "ratio_high": round(float(high), 3),
            "within_error": round(float((np.abs(value - known)[there] <= error[there]).mean()), 3),
        }
    return rows


def report(rows: dict[str, dict[str, Any]], name: str) -> str:
    """Write the comparison as Markdown."""
    lines = [
        "# Against experiment",
        "",
        f"Predictions of `{name}` over measured values, for crystals that everybody knows "
        "(`benchmarks/experiment.py` names the sources). Error bars count against the theory of the training data, "
        "so the last column tells how little they mean against experiment.",
        "",
        "| property | theory | crystals | prediction / experiment (median) | central 68% | within one error bar |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| `{property_}` | {row['theory']} | {row['crystals']} | {row['ratio']:.2f} | "
        f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f} | {row['within_error']:.0%} |"
        for property_, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def heat_capacity_figure(model: CloudModel, measured: pd.DataFrame) -> Figure:
    """Predicted against measured heat capacities, with error bars."""
    known = measured.dropna(subset=["heat_capacity"])
    scopes = [Scope.from_orbits(*pair) for pair in zip(known["space_group"], known["orbits"], strict=True)]
    name = max(set(model.properties) & {"heat_capacity_per_atom", "isobaric_heat_capacity_per_atom"}, key=len)
    predicted = model.predict(scopes, name, temperature=298.15)
    with style():
        figure = Figure(figsize=(4.6, 4.2))
        axes = figure.subplots()
        axes.axline((15, 15), slope=1, color="0.6", linewidth=1)
        axes.errorbar(
            known["heat_capacity"],
            predicted[name],
            predicted[f"{name}_std"],
            fmt="o",
            markersize=4,
            color=CLOUD_COLOUR,
        )
        for formula, x, y in zip(known["formula"], known["heat_capacity"], predicted[name], strict=True):
            if x < LABELLED:  # above, points are too close for names
                axes.annotate(formula, (x, y), xytext=(6, -9), textcoords="offset points", fontsize=8)
        axes.set(
            xlabel="Measured heat capacity (J/(mol-atom K))",
            ylabel="Predicted heat capacity (J/(mol-atom K))",
        )
    return figure


def main() -> None:
    """Compare, and write the results and the ratios of the checkpoint."""
    from cloud_model.checkpoints.registry import resolve

    directory = resolve(sys.argv[1] if len(sys.argv) > 1 else None)
    model = CloudModel.from_pretrained(directory)
    rows = compare(model, pd.read_csv(MEASURED))
    config = json.loads((directory / "config.json").read_text())
    for name, row in rows.items():
        config["properties"][name]["experiment_ratio"] = round(row["ratio"], 2)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if len(sys.argv) == 1:
        with rc_context({"svg.hashsalt": "experiment"}):
            figure = heat_capacity_figure(model, pd.read_csv(MEASURED))
            figure.savefig(RESULTS / "experiment.svg", metadata={"Date": None})
        (RESULTS / "experiment.json").write_text(json.dumps(rows, indent=1) + "\n")
        (RESULTS / "experiment.md").write_text(report(rows, model.name))
    print(report(rows, model.name))


if __name__ == "__main__":
    main()
