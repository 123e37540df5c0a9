"""Heat capacities, entropies and thermal expansions of crystals against experiment.

    python -m benchmarks.experiment_heat_capacity DATA [--model NAME]

Heat capacities and entropies are those of NIST-JANAF from which the head of expansion learned, each predicted by the
perceptrons that have not seen the formula (see ``recipes/thermochemistry.py``; the encoder may have seen the crystal,
with calculated labels). Expansions are of the CRC Handbook of Chemistry and Physics and of the American Institute of
Physics Handbook, at 293 to 300 K, and the heat capacities of the CRC Handbook (as the package ``chemicals`` has them)
are of formulas that are not in the training tables: nothing was trained on either, but the recipe was chosen with
these expansions in view. Writes
``benchmarks/results/experiment_heat_capacity.*``.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from cloud_model import CloudModel, Scope
from cloud_model.display.plots import CLOUD_COLOUR, FLOOR_COLOUR, style
from cloud_model.display.tables import markdown_table
from cloud_model.physics.mixture import DebyeMixture
from recipes.thermochemistry import (
    GRID,
    ROOM,
    elements_of,
    measured_crystals,
    on_grid,
    reduced_formula,
    structures,
    unseen,
)

RESULTS = Path(__file__).parent / "results"
SHOWN = (ROOM, 600.0, 1000.0)  # K

EXPANSIONS = {  # volume expansion at room temperature, 1e-6 / K
    "Al": ("225", "Al:4a", 69.3), "Cu": ("225", "Cu:4a", 49.5), "Ag": ("225", "Ag:4a", 56.7),
    "Au": ("225", "Au:4a", 42.6), "Pb": ("225", "Pb:4a", 86.7), "Ni": ("225", "Ni:4a", 40.2),
    "Pd": ("225", "Pd:4a", 35.4), "Pt": ("225", "Pt:4a", 26.4), "W": ("229", "W:2a", 13.5),
    "Mo": ("229", "Mo:2a", 14.4), "Nb": ("229", "Nb:2a", 21.9), "Ta": ("229", "Ta:2a", 18.9),
    "V": ("229", "V:2a", 25.2), "Na": ("229", "Na:2a", 213.0), "Li": ("229", "Li:2a", 138.0),
    "Si": ("227", "Si:8a", 7.8), "Ge": ("227", "Ge:8a", 17.7), "C": ("227", "C:8a", 3.2),
    "GaAs": ("216", "As:4c;Ga:4a", 17.1), "InSb": ("216", "In:4a;Sb:4c", 16.1),
    "ZnS": ("216", "S:4c;Zn:4a", 20.4), "ZnSe": ("216", "Se:4c;Zn:4a", 21.3),
    "LiF": ("225", "F:4b;Li:4a", 99.6), "NaF": ("225", "F:4b;Na:4a", 96.0),
    "NaCl": ("225", "Cl:4b;Na:4a", 118.8), "KCl": ("225", "Cl:4b;K:4a", 111.0),
    "KBr": ("225", "Br:4b;K:4a", 116.1), "KI": ("225", "I:4b;K:4a", 120.0),
    "RbCl": ("225", "Cl:4b;Rb:4a", 108.0), "CsCl": ("221", "Cl:1b;Cs:1a", 140.0),
    "CsBr": ("221", "Br:1b;Cs:1a", 141.0), "MgO": ("225", "Mg:4a;O:4b", 31.2),
    "CaO": ("225", "Ca:4a;O:4b", 33.6), "SrO": ("225", "O:4b;Sr:4a", 39.0),
    "CaF2": ("225", "Ca:4a;F:8c", 56.7), "SrF2": ("225", "F:8c;Sr:4a", 54.3),
    "BaF2": ("225", "Ba:4a;F:8c", 55.2), "Al2O3": ("167", "Al:12c;O:18e", 16.2),
    "TiO2": ("136", "O:4f;Ti:2a", 23.5), "PbS": ("225", "Pb:4a;S:4b", 60.9),
}  # fmt: skip

KINDS = {
    "hydrides, hydroxides and ammonium": {"H"},
    "oxides": {"O"},
    "fluorides": {"F"},
    "other halides": {"Cl", "Br", "I"},
    "sulfides": {"S"},
    "borides, carbides, nitrides, silicides": {"B", "C", "N", "Si", "P"},
}
"""The first kind of which a crystal holds an element is its own; all others are metals."""

REASONS = {
    "Ni-018": "decomposes at 630 K: the table is an extrapolation, which grows steeply",
    "Co-012": "the table is an estimate; magnetic",
    "Br-087": "the table above 350 K is an estimate, which grows steeply",
    "I-061": "molecular crystal: four iodides and their stiff bonds in one mixture of Debye spectra",
    "Cl-079": "magnetic layers, distorted by Jahn and Teller",
    "Br-065": "bromide ions move long before melting",
    "Cl-108": "chloride ions move long before melting",
    "Ba-025": "hydroxide ions turn",
    "Cs-012": "hydroxide ions turn",
    "H-009": "hydroxide ions turn",
    "Fe-011": "the table is an estimate; magnetic",
    "Cu-014": "the table is an estimate",
    "Cr-014": "antiferromagnetic up to 308 K",
    "Cr-008": "antiferromagnetic up to 280 K",
    "F-111": "antiferromagnetic up to 364 K",
    "H-081": "hydrogen in a metal: its modes lie at 1200 cm^-1, and no phonons of such hydrides were seen",
    "Rb-002": "melts at 313 K",
    "K-002": "melts at 336 K",
    "Ga-002": "melts at 303 K; dimers",
    "Mn-002": "58 atoms in the cell, and magnetic",
    "C-011": "the table has a step at 700 K",
    "B-082": "the table is an estimate",
    "B-129": "the table begins far above the other borates",
    "I-054": "the table is an estimate",
    "I-008": "iodide of the smallest cation: it moves before melting",
    "K-012": "the table is an estimate, far above other oxides",
    "S-013": "chains, and a table that is an estimate",
    "C-029": "the string is that of another polymorph",
    "Br-112": "molecular crystal",
    "Li-034": "lithium ions move",
    "B-136": "molecular crystal",
    "C-002": "layers: two Debye laws in one crystal",
    "B-072": "layers: two Debye laws in one crystal",
    "Cl-030": "ions turn",
    "B-059": "ions turn",
    "N-017": "metal with vacancies, whose phonons are softer than those of other nitrides",
    "O-073": "on its way to the metal at 340 K",
    "O-059": "on its way to the metal at 470 K",
}
"""Why the worst crystals are so, by table of NIST-JANAF."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    model = CloudModel.from_pretrained(arguments.model)
    measured = measured_crystals(arguments.data)
    rows = compare(model, measured)
    others = crc(model, arguments.data, set(measured.formula))
    expansions = compare_expansions(model)
    study = {
        "model": model.name,
        "crystals": len(measured),
        "summary": [summary(rows, T) for T in SHOWN],
        "kinds": [
            {"kind": kind, **summary(part, T)}
            for kind, part in rows.groupby("kind", sort=False, observed=True)
            for T in SHOWN
            if (part["temperature"] == T).any()
        ],
        "crc": summary(others.assign(temperature=ROOM, cv=np.nan), ROOM),
        "worst": worst(rows),
        "expansion": {
            "crystals": len(expansions),
            "median_relative_error": float((expansions.predicted / expansions.measured - 1).abs().median()),
            "within_two_standard_errors": float(
                ((expansions.predicted - expansions.measured).abs() < 2 * expansions["std"]).mean()
            ),
            "rows": expansions.to_dict("records"),
        },
    }
    name = "experiment_heat_capacity"
    (RESULTS / f"{name}.json").write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(markdown(study), encoding="utf-8")
    figure(rows).savefig(RESULTS / f"{name}.svg", metadata={"Date": None})
    print(markdown(study))


