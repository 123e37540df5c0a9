"""Build the pretraining corpus and the multi-task table of the shipped checkpoints from public data.

    python -m recipes.prepare DATA OUTPUT

writes ``corpus.parquet`` and ``validation.parquet`` (SCOPE strings), ``labels.parquet`` (SCOPE strings, one column a
property, temperatures and heat capacities, and the split), and what is only measured on: ``cloud_label.parquet`` (the
published label of the heat capacity, of crystals with imaginary modes too) and ``energies.parquet`` (formation energies
and band gaps of validation crystals as each table has them).

Equal strings are merged. Rows whose composition hashes into the validation twentieth are validation rows in every
table, and are left out of the corpus, so that no validation composition has been seen in any form. Elements are
training rows.

Formation energies come on two scales, that of the Materials Project until 2020 and that of its corrections of 2020
(Wang et al., Sci. Rep. 11, 15496, 2021). Each is a property of its own; where a crystal has the energy of one scale
only, the other is that energy and a linear function of the composition, fitted to the crystals that have both.
"""

from __future__ import annotations

import argparse
import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Element
from sklearn.linear_model import HuberRegressor

from cloud_model import Scope, debye
from cloud_model.crystal.elements import SYMBOLS
from recipes.compositions import elements_of, is_validation, shares_of

HEAT_CAPACITY_STABLE = 1e-3  # largest share of imaginary modes of a crystal that is dynamically stable
AGREED = 0.15  # eV/atom, largest spread of the models whose median is the energy of a WBM crystal
SOFTEST = 1.0  # GPa, smallest modulus that is a label: rounding hides those below

