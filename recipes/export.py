"""Make a checkpoint of fine-tuned runs: join them, calibrate their error bars, measure, write the model card.

    python recipes/export.py DATA PRETRAINED OUTPUT RUN [RUN ...]

The compositions of the validation crystals occur nowhere in training. Half of these crystals, chosen by
composition, calibrates the error bars; the other half gives every figure of the card.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from baselines import CURVE, TEMPERATURES, curve_at, halves
from finetune import SPECTRA, build_predictor, scalar_targets
from model_card import model_card
from numpy.typing import NDArray

from cloud_model import CloudModel
from cloud_model.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.encoder import EncoderConfig
from cloud_model.heads import HEAD_SIZE
from cloud_model.predictor import Predictor
from cloud_model.properties import SCALARS, THERMODYNAMICS, PropertyInfo
from cloud_model.training.metrics import calibration, scores

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "accuracy_validation.json"

SOURCES = {
    "formation_energy_per_atom": "MP-20 (Materials Project)",
    "band_gap": "Materials Project 2018, MP-20, MatBench; WBM",
    "bulk_modulus": "AFLOW AEL",
    "shear_modulus": "AFLOW AEL",
    "refractive_index": "MatBench dielectric",
    "debye_temperature": "AFLOW AGL",
    "max_phonon_frequency": "MatBench phonons",
    "thermal_conductivity": "AFLOW AGL",
    "thermal_expansion": "AFLOW AGL",
}
PHONONS = "DFPT phonons of Petretto et al. (2018)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument(
        "output", type=Path, help="checkpoint directory; its name is the name of the checkpoint"
    )
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()

    table = pd.read_parquet(arguments.data / "labels.parquet")
    training, validation = table[table.split == "train"], table[table.split == "validation"]
    calibrating, testing = halves(validation)

    checkpoint = join(arguments.pretrained, arguments.runs, training, arguments.output.name)
    checkpoint = calibrate(checkpoint, calibrating)
    baselines = json.loads((arguments.data / "baselines.json").read_text())
    results = pd.DataFrame(measure(checkpoint, training, testing, baselines)).set_index("property")
    checkpoint = with_errors(checkpoint, training, results)
    provenance = {
        "corpus": f"{len(pd.read_parquet(arguments.data / 'corpus.parquet')):,}",
        "pretraining": passes(arguments.pretrained),
        "finetuning": "; ".join(passes(run) for run in arguments.runs),
        "baselines": "The other columns are fitted to the same labels of the same training crystals.",
    }
    checkpoint.save(arguments.output, model_card(checkpoint, results, provenance), torch.float16)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(results.to_json(orient="index", indent=1) + "\n")
    print(results.to_string())


def passes(run: Path) -> str:
    """How long a run trained, and the runs that it started from."""
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    start = run / "start.txt"
    before = f"{passes(Path(start.read_text()))}, then " if start.exists() else ""
    return f"{before}{history[-1]['epoch']:g} passes, {history[-1]['step']:,} steps"


def join(pretrained: Path, runs: list[Path], training: pd.DataFrame, name: str) -> Checkpoint:
    """The networks of all runs, without the heads that only helped to train."""
    base = Checkpoint.load(pretrained)
    targets = scalar_targets(training)
    states = [torch.load(run / "predictor.pt", weights_only=True) for run in runs]
    members = [shipped(state, base.config.encoder, len(targets)) for state in states]
    config = CheckpointConfig(
        name=name,
        dialect=base.config.dialect,
        symprec=base.config.symprec,
        encoder=members[0].encoder.config,
        targets={name: targets[name] for name in SCALARS},
        properties=SCALARS | THERMODYNAMICS,
        spectra=SPECTRA,
    )
    return Checkpoint(config, base.tokenizer, members)


def shipped(state: dict[str, torch.Tensor], encoder: EncoderConfig, trained: int) -> Predictor:
    """Keep the first heads, those of `SCALARS`."""
    for name, tensor in state.items():
        if name.startswith("scalars."):
            rows = len(SCALARS) * (HEAD_SIZE if len(tensor) == trained * HEAD_SIZE else 1)
            state[name] = tensor[:rows]
    predictor = build_predictor(encoder, len(SCALARS))
    predictor.load_state_dict({name: tensor.half().float() for name, tensor in state.items()})
    return predictor.eval().requires_grad_(False)


def calibrate(checkpoint: Checkpoint, rows: pd.DataFrame) -> Checkpoint:
    """Scale the error bars so that 68% of these crystals fall within one of them."""
    model = CloudModel(checkpoint)
    predicted = model.predict(rows.scope.tolist(), list(SCALARS))
    targets = {
        name: dataclasses.replace(
            target,
            calibration=calibration(
                *(x.to_numpy(float) for x in (rows[name], predicted[name], predicted[f"{name}_std"]))
            ),
        )
        for name, target in checkpoint.config.targets.items()
    }
    curves = [predict_curve(model, rows, temperature) for temperature in TEMPERATURES]
    spread = calibration(*(np.concatenate(part) for part in zip(*curves, strict=True)))
    config = dataclasses.replace(checkpoint.config, targets=targets, spread_calibration=spread)
    return dataclasses.replace(checkpoint, config=config)


def measure(
    checkpoint: Checkpoint, training: pd.DataFrame, rows: pd.DataFrame, baselines: dict[str, dict[str, float]]
) -> Iterator[dict[str, object]]:
    """One row of results a property."""
    model = CloudModel(checkpoint)
    predicted = model.predict(rows.scope.tolist(), list(SCALARS))
    for name, info in SCALARS.items():
        columns = rows[name], predicted[name], predicted[f"{name}_std"]
        own = scores(*(column.to_numpy(float) for column in columns))
        trained = int(training[name].notna().sum())
        yield {"property": name, "unit": info.unit, "training": trained, **own, **baselines[name]}
    for temperature in TEMPERATURES:
        name = f"{CURVE} at {temperature:g} K"
        yield {
            "property": name,
            "unit": THERMODYNAMICS[CURVE].unit,
            "training": int(training.heat_capacities.notna().sum()),
            **scores(*predict_curve(model, rows, temperature)),
            **baselines[name],
        }


def predict_curve(
    model: CloudModel, rows: pd.DataFrame, temperature: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Labels, predictions and standard errors of the heat capacity, J/(mol-atom K)."""
    known = rows[rows.heat_capacities.notna()]
    predicted = model.predict(known.scope.tolist(), CURVE, temperature)
    return curve_at(rows, temperature), predicted[CURVE].to_numpy(), predicted[f"{CURVE}_std"].to_numpy()


def with_errors(checkpoint: Checkpoint, training: pd.DataFrame, results: pd.DataFrame) -> Checkpoint:
    """The checkpoint with training set and test error of each property."""
    curves = int(training.heat_capacities.notna().sum())

    def described(name: str, info: PropertyInfo) -> PropertyInfo:
        if name in SCALARS:
            source = f"{SOURCES[name]}, {results.training[name]} crystals"
            return dataclasses.replace(
                info, training_set=source, test_error=round(float(results.mae[name]), 8)
            )
        error = round(float(results.mae[f"{CURVE} at 300 K"]), 4) if name == CURVE else None
        return dataclasses.replace(info, training_set=f"{PHONONS}, {curves} crystals", test_error=error)

    properties = {name: described(name, info) for name, info in checkpoint.config.properties.items()}
    return dataclasses.replace(
        checkpoint, config=dataclasses.replace(checkpoint.config, properties=properties)
    )


if __name__ == "__main__":
    main()
