"""Heat capacities, entropies, expansions and bulk moduli of minerals against measured ones.

    python -m benchmarks.minerals DATA [--model NAME]

Measured are the end members of Holland and Powell, J. Metamorph. Geol. 29, 333 (2011), as the package ``burnman`` has
them (GPL, a dependency of this benchmark alone): calorimetry, thermal expansion and compression, made consistent with
phase equilibria. A mineral is the crystal of the tables that has its formula and space group; nothing is compared
beyond a transition. No expansion and no bulk modulus was trained on; of the heat capacities and entropies those count
whose formula is in no table that was trained on.
Writes ``benchmarks/results/minerals.*``.
"""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.constants import N_A

from cloud_model import CloudModel
from cloud_model.display.tables import markdown_table
from recipes.thermochemistry import ROOM, elements_of, measured_crystals, reduced_formula, structures

RESULTS = Path(__file__).parent / "results"
TEMPERATURES = (ROOM, 600.0, 1000.0)  # K
ATMOSPHERE = 1e5  # Pa

MINERALS = {
    "fo": 62, "teph": 62, "mont": 62, "mwd": 74, "mrw": 227, "py": 230, "gr": 230, "and": 58, "ky": 2, "sill": 62,
    "merw": 14, "geh": 113, "ak": 113, "rnk": 14, "zrc": 141, "en": 61, "cen": 14, "di": 15, "hed": 15, "kos": 15,
    "wo": 2, "pswo": 15, "ab": 2, "an": 2, "q": 154, "crst": 92, "coe": 15, "kls": 173, "wa": 176, "lime": 225,
    "ru": 136, "per": 225, "mang": 225, "cor": 167, "esk": 167, "NiO": 225, "pnt": 148, "geik": 148, "bdy": 14,
    "ten": 15, "cup": 224, "sp": 227, "mt": 227, "picr": 227, "br": 164, "dsp": 62, "gth": 62, "cc": 167,
    "arag": 62, "mag": 167, "sid": 167, "dol": 148, "syv": 225, "hlt": 225, "pyr": 205, "any": 63, "ta": 2,
    "law": 63, "kao": 1, "zo": 62, "spu": 14, "lrn": 14, "sdl": 218, "crd": 66,
}  # fmt: skip
"""Space groups, by the names of the end members."""
MAGNETIC = {"Cr", "Mn", "Fe", "Co", "Ni"}

QUANTITIES = {
    "isobaric_heat_capacity_per_atom": ("Cp, J/(mol-atom K)", 1.0),
    "isobaric_entropy_per_atom": ("S, J/(mol-atom K)", 1.0),
    "thermal_expansion": ("volume expansion, 10^-6/K", 1e6),
    "bulk_modulus": ("bulk modulus, GPa", 1.0),
    "volume_per_atom": ("volume, Angstrom^3/atom", 1.0),
}
CALORIMETRIC = ("isobaric_heat_capacity_per_atom", "isobaric_entropy_per_atom")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    model = CloudModel.from_pretrained(arguments.model)
    rows = compare(model, arguments.data)
    study = {
        "model": model.name,
        "summary": [
            {"quantity": quantity, "group": group, "temperature": T, **summary(part, quantity)}
            for quantity in QUANTITIES
            for group, members in groups(rows, quantity).items()
            for T, part in members.groupby("temperature")
        ],
        "minerals": rows.to_dict("records"),
    }
    (RESULTS / "minerals.json").write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "minerals.md").write_text(markdown(study, rows), encoding="utf-8")
    print(markdown(study, rows))


def compare(model: CloudModel, data: Path) -> pd.DataFrame:
    """One row a mineral and temperature: measured and predicted quantities."""
    measured = {mineral.params["name"]: mineral for mineral in end_members()}
    formulas = {name: formula_of(measured[name]) for name in MINERALS}
    trained = set(measured_crystals(data).formula)
    _, crystals = structures(data, set(formulas.values()))
    rows: list[dict[str, Any]] = []
    for name, group in MINERALS.items():
        formula, mineral = formulas[name], measured[name]
        T = np.array([T for T in TEMPERATURES if transition(mineral) > T])
        curve = model.thermodynamics(crystals[formula, group], T)
        for i, temperature in enumerate(T):
            row = {
                "mineral": name,
                "formula": formula,
                "space_group": group,
                "temperature": float(temperature),
            }
            row |= {"trained": formula in trained, "magnetic": bool(MAGNETIC & elements_of(formula))}
            for quantity, value in measured_quantities(mineral, temperature).items():
                row[f"measured_{quantity}"] = value
                row[quantity] = float(getattr(curve, quantity)[i])
                row[f"{quantity}_std"] = float(getattr(curve, f"{quantity}_std")[i])
            rows.append(row)
    return pd.DataFrame(rows)