def compare(model: CloudModel, measured: pd.DataFrame) -> pd.DataFrame:
    """One row a crystal and temperature: measured and predicted heat capacity and entropy, and harmonic Cv."""
    crystals = unseen(model.checkpoint, measured)
    _, heat_capacity, entropy = on_grid(measured)
    (cp, cp_std), (s, s_std) = (
        (part.numpy() for part in crystals(name)) for name in ("isobaric_heat_capacity", "entropy")
    )
    harmonic = DebyeMixture(model.spectra(list(measured.scope)), torch.tensor(GRID, dtype=torch.float64))
    columns = {
        "measured": heat_capacity,
        "predicted": cp,
        "std": cp_std,
        "cv": harmonic.heat_capacity.numpy(),
        "measured_entropy": entropy,
        "entropy": s,
        "entropy_std": s_std,
        "harmonic_entropy": harmonic.entropy.numpy(),
    }
    frames = [
        measured[["table", "name", "formula"]].assign(
            temperature=T, **{name: values[:, i] for name, values in columns.items()}
        )
        for i, T in enumerate(GRID)
    ]
    rows = pd.concat(frames).dropna(subset="measured")
    kinds = {formula: kind_of(formula) for formula in rows.formula}
    rows["kind"] = pd.Categorical(rows.formula.map(kinds), [*KINDS, "metals"])
    return rows