TABLES: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "mp20_energy_gap",
        {"formation_energy_per_atom": "formation_energy_per_atom", "band_gap": "band_gap"},
    ),
    ("mp_band_gap", {"band_gap": "band_gap"}),
    (
        "wbm_44k",
        {"formation_energy_consensus": "formation_energy_per_atom", "band_gap": "band_gap"},
    ),
    (
        "mp_formation_energy",
        {
            "formation_energy_2018": "formation_energy_per_atom_2018",
            "e_above_hull": "energy_above_hull_2018",
            "magnetization_per_atom": "magnetization_per_atom",
        },
    ),
    ("mp_formation_energy", {"formation_energy_later": "formation_energy_per_atom_2018"}),
    ("wbm_10k", {"formation_energy_per_atom": "formation_energy_per_atom_2018", "band_gap": "band_gap"}),
    (
        "mp2018_energy_gap",
        {
            "band_gap_eV": "band_gap",
            "volume_per_atom": "volume_per_atom",
            "magnetization_per_atom": "magnetization_per_atom",
        },
    ),
    (
        "aflow_train",
        {
            "debye_temperature": "debye_temperature",
            "bulk_modulus": "bulk_modulus",
            "shear_modulus": "shear_modulus",
            "thermal_conductivity": "thermal_conductivity",
            "thermal_expansion": "thermal_expansion",
        },
    ),
    ("mp_elasticity", {"bulk_modulus": "bulk_modulus_mp", "shear_modulus": "shear_modulus_mp"}),
    ("elasticity", {"bulk_modulus": "bulk_modulus_mp", "shear_modulus": "shear_modulus_mp"}),
    ("dielectric_train", {"n": "refractive_index"}),
    ("phonon_peak", {"last_phdos_peak_cm-1": "max_phonon_frequency"}),
    ("jarvis_heat_capacity", {"cv_300K_J_mol_atom_K": "heat_capacity_jarvis"}),
    ("perovskites", {"heat_all": "perovskite_formation_energy"}),
)
"""Tables and the properties that their columns are labels of. Where several label a crystal the first has its word."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    labels = phonon_labels(arguments.data)
    for name, columns in TABLES:
        labels = labels.combine_first(scalar_labels(arguments.data, name, columns))
    labels = labels.combine_first(structure_volumes(arguments.data))
    add_metals(labels)
    add_ground_states(labels)
    convert_energies(labels)
    labels["split"] = ["validation" if is_validation(text) else "train" for text in labels.index]
    labels.index.name = "scope"
    labels.reset_index().to_parquet(arguments.output / "labels.parquet")

    published_labels(arguments.data).to_parquet(arguments.output / "cloud_label.parquet")
    validation_energies(arguments.data).to_parquet(arguments.output / "energies.parquet")

    unlabelled = [table(arguments.data, name).scope for name in ("pretrain_mp", "pretrain_extra")]
    corpus = pd.concat([*unlabelled, labels.index.to_series()]).drop_duplicates()
    held_out = np.array([is_validation(text) for text in corpus])
    corpus, validation = corpus[~held_out], corpus[held_out]
    corpus.to_frame("scope").reset_index(drop=True).to_parquet(arguments.output / "corpus.parquet")
    validation.to_frame("scope").reset_index(drop=True).to_parquet(arguments.output / "validation.parquet")

    print(f"corpus: {len(corpus)} strings; labels: {len(labels)} strings")
    print(labels.groupby("split").count().T.to_string())


@cache
def table(data: Path, name: str) -> pd.DataFrame:
    """A table whose column `scope` is the `sites` string of its orbits."""
    rows = pd.read_csv(data / f"{name}.csv.gz", keep_default_na=False)
    rows = rows[rows.orbits != ""].copy()
    rows["scope"] = [
        str(Scope.from_orbits(int(n), orbits)) for n, orbits in zip(rows.spg, rows.orbits, strict=True)
    ]
    return rows


def scalar_labels(data: Path, name: str, columns: dict[str, str]) -> pd.DataFrame:
    """The labels of one table under the names of our properties, those of equal strings averaged."""
    rows = table(data, name).copy()
    for magnetization in rows.columns.intersection(["magnetization", "total_magnetization"]):
        rows["magnetization_per_atom"] = pd.to_numeric(rows[magnetization]).abs() / rows.n_sites
    if "volume_A3" in rows:
        rows["volume_per_atom"] = rows.volume_A3 / rows.n_sites
    if "consensus_spread" in rows:
        rows = rows[rows.consensus_spread < AGREED]
    values = rows[[*columns]].apply(pd.to_numeric).rename(columns=columns)
    if name == "aflow_train":
        values = values.where(values > 0)  # one crystal has no thermal expansion: its fit failed
    for modulus in values.columns.intersection(["bulk_modulus_mp", "shear_modulus_mp"]):
        values[modulus] = values[modulus].where(values[modulus] >= SOFTEST)
    return values.assign(scope=rows.scope).groupby("scope", sort=False).mean()


def phonon_labels(data: Path) -> pd.DataFrame:
    """Volumes, dynamic stability, temperatures (K) and heat capacities (J/(mol-atom K)) of the phonon crystals.

    The heat capacities are those of crystals without imaginary modes. A crystal is stable if no phase of its string
    has any.
    """
    rows = pd.DataFrame(
        {
            "scope": sites_string(row),
            "volume_per_atom": volume_per_atom(row),
            "stable": row["imaginary_fraction"] < HEAT_CAPACITY_STABLE,
            "temperatures": row["temperatures_K"],
            "heat_capacities": row["cv_J_mol_atom_K"],
        }
        for row in read_jsonl(data / "phonon_train.jsonl.gz")
    )
    grouped = rows.groupby("scope", sort=False)
    curves = rows[rows.stable].groupby("scope", sort=False)
    return pd.DataFrame(
        {
            "volume_per_atom": grouped.volume_per_atom.mean(),
            "dynamic_stability": grouped.stable.min().astype(float),
            "temperatures": curves.temperatures.first(),
            "heat_capacities": curves.heat_capacities.agg(lambda same: np.mean(list(same), axis=0).tolist()),
        }
    )


def structure_volumes(data: Path) -> pd.DataFrame:
    """Volumes per atom, in cubic Angstrom, of structures without other labels, where the corpus has their strings."""
    strings = table(data, "pretrain_mp").set_index("id").scope
    rows = pd.DataFrame(
        {"scope": strings.get(row["id"]), "volume_per_atom": volume_per_atom(row)}
        for row in read_jsonl(data / "structures_mp.jsonl.gz")
    )
    return rows.dropna().groupby("scope", sort=False).mean()


def add_metals(labels: pd.DataFrame) -> None:
    """Give training metals the heat capacity of one Debye spectrum, or one value where no spectrum is known.

    The phonons are those of semiconductors and insulators: without these curves the heat capacity of a metal
    would be a guess. A spectrum has the Debye temperature of AFLOW. The value is that of JARVIS at 300 K, brought to
    the scale of the phonons: it is nearer to the limit of Dulong and Petit by a ninth of the distance, in the median
    of 256 crystals that have both.
    """
    metals = {symbol for symbol in SYMBOLS if Element(symbol).is_metal}
    grid = labels.temperatures.dropna().iloc[0]
    limit = 24.943
    for text, row in labels[labels.heat_capacities.isna()].iterrows():
        if not elements_of(text) <= metals or is_validation(text):
            continue
        if row.debye_temperature > 0:
            theta = torch.tensor(row.debye_temperature)
            curve = debye.heat_capacity(theta, torch.tensor(grid, dtype=torch.float64)).tolist()
        elif row.heat_capacity_jarvis > 0:
            value = limit - (limit - row.heat_capacity_jarvis) / 0.89
            curve = [value if temperature == 300 else np.nan for temperature in grid]
        else:
            continue
        labels.at[text, "temperatures"], labels.at[text, "heat_capacities"] = grid, curve


def add_ground_states(labels: pd.DataFrame) -> None:
    """Elements are where formation energies are zero: on both scales, in their phases on the hull of either."""
    known = labels[["energy_above_hull_2018", "formation_energy_per_atom"]]
    for text in known.index[(known == 0).any(axis=1)]:
        if len(elements_of(text)) == 1:
            labels.loc[text, ["formation_energy_per_atom", "formation_energy_per_atom_2018"]] = 0.0


def convert_energies(labels: pd.DataFrame) -> None:
    """Complete both scales of formation energies by what separates them."""
    recent, older = "formation_energy_per_atom", "formation_energy_per_atom_2018"
    known = labels[[recent, older]].notna()
    composition = np.zeros((len(labels), len(SYMBOLS)))
    for i, text in enumerate(labels.index):
        for element, share in shares_of(text).items():
            composition[i, SYMBOLS.index(element)] = share
    both = known.all(axis=1).to_numpy() & np.array([not is_validation(text) for text in labels.index])
    fit = HuberRegressor(epsilon=1.1, alpha=1e-6, max_iter=1000, fit_intercept=False)
    fit.fit(composition[both], (labels[older] - labels[recent])[both])
    difference = fit.predict(composition)
    difference[(composition == 1).any(axis=1)] = 0.0  # corrections are those of compounds
    missed = np.abs((labels[older] - labels[recent])[both] - difference[both])
    print(
        f"energies of {both.sum()} crystals on both scales; the conversion misses by {missed.mean():.4f} eV/atom"
    )
    labels[recent] = labels[recent].fillna(labels[older] - difference)
    labels[older] = labels[older].fillna(labels[recent] + difference)


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


def validation_energies(data: Path) -> pd.DataFrame:
    """Formation energies and heights above the hull (eV/atom) and band gaps (eV) of validation crystals, one a row."""
    columns = {
        "mp20_energy_gap": ("formation_energy_per_atom", "formation_energy_per_atom", "band_gap"),
        "wbm_44k": ("formation_energy_per_atom", "formation_energy_consensus", "band_gap"),
        "mp_formation_energy": ("formation_energy_per_atom_2018", "formation_energy_2018", None),
    }
    parts = []
    for name, (scale, energy, gap) in columns.items():
        rows = table(data, name)
        rows = rows[[is_validation(text) for text in rows.scope]]
        if name == "wbm_44k":
            rows = rows[rows.consensus_spread < AGREED]
        parts.append(
            pd.DataFrame(
                {
                    "scope": rows.scope,
                    "table": name,
                    "scale": scale,
                    "energy": pd.to_numeric(rows[energy]),
                    "height": pd.to_numeric(rows.e_above_hull) if "e_above_hull" in rows else np.nan,
                    "band_gap": rows[gap] if gap else np.nan,
                }
            )
        )
    return pd.concat(parts, ignore_index=True).dropna(subset="energy")


@cache
def read_jsonl(path: Path) -> list[dict]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def sites_string(row: dict) -> str:
    return str(Scope.from_orbits(row["spg"], row["orbits"]))


def volume_per_atom(row: dict) -> float:
    a, b, c = row["lattice"][:3]
    x, y, z = np.cos(np.radians(row["lattice"][3:]))
    return float(a * b * c * np.sqrt(1 - x * x - y * y - z * z + 2 * x * y * z)) / len(row["species"])


if __name__ == "__main__":
    main()
