"""Make a checkpoint of fine-tuned runs: join them, calibrate their error bars, measure, write the model card.

    python -m recipes.export DATA PRETRAINED OUTPUT RUN [RUN ...]

The compositions of the validation crystals occur nowhere in training. They calibrate the error bars and give every
figure of the card; the coverage of an error bar is that of each half when the other half, chosen by composition,
calibrates it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cloud_model import CloudModel, Scope
from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.checkpoints.registry import DEFAULT
from cloud_model.network.predictor import Predictor
from cloud_model.properties.catalogue import HARMONIC, SCALARS, PropertyInfo
from cloud_model.training.baselines import CRYSTAL_SYSTEMS
from cloud_model.training.metrics import calibration, scores
from recipes.baselines import CURVE, MP20_GAP, PUBLISHED_LABEL, TEMPERATURES, curve_at, of_mp20
from recipes.finetune import SPECTRA, build_predictor, load, scalar_targets
from recipes.model_card import model_card

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"

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
PHONONS = "DFPT phonons of Petretto et al. (2018), for metals AFLOW's Debye temperatures"


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
    published = pd.read_parquet(arguments.data / "cloud_label.parquet")
    baselines = json.loads((arguments.data / "baselines.json").read_text())

    checkpoint = join(arguments.pretrained, arguments.runs, training, arguments.output.name)
    fit_domains(checkpoint, training, validation)
    results = pd.DataFrame(measure(checkpoint, training, validation, published, baselines)).set_index(
        "property"
    )
    checkpoint = with_errors(calibrate(checkpoint, validation), training, results)
    model = CloudModel(checkpoint)
    corpus = pd.read_parquet(arguments.data / "corpus.parquet").scope
    provenance = {
        "corpus": f"{len(corpus):,}",
        "overlap": f"{int(validation.scope.isin(corpus).sum())}",
        "held_in": f"{len(training):,}",
        "held_out": f"{len(validation):,}",
        "pretraining": passes(arguments.pretrained),
        "finetuning": "; ".join(passes(run) for run in arguments.runs),
    }
    kinds = errors_by_kind(model, validation)
    domain = errors_by_domain(model, validation)
    checkpoint.save(
        arguments.output, model_card(checkpoint, results, kinds, domain, provenance), torch.float16
    )
    suffix = "" if arguments.output.name == DEFAULT else f"_{arguments.output.name}"
    measured = {"accuracy_validation": results, "accuracy_by_kind": kinds, "accuracy_by_domain": domain}
    for name, frame in measured.items():
        (RESULTS / f"{name}{suffix}.json").write_text(frame.to_json(orient="index", indent=1) + "\n")
        print(frame.to_string())


def passes(run: Path) -> str:
    """How long a run trained, who taught it, and the runs that it started from."""
    training = run / "training" if (run / "training").exists() else run
    history = [json.loads(line) for line in (training / "metrics.jsonl").read_text().splitlines()]
    start = run / "start.txt"
    before = f"{passes(Path(start.read_text()))}, then " if start.exists() else ""
    teachers = run / "teachers.txt"
    taught = f" taught by {len(teachers.read_text().split())} networks" if teachers.exists() else ""
    return f"{before}{history[-1]['epoch']:g} passes{taught}, {history[-1]['step']:,} steps"


def join(pretrained: Path, runs: list[Path], training: pd.DataFrame, name: str) -> Checkpoint:
    """The networks of all runs, without the heads that only helped to train."""
    base = Checkpoint.load(pretrained)
    targets = scalar_targets(training)
    members = [shipped(load(run, base.config.encoder, len(targets))) for run in runs]
    config = CheckpointConfig(
        name=name,
        dialect=base.config.dialect,
        symprec=base.config.symprec,
        encoder=members[0].encoder.config,
        targets={name: targets[name] for name in SCALARS},
        properties=SCALARS | HARMONIC,
        spectra=SPECTRA,
        domain=True,
    )
    return Checkpoint(config, base.tokenizer, members)


def shipped(trained: Predictor) -> Predictor:
    """Keep the first heads, those of `SCALARS`, and the precision of float16."""
    state = {name: tensor.half().float() for name, tensor in trained.state_dict().items()}
    for name in [name for name in state if name.startswith("scalars.")]:
        heads = state[name].unflatten(0, (len(trained.scalars.value), -1))[: len(SCALARS)]
        state[name] = heads.flatten(0, 1)
    predictor = build_predictor(trained.encoder.config, len(SCALARS))
    predictor.load_state_dict(state)
    return predictor.eval().requires_grad_(False)


def fit_domains(checkpoint: Checkpoint, training: pd.DataFrame, validation: pd.DataFrame) -> None:
    """Tell the networks how far held-out crystals are from the training crystals."""
    seen, unseen = (
        [checkpoint.tokenizer.encode(text) for text in rows.scope] for rows in (training, validation)
    )
    for member in checkpoint.members:
        member.fit_domain(seen, unseen)
        member.requires_grad_(False)


def halves(rows: pd.DataFrame) -> NDArray:
    """Whether each crystal is in the first of two halves that share no composition."""
    compositions = [text.rsplit(" | ", 1)[1].encode() for text in rows.scope]
    return np.array([sha256(composition).digest()[0] % 2 == 0 for composition in compositions])


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
    checkpoint: Checkpoint,
    training: pd.DataFrame,
    rows: pd.DataFrame,
    published: pd.DataFrame,
    baselines: dict[str, dict[str, float]],
) -> Iterator[dict[str, object]]:
    """One row of results a property."""
    first = halves(rows)
    crossed = [(rows[~half], CloudModel(calibrate(checkpoint, rows[half]))) for half in (first, ~first)]
    predicted = pd.concat([model.predict(half.scope, list(SCALARS)) for half, model in crossed]).loc[
        rows.index
    ]
    for name, info in SCALARS.items():
        columns = pd.DataFrame(
            {"label": rows[name], "value": predicted[name], "error": predicted[f"{name}_std"]}
        )
        seen = {"unit": info.unit, "training": int(training[name].notna().sum())}
        yield {"property": name, **seen, **scores(*columns.to_numpy(float).T), **baselines[name]}
        if name == "band_gap":
            near = columns[of_mp20(rows)]
            yield {"property": MP20_GAP, **seen, **scores(*near.to_numpy(float).T), **baselines[MP20_GAP]}
    seen = {
        "unit": HARMONIC[CURVE].unit,
        "training": int(training.heat_capacities.notna().sum()),
    }
    for temperature in TEMPERATURES:
        name = f"{CURVE} at {temperature:g} K"
        curves = zip(*(predict_curve(model, half, temperature) for half, model in crossed), strict=True)
        yield {
            "property": name,
            **seen,
            **scores(*(np.concatenate(part) for part in curves)),
            **baselines[name],
        }
    asked = published[published.split == "validation"]
    frame = CloudModel(checkpoint).predict(asked.scope, CURVE, 300.0)
    cell = frame[CURVE].to_numpy(float) * asked.n_atoms.to_numpy()
    own = scores(asked.heat_capacity.to_numpy(float), cell)
    yield {"property": PUBLISHED_LABEL, **seen, "unit": "J/(mol K)", **own, **baselines[PUBLISHED_LABEL]}


KINDS = ("formation_energy_per_atom", "band_gap", "bulk_modulus", "debye_temperature", "refractive_index")
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
ANIONS = {
    "oxides": {"O"},
    "halides": {"F", "Cl", "Br", "I"},
    "chalcogenides": {"S", "Se", "Te"},
    "pnictides": {"N", "P", "As", "Sb", "Bi"},
    "hydrides": {"H"},
    "borides, carbides, silicides, germanides": {"B", "C", "Si", "Ge"},
}
"""The first kind of which a crystal holds an element is its chemistry; all others are intermetallics."""


def errors_by_kind(model: CloudModel, rows: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute errors by crystal system and by chemistry, and the number of crystals behind each."""
    scopes = [Scope.parse(text) for text in rows.scope]
    systems = [SYSTEMS[np.searchsorted(CRYSTAL_SYSTEMS, scope.space_group)] for scope in scopes]
    chemistries = [chemistry({element for element, _ in scope.composition}) for scope in scopes]
    return grouped_errors(model, rows, [(systems, SYSTEMS), (chemistries, (*ANIONS, "intermetallics"))])


def chemistry(elements: set[str]) -> str:
    return next((name for name, anions in ANIONS.items() if elements & anions), "intermetallics")


def errors_by_domain(model: CloudModel, rows: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute errors of crystals within and out of the domain of training."""
    foreign = model.predict(rows.scope.tolist(), "band_gap").out_of_domain
    labels = np.where(foreign, "out of the domain", "within the domain").tolist()
    return grouped_errors(model, rows, [(labels, ("within the domain", "out of the domain"))])


def grouped_errors(
    model: CloudModel, rows: pd.DataFrame, groupings: list[tuple[list[str], tuple[str, ...]]]
) -> pd.DataFrame:
    """One row a group, in the given order: error and count of each property of `KINDS`."""
    predicted = model.predict(rows.scope.tolist(), list(KINDS))
    errors = pd.DataFrame(
        {name: np.abs(predicted[name].to_numpy() - rows[name].to_numpy()) for name in KINDS}
    )
    parts = []
    for labels, order in groupings:
        groups = errors.groupby(labels)
        parts.append(groups.mean().join(groups.count().add_suffix("_count")).reindex(order).dropna(how="all"))
    return pd.concat(parts)


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