def kind_of(formula: str) -> str:
    elements = elements_of(formula)
    return next((kind for kind, members in KINDS.items() if elements & members), "metals")


def crc(model: CloudModel, data: Path, seen: set[str]) -> pd.DataFrame:
    """Heat capacities at 298.15 K of formulas without a table of NIST-JANAF among the training tables."""
    from chemicals.heat_capacity import CRC_standard_data
    from chemicals.identifiers import search_chemical

    rows = []
    for number, row in CRC_standard_data[CRC_standard_data.Cps.notna()].iterrows():
        try:
            formula = search_chemical(number).formula
        except ValueError:
            continue
        known = not {"C", "H"} <= elements_of(formula)  # a mineral, not an organic molecule
        if known and (reduced := reduced_formula(formula)):
            atoms = sum(int(count or 1) for _, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula))
            rows.append(
                {"formula": reduced, "measured": row.Cps / atoms, "measured_entropy": row.S0s / atoms}
            )
    table = pd.DataFrame(rows).drop_duplicates("formula")
    table = table[~table.formula.isin(seen)]
    ground_states, _ = structures(data, set(table.formula))
    table = table[table.formula.isin(ground_states.keys())]
    scopes = [ground_states[formula] for formula in table.formula]
    found = model.predict(scopes, ["isobaric_heat_capacity_per_atom", "isobaric_entropy_per_atom"], ROOM)
    return table.reset_index(drop=True).assign(
        predicted=found.isobaric_heat_capacity_per_atom,
        std=found.isobaric_heat_capacity_per_atom_std,
        entropy=found.isobaric_entropy_per_atom,
        entropy_std=found.isobaric_entropy_per_atom_std,
        harmonic_entropy=np.nan,
    )


def compare_expansions(model: CloudModel) -> pd.DataFrame:
    rows = []
    for formula, (group, orbits, value) in EXPANSIONS.items():
        curve = model.thermodynamics(str(Scope.from_orbits(int(group), orbits)), [300.0])
        rows.append(
            {
                "formula": formula,
                "measured": 1e-6 * value,
                "predicted": float(curve.thermal_expansion[0]),
                "std": float(curve.thermal_expansion_std[0]),
            }
        )
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame, temperature: float) -> dict[str, float]:
    part = rows[rows.temperature == temperature]
    off, entropy = part.predicted - part.measured, part.entropy - part.measured_entropy
    return {
        "temperature": temperature,
        "crystals": len(part),
        "mae": float(off.abs().mean()),
        "median_error_percent": float(100 * (off / part.measured).abs().median()),
        "bias": float(off.mean()),
        "within_two_standard_errors": float((off.abs() < 2 * part["std"]).mean()),
        "cv_mae": float((part.cv - part.measured).abs().mean()),
        "entropy_mae": float(entropy.abs().mean()),
        "harmonic_entropy_mae": float((part.harmonic_entropy - part.measured_entropy).abs().mean()),
        "entropy_within_two_standard_errors": float((entropy.abs() < 2 * part.entropy_std).mean()),
    }


