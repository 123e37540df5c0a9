"""Fine-tune a pretrained encoder to all properties at once; one run makes one member of an ensemble.

    python -m recipes.finetune DATA PRETRAINED RUN --seed 0
    python -m recipes.finetune DATA PRETRAINED STUDENT --start RUN --teachers RUN OTHER ...

With teachers, the network also learns the mean of what these say of crystals without labels (``recipes.substitutes``),
which is kept beside each teacher. Interrupted runs resume.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.network.batches import run_batched
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.precision import choose_precision
from cloud_model.network.predictor import Output, Predictor
from cloud_model.properties.catalogue import SCALARS
from cloud_model.properties.targets import ScalarTarget
from cloud_model.training.finetuning.labels import LabelledTokens, Labels
from cloud_model.training.finetuning.network import NetworkSettings, finetune_network
from cloud_model.training.loop import Schedule
from recipes.compositions import elements_of
from recipes.substitutes import UNLABELLED
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
OUTPUTS = "outputs.pt"  # of a teacher for crystals without labels
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
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="run to start from, instead of fresh heads")
    parser.add_argument("--teachers", type=Path, nargs="+", default=[], help="runs whose networks teach")
    finetune(**vars(parser.parse_args()))


def finetune(
    data: Path,
    pretrained: Path,
    run: Path,
    *,
    epochs: int,
    learning_rate: float,
    tokens_per_batch: int = 4096,
    weight_decay: float = 0.01,
    dropout: float = 0.0,
    seed: int = 0,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
) -> None:
    """Fine-tune one network as the command line has it."""
    table = pd.read_parquet(data / "labels.parquet")
    training, validation = table[table.split == "train"], table[table.split == "validation"]
    base = Checkpoint.load(pretrained)
    encode = cache(base.tokenizer.encode)
    targets = scalar_targets(training)
    names = list(targets)
    torch.manual_seed(seed)
    if start:
        predictor = load(start, len(targets))
    else:
        predictor = build_predictor(base.config.encoder, len(targets), dropout)
        predictor.encoder.load_state_dict(base.members[0].encoder.state_dict())

    crystals, held_out = (
        LabelledTokens([encode(text) for text in rows.scope], labels_of(rows, names))
        for rows in (training, validation)
    )
    often = repeats(training)
    if teachers:
        unlabelled = [encode(text) for text in pd.read_parquet(data / UNLABELLED).scope]
        outputs = [teach(data, pretrained, teacher) for teacher in teachers]
        crystals, often = with_taught(crystals, often, unlabelled, outputs, targets)
    finetune_network(
        predictor,
        targets,
        crystals,
        Schedule(epochs=epochs, learning_rate=learning_rate, weight_decay=weight_decay, seed=seed),
        run,
        NetworkSettings(
            task_weights=task_weights(training, names),
            heat_capacity_weight=6.0,
            tokens_per_batch=tokens_per_batch,
        ),
        validation=held_out,
        repeats=often,
    )
    if start:
        (run / "start.txt").write_text(str(start.resolve()))
    if teachers:
        (run / "teachers.txt").write_text("\n".join(str(teacher.resolve()) for teacher in teachers))
    torch.save(predictor.state_dict(), run / "predictor.pt")
    (run / "encoder.json").write_text(json.dumps(dataclasses.asdict(predictor.encoder.config), indent=1))
    described = {name: dataclasses.asdict(target) for name, target in targets.items()}
    (run / "targets.json").write_text(json.dumps(described, indent=1))


def teach(data: Path, pretrained: Path, run: Path) -> Output:
    """What the network of a run says of crystals without labels, for others to learn; said once, and kept."""
    if (run / OUTPUTS).exists():
        return torch.load(run / OUTPUTS, weights_only=False)
    encode = Checkpoint.load(pretrained).tokenizer.encode
    targets = json.loads((run / "targets.json").read_text())
    teacher = load(run, len(targets)).eval()
    if torch.cuda.is_available():
        teacher.cuda()
    precision = choose_precision("auto", teacher.encoder.config.hidden_size, teacher.device)
    tokens = [encode(text) for text in pd.read_parquet(data / UNLABELLED).scope]
    outputs = run_batched(partial(teacher, precision=precision), tokens, precision, teacher.device)
    torch.save(outputs, run / OUTPUTS)
    return outputs


def load(run: Path, scalars: int) -> Predictor:
    """The network of a run."""
    config = EncoderConfig(**json.loads((run / "encoder.json").read_text()))
    predictor = Predictor(config, scalars, SPECTRA)
    predictor.load_state_dict(torch.load(run / "predictor.pt", weights_only=True, map_location="cpu"))
    return predictor


def build_predictor(encoder: EncoderConfig, scalars: int, dropout: float = 0.0) -> Predictor:
    """A network whose encoder and heads drop as much; small ones drop nothing, which would blur energies."""
    config = dataclasses.replace(encoder, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
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
