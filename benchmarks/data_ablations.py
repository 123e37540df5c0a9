"""What each addition to the training data of energies is worth: one change at a time, own validation crystals.

    python -m benchmarks.data_ablations PREPARED --data DATA --runs FOLDER

Networks as small as those of ``benchmarks.ablations``, all trained on the same number of crystals: every crystal with
a label of its vibrations, and a sample of the others. What counts is the difference from the base. Finished runs in
FOLDER are not repeated. Writes ``data_ablations.json`` and ``data_ablations.md``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.ablations import EPOCHS, SEEDS, Study, markdown, over_seeds, train
from benchmarks.accuracy import output_errors
from cloud_model.network.predictor import Predictor, run_heads
from cloud_model.training.finetuning.labels import LabelledTokens
from cloud_model.training.loop import Schedule
from recipes import finetune as recipe
from recipes.prepare import table

RESULTS = Path(__file__).parent / "results"
OTHERS = 16_000  # training crystals without labels of vibrations
UNSTABLE = 0.1  # eV/atom above the hull
RECENT, OLDER, HEIGHT = (
    "formation_energy_per_atom",
    "formation_energy_per_atom_2018",
    "energy_above_hull_2018",
)
VIBRATIONS = ("heat_capacity_jarvis", "dynamic_stability", "debye_temperature", "max_phonon_frequency")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One choice of the data; what differs from the defaults is the question."""

    question: str
    width: int = 96
    tables: tuple[str, ...] = ("mp20_energy_gap", "mp_formation_energy", "wbm_44k", "wbm_10k")  # of energies
    one_head: bool = False  # for energies of both scales
    without: tuple[str, ...] = ()  # targets


VARIANTS = {
    "base": Variant(question="All tables, a head for each scale of energies"),
    "near the hull": Variant(question="Energies of MP-20 alone", tables=("mp20_energy_gap",)),
    "no WBM": Variant(question="No WBM", tables=("mp20_energy_gap", "mp_formation_energy")),
    "one head": Variant(question="Both scales of energies in one head", one_head=True, without=(OLDER,)),
    "no height": Variant(question="No head of energies above the hull", without=(HEIGHT,)),
    "no dynamic stability": Variant(question="No head of dynamic stability", without=("dynamic_stability",)),
    "no JARVIS": Variant(question="No heat capacities of JARVIS", without=("heat_capacity_jarvis",)),
    "width 192": Variant(question="Four times the parameters", width=192),
}
COLUMNS = {
    "mp20_energy_gap": "MP-20, eV/atom",
    "mp_formation_energy": "MP 2018, eV/atom",
    "unstable": "over 0.1 above the hull",
    "unstable bias": "their bias",
    "wbm_44k": "WBM, eV/atom",
    "wbm_44k bias": "its bias",
    "band_gap": "gap, eV",
    "log10(bulk_modulus)": "log10 K",
    "heat_capacity(75 K)": "Cv 75 K",
    "heat_capacity(300 K)": "Cv 300 K",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    arguments = parser.parse_args()
    study = Study(arguments.prepared, arguments.data, arguments.runs)
    labels = pd.read_parquet(arguments.prepared / "labels.parquet")
    training = labels[labels.split == "train"]
    energies = pd.read_parquet(arguments.prepared / "energies.parquet")
    for seed in SEEDS:
        for name, variant in VARIANTS.items():
            path = arguments.runs / f"{name} {seed}" / "errors.json"
            if not path.exists():
                rows = chosen_rows(training, variant, arguments.data, seed)
                found = errors(study, variant, rows, energies, path.parent, seed)
                path.write_text(json.dumps(found, indent=1))
            write(arguments.runs)


def chosen_rows(training: pd.DataFrame, variant: Variant, data: Path, seed: int) -> pd.DataFrame:
    """Training crystals of a variant, with the energies that it knows."""
    known = set().union(*(table(data, name).scope for name in variant.tables))
    energetic = training[[RECENT, OLDER, HEIGHT]].notna().any(axis=1)
    vibrating = training[list(VIBRATIONS)].notna().any(axis=1) | training.heat_capacities.notna()
    familiar = training.scope.isin(known)
    others = training[~vibrating & (familiar | ~energetic)].sample(OTHERS, random_state=seed)
    rows = pd.concat([training[vibrating], others])
    rows.loc[~rows.scope.isin(known), [RECENT, OLDER, HEIGHT]] = np.nan
    if variant.one_head:
        recent = set().union(
            *(table(data, name).scope for name in variant.tables if name != "mp_formation_energy")
        )
        rows[RECENT] = rows[RECENT].where(rows.scope.isin(recent), rows[OLDER])
    return rows


def errors(
    study: Study, variant: Variant, rows: pd.DataFrame, energies: pd.DataFrame, folder: Path, seed: int
) -> dict[str, float]:
    """Train a network, and give its errors on the validation crystals."""
    targets = {key: target for key, target in study.targets.items() if key not in variant.without}
    torch.manual_seed(seed)
    predictor = Predictor(study.encoder(variant.width, 0.0), len(targets), 4)
    predictor.encoder.load_state_dict(study.pretrained("sites", variant.width, True, True))

    def tokens(texts: pd.Series) -> list:
        return [study.tokenizer.encode(text) for text in texts]

    train(
        predictor,
        targets,
        LabelledTokens(tokens(rows.scope), recipe.labels_of(rows, list(targets))),
        recipe.repeats(rows),
        Schedule(epochs=EPOCHS, learning_rate=1e-3, seed=seed),
        recipe.task_weights(rows, list(targets)),
        folder,
    )
    found = output_errors(run_heads(predictor, tokens(study.validation.scope)), targets, study.validation)
    values = run_heads(predictor, tokens(energies.scope)).scalars.value.double().numpy()
    error = np.full(len(energies), np.nan)
    for scale in (RECENT, OLDER):
        name = scale if scale in targets else RECENT
        of_scale = (energies.scale == scale).to_numpy()
        value, _ = targets[name].physical(
            values[of_scale, list(targets).index(name)], np.zeros(of_scale.sum())
        )
        error[of_scale] = value - energies.energy[of_scale]
    parts = {name: (energies.table == name).to_numpy() for name in energies.table.unique()}
    parts["unstable"] = parts["mp_formation_energy"] & (energies.height > UNSTABLE).to_numpy()
    for name, part in parts.items():
        found |= {name: float(np.abs(error[part]).mean()), f"{name} bias": float(error[part].mean())}
    return {key: found[key] for key in COLUMNS}


def write(runs: Path) -> None:
    """Mean and standard deviation over the seeds that are done."""
    found = {name: over_seeds(runs, name, variant.question, COLUMNS) for name, variant in VARIANTS.items()}
    results = {name: result for name, result in found.items() if result}
    (RESULTS / "data_ablations.json").write_text(json.dumps(results, indent=1) + "\n")
    seeds = min(result["seeds"] for result in results.values())
    (RESULTS / "data_ablations.md").write_text(
        "# What each addition to the data is worth\n\n"
        f"Mean absolute errors (and mean errors, predicted less calculated) of small networks on own validation "
        f"crystals, {seeds} seeds; the deviation is that of the seeds (`python -m benchmarks.data_ablations`).\n\n"
        f"{markdown(results, COLUMNS)}\n"
    )


if __name__ == "__main__":
    main()
