"""Fine-tune a pretrained encoder to all properties at once; one run makes one member of an ensemble.

    python -m recipes.finetune DATA PRETRAINED RUN --seed 0
    python -m recipes.finetune DATA PRETRAINED STUDENT --start RUN --teachers RUN OTHER ...

With teachers, the network also learns the mean of what these say of every crystal of the corpus. Interrupted runs
resume.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.predictor import Predictor
from cloud_model.properties.catalogue import SCALARS, ScalarTarget
from cloud_model.training.finetuning.labels import LabelledTokens, Labels
from cloud_model.training.finetuning.network import NetworkSettings, finetune_network
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.initialise import initialise_tokens
from recipes.prepare import elements_of
from recipes.teachers import with_taught

SPECTRA = 4
LOGARITHMIC = {
    *(
        "debye_temperature",
        "thermal_conductivity",
        "thermal_expansion",
        "refractive_index",
        "max_phonon_frequency",
    ),
    *("bulk_modulus", "shear_modulus", "bulk_modulus_mp", "shear_modulus_mp", "volume_per_atom"),
}
PROBABILITIES = {"dynamic_stability"}
WEIGHTS = {
    "formation_energy_per_atom": 10.0,
    "formation_energy_per_atom_2018": 6.0,
    "band_gap": 2.0,
    "energy_above_hull_2018": 2.0,
    "dynamic_stability": 2.0,
    "thermal_conductivity": 1.5,
    "thermal_expansion": 1.5,
}
"""Instead of weights by scarcity: energies are to be known to a small part of their spread, the last two are rough."""
NOT_SCALAR = ("scope", "split", "temperatures", "heat_capacities")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--width", type=int, default=256, help="of the encoder; one that was not pretrained begins anew"
    )
    parser.add_argument("--start", type=Path, help="run to start from, instead of fresh heads")
    parser.add_argument("--teachers", type=Path, nargs="+", default=[], help="runs that label the corpus")
    arguments = parser.parse_args()

    table = pd.read_parquet(arguments.data / "labels.parquet")
    training, validation = table[table.split == "train"], table[table.split == "validation"]
    pretrained = Checkpoint.load(arguments.pretrained)
    encode = pretrained.tokenizer.encode
    targets = scalar_targets(training)
    names = list(targets)
    torch.manual_seed(arguments.seed)
    if arguments.start:
        predictor = load(arguments.start, pretrained.config.encoder, len(targets))
    else:
        predictor = build_predictor(of_width(pretrained.config.encoder, arguments.width), len(targets))
        if arguments.width == pretrained.config.encoder.hidden_size:
            predictor.encoder.load_state_dict(pretrained.members[0].encoder.state_dict())
        else:
            initialise_tokens(predictor.encoder.embeddings.word_embeddings, pretrained.tokenizer)

    crystals, held_out = (
        LabelledTokens([encode(text) for text in rows.scope], labels_of(rows, names))
        for rows in (training, validation)
    )
    often = repeats(training)
    if arguments.teachers:
        corpus = [encode(text) for text in pd.read_parquet(arguments.data / "corpus.parquet").scope]
        teachers = (load(run, pretrained.config.encoder, len(targets)).eval() for run in arguments.teachers)
        crystals, often = with_taught(crystals, often, corpus, teachers, targets)
    finetune_network(
        predictor,
        targets,
        crystals,
        Schedule(epochs=arguments.epochs, learning_rate=arguments.learning_rate, seed=arguments.seed),
        arguments.run,
        NetworkSettings(task_weights=task_weights(training, names), heat_capacity_weight=6.0),
        validation=held_out,
        repeats=often,
    )
    if arguments.start:
        (arguments.run / "start.txt").write_text(str(arguments.start.resolve()))
    if arguments.teachers:
        paths = [str(run.resolve()) for run in arguments.teachers]
        (arguments.run / "teachers.txt").write_text("\n".join(paths))
    torch.save(predictor.state_dict(), arguments.run / "predictor.pt")
    described = {name: dataclasses.asdict(target) for name, target in targets.items()}
    (arguments.run / "targets.json").write_text(json.dumps(described, indent=1))


def load(run: Path, encoder: EncoderConfig, scalars: int) -> Predictor:
    """The network of a run, whose encoder is like this one but for its width."""
    state = torch.load(run / "predictor.pt", weights_only=True)
    width = state["encoder.embeddings.word_embeddings.weight"].shape[1]
    predictor = build_predictor(of_width(encoder, width), scalars)
    predictor.load_state_dict(state)
    return predictor


def of_width(encoder: EncoderConfig, width: int) -> EncoderConfig:
    """The same encoder with as many units, in proportion."""
    return dataclasses.replace(
        encoder, hidden_size=width, intermediate_size=4 * width, num_attention_heads=width // 64
    )


def build_predictor(encoder: EncoderConfig, scalars: int) -> Predictor:
    """Nothing is dropped: energies are to be known to a small part of their spread, which dropout blurs."""
    config = dataclasses.replace(encoder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return Predictor(config, scalars, SPECTRA)


def scalar_targets(training: pd.DataFrame) -> dict[str, ScalarTarget]:
    """The properties that ship, then the auxiliary ones that only help to train."""
    auxiliary = [name for name in training.columns if name not in {*NOT_SCALAR, *SCALARS}]
    return {
        name: ScalarTarget.fit(
            training[name].to_numpy(float),
            "log10" if name in LOGARITHMIC else "logistic" if name in PROBABILITIES else "identity",
            minimum=0.0 if name == "band_gap" else None,
        )
        for name in [*SCALARS, *auxiliary]
    }


def labels_of(rows: pd.DataFrame, scalars: list[str]) -> Labels:
    width = max(len(curve) for curve in rows.temperatures if isinstance(curve, np.ndarray))
    curves = np.full((2, len(rows), width), np.nan)
    for i, pair in enumerate(zip(rows.temperatures, rows.heat_capacities, strict=True)):
        if isinstance(pair[0], np.ndarray):
            curves[:, i] = np.stack(pair)
    return Labels(rows[scalars].to_numpy(float), *curves)


def task_weights(training: pd.DataFrame, scalars: list[str]) -> list[float]:
    """Scarce labels weigh more but for those of `WEIGHTS`, and auxiliary ones half."""
    counts = training[scalars].notna().sum()
    scarcity = np.minimum(np.sqrt(counts.max() / counts), 6.0)
    return [float(WEIGHTS.get(name, scarcity[name])) * (1.0 if name in SCALARS else 0.5) for name in scalars]


def repeats(training: pd.DataFrame) -> np.ndarray:
    """Crystals with scarce labels are seen more often, and so are the elements, where energies begin."""
    elements = np.array([len(elements_of(text)) == 1 for text in training.scope])
    phonons = training[["max_phonon_frequency", "dynamic_stability"]].notna().any(axis=1)
    thrice = training[["debye_temperature", "refractive_index"]].notna().any(axis=1)
    twice = training.heat_capacity_jarvis.notna()
    return np.select([phonons, elements, thrice, twice], [5, 5, 3, 2], 1)


if __name__ == "__main__":
    main()
