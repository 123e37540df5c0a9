"""The shipped model against every crystal with published phonons that packages bring.

The references are the full densities of states of NCrystal's library and the force constants in the source
distribution of phonopy. Run ``python benchmarks/validation_study.py --data DIR``; it writes
``validation_study.json``, ``.md`` and ``.svg`` into ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.constants import R
from tqdm import tqdm

from cloud_model import CloudModel, Scope
from cloud_model.display.plots import CLOUD_COLOUR, EXPERIMENT_COLOUR, FLOOR_COLOUR, style
from cloud_model.display.tables import markdown_table
from cloud_model.errors import PhononError
from cloud_model.scope.description import Dialect
from cloud_plugins import validate_heat_capacity
from cloud_plugins.phonopy.spectrum import PhononSpectrum

RESULTS = Path(__file__).parent / "results"
REPORTED = (50.0, 75.0, 100.0, 150.0, 300.0, 600.0)
TEMPERATURES = np.unique([*np.arange(0.0, 1001.0, 10.0), *REPORTED])

EXAMPLES = ("Al2O3", "CaTiO3", "Cr", "MgB2", "MgO", "NaCl", "SiO2-HP", "SnO2", "TiO2-anatase", "ZnO")
FILES = (
    "phonopy_params_Si.yaml",
    "phonopy_params_TiPN3.yaml.xz",
    "phonopy_params_Zr3N4.yaml",
    "phonopy_SrTiO3.yaml.xz",
)
SUPERCELLS = {
    "Amm2": (3, 2, 2),
    "I4_1a": (2, 2, 1),
    "P-3m1": (3, 3, 2),
    "P-4": (1, 1, 2),
    "P-42_1m": (2, 2, 3),
    "P-43m": (2, 2, 2),
    "P-6": (1, 1, 3),
    "P-62m": (1, 1, 2),
    "P-6m2": (2, 2, 3),
    "P2": (3, 2, 2),
    "P222_1": (2, 2, 1),
    "P2_13": (2, 2, 2),
    "P31m": (1, 1, 3),
    "P3m1": (4, 4, 2),
    "P4_1": (2, 2, 1),
    "P4_332": (1, 1, 1),
    "P4mm": (3, 3, 2),
    "P6": (2, 2, 1),
    "P6_222": (2, 2, 2),
    "Pa-3": (2, 2, 2),
    "Pc": (2, 2, 2),
}
ISOTOPES = ("MgD2_sg136_MagnesiumDeuteride.ncmat",)  # a crystal of CLOUD has no isotopes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the training tables")
    parser.add_argument("--model", help="name or folder of a checkpoint; the default one if left out")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()

    model = CloudModel.from_pretrained(arguments.model)
    phonons = phonon_table(arguments.data)
    with TemporaryDirectory() as folder:
        references = [*ncrystal_references(), *phonopy_references(phonopy_source(Path(folder)))]
        rows, refused = compare(model, references)
    mark_training(rows, model.dialect, phonons, arguments.data)
    study = {
        "model": model.name,
        "temperatures": REPORTED,
        "mean_absolute_errors": {
            group: mean_errors(members, phonons) for group, members in groups(rows).items()
        },
        "crystals": sorted(rows, key=lambda row: row["mae"], reverse=True),
        "refused": refused,
        "harmonic_agreement": harmonic_agreement(phonons),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "validation_study.json").write_text(json.dumps(study, indent=1) + "\n")
    (arguments.output / "validation_study.md").write_text(markdown(study))
    figure(study).savefig(arguments.output / "validation_study.svg", metadata={"Date": None})
    print(markdown(study))


def ncrystal_references() -> Iterator[tuple[str, Any]]:
    """Names and materials with a density of states for each of their species."""
    import NCrystal

    for entry in NCrystal.browseFiles(factory="stdlib"):
        info = NCrystal.createInfo(f"stdlib::{entry.name}")
        full = all(isinstance(species, info.DI_VDOS) for species in info.dyninfos)
        if full and info.hasAtomInfo() and entry.name not in ISOTOPES:
            yield f"NCrystal {entry.name.removesuffix('.ncmat')}", info


def phonopy_source(folder: Path) -> Path:
    """Fetch the source distribution of the phonopy that is installed."""
    release = f"phonopy=={version('phonopy')}"
    options = ["--no-deps", "--no-binary", "phonopy", "--quiet", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, release], check=True)
    (archive,) = folder.glob("phonopy-*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # not in Python before 3.11.4
        opened.extractall(folder)  # noqa: S202 (of the package index, and filtered)
    return folder / archive.name.removesuffix(".tar.gz")


def phonopy_references(source: Path) -> Iterator[tuple[str, Any]]:
    """Names and calculations of phonopy's examples and tests, one for each crystal."""
    import phonopy
    from phonopy.interface.vasp import read_vasp

    for example in EXAMPLES:
        yield f"phonopy example {example}", source / "example" / example
    for file in FILES:
        yield f"phonopy test {file.partition('.')[0]}", source / "test" / file
    folder = source / "test" / "phonon"
    for name, repeats in SUPERCELLS.items():
        yield (
            f"phonopy test {name}",
            phonopy.load(
                unitcell=read_vasp(folder / f"POSCAR_{name}"),
                supercell_matrix=repeats,
                primitive_matrix="P",
                force_sets_filename=folder / f"FORCE_SETS_{name}",
            ),
        )


