"""Build the pretraining corpus and the multi-task table of the shipped checkpoints from public data.

    python recipes/prepare.py DATA OUTPUT

writes ``corpus.parquet`` and ``validation.parquet`` (SCOPE strings), ``labels.parquet`` (SCOPE strings, one column a
property, temperatures and heat capacities, and the split) and ``cloud_label.parquet`` (the published label of the
heat capacity, of crystals with imaginary modes too, which is only measured on).

Equal strings are merged and their labels averaged. Rows whose composition hashes into the validation twentieth
are validation rows in every table, and are left out of the corpus, so that no validation composition has been
seen in any form.
"""

from __future__ import annotations

import argparse
import gzip
import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Element

from cloud_model import Scope, debye
from cloud_model.crystal.elements import SYMBOLS

HEAT_CAPACITY_STABLE = 1e-3  # largest share of imaginary modes of a row whose heat capacity is a label

SCALARS = {
    "aflow_train": {
        "debye_temperature": "debye_temperature",
        "bulk_modulus": "bulk_modulus",
        "shear_modulus": "shear_modulus",
        "thermal_conductivity": "thermal_conductivity",
        "thermal_expansion": "thermal_expansion",
    },
    "elasticity": {"bulk_modulus": "bulk_modulus_mp", "shear_modulus": "shear_modulus_mp"},
    "dielectric_train": {"n": "refractive_index"},
    "mp20_energy_gap": {
        "formation_energy_per_atom": "formation_energy_per_atom",
        "e_above_hull": "energy_above_hull_mp20",
        "band_gap": "band_gap",
    },
    "mp2018_energy_gap": {
        "formation_energy_eV_atom": "formation_energy_2018",
        "band_gap_eV": "band_gap",
        "volume_per_atom": "volume_per_atom",
        "magnetization_per_atom": "magnetization_per_atom",
    },
    "mp_pbe_gap": {"band_gap": "band_gap"},
    "wbm_10k": {"formation_energy_per_atom": "formation_energy_wbm", "band_gap": "band_gap"},
    "perovskites": {"heat_all": "perovskite_formation_energy"},
    "phonon_peak": {"last_phdos_peak_cm-1": "max_phonon_frequency"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    labels = pd.concat([*(scalar_labels(arguments.data, name) for name in SCALARS), volumes(arguments.data)])
    labels = labels.groupby("scope", sort=False).mean().join(heat_capacities(arguments.data), how="outer")
    add_metals(labels)
    labels["split"] = ["validation" if is_validation(text) else "train" for text in labels.index]
    labels.reset_index().to_parquet(arguments.output / "labels.parquet")

    published_labels(arguments.data).to_parquet(arguments.output / "cloud_label.parquet")

    unlabelled = [table(arguments.data, name).scope for name in ("pretrain_mp", "pretrain_extra")]
    corpus = pd.concat([*unlabelled, labels.index.to_series()]).drop_duplicates()
    held_out = np.array([is_validation(text) for text in corpus])
    corpus, validation = corpus[~held_out], corpus[held_out]
    corpus.to_frame("scope").reset_index(drop=True).to_parquet(arguments.output / "corpus.parquet")
    validation.to_frame("scope").reset_index(drop=True).to_parquet(arguments.output / "validation.parquet")

    print(f"corpus: {len(corpus)} strings; labels: {len(labels)} strings")
    print(labels.groupby("split").count().T.to_string())


def table(data: Path, name: str) -> pd.DataFrame:
    """A table whose column `scope` is the `sites` string of its orbits."""
    rows = pd.read_csv(data / f"{name}.csv.gz", keep_default_na=False)
    rows = rows[rows.orbits != ""].copy()
    rows["scope"] = [
        str(Scope.from_orbits(int(n), orbits)) for n, orbits in zip(rows.spg, rows.orbits, strict=True)
    ]
    return rows


def scalar_labels(data: Path, name: str) -> pd.DataFrame:
    """The labels of one table under the names of our properties, rows of equal strings kept."""
    rows = table(data, name)
    if name == "mp2018_energy_gap":
        rows["volume_per_atom"] = rows.volume_A3 / rows.n_sites
        rows["magnetization_per_atom"] = rows.magnetization.abs() / rows.n_sites
    values = rows[[*SCALARS[name]]].apply(pd.to_numeric).rename(columns=SCALARS[name])
    if name == "aflow_train":
        values = values.where(values > 0)  # one crystal has no thermal expansion: its fit failed
    return values.assign(scope=rows.scope)


def volumes(data: Path) -> pd.DataFrame:
    """Volumes per atom, in cubic Angstrom, of the phonon structures."""
    return pd.DataFrame(
        {"scope": sites_string(row), "volume_per_atom": cell_volume(row["lattice"]) / len(row["species"])}
        for row in read_jsonl(data / "phonon_train.jsonl.gz")
    )


def heat_capacities(data: Path) -> pd.DataFrame:
    """Temperatures (K) and heat capacities (J/(mol-atom K)) of the crystals without imaginary modes."""
    rows = pd.DataFrame(
        {
            "scope": sites_string(row),
            "temperatures": row["temperatures_K"],
            "heat_capacities": row["cv_J_mol_atom_K"],
        }
        for row in read_jsonl(data / "phonon_train.jsonl.gz")
        if row["imaginary_fraction"] < HEAT_CAPACITY_STABLE
    )
    return rows.groupby("scope", sort=False).agg(
        {"temperatures": "first", "heat_capacities": lambda curves: np.mean(list(curves), axis=0).tolist()}
    )


def add_metals(labels: pd.DataFrame) -> None:
    """Give training metals the heat capacity of one Debye spectrum, at the Debye temperature of AFLOW.

    The phonons are those of semiconductors and insulators: without these curves the heat capacity of a metal
    would be a guess. Those of the validation crystals stay true phonons.
    """
    metals = {symbol for symbol in SYMBOLS if Element(symbol).is_metal}
    grid = labels.temperatures.dropna().iloc[0]
    for text, theta in labels.debye_temperature[labels.heat_capacities.isna()].dropna().items():
        elements = set(text.rsplit(" | ", 1)[1].split()[::2])
        if elements <= metals and not is_validation(text):
            curve = debye.heat_capacity(torch.tensor(theta), torch.tensor(grid, dtype=torch.float64))
            labels.at[text, "temperatures"], labels.at[text, "heat_capacities"] = grid, curve.tolist()


def published_labels(data: Path) -> pd.DataFrame:
    """Heat capacity at 300 K in J/(mol K) of the primitive cell, imaginary modes counted as zero."""
    rows = pd.DataFrame(
        {
            "scope": sites_string(row),
            "n_atoms": row["cloud_n_atoms"],
            "heat_capacity": row["cloud_cv_300K_J_mol_cell_K"],
            "stable": row["imaginary_fraction"] < HEAT_CAPACITY_STABLE,
        }
        for row in read_jsonl(data / "phonon_train.jsonl.gz")
    )
    rows = rows.dropna()
    return rows.assign(split=["validation" if is_validation(text) else "train" for text in rows.scope])


@cache
def read_jsonl(path: Path) -> list[dict]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def sites_string(row: dict) -> str:
    return str(Scope.from_orbits(row["spg"], row["orbits"]))


def cell_volume(lattice: list[float]) -> float:
    a, b, c = lattice[:3]
    x, y, z = np.cos(np.radians(lattice[3:]))
    return float(a * b * c * np.sqrt(1 - x * x - y * y - z * z + 2 * x * y * z))


def is_validation(scope: str) -> bool:
    return zlib.crc32(scope.rsplit(" | ", 1)[1].encode()) % 20 == 0


if __name__ == "__main__":
    main()
