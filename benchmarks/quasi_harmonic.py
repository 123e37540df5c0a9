"""Crystals at constant pressure against quasi-harmonic phonons of potentials, and experiment beside both.

    python -m benchmarks.quasi_harmonic [--model NAME]

Needs ``cloud-plugins[potentials]``. Potentials: EMT of ASE for copper, SevenNet's 7net-0 for MgO and 7net-l3i5 for
silicon, each relaxed, at seven volumes, in supercells of at least 8 Angstrom. 7net-0 for silicon and CHGNet for MgO
are refused, since their force constants jump between volumes. Writes ``benchmarks/results/quasi_harmonic.*``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk

from cloud_model import CloudModel
from cloud_model.errors import PhononError
from cloud_plugins import validate_quasi_harmonic

RESULTS = Path(__file__).parent / "results"
TEMPERATURES = (100.0, 300.0, 600.0, 1000.0)
QUANTITIES = {
    "heat_capacity": ("Cp, J/(mol-atom K)", 1.0, 1),
    "thermal_expansion": ("volume expansion, 10^-6/K", 1e6, 0),
    "bulk_modulus": ("bulk modulus, GPa", 1.0, 0),
}
WIDE, NARROW = np.linspace(-0.03, 0.07, 7), np.linspace(-0.015, 0.015, 7)
CASES = (
    ("Cu", bulk("Cu"), "emt", WIDE),
    ("MgO", bulk("MgO", "rocksalt", a=4.21), "7net-0", WIDE),
    ("MgO", bulk("MgO", "rocksalt", a=4.21), "chgnet", WIDE),
    ("Si", bulk("Si"), "7net-0", NARROW),
    ("Si", bulk("Si"), "7net-l3i5", NARROW),
)
MEASURED = {
    "Cu": {"heat_capacity": 24.4, "thermal_expansion": 49.5e-6, "bulk_modulus": 137.0},
    "MgO": {"heat_capacity": 18.6, "thermal_expansion": 31.2e-6, "bulk_modulus": 160.0},
    "Si": {"heat_capacity": 20.0, "thermal_expansion": 7.8e-6, "bulk_modulus": 98.0},
}
"""At 300 K: NIST-JANAF, CRC Handbook of Chemistry and Physics."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    model = CloudModel.from_pretrained(parser.parse_args().model)
    warnings.filterwarnings("ignore")  # of the potentials' own
    study: dict[str, Any] = {"model": model.name, "rows": [], "refused": []}
    for formula, atoms, calculator, strains in CASES:
        try:
            found = validate_quasi_harmonic(
                atoms, calculator=calculator, model=model, supercell_length=8.0, strains=strains
            )
        except PhononError as error:
            study["refused"].append({"formula": formula, "calculator": calculator, "reason": str(error)})
            continue
        frame = found.to_frame().set_index("temperature")
        for temperature in frame.index.intersection(TEMPERATURES):
            study["rows"].append(
                {"formula": formula, "calculator": calculator, "temperature": temperature}
                | frame.loc[temperature].to_dict()
            )
    (RESULTS / "quasi_harmonic.json").write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "quasi_harmonic.md").write_text(markdown(study), encoding="utf-8")
    print(markdown(study))


def markdown(study: dict[str, Any]) -> str:
    """The study as a page of text."""
    lines = [
        f"# {study['model']} and quasi-harmonic phonons of potentials\n",
        "At constant pressure; measured at 300 K. Potentials that learned from energies near equilibrium are softer "
        "than crystals are.\n",
        "| crystal | potential | K | quantity | quasi-harmonic | CLOUD | measured |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    for row in study["rows"]:
        for name, (title, factor, digits) in QUANTITIES.items():
            values = [factor * row[f"{side}_{name}"] for side in ("quasi_harmonic", "cloud")]
            error = factor * row[f"cloud_{name}_std"]
            known = (
                f"{factor * MEASURED[row['formula']][name]:.{digits}f}" if row["temperature"] == 300 else ""
            )
            lines.append(
                f"| {row['formula']} | {row['calculator']} | {row['temperature']:g} | {title} "
                f"| {values[0]:.{digits}f} | {values[1]:.{digits}f} ± {error:.{digits}f} | {known} |"
            )
    lines += [
        "\nRefused:\n",
        *(f"- {row['formula']}, {row['calculator']}: {row['reason']}" for row in study["refused"]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
