"""Measure the baselines of the model card: dummy, ridge on composition, extra trees on composition and symmetry.

    python -m recipes.baselines DATA

Fitted to the labels that the networks are fitted to, of properties with more of them to as many as `MOST` drawn at
random, and measured on the crystals that the card measures. An interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cloud_model import Scope
from cloud_model.properties.catalogue import SCALARS
from cloud_model.training.baselines import baseline_predictions
from recipes.finetune import PROBABILITIES, scalar_targets

CURVE = "heat_capacity_per_atom"
TEMPERATURES = (50.0, 75.0, 150.0, 300.0)  # K
MOST = 12_000  # crystals that baselines are fitted to
MP20_GAP = "band_gap of MP-20 crystals"
PUBLISHED_LABEL = "heat_capacity at 300 K, published label"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    table = pd.read_parquet(data / "labels.parquet")
    training, testing = table[table.split == "train"], table[table.split == "validation"]

    energies = pd.read_parquet(data / "energies.parquet")
    output = data / "baselines.json"
    errors: dict[str, dict[str, float]] = json.loads(output.read_text()) if output.exists() else {}
    seen, asked = (with_curves(rows) for rows in (training, testing))
    curves, expected = (np.stack([curve_at(rows, T) for T in TEMPERATURES], axis=1) for rows in (seen, asked))
    for baseline, values in baseline_predictions(parsed(seen), curves, parsed(asked)).items():
        for temperature, error in zip(TEMPERATURES, np.abs(values - expected).mean(0), strict=True):
            errors.setdefault(f"{CURVE} at {temperature:g} K", {})[f"{baseline}_mae"] = float(error)

    targets = scalar_targets(training)
    for name in SCALARS.keys() - errors.keys():
        seen, asked = (rows[rows[name].notna()] for rows in (training, testing))
        seen = seen.sample(min(MOST, len(seen)), random_state=0)
        labels = targets[name].normalise(seen[name].to_numpy(float))
        for baseline, values in baseline_predictions(parsed(seen), labels, parsed(asked)).items():
            if name in PROBABILITIES:
                physical = values
            else:
                physical, _ = targets[name].physical(values, np.zeros_like(values))
            error = np.abs(physical - asked[name].to_numpy(float))
            errors.setdefault(name, {})[f"{baseline}_mae"] = float(error.mean())
            if name == "band_gap":
                errors.setdefault(MP20_GAP, {})[f"{baseline}_mae"] = float(
                    error[of_mp20(asked, energies)].mean()
                )
        print(name, errors[name], flush=True)
        output.write_text(json.dumps(errors, indent=1))

    published = pd.read_parquet(data / "cloud_label.parquet")
    seen, asked = (published[published.split == split] for split in ("train", "validation"))
    per_atom = (seen.heat_capacity / seen.n_atoms).to_numpy()
    for baseline, values in baseline_predictions(parsed(seen), per_atom, parsed(asked)).items():
        error = np.abs(values * asked.n_atoms - asked.heat_capacity).mean()
        errors.setdefault(PUBLISHED_LABEL, {})[f"{baseline}_mae"] = float(error)
    output.write_text(json.dumps(errors, indent=1))


def of_mp20(rows: pd.DataFrame, energies: pd.DataFrame) -> NDArray:
    """Whether each crystal is one of MP-20, near the convex hull."""
    return rows.scope.isin(energies.scope[energies.table == "mp20_energy_gap"]).to_numpy()


def with_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Those with heat capacities at all temperatures."""
    return rows[
        [isinstance(curve, np.ndarray) and not np.isnan(curve).any() for curve in rows.heat_capacities]
    ]


def curve_at(rows: pd.DataFrame, temperature: float) -> NDArray:
    """Heat capacities of rows that have them, J/(mol-atom K)."""
    pairs = zip(rows.temperatures, rows.heat_capacities, strict=True)
    return np.array([curve[list(grid).index(temperature)] for grid, curve in pairs])


def parsed(rows: pd.DataFrame) -> list[Scope]:
    return [Scope.parse(text) for text in rows.scope]


if __name__ == "__main__":
    main()
