"""Give a checkpoint the head of thermal expansion, from measured heat capacities.

    python -m recipes.thermochemistry DATA CHECKPOINT

The encoder and all other heads stay as they are; those of the volume and of the bulk modulus are a part of the free
energy. Fifteen perceptrons learn from measured heat capacities and entropies of crystals (NIST-JANAF), through the
free energy of `cloud_model.physics.quasi_harmonic`, and, as a prior of the Grüneisen parameter, from calculated
Poisson's ratios (Belomestnykh and Tesleva, Tech. Phys. 49, 1098 (2004)). Volumes and bulk moduli, which they learn as
well, are not used, but improve the others. Three leave out each fifth of the formulas, on which the error bars are set
and the accuracy is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pymatgen.core import Composition
from torch import Tensor
from torch.nn.functional import huber_loss

from cloud_model import Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.files import CARD
from cloud_model.network.batches import run_batched
from cloud_model.network.ensemble import in_physical_units, run_ensemble
from cloud_model.network.heads import (
    EXPANSION,
    KNOWN,
    ExpansionHead,
    Prediction,
    property_features,
    with_calculated,
)
from cloud_model.network.predictor import Predictor, run_heads
from cloud_model.network.tokenizer import Tokens
from cloud_model.physics.isobaric import IsobaricCrystals, UncertainExpansion
from cloud_model.physics.mixture import Spectra
from cloud_model.physics.quasi_harmonic import Equilibrium, Expansion
from cloud_model.properties.catalogue import ISOBARIC
from cloud_model.properties.intervals import interval_factors

STEPS = 250
WARMING = 100  # cheap steps before, on calculated parameters alone, in which the learning rate rises
LEARNING_RATE, WEIGHT_DECAY, DROPOUT, BATCH = 2e-3, 0.1, 0.2, 512
RUNS_UP = 0.15  # a hundred kelvin by which a heat capacity that grows faster is on its way to a transition
ROOM = 298.15  # K
GRID = (100.0, 200.0, ROOM, 400.0, 600.0, 800.0, 1000.0, 1400.0)  # K
GRID_POINTS = torch.tensor(GRID, dtype=torch.float64)
ROWS_OF_A_TABLE = 3000  # of volumes and of moduli; more teach nothing
ENTROPY, CALCULATED = 0.5, 0.2  # weights beside heat capacities
RELATIVE_ERROR, ENTROPY_ERROR = 0.04, 1.0  # of heat capacities and, J/(mol-atom K), of entropies at 298.15 K
PRECISION = (torch.inf, 0.05, 0.15, 0.15, torch.inf)  # of what calculations know, in the natural logarithm
PRIOR = (0.1, 100.0, 100.0, 1.0, 2.0)  # spread about the middle of the ranges, in the natural logarithm
TETRAHEDRAL_OFTEN = 20  # times as often as other crystals
TETRAHEDRAL_GRUNEISEN = 0.7
"""Of tetrahedral networks at room temperature, whose soft shear modes have negative Grüneisen parameters (Barron,
Collins and White, Adv. Phys. 29, 609 (1980)), of which elastic moduli know nothing."""
TETRAHEDRAL = {
    *((227, letter) for letter in ("8a", "8b")),
    *((216, *letters) for letters in (("4a", "4c"), ("4a", "4d"), ("4b", "4c"), ("4b", "4d"))),
    (186, "2b", "2b"),
    (122, "4a", "4b", "8d"),
}
ALKALI_METALS = {"Li", "Na", "K", "Rb", "Cs"}
PRIOR_WEIGHT = 0.1
KNOWN_ERRORS = (0.02, 0.03, 0.15, 0.2, 0.5)  # standard errors of logarithms, the first and the last at least
COVERED = 0.92  # of crystals within two standard errors; intervals are calibrated beside them
CURVE = "isobaric_heat_capacity_per_atom"
METASTABLE = 0.1  # eV/atom above the hull beyond which a structure is not the one that was measured

POLYMORPHS: dict[object, int | None] = {
    "Al-097": None, "Al-098": None, "Al-099": None,  # aluminas with vacancies
    "C-100": 186, "C-101": 216, "O-042": 141, "O-043": 136, "N-035": 159, "S-002": 70,
    "K-018": None, "Li-027": None, "Cs-022": None, "Cl-190": None, "S-003": None,  # of high temperature
}  # fmt: skip
"""Space group of the crystal that a table of JANAF names; None where it is not the ground state."""
STRUCTURES = {
    "Al2O3": (167, "Al:12c;O:18e"),
    "TiN": (225, "N:4a;Ti:4b"),
    "SrO": (225, "O:4a;Sr:4b"),
    "VO": (225, "O:4a;V:4b"),
    "VN": (225, "N:4a;V:4b"),
    "CrN": (225, "Cr:4a;N:4b"),
    "CsCl": (221, "Cl:1a;Cs:1b"),
    "C": (194, "C:2b;C:2c"),
    "Si": (227, "Si:8a"),
    "Na": (229, "Na:2a"),
    "Rb": (229, "Rb:2a"),
    "Mg": (194, "Mg:2c"),
    "Li3N": (191, "Li:1a;Li:2c;N:1b"),
}  # as measured, where the ground state of the tables is another or not in them


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()

    checkpoint = Checkpoint.load(arguments.checkpoint)
    measured, labels = measured_crystals(arguments.data), calculated(arguments.data)
    print(f"{len(measured)} measured crystals, {len(labels)} calculated ones", flush=True)
    for member in checkpoint.members:
        train(member, checkpoint, measured, labels, arguments.steps)
    checkpoint = dataclasses.replace(
        checkpoint, config=dataclasses.replace(checkpoint.config, expansion=True)
    )
    factors, error = accuracy(checkpoint, measured)
    source = f"Measured heat capacities and entropies (NIST-JANAF), {measured.formula.nunique()} formulas"
    properties = {name: dataclasses.replace(info, training_set=source) for name, info in ISOBARIC.items()}
    properties[CURVE] = dataclasses.replace(properties[CURVE], test_error=round(error, 4))
    config = dataclasses.replace(
        checkpoint.config,
        properties={**checkpoint.config.properties, **properties},
        intervals={**checkpoint.config.intervals, CURVE: factors},
    )
    card = (arguments.checkpoint / CARD).read_text(encoding="utf-8")
    dataclasses.replace(checkpoint, config=config).save(arguments.checkpoint, card, torch.float16)


def measured_crystals(data: Path) -> pd.DataFrame:
    """Formula, string, temperatures (K), heat capacities and entropies (J/(mol-atom K)) of crystals of NIST-JANAF.

    A table ends at its first transition or melting point, which shows as a temperature out of the grid of the
    tables or given twice, or before it where the heat capacity begins to run up to one.
    """
    tables = pd.read_csv(data / "janaf_crystals_train.csv.gz", keep_default_na=False)
    tables = tables[(tables.phase == "cr") | (tables.table == "C-002")]  # graphite is a reference state
    tables = tables[~tables.formula.str.contains(".", regex=False)].copy()  # defects
    tables["atoms"] = [Composition(formula).num_atoms for formula in tables.formula]
    tables["formula"] = [reduced_formula(formula) for formula in tables.formula]
    ground_states, known = structures(data, set(tables.formula))
    rows = []
    for (table, formula), points in tables.groupby(["table", "formula"]):
        ground_state = ground_states.get(formula)
        scope = known.get((formula, POLYMORPHS[table])) if table in POLYMORPHS else ground_state
        if scope is not None:
            described = {"table": table, "name": points.name.iloc[0], "formula": formula, "scope": scope}
            rows.append(described | curve(points, points.atoms.iloc[0]))
    return pd.DataFrame(rows)


def curve(points: pd.DataFrame, atoms: float) -> dict[str, object]:
    points = points.sort_values("T_K", kind="stable")
    T, heat_capacity, entropy = points[["T_K", "Cp_J_mol_K", "S_J_mol_K"]].to_numpy(float).T
    off_grid = np.abs(T / 50 - np.round(T / 50)) > 1e-6
    twice = np.append(np.diff(T) == 0, False)
    growth = np.diff(heat_capacity) / heat_capacity[:-1].clip(1e-9) / np.diff(T).clip(1e-9) * 100
    runs_up = np.append((growth > RUNS_UP) & (T[:-1] >= 400) & (heat_capacity[:-1] > 23 * atoms), False)
    ends = np.flatnonzero((T > ROOM + 1) & (off_grid | twice | runs_up))
    kept = slice(ends[0] + 1 if len(ends) else None)
    return {
        "temperatures": T[kept],
        "heat_capacities": heat_capacity[kept] / atoms,
        "entropies": entropy[kept] / atoms,
    }


def structures(data: Path, formulas: set[str]) -> tuple[dict[str, str], dict[tuple[str, int | None], str]]:
    """The string of the ground state of each formula, and of its stablest crystal in each space group."""
    systems = {elements_of(formula) for formula in formulas}

    def rows(name: str, columns: list[str]) -> pd.DataFrame:
        table = pd.read_csv(data / f"{name}.csv.gz", keep_default_na=False)
        table = table[[elements_of(formula) in systems for formula in table.formula]]
        table = table.assign(formula=table.formula.map(reduced_formula))
        return table[table.formula.isin(formulas)][["id", "formula", "spg", "orbits", *columns]]

    energies = [rows(name, ["e_above_hull"]) for name in ("mp_formation_energy", "mp20_energy_gap")]
    on_hull = rows("hull_references", []).assign(e_above_hull=0.0)
    named = rows("pretrain_mp", []).set_index("id")[["spg", "orbits"]]
    table = pd.concat([*energies, on_hull], ignore_index=True)
    unknown = (table.orbits == "") & table.id.isin(named.index)
    table.loc[unknown, ["spg", "orbits"]] = named.loc[table.id[unknown]].to_numpy()
    table["e_above_hull"] = pd.to_numeric(table.e_above_hull, errors="coerce")
    table = table[(table.orbits != "") & (table.e_above_hull < METASTABLE)].sort_values("e_above_hull")
    table["spg"] = table.spg.astype(int)
    table["scope"] = [str(Scope.from_orbits(*row)) for row in zip(table.spg, table.orbits, strict=True)]
    ground_states = dict(zip(table.formula[::-1], table.scope[::-1], strict=True))
    ground_states |= {formula: str(Scope.from_orbits(*known)) for formula, known in STRUCTURES.items()}
    keys = zip(table.formula[::-1], table.spg[::-1], strict=True)
    of_group = dict(zip(keys, table.scope[::-1], strict=True))
    of_group |= {(formula, known[0]): ground_states[formula] for formula, known in STRUCTURES.items()}
    return ground_states, of_group


def elements_of(formula: str) -> frozenset[str]:
    return frozenset(re.findall("[A-Z][a-z]?", formula))


@cache
def reduced_formula(formula: str) -> str:
    try:
        return Composition(formula).reduced_formula
    except ValueError:  # the formula of another cell
        return ""


def calculated(data: Path) -> pd.DataFrame:
    """Strings with the parameters that calculations know; NaN where they do not."""
    volumes = pd.read_csv(data / "mp2018_energy_gap.csv.gz", keep_default_na=False)
    volumes = volumes[volumes.orbits != ""].sample(ROWS_OF_A_TABLE, random_state=0)
    moduli = pd.read_csv(data / "mp_elasticity.csv.gz", keep_default_na=False)
    moduli = moduli[moduli.orbits != ""]
    tetrahedral = moduli[[is_tetrahedral(*row) for row in zip(moduli.spg, moduli.orbits, strict=True)]]
    moduli = pd.concat([moduli.sample(ROWS_OF_A_TABLE, random_state=0), tetrahedral])
    moduli = moduli.drop_duplicates("id")
    bulk, shear = (pd.to_numeric(moduli[name]) for name in ("bulk_modulus", "shear_modulus"))
    poisson = (3 * bulk - 2 * shear) / (6 * bulk + 2 * shear)
    rows = pd.concat(
        [
            volumes.assign(volume=pd.to_numeric(volumes.volume_A3) / pd.to_numeric(volumes.n_sites)),
            moduli.assign(
                bulk_modulus=bulk,
                gruneisen=(1.5 * (1 + poisson) / (2 - 3 * poisson)).mask(
                    moduli.id.isin(tetrahedral.id), TETRAHEDRAL_GRUNEISEN
                ),
            ),
        ]
    )
    rows["scope"] = [str(Scope.from_orbits(int(n), o)) for n, o in zip(rows.spg, rows.orbits, strict=True)]
    rows["formula"] = [reduced_formula(formula) for formula in rows.formula]
    rows["often"] = np.where(rows.gruneisen == TETRAHEDRAL_GRUNEISEN, TETRAHEDRAL_OFTEN, 1.0)
    summary = {"volume": "mean", "bulk_modulus": "mean", "gruneisen": "mean", "often": "max"}
    return rows.groupby(["scope", "formula"]).agg(summary).reset_index()


def is_tetrahedral(group: int, orbits: str) -> bool:
    """Whether this is diamond, zinc blende, wurtzite or chalcopyrite, and not an ionic crystal in their guise."""
    if elements_of(orbits) & ALKALI_METALS:
        return False
    letters = sorted(orbit.partition(":")[2] for orbit in orbits.split(";"))
    return (int(group), *letters) in TETRAHEDRAL


def fold(formula: str) -> int:
    """Which part of the formulas this one belongs to."""
    return zlib.crc32(formula.encode()) % ExpansionHead.PARTS


def train(
    member: Predictor, checkpoint: Checkpoint, measured: pd.DataFrame, labels: pd.DataFrame, steps: int
) -> None:
    """Give one network its head."""
    encode = checkpoint.tokenizer.encode
    features, known = (
        features_of(member, [encode(text) for text in rows.scope]) for rows in (measured, labels)
    )
    spectra, calculated = known_parts([member], checkpoint, [encode(text) for text in measured.scope])
    mean, deviation = known.mean(0), known.std(0) + 1e-6
    inputs, known = (features - mean) / deviation, (known - mean) / deviation
    of_each_part = [
        learned(seed, inputs, spectra, calculated, measured, known, labels, steps)
        for seed in range(ExpansionHead.MEMBERS // ExpansionHead.PARTS)
    ]
    head = ExpansionHead(features.shape[1])
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            parameter[:] = torch.cat([part.get_parameter(name) for part in of_each_part])
        head.hidden.bias -= head.hidden.weight @ (mean / deviation)  # it reads features as they come
        head.hidden.weight /= deviation
    head = head.half().double().requires_grad_(False)  # as it ships
    head.uncertainty[:] = uncertainty(head, features.double(), spectra, calculated, measured)
    member.expansion = head.half().float().eval()


def known_parts(
    members: Sequence[Predictor], checkpoint: Checkpoint, tokens: Sequence[Tokens]
) -> tuple[Spectra, dict[str, Prediction]]:
    """What other heads of networks say of crystals: their spectra, and the properties, in their units."""
    config = checkpoint.config
    output = in_physical_units(run_ensemble(members, tokens), config.targets, config.spread_calibration)
    if output.scalars is None or output.spectra is None:
        raise SystemExit(f"{config.name} predicts no heat capacity")
    columns = zip(config.targets, output.scalars.value.T, output.scalars.scale.T, strict=True)
    return output.spectra, {name: Prediction(*column) for name, *column in columns}


def learned(
    seed: int,
    inputs: Tensor,
    spectra: Spectra,
    calculated: dict[str, Prediction],
    measured: pd.DataFrame,
    known: Tensor,
    labels: pd.DataFrame,
    steps: int,
) -> ExpansionHead:
    """One perceptron for each part of the formulas, which it has not seen; of standardised features."""
    torch.manual_seed(seed)
    learns, knows = (
        torch.tensor(
            [[fold(formula) != part for part in range(ExpansionHead.PARTS)] for formula in rows.formula]
        )
        for rows in (measured, labels)
    )
    targets = torch.tensor(np.log(labels.reindex(columns=[*EXPANSION]).to_numpy(float)), dtype=torch.float32)
    middle = torch.tensor([middle for middle, _ in EXPANSION.values()]).log()

    head = ExpansionHead(inputs.shape[1], ExpansionHead.PARTS)
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    total = WARMING + steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=total, pct_start=WARMING / total
    )
    dropout = torch.nn.Dropout(DROPOUT)
    points = points_of(measured)
    rows, T, heat_capacity, entropy = (torch.tensor(part)[:, None] for part in points)
    rows, scale = rows[:, 0], RELATIVE_ERROR * heat_capacity.clamp(min=10)
    crowd = learns[rows] / rows.bincount()[rows][:, None]  # each crystal counts as much
    here = spectra.each(lambda part: part[rows, None].float())
    volume, modulus = (calculated[name].value[rows, None].float() for name, _ in KNOWN.values())
    strain = torch.zeros(len(rows), ExpansionHead.PARTS, 1)
    often = torch.tensor(labels.often.to_numpy(float))
    for step in range(total):
        batch = torch.multinomial(often, BATCH, replacement=True)
        off = (head.members(dropout(known[batch])) - targets[batch][:, None]) / torch.tensor(PRECISION)
        loss = CALCULATED * (knows[batch] * huber(off)).mean()
        if step >= WARMING:
            logarithms = head.members(dropout(inputs))
            scale_of, _, _, *others = logarithms[rows].exp().unbind(-1)
            parameters = Expansion(scale_of, volume, modulus, *others)
            near = Equilibrium(here, parameters, T[..., None], torch.zeros(()), strain)
            state = near.moved()  # a step of Newton's from where the last one led
            strain = state.strain.detach()
            losses = huber((state.isobaric_heat_capacity - heat_capacity[..., None]) / scale[..., None])
            missed = huber((state.entropy - entropy[..., None]) / ENTROPY_ERROR)
            prior = (((logarithms - middle) / torch.tensor(PRIOR)) ** 2).sum(-1) / 2
            loss = loss + (crowd * losses).sum() / learns.sum()
            loss = loss + ENTROPY * (learns[rows] * missed).sum() / learns.sum()
            loss = loss + PRIOR_WEIGHT * (learns * prior).sum() / learns.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head


def uncertainty(
    head: ExpansionHead,
    features: Tensor,
    spectra: Spectra,
    calculated: dict[str, Prediction],
    measured: pd.DataFrame,
) -> Tensor:
    """Standard errors of the logarithms of the parameters, from crystals that some perceptrons have not seen.

    Those of the spectra and of the anharmonic term are as large as it takes for `COVERED` of the measured entropies at
    298.15 K and heat capacities from 600 K on to lie within two of the errors that all parameters make.
    """
    logarithms = out_of_fold(head.members(features), measured)
    known = torch.tensor(KNOWN_ERRORS, dtype=torch.float64)
    expansion = with_calculated(UncertainExpansion(logarithms, known.expand_as(logarithms)), calculated)
    crystals = IsobaricCrystals(spectra, expansion, GRID_POINTS)
    _, heat_capacity, entropy = (torch.from_numpy(part) for part in on_grid(measured))
    misses = [
        ((values - found).numpy(), derivatives.numpy())
        for values, (found, derivatives) in (
            (entropy, crystals.sensitivities("entropy")),
            (heat_capacity, crystals.sensitivities("isobaric_heat_capacity")),
        )
    ]
    found, room = np.array(KNOWN_ERRORS), GRID.index(ROOM)
    errors = expansion.errors.T.numpy().copy()

    def covers(quantity: int, columns: slice) -> bool:
        missed, derivatives = misses[quantity]
        errors[[0, -1]] = found[[0, -1], None]
        error = np.sqrt(((derivatives * errors[..., None]) ** 2).sum(0))
        return bool((np.nanquantile(np.abs(missed) / error, COVERED, axis=0)[columns] < 2).all())

    while not covers(0, slice(room, room + 1)) and found[0] < 0.3:
        found[0] += 0.01
    while not covers(1, slice(GRID.index(600.0), None)) and found[-1] < 3:
        found[-1] += 0.1
    print("standard errors of the logarithms:", dict(zip(EXPANSION, found.round(2).tolist(), strict=True)))
    return torch.from_numpy(found)


def out_of_fold(members: Tensor, measured: pd.DataFrame) -> Tensor:
    """What those perceptrons say in the mean that have not seen the formula, shape (n, 5)."""
    folds = torch.tensor([fold(formula) for formula in measured.formula])
    parts = members.unflatten(1, (-1, ExpansionHead.PARTS)).mean(1)
    return parts[torch.arange(len(folds)), folds]


def unseen(checkpoint: Checkpoint, measured: pd.DataFrame) -> IsobaricCrystals:
    """The measured crystals at the temperatures of `GRID`, as those perceptrons say that have not seen the formula."""
    tokens = [checkpoint.tokenizer.encode(text) for text in measured.scope]
    spectra, calculated = known_parts(checkpoint.members, checkpoint, tokens)
    unseen = [
        UncertainExpansion(
            out_of_fold(member.expansion.members(features_of(member, tokens)), measured).double(),
            run_heads(member, tokens).expansion.errors.double(),
        )
        for member in checkpoint.members
    ]
    mean = UncertainExpansion(*(torch.stack(parts).mean(0) for parts in zip(*unseen, strict=True)))
    return IsobaricCrystals(spectra, with_calculated(mean, calculated), GRID_POINTS)


def accuracy(checkpoint: Checkpoint, measured: pd.DataFrame) -> tuple[dict[str, float], float]:
    """Factors of prediction intervals, and the mean absolute error of the heat capacity at 298.15 K."""
    crystals = unseen(checkpoint, measured)
    _, heat_capacity, entropy = on_grid(measured)
    room = GRID.index(ROOM)
    found, error = (part.numpy() for part in crystals("isobaric_heat_capacity"))
    missed = np.abs(found - heat_capacity)
    for column, T in enumerate(GRID):
        median = 100 * np.nanmedian(missed[:, column] / heat_capacity[:, column])
        print(
            f"Cp({T:g} K): MAE {np.nanmean(missed[:, column]):.2f} J/(mol-atom K), median error {median:.1f}%"
        )
    off = np.abs(crystals("entropy")[0].numpy() - entropy)[:, room]
    print(f"S(298.15 K): MAE {np.nanmean(off):.2f} J/(mol-atom K)", flush=True)
    return interval_factors((missed / error)[:, room:].ravel()), float(np.nanmean(missed[:, room]))


def points_of(measured: pd.DataFrame) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Rows, temperatures, heat capacities and, at 298.15 K only, entropies of all that was measured."""
    T, heat_capacity, entropy = on_grid(measured)
    entropy[T != ROOM] = np.nan
    rows, columns = np.nonzero(np.isfinite(heat_capacity))
    temperatures, capacities, entropies = (
        part[rows, columns].astype(np.float32) for part in (T, heat_capacity, entropy)
    )
    return rows, temperatures, capacities, entropies


