"""Crystals at constant pressure against quasi-harmonic phonons, and experiment beside both.

    python -m benchmarks.quasi_harmonic [--model NAME]

Phonons are phonopy's own examples, of density-functional theory, out of its source distribution, and those of
potentials (``cloud-plugins[potentials]``): EMT of ASE for copper, SevenNet's 7net-0 for MgO and 7net-l3i5 for silicon,
each relaxed, at seven volumes, in supercells of at least 8 Angstrom. 7net-0 for silicon and CHGNet for MgO are refused,
since their force constants jump between volumes. Writes ``benchmarks/results/quasi_harmonic.*``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase.build import bulk

from benchmarks.validation_study import phonopy_source
from cloud_model import CloudModel
from cloud_model.display.tables import markdown_table
from cloud_model.errors import PhononError
from cloud_plugins import validate_quasi_harmonic

RESULTS = Path(__file__).parent / "results"
ROOM = 300.0  # K
TEMPERATURES = (100.0, ROOM, 600.0, 1000.0)
QUANTITIES = {
    "heat_capacity": ("Cp, J/(mol-atom K)", 1.0, 1),
    "thermal_expansion": ("volume expansion, 10^-6/K", 1e6, 0),
    "bulk_modulus": ("bulk modulus, GPa", 1.0, 0),
}
ERRORS = {
    "heat_capacity": ("Cp, J/(mol-atom K)", 1.0),
    "thermal_expansion": ("volume expansion, 10^-6/K", 1e6),
    "bulk_modulus": ("bulk modulus, GPa", 1.0),
    "gibbs_energy": ("Gibbs energy, kJ/mol-atom", 1e-3),
}
WIDE, NARROW = np.linspace(-0.03, 0.07, 7), np.linspace(-0.015, 0.015, 7)
POTENTIALS = (
    ("Cu", bulk("Cu"), "emt", WIDE),
    ("MgO", bulk("MgO", "rocksalt", a=4.21), "7net-0", WIDE),
    ("MgO", bulk("MgO", "rocksalt", a=4.21), "chgnet", WIDE),
    ("Si", bulk("Si"), "7net-0", NARROW),
    ("Si", bulk("Si"), "7net-l3i5", NARROW),
)
EXAMPLES = (("Al", 900.0), ("Cu", 1000.0), ("Si", 1000.0))
"""Of phonopy, and the highest temperatures, K."""
MEASURED = {
    "Al": {"heat_capacity": 24.2, "thermal_expansion": 69.3e-6, "bulk_modulus": 73.0},
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
    study: dict[str, Any] = {"model": model.name, "errors": [], "rows": [], "refused": []}
    with TemporaryDirectory() as folder:
        for formula, source, options in references(Path(folder)):
            case = {"formula": formula, "source": source}
            try:
                found = validate_quasi_harmonic(**options, model=model)
            except PhononError as error:
                study["refused"].append(case | {"reason": error.reason})
                continue
            study["errors"].append(case | {name: found.summary()[f"{name}_mae"] for name in ERRORS})
            frame = found.to_frame().set_index("temperature")
            study["rows"] += [
                case | {"temperature": T} | frame.loc[T].to_dict()
                for T in frame.index.intersection(TEMPERATURES)
            ]
    (RESULTS / "quasi_harmonic.json").write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "quasi_harmonic.md").write_text(markdown(study), encoding="utf-8")
    print(markdown(study))


def references(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Formulas, sources and arguments of `validate_quasi_harmonic`."""
    examples = phonopy_source(folder) / "example"
    for formula, highest in EXAMPLES:
        example = examples / f"{formula}-QHA"
        crystal = min(example.glob("POSCAR*"))
        yield formula, "phonopy", {"reference": example, "crystal": crystal, "max_temperature": highest}
    for formula, atoms, calculator, strains in POTENTIALS:
        yield (
            formula,
            calculator,
            {"reference": atoms, "calculator": calculator, "strains": strains, "supercell_length": 8.0},
        )


def markdown(study: dict[str, Any]) -> str:
    """The study as a page of text."""
    rows = []
    for row in study["rows"]:
        for name, (title, factor, digits) in QUANTITIES.items():
            reference, cloud, error = (
                f"{factor * row[key]:.{digits}f}"
                for key in (f"quasi_harmonic_{name}", f"cloud_{name}", f"cloud_{name}_std")
            )
            known = (
                f"{factor * MEASURED[row['formula']][name]:.{digits}f}" if row["temperature"] == ROOM else ""
            )
            case = row["formula"], row["source"], f"{row['temperature']:g}"
            rows.append([*case, title, reference, f"{cloud} ± {error}", known])
    errors = [
        [
            row["formula"],
            row["source"],
            *(f"{factor * row[name]:.3g}" for name, (_, factor) in ERRORS.items()),
        ]
        for row in study["errors"]
    ]
    heads = ["crystal", "phonons", "K", "quantity", "quasi-harmonic", "CLOUD", "measured"]
    refused = [f"- {row['formula']}, {row['source']}: {row['reason']}" for row in study["refused"]]
    return "\n".join(
        [
            f"# {study['model']} and quasi-harmonic phonons\n",
            "At constant pressure; measured at 300 K. Potentials that learned from energies near equilibrium are "
            "softer than crystals are.\n",
            markdown_table(heads, rows, numbers=False),
            "\nMean absolute differences, from 0 K to the highest temperature:\n",
            markdown_table(["crystal", "phonons", *(title for title, _ in ERRORS.values())], errors),
            "\nRefused:\n",
            *refused,
            "",
        ]
    )


if __name__ == "__main__":
    main()
