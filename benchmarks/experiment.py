"""Predictions against measured values of well-known crystals.

    python -m benchmarks.experiment [CHECKPOINT]

Writes ``results/experiment.json`` and ``.md``, every value beside the measured one into the model card, and the median
ratio of predictions to measured values into the checkpoint, as `PropertyInfo.experiment_ratio`. Theory and network both
contribute to it. The measured values, ``data/measured.csv``, name their source one by one; `SOURCES` spells them out.
Band gaps are those at low temperature, in eV, bulk moduli are in GPa, Debye temperatures in K, thermal expansion is
that of the volume in 1/K, thermal conductivity in W/(m K) and heat capacity at constant pressure in J/(mol-atom K),
each at room temperature, and averaged over directions. Conductivities of metals and of crystals known for their defects
(GaN, AlN) are left out.
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
from cloud_model.display.tables import markdown_table

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
"""Property -> name among the measured values."""

SOURCES = {
    "Angel": "An extended thermal pressure equation of state for sodium fluoride, J. Appl. Cryst. 58 (2025), "
    "corresponding authors R. J. Angel and S. Parsons",
    "CRC": "CRC Handbook of Chemistry and Physics: thermodynamic properties, as in the package chemicals; elastic "
    "constants of single crystals, 82nd edition, p. 12-37",
    "Cheng": "Z. Cheng et al., Nature Communications 13, 7201 (2022)",
    "Crystran": "Crystran Ltd, data sheets of optical materials",
    "Holland": "T. J. B. Holland and R. Powell, J. Metamorph. Geol. 29, 333 (2011), as in the Python package burnman",
    "Inyushkin": "A. V. Inyushkin et al., Phys. Rev. B 97, 144305 (2018)",
    "JANAF": "NIST-JANAF thermochemical tables",
    "JARVIS": "experimental values of the JARVIS-Leaderboard, K. Choudhary et al., npj Comput. Mater. 10, 93 (2024)",
    "KSU": "parameters of nitrides, GaN group, Kansas State University",
    "Kittel": "C. Kittel, Introduction to Solid State Physics, 7th edition (Wiley, 1996)",
    "Levinshtein": "M. Levinshtein, S. Rumyantsev and M. Shur, Handbook Series on Semiconductor Parameters (World "
    "Scientific, 1996), as in the Python package solcore",
    "Li": "Z. Li and R. C. Bradt, J. Mater. Sci. 21, 4366 (1986)",
    "McNeil": "L. E. McNeil, M. Grimsditch and R. H. French, J. Am. Ceram. Soc. 76, 1132 (1993)",
    "NSM": "New Semiconductor Materials archive, Ioffe Institute, Saint Petersburg",
    "Paessler": "R. Pässler, Phys. Status Solidi B 247, 77 (2010)",
    "Stixrude": "L. Stixrude and C. Lithgow-Bertelloni, Geophys. J. Int. 184, 1180 (2011), as in burnman",
    "Strehlow": "W. H. Strehlow and E. L. Cook, J. Phys. Chem. Ref. Data 2, 163 (1973), median of the values listed "
    "(of single crystals where there are any)",
    "UniOptics": "Uni Optics, data sheet of sapphire",
    "Vurgaftman": "I. Vurgaftman, J. R. Meyer and L. R. Ram-Mohan, J. Appl. Phys. 89, 5815 (2001), as in solcore",
    "White": "G. K. White, Thermal expansion at low temperatures III: Potassium chloride (1961)",
    "Zhuo": "Y. Zhuo, A. Mansouri Tehrani and J. Brgoch, J. Phys. Chem. Lett. 9, 1668 (2018), supporting information",
    "pymatgen": "data of the elements in pymatgen",
}
"""Name in ``data/measured.csv`` -> where the value is from."""

HEADING, WARNING = "## Against experiment", "## Where not to trust it"  # sections of the model card
LABELLED = 19.0
"""Heat capacities, J/(mol-atom K), below which the figure names the crystals."""


def compare(model: CloudModel, measured: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Compare predictions with measured values.

    Parameters
    ----------
    model : CloudModel
        Whose properties among `COLUMNS` are compared.
    measured : DataFrame
        A row for each value: columns ``space_group``, ``orbits``, ``property`` (one of `COLUMNS`) and ``value``.

    Returns
    -------
    dict
        Property -> number of crystals, median and central 68% of the ratio of prediction to measured value, and the
        share of measured values within one standard error of the prediction.
    """
    rows = {}
    for name in (name for name in COLUMNS if name in model.properties):
        known = measured[measured["property"] == COLUMNS[name]]
        if known.empty:
            continue
        predicted = model.predict(_scopes(known), name, temperature=298.15)
        value, error = predicted[name].to_numpy(), predicted[f"{name}_std"].to_numpy()
        ratios = value / known["value"].to_numpy()
        low, median, high = np.quantile(ratios, [0.16, 0.5, 0.84])
        rows[name] = {
            "crystals": len(known),
            "theory": model.properties[name].theory,
            "ratio": round(float(median), 3),
            "ratio_low": round(float(low), 3),
            "ratio_high": round(float(high), 3),
            "within_error": round(float((np.abs(value - known["value"].to_numpy()) <= error).mean()), 3),
        }
    return rows


