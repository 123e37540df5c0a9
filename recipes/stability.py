"""Errors of formation energies over the whole range of stability, on validation crystals.

    python -m recipes.stability PREPARED MODEL

The height above the convex hull of the Materials Project of 2018 is that of its label, moved by the error of the
formation energy: the hull is that of the calculations.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, roc_auc_score

from cloud_model import CloudModel

NEAR = 0.05  # eV/atom above the hull, within which a crystal counts as one that may exist
HEIGHTS = (0.0, 0.02, 0.05, 0.1, np.inf)  # eV/atom above the hull, between which errors are averaged
TABLES = {"mp20_energy_gap": "MP-20", "mp_formation_energy": "MP 2018", "wbm_44k": "WBM"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepared", type=Path)
    parser.add_argument("model")
    arguments = parser.parse_args()
    energies = pd.read_parquet(arguments.prepared / "energies.parquet")
    model = CloudModel.from_pretrained(arguments.model)
    print(energy_errors(model, energies).to_string())
    print(near_hull(model, energies))


def energy_errors(model: CloudModel, energies: pd.DataFrame) -> pd.DataFrame:
    """Count, mean and median absolute error and mean error, eV/atom, of each table and by height above the hull."""
    error, rows = energy_error(model, energies), []
    for table, title in TABLES.items():
        chosen = (energies.table == table).to_numpy()
        rows.append((title, error[chosen]))
        if table == "mp_formation_energy":
            height = energies.height.to_numpy()
            for low, high in pairwise(HEIGHTS):
                within = chosen & (height >= low) & ((height < high) if low else (height <= high))
                title_of = f"{low:g} to {high:g}" if np.isfinite(high) else f"more than {low:g}"
                rows.append((f"{title}, {title_of} above the hull", error[within]))
    return pd.DataFrame(
        {
            "count": len(errors),
            "mae": np.abs(errors).mean(),
            "median": np.median(np.abs(errors)),
            "bias": errors.mean(),
        }
        for _, errors in rows
    ).set_axis([title for title, _ in rows])


def near_hull(model: CloudModel, energies: pd.DataFrame) -> dict[str, float]:
    """How well predictions tell crystals near the hull from others: the area under the ROC curve, and F1."""
    rows = energies[energies.height.notna() & (energies.table == "mp_formation_energy")]
    height = rows.height + energy_error(model, rows)
    near = rows.height <= NEAR
    return {
        "auc": float(roc_auc_score(near, -height)),
        "f1": float(f1_score(near, height <= NEAR)),
        "share": float(near.mean()),
    }


def energy_error(model: CloudModel, energies: pd.DataFrame) -> np.ndarray:
    """Predicted less calculated formation energy, eV/atom, each on the scale of its table where the model has it."""
    error = np.full(len(energies), np.nan)
    for scale in energies.scale.unique():
        chosen = (energies.scale == scale).to_numpy()
        rows = energies[chosen]
        name = scale if scale in model.properties else "formation_energy_per_atom"
        predicted = model.predict(rows.scope.tolist(), name)[name].to_numpy()
        error[chosen] = predicted - rows.energy.to_numpy()
    return error


if __name__ == "__main__":
    main()