def worst(rows: pd.DataFrame) -> list[dict[str, object]]:
    """The ten crystals with the largest mean error at the temperatures shown."""
    shown = rows[rows.temperature.isin(SHOWN)]
    off = (shown.predicted - shown.measured).groupby(shown.table).agg(["mean", lambda x: x.abs().mean()])
    off.columns = ["bias", "mae"]
    names = rows.drop_duplicates("table").set_index("table").name
    return [
        {
            "table": table,
            "name": names[table],
            "bias": row.bias,
            "mae": row.mae,
            "reason": REASONS.get(table, "no reason known"),
        }
        for table, row in off.sort_values("mae", ascending=False).head(10).iterrows()
    ]


def markdown(study: dict) -> str:
    """The study as a page of text."""
    heads = ["", "K", "crystals", "MAE of Cp", "median error", "bias", "within 2 std", "MAE of harmonic Cv"]

    def line(label: str, row: dict[str, float]) -> list[str]:
        return [
            label,
            f"{row['temperature']:g}",
            str(row["crystals"]),
            f"{row['mae']:.2f}",
            f"{row['median_error_percent']:.1f} %",
            f"{row['bias']:+.2f}",
            f"{100 * row['within_two_standard_errors']:.0f} %",
            f"{row['cv_mae']:.2f}",
            f"{row['entropy_mae']:.2f}",
        ]

    lines = [line("all", row) for row in study["summary"]]
    lines += [line(row["kind"], row) for row in study["kinds"]]
    worst = (
        [row["name"], f"{row['mae']:.1f}", f"{row['bias']:+.1f}", row["reason"]] for row in study["worst"]
    )
    expansions = (
        [
            row["formula"],
            f"{1e6 * row['measured']:.1f}",
            f"{1e6 * row['predicted']:.0f} ± {1e6 * row['std']:.0f}",
        ]
        for row in study["expansion"]["rows"]
    )
    expansion, other = study["expansion"], study["crc"]
    return "\n".join(
        [
            f"# {study['model']} against measured heat capacities\n",
            f"Heat capacity Cp and entropy S of {study['crystals']} crystals of NIST-JANAF, each predicted by the "
            "perceptrons of the head that have not seen its formula; J/(mol-atom K). Tables end at their first "
            "transition.\n",
            markdown_table([*heads, "MAE of S"], lines),
            f"\nOf {other['crystals']} other formulas of the CRC Handbook, by the whole head, at 298.15 K: Cp MAE "
            f"{other['mae']:.2f}, median error {other['median_error_percent']:.1f} %, "
            f"{100 * other['within_two_standard_errors']:.0f} % within two standard errors; S MAE "
            f"{other['entropy_mae']:.2f} J/(mol-atom K).\n",
            "The ten worst, by the mean over 298.15, 600 and 1000 K:\n",
            markdown_table(["crystal", "MAE", "bias", "reason"], worst, numbers=False),
            f"\nThermal expansion of {expansion['crystals']} crystals at 300 K, on which nothing was trained "
            "but the choice of the recipe: median "
            f"error {100 * expansion['median_relative_error']:.0f} %, "
            f"{100 * expansion['within_two_standard_errors']:.0f} % within two standard errors.\n",
            markdown_table(["crystal", "measured, 10^-6/K", "predicted"], expansions),
            "",
        ]
    )


def figure(rows: pd.DataFrame) -> Figure:
    """Measured heat capacities against predictions at constant pressure, and harmonic ones beside them."""
    with style():
        found = Figure(figsize=(9.0, 3.4))
        for axes, T in zip(found.subplots(1, 3), SHOWN, strict=True):
            part = rows[rows.temperature == T]
            limits = [part.measured.min() - 1, part.measured.max() + 1]
            axes.plot(limits, limits, color="0.5", linewidth=1)
            axes.plot(
                part.measured,
                part.cv,
                "o",
                color=FLOOR_COLOUR,
                markersize=3,
                alpha=0.5,
                label="harmonic $C_v$",
            )
            axes.plot(
                part.measured, part.predicted, "o", color=CLOUD_COLOUR, markersize=3, alpha=0.7, label="$C_p$"
            )
            axes.set(title=f"{T:g} K", xlabel="Measured $C_p$", xlim=limits, ylim=limits)
        found.axes[0].set_ylabel("Predicted (J/(mol-atom K))")
        found.axes[0].legend(loc="upper left")
    return found


if __name__ == "__main__":
    main()