def compare(
    model: CloudModel, references: Sequence[tuple[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """One row a crystal, and the reasons why others were refused."""
    rows, refused = [], {}
    for name, reference in tqdm(references, unit=" crystals", disable=None):
        try:
            result = validate_heat_capacity(reference, model=model, temperatures=TEMPERATURES)
        except PhononError as error:
            refused[name] = error.reason
            continue
        chosen = np.searchsorted(TEMPERATURES, REPORTED)
        rows.append(
            {
                "name": name,
                "formula": result.formula,
                "scope": str(Scope.from_crystal(result.crystal, model.dialect)),
                "mae": result.mae,
                "debye_floor": result.debye_floor,
                "harmonic": result.harmonic_heat_capacity[chosen].tolist(),
                "cloud": result.cloud.heat_capacity_per_atom[chosen].tolist(),
                "one_debye_temperature": result.debye_floor_heat_capacity[chosen].tolist(),
            }
        )
    return rows, refused


def phonon_table(data: Path) -> list[dict[str, Any]]:
    """Rows of the phonons that models are trained on."""
    with gzip.open(data / "phonon_train.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def mark_training(
    rows: list[dict[str, Any]], dialect: Dialect, phonons: list[dict[str, Any]], data: Path
) -> None:
    """Say of each crystal whether training saw its phonons, only its string, or neither."""
    with_phonons = strings(rows, phonons, dialect)
    with_string = set()
    for name in ("pretrain_mp.csv.gz", "pretrain_extra.csv.gz"):
        with gzip.open(data / name, "rt", newline="") as file:
            with_string |= strings(rows, csv.DictReader(file), dialect)
    for row in rows:
        seen = "string" if row["scope"] in with_string else "nothing"
        row["seen_in_training"] = "phonons" if row["scope"] in with_phonons else seen


def strings(rows: list[dict[str, Any]], table: Iterable[dict[str, Any]], dialect: Dialect) -> set[str]:
    """SCOPE of those crystals of a table that share space group and elements with a row."""
    wanted = {
        (scope.space_group, frozenset(dict(scope.composition)))
        for scope in map(Scope.parse, (r["scope"] for r in rows))
    }
    return {
        str(Scope.from_orbits(int(entry["spg"]), entry["orbits"], dialect))
        for entry in table
        if (int(entry["spg"]), frozenset(orbit.partition(":")[0] for orbit in entry["orbits"].split(";")))
        in wanted
    }


def groups(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    seen = [row for row in rows if row["seen_in_training"] == "phonons"]
    return {
        "all crystals": rows,
        "phonons seen in training": seen,
        "phonons not seen in training": [row for row in rows if row not in seen],
    }


def mean_errors(rows: list[dict[str, Any]], phonons: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean absolute errors at the reported temperatures, J/(mol-atom K)."""
    harmonic = np.array([row["harmonic"] for row in rows])
    stable = [row["cv_J_mol_atom_K"] for row in phonons if row["imaginary_fraction"] == 0]
    at = [phonons[0]["temperatures_K"].index(T) for T in REPORTED]
    predictions = {
        "CLOUD": np.array([row["cloud"] for row in rows]),
        "best single Debye temperature": np.array([row["one_debye_temperature"] for row in rows]),
        "mean of the training phonons": np.mean(stable, axis=0)[at],
        "Dulong and Petit": np.full(len(REPORTED), 3 * R),
    }
    errors = {name: np.abs(values - harmonic).mean(axis=0).tolist() for name, values in predictions.items()}
    return {"crystals": len(rows), "errors": errors}


def harmonic_agreement(phonons: list[dict[str, Any]]) -> dict[str, float]:
    """Relative differences of our integrals from published heat capacities of stable crystals, 50 to 800 K."""
    differences = []
    for row in tqdm(phonons, unit=" densities", disable=None):
        if row["imaginary_fraction"] > 0:
            continue
        frequencies = row["dos_frequencies_cm1_first"] + row["dos_step_cm1"] * np.arange(len(row["dos"]))
        spectrum = PhononSpectrum.from_density_of_states(frequencies, row["dos"], "cm^-1")
        published = {
            T: cv for T, cv in zip(row["temperatures_K"], row["cv_J_mol_atom_K"], strict=True) if T >= 50
        }
        differences.append(np.abs(spectrum.heat_capacity(list(published)) / list(published.values()) - 1))
    return {
        "crystals": len(differences),
        "median": float(np.median(differences)),
        "max": float(np.max(differences)),
    }


def markdown(study: dict[str, Any]) -> str:
    """Write the tables."""
    lines = [
        "# Heat capacity against published phonons",
        "",
        "Written by `benchmarks/validation_study.py`. Mean absolute errors of the heat capacity in J/(mol-atom K), "
        f"model `{study['model']}`. The best single Debye temperature is fitted to each crystal's own phonons from "
        "0 to 1000 K: the floor of all models with one.",
    ]
    for group, figures in study["mean_absolute_errors"].items():
        lines += ["", f"## {group.capitalize()} ({figures['crystals']})", ""]
        rows = ([name, *(f"{e:.2f}" for e in errors)] for name, errors in figures["errors"].items())
        lines += [markdown_table(["", *(f"{T:g} K" for T in REPORTED)], rows)]
    lines += ["", "## Worst ten", "", "Mean absolute errors from 0 to 1000 K.", ""]
    worst = (
        [r["formula"], r["name"], f"{r['mae']:.2f}", f"{r['debye_floor']:.2f}", r["seen_in_training"]]
        for r in study["crystals"][:10]
    )
    lines += [markdown_table(["crystal", "reference", "CLOUD", "Debye floor", "seen in training"], worst)]
    agreement = study["harmonic_agreement"]
    lines += ["", "## Harmonic side", ""]
    lines += [
        f"Our integrals of {agreement['crystals']} published densities of states differ from the heat capacities "
        f"published with them by {agreement['median']:.2g} in the median and {agreement['max']:.2g} at most, relative, "
        "from 50 to 800 K."
    ]
    lines += ["", f"## Refused ({len(study['refused'])})", ""]
    lines += [f"- {name}: {reason}" for name, reason in study["refused"].items()]
    return "\n".join(lines) + "\n"


def figure(study: dict[str, Any]) -> Figure:
    """Errors over temperature, and of each crystal against what one Debye temperature could do."""
    with style():
        drawn = Figure(figsize=(9.6, 4.2))
        over_temperature, by_crystal = drawn.subplots(1, 2)
        colours = (CLOUD_COLOUR, FLOOR_COLOUR, "0.45", "0.75")
        errors = study["mean_absolute_errors"]["phonons not seen in training"]["errors"]
        for (name, values), colour in zip(errors.items(), colours, strict=True):
            over_temperature.plot(REPORTED, values, "o-", color=colour, label=name)
        over_temperature.set(
            xlabel="Temperature (K)",
            ylabel="Mean absolute error (J/(mol-atom K))",
            title="Crystals whose phonons were not seen",
            ylim=(0, 1.6 * max(errors["mean of the training phonons"])),
        )
        over_temperature.legend()
        for seen, colour in (("phonons", "0.6"), ("string", CLOUD_COLOUR), ("nothing", EXPERIMENT_COLOUR)):
            members = [row for row in study["crystals"] if row["seen_in_training"] == seen]
            floors, maes = [row["debye_floor"] for row in members], [row["mae"] for row in members]
            label = {"phonons": "phonons seen", "string": "string seen", "nothing": "never seen"}[seen]
            by_crystal.loglog(floors, maes, "o", color=colour, markersize=5, alpha=0.8, label=label)
        limits = by_crystal.get_ylim()
        by_crystal.plot(limits, limits, color="0.5", linewidth=1)
        by_crystal.set(
            xlabel="Error of the best single Debye temperature (J/(mol-atom K))",
            ylabel="Error of CLOUD (J/(mol-atom K))",
            title="Mean absolute errors, 0 to 1000 K",
        )
        by_crystal.legend()
    return drawn


if __name__ == "__main__":
    main()