def _scopes(measured: pd.DataFrame) -> list[Scope]:
    return [
        Scope.from_orbits(*pair) for pair in zip(measured["space_group"], measured["orbits"], strict=True)
    ]


def report(rows: dict[str, dict[str, Any]], model: CloudModel, measured: pd.DataFrame) -> str:
    """Write the comparison as Markdown."""
    heads = ["property", "theory", "crystals", "prediction / experiment (median)", "central 68%"]
    heads.append("within one error bar")
    cells = (
        [
            f"`{property_}`",
            row["theory"],
            str(row["crystals"]),
            f"{row['ratio']:.2f}",
            f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}",
            f"{row['within_error']:.0%}",
        ]
        for property_, row in rows.items()
    )
    lines = [
        "# Against experiment",
        "",
        f"Predictions of `{model.name}` divided by measured values, for well-known crystals "
        "(`benchmarks/data/measured.csv`). Error bars count against the theory of the training data, "
        "so the last column shows how little they say about experiment.",
        "",
        markdown_table(heads, cells),
        "",
        "Each prediction / measured value, and where the latter is from:",
        "",
        crystal_by_crystal(model, measured),
    ]
    lines += ["", "Sources of the measured values:", ""]
    lines += [f"- {source}: {reference}" for source, reference in SOURCES.items()]
    return "\n".join(lines) + "\n"


def crystal_by_crystal(model: CloudModel, measured: pd.DataFrame) -> str:
    """Markdown table of predicted and measured values with their sources, one row a crystal."""
    crystals = measured.drop_duplicates(["formula", "space_group", "orbits"])
    predicted = model.predict(_scopes(crystals), temperature=298.15)
    names = {measured_as: name for name, measured_as in COLUMNS.items() if name in model.properties}
    known = measured.set_index(["formula", "property"])[["value", "source"]]

    def cell(crystal: int, formula: str, column: str) -> str:
        if (formula, column) not in known.index:
            return ""
        expected, source = known.loc[(formula, column)]
        return f"{predicted[names[column]].iloc[crystal]:.3g} / {expected:.3g} {source}"

    rows = [
        [formula, str(group), *(cell(i, formula, column) for column in names)]
        for i, (formula, group) in enumerate(zip(crystals["formula"], crystals["space_group"], strict=True))
    ]
    heads = [f"{column} ({model.properties[name].unit})" for column, name in names.items()]
    return markdown_table(["crystal", "space group", *heads], rows)


def with_comparison(card: str, comparison: str) -> str:
    """A model card with this section, instead of an older one, before the one that says where not to trust it."""
    before, found, after = card.partition(WARNING)
    return f"{before.partition(HEADING)[0]}{comparison}\n{found}{after}"


def heat_capacity_figure(model: CloudModel, measured: pd.DataFrame) -> Figure:
    """Predicted against measured heat capacities, with error bars."""
    known = measured[measured["property"] == "heat_capacity"]
    name = max(set(model.properties) & {"heat_capacity_per_atom", "isobaric_heat_capacity_per_atom"}, key=len)
    predicted = model.predict(_scopes(known), name, temperature=298.15)
    with style():
        figure = Figure(figsize=(4.6, 4.2))
        axes = figure.subplots()
        axes.axline((15, 15), slope=1, color="0.6", linewidth=1)
        axes.errorbar(
            known["value"],
            predicted[name],
            predicted[f"{name}_std"],
            fmt="o",
            markersize=4,
            color=CLOUD_COLOUR,
        )
        for formula, x, y in zip(known["formula"], known["value"], predicted[name], strict=True):
            if x < LABELLED:  # above, points are too close for names
                axes.annotate(formula, (x, y), xytext=(6, -9), textcoords="offset points", fontsize=8)
        axes.set(
            xlabel="Measured heat capacity (J/(mol-atom K))",
            ylabel="Predicted heat capacity (J/(mol-atom K))",
        )
    return figure


def main() -> None:
    """Compare, and write the results and the ratios of the checkpoint."""
    from cloud_model.checkpoints.files import CARD
    from cloud_model.checkpoints.registry import resolve

    directory = resolve(sys.argv[1] if len(sys.argv) > 1 else None)
    model = CloudModel.from_pretrained(directory)
    measured = pd.read_csv(MEASURED)
    rows = compare(model, measured)
    config = json.loads((directory / "config.json").read_text())
    for name, row in rows.items():
        config["properties"][name]["experiment_ratio"] = round(row["ratio"], 2)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    text = report(rows, model, measured)
    card = directory / CARD
    card.write_text(with_comparison(card.read_text(encoding="utf-8"), f"#{text}"), encoding="utf-8")
    if len(sys.argv) == 1:
        with rc_context({"svg.hashsalt": "experiment"}):
            figure = heat_capacity_figure(model, measured)
            figure.savefig(RESULTS / "experiment.svg", metadata={"Date": None})
        (RESULTS / "experiment.json").write_text(json.dumps(rows, indent=1) + "\n")
        (RESULTS / "experiment.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