def end_members() -> list[Any]:
    from burnman import Mineral
    from burnman.minerals import HP_2011_ds62 as published

    kinds = [kind for _, kind in inspect.getmembers(published, inspect.isclass) if kind is not Mineral]
    return [kind() for kind in kinds if issubclass(kind, Mineral)]


def formula_of(mineral: Any) -> str:
    return reduced_formula(
        "".join(f"{element}{count:g}" for element, count in mineral.params["formula"].items())
    )


def transition(mineral: Any) -> float:
    """The temperature, K, at which the mineral has its first transition at normal pressure; infinite without one."""
    landau = [terms["Tc_0"] for kind, terms in mineral.property_modifiers if kind.startswith("landau")]
    return min(landau, default=np.inf)


def measured_quantities(mineral: Any, temperature: float) -> dict[str, float]:
    """The quantities of `QUANTITIES`, in their units."""
    mineral.set_state(ATMOSPHERE, temperature)
    atoms = sum(mineral.params["formula"].values())
    return {
        "isobaric_heat_capacity_per_atom": float(mineral.C_p / atoms),
        "isobaric_entropy_per_atom": float(mineral.S / atoms),
        "thermal_expansion": float(mineral.alpha),
        "bulk_modulus": float(mineral.K_T / 1e9),
        "volume_per_atom": float(mineral.V * 1e30 / N_A / atoms),
    }


def groups(rows: pd.DataFrame, quantity: str) -> dict[str, pd.DataFrame]:
    if quantity not in CALORIMETRIC:
        return {"all": rows}
    unseen = rows[~rows.trained]
    return {"not trained on": unseen, "of these without 3d magnets": unseen[~unseen.magnetic]}


def summary(part: pd.DataFrame, quantity: str) -> dict[str, float]:
    measured, off = part[f"measured_{quantity}"], part[quantity] - part[f"measured_{quantity}"]
    return {
        "minerals": len(part),
        "mae": float(off.abs().mean()),
        "median_error_percent": float(100 * (off / measured).abs().median()),
        "bias_percent": float(100 * (off / measured).median()),
        "within_two_standard_errors": float((off.abs() < 2 * part[f"{quantity}_std"]).mean()),
    }


def markdown(study: dict[str, Any], rows: pd.DataFrame) -> str:
    """The study as a page of text."""
    found = [
        [
            QUANTITIES[row["quantity"]][0],
            row["group"],
            f"{row['temperature']:g}",
            str(row["minerals"]),
            f"{QUANTITIES[row['quantity']][1] * row['mae']:.3g}",
            f"{row['median_error_percent']:.1f} %",
            f"{row['bias_percent']:+.1f} %",
            f"{row['within_two_standard_errors']:.0%}",
        ]
        for row in study["summary"]
    ]
    crystals = [
        [row["mineral"], row["formula"]]
        + [
            f"{QUANTITIES[quantity][1] * row[key]:.{digits}f}"
            for quantity, digits in zip(QUANTITIES, (1, 1, 0, 0), strict=False)
            for key in (f"measured_{quantity}", quantity)
        ]
        for row in rows[rows.temperature == ROOM].to_dict("records")
    ]
    heads = ["quantity", "minerals", "K", "number", "MAE", "median error", "bias", "within 2 std"]
    titles = [f"{title}, {side}" for title in ("Cp", "S", "expansion", "B") for side in ("measured", "CLOUD")]
    return "\n".join(
        [
            f"# {study['model']} against measured minerals\n",
            f"{rows.mineral.nunique()} end members of Holland and Powell (2011) at atmospheric pressure, below their "
            "transitions. Heat capacities and entropies of formulas that were trained on are left out; expansions and "
            "bulk moduli of experiment were never trained on. That volume and bulk modulus come from the scalar heads "
            "was decided after a look at this table. Bias is the median.\n",
            markdown_table(heads, found),
            f"\nAt {ROOM:g} K, in the same units:\n",
            markdown_table(["mineral", "formula", *titles], crystals),
            "",
        ]
    )


if __name__ == "__main__":
    main()
