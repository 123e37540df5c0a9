"""Band gaps on the scale of experiment: a published correction of predicted ones, judged.

    python -m benchmarks.experimental_gaps

The correction of PBE gaps E, 1.348 E + 0.913 eV, is the line of W. Setyawan et al., ACS Comb. Sci. 13, 382 (2011),
through the gaps of 100 compounds. Nothing is fitted here: the measured gaps of ``data/measured_gaps.csv`` (sources as
in ``benchmarks.experiment``), each of the phase on the hull of its composition, only judge it. Writes
``results/experimental_gaps.*``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cloud_model import CloudModel, Scope

HERE = Path(__file__).parent
MEASURED_GAPS = HERE / "data" / "measured_gaps.csv"
RESULTS = HERE / "results"
RANGES = {
    "all": (0.0, np.inf),
    "below 1.5 eV": (0.0, 1.5),
    "1.5 to 4 eV": (1.5, 4.0),
    "above 4 eV": (4.0, np.inf),
}
"""Name -> bounds of the measured gaps, eV."""


def corrected(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """PBE gaps to the scale of experiment, eV."""
    return 1.348 * gaps + 0.913


def judge(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
    """Errors of predicted gaps and of corrected ones, eV, in each of `RANGES`."""
    rows = {}
    for name, (low, high) in RANGES.items():
        inside = (measured >= low) & (measured < high)
        if not inside.any():
            continue
        errors = {"predicted": predicted - measured, "corrected": corrected(predicted) - measured}
        rows[name] = {"crystals": int(inside.sum())} | {
            f"{kind}_{score}": round(float(function(error[inside])), 3)
            for kind, error in errors.items()
            for score, function in (("mae", lambda e: np.abs(e).mean()), ("bias", np.mean))
        }
    return rows


def report(rows: dict[str, dict[str, Any]]) -> str:
    """Write the errors as Markdown."""
    lines = [
        "# Band gaps on the scale of experiment",
        "",
        "Errors of predicted gaps E against measured ones, and of 1.348 E + 0.913 eV (W. Setyawan et al., ACS Comb. "
        "Sci. 13, 382, 2011), on compounds to which nothing was fitted (`python -m benchmarks.experimental_gaps`).",
        "",
        "| measured gap | crystals | MAE, eV | bias, eV | corrected: MAE, eV | bias, eV |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {row['crystals']} | {row['predicted_mae']:.2f} | {row['predicted_bias']:+.2f} | "
        f"{row['corrected_mae']:.2f} | {row['corrected_bias']:+.2f} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge the correction, and write the results."""
    measured = pd.read_csv(MEASURED_GAPS)
    scopes = [
        Scope.from_orbits(*pair) for pair in zip(measured["space_group"], measured["orbits"], strict=True)
    ]
    predicted = CloudModel.from_pretrained().predict(scopes, "band_gap")["band_gap"].to_numpy()
    rows = judge(predicted, measured["value"].to_numpy())
    (RESULTS / "experimental_gaps.json").write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "experimental_gaps.md").write_text(report(rows))
    print(report(rows))


if __name__ == "__main__":
    main()
