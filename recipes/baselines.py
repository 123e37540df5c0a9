"""Measure the baselines of the model card: dummy, ridge on composition, extra trees on composition and symmetry.

    python recipes/baselines.py DATA

Fitted to the labels that the networks are fitted to, and measured on the crystals that the card measures.
"""

from __future__ import annotations

import argparse
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from finetune import scalar_targets
from numpy.typing import NDArray

from cloud_model import Scope
from cloud_model.properties import SCALARS
from cloud_model.training.baselines import baseline_predictions

CURVE = "heat_capacity_per_atom"
TEMPERATURES = (50.0, 75.0, 150.0, 300.0)  # K


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    table = pd.read_parquet(data / "labels.parquet")
    training, (_, testing) = table[table.split == "train"], halves(table[table.split == "validation"])

    errors: dict[str, dict[str, float]] = {}
    seen, asked = (rows[rows.heat_capacities.notna()] for rows in (training, testing))
    curves, expected = (np.stack([curve_at(rows, T) for T in TEMPERATURES], axis=1) for rows in (seen, asked))
    for baseline, values in baseline_predictions(parsed(seen), curves, parsed(asked)).items():
        for temperature, error in zip(TEMPERATURES, np.abs(values - expected).mean(0), strict=True):
            errors.setdefault(f"{CURVE} at {temperature:g} K", {})[f"{baseline}_mae"] = float(error)

    targets = scalar_targets(training)
    for name in SCALARS:
        seen, asked = (rows[rows[name].notna()] for rows in (training, testing))
        labels = targets[name].normalise(seen[name].to_numpy(float))
        for baseline, values in baseline_predictions(parsed(seen), labels, parsed(asked)).items():
            physical, _ = targets[name].physical(values, np.zeros_like(values))
            error = np.abs(physical - asked[name].to_numpy(float)).mean()
            errors.setdefault(name, {})[f"{baseline}_mae"] = float(error)
        print(name, errors[name], flush=True)
        (data / "baselines.json").write_text(json.dumps(errors, indent=1))


def halves(validation: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calibration half and test half of the validation crystals, no composition in both."""
    compositions = [text.rsplit(" | ", 1)[1].encode() for text in validation.scope]
    first = np.array([sha256(composition).digest()[0] % 2 == 0 for composition in compositions])
    return validation[first], validation[~first]


def curve_at(rows: pd.DataFrame, temperature: float) -> NDArray:
    """Heat capacities of the rows that have them, J/(mol-atom K)."""
    known = rows[rows.heat_capacities.notna()]
    pairs = zip(known.temperatures, known.heat_capacities, strict=True)
    return np.array([curve[list(grid).index(temperature)] for grid, curve in pairs])


def parsed(rows: pd.DataFrame) -> list[Scope]:
    return [Scope.parse(text) for text in rows.scope]


if __name__ == "__main__":
    main()