def on_grid(measured: pd.DataFrame) -> tuple[NDArray, NDArray, NDArray]:
    """Temperatures, heat capacities and entropies of shape (crystals, `GRID`), NaN where not measured."""
    columns = []
    for row in measured.itertuples():
        places = [np.flatnonzero(np.abs(row.temperatures - T) < 0.1)[-1:] for T in GRID]
        columns.append(
            [
                [values[p[0]] if len(p) else np.nan for p in places]
                for values in (row.heat_capacities, row.entropies)
            ]
        )
    heat_capacity, entropy = np.moveaxis(np.array(columns), 1, 0)
    return np.broadcast_to(GRID, heat_capacity.shape).copy(), heat_capacity, entropy


def huber(errors: Tensor) -> Tensor:
    """Mean over the last axis of the robust losses of what is known; 0 where nothing is."""
    known = errors.isfinite()
    losses = huber_loss(errors.where(known, 0.0), torch.zeros_like(errors), reduction="none")
    return losses.sum(-1) / known.sum(-1).clamp(min=1)


def features_of(member: Predictor, tokens: list[Tokens]) -> Tensor:
    (features,) = run_batched(lambda batch: [property_features(member.hidden_states(batch), batch)], tokens)
    return features.float()


if __name__ == "__main__":
    main()
