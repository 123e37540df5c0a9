"""What a wider network is worth in the same time: widths 256, 384 and 512 on one core.

    python -m benchmarks.widths PREPARED --runs FOLDER

Each network is pretrained with the strings of ``recipes.prepare`` and fine-tuned on a third of the training crystals;
a wider one sees both fewer times, so that all take equally long (`PASSES`, by their speeds on a core with AVX-512 and
bfloat16). The compositions of the validation crystals occur in no training or pretraining string. Finished runs in
FOLDER are not repeated, interrupted ones go on. Writes ``widths.json`` and ``widths.md``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import pandas as pd

from benchmarks.accuracy import SHOWN, output_errors
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.registry import BASE, resolve
from cloud_model.display.tables import markdown_table
from cloud_model.network.predictor import run_heads
from cloud_model.training.finetuning.labels import LabelledTokens
from cloud_model.training.finetuning.network import NetworkSettings, finetune_network
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.pretrain import pretrain
from recipes import finetune as recipe

RESULTS = Path(__file__).parent / "results"
PASSES = {256: 6, 384: 3, 512: 2}
"""Passes over the sample of training crystals that take equally long."""
STRINGS = 14_000
"""Pretraining strings for each of these passes; a wider network sees fewer strings as well, each once."""
SHARE = 1 / 3
NETWORK = ("parameters, million", "pretraining, min", "fine-tuning, min")
COLUMNS = {"formation_energy_per_atom_2018": "E_f of 2018, eV/atom"} | SHOWN


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    arguments = parser.parse_args()
    for width in PASSES:
        if not (path := arguments.runs / f"{width}" / "errors.json").exists():
            found = errors(arguments.prepared, width, path.parent)
            path.write_text(json.dumps(found, indent=1))
        write(arguments.runs)


def errors(prepared: Path, width: int, folder: Path) -> dict[str, float]:
    """Pretrain and fine-tune a network, and give its errors on the validation crystals and its size."""
    table = pd.read_parquet(prepared / "labels.parquet")
    training, validation = table[table.split == "train"], table[table.split == "validation"]
    targets = recipe.scalar_targets(training)
    training = training.sample(frac=SHARE, random_state=0)
    base = Checkpoint.load(resolve(BASE))
    encode = base.tokenizer.encode
    config = dataclasses.replace(
        base.config.encoder,
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=width // 64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    passes, narrowness, start = PASSES[width], (256 / width) ** 0.5, time.process_time()
    predictor = recipe.build_predictor(config, len(targets))
    corpus = pd.read_parquet(prepared / "corpus.parquet").scope.sample(STRINGS * passes, random_state=0)
    encoder = pretrain(
        corpus.tolist(),
        base.tokenizer,
        config,
        Schedule(epochs=1, learning_rate=6e-4 * narrowness),
        folder / "encoder",
    )
    predictor.encoder.load_state_dict(encoder.state_dict())
    pretrained = time.process_time()
    finetune_network(
        predictor,
        targets,
        LabelledTokens([encode(text) for text in training.scope], recipe.labels_of(training, list(targets))),
        Schedule(epochs=passes, learning_rate=7e-4 * narrowness),
        folder / "network",
        NetworkSettings(
            task_weights=recipe.task_weights(training, list(targets)),
            heat_capacity_weight=6.0,
            tokens_per_batch=4096,
        ),
        repeats=recipe.repeats(training),
    )
    finetuned = time.process_time()
    found = output_errors(
        run_heads(predictor, [encode(text) for text in validation.scope]), targets, validation
    )
    return {key: found[key] for key in COLUMNS} | {
        NETWORK[0]: sum(p.numel() for p in predictor.parameters()) / 1e6,
        NETWORK[1]: (pretrained - start) / 60,
        NETWORK[2]: (finetuned - pretrained) / 60,
    }


def write(runs: Path) -> None:
    """The errors of the widths that are done."""
    paths = {width: runs / f"{width}" / "errors.json" for width in PASSES}
    results = {width: json.loads(path.read_text()) for width, path in paths.items() if path.exists()}
    (RESULTS / "widths.json").write_text(json.dumps(results, indent=1) + "\n")
    rows = (
        [str(width), str(PASSES[width]), *(f"{row[key]:.3g}" for key in (*NETWORK, *COLUMNS))]
        for width, row in results.items()
    )
    (RESULTS / "widths.md").write_text(
        "# What a wider network is worth in the same time\n\n"
        "Mean absolute errors on own validation crystals, whose compositions occur in no string of training; networks "
        "of four layers, one seed, a third of the training crystals; times of one core "
        "(`python -m benchmarks.widths`).\n\n"
        f"{markdown_table(['width', 'passes', *NETWORK, *COLUMNS.values()], rows)}\n"
    )


if __name__ == "__main__":
    main()
