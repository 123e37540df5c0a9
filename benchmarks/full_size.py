"""What each stage is worth at the size that ships: runs of ``recipes/finetune.py``, side by side.

    python -m benchmarks.full_size PREPARED PRETRAINED "what it is=RUN" "what these are together=RUN+RUN" ...

Mean absolute errors on own validation crystals, whose compositions occur in no training or pretraining string; one
seed each. The last is averaged with trees as well. Writes ``full_size.json`` and ``full_size.md``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from benchmarks.accuracy import SHOWN, output_errors, scalar_errors
from cloud_model import Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.display.tables import markdown_table
from cloud_model.network.ensemble import run_ensemble
from cloud_model.network.predictor import Output
from cloud_model.properties.targets import ScalarTarget
from cloud_model.training.baselines import baseline_predictions
from recipes import finetune as recipe

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TREE_TARGETS = (
    *("bulk_modulus", "shear_modulus", "refractive_index", "debye_temperature", "max_phonon_frequency"),
    "perovskite_formation_energy",
)
TREES = "extra trees on composition + symmetry"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepared", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[+RUN...]")
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.prepared / "labels.parquet")
    validation = table[table.split == "validation"]
    targets = recipe.scalar_targets(table[table.split == "train"])
    pretrained = Checkpoint.load(arguments.pretrained)
    tokens = [pretrained.tokenizer.encode(text) for text in validation.scope]
    results = {}
    for name, runs in (pair.rsplit("=", 1) for pair in arguments.runs):
        networks = [recipe.load(Path(run), len(targets)).eval() for run in runs.split("+")]
        output = run_ensemble(networks, tokens)
        results[name] = shown(output_errors(output, targets, validation))
    trees, mean = trees_and_mean(output, targets, table[table.split == "train"], validation)
    results |= {"the last, averaged with extra trees": mean, "extra trees on composition + symmetry": trees}
    (RESULTS / "full_size.json").write_text(json.dumps(results, indent=1) + "\n")
    rows = (
        [name, *(f"{row[key]:.3g}" if key in row else "" for key in SHOWN)] for name, row in results.items()
    )
    text = (
        "# What each stage is worth\n\n"
        "Mean absolute errors on own validation crystals of networks of the size that ships, one seed each "
        "(`python -m benchmarks.full_size`).\n\n"
        f"{markdown_table(['network', *SHOWN.values()], rows)}\n"
    )
    (RESULTS / "full_size.md").write_text(text)
    print(text)


def trees_and_mean(
    output: Output, targets: dict[str, ScalarTarget], training: pd.DataFrame, validation: pd.DataFrame
) -> tuple[dict[str, float], dict[str, float]]:
    """Errors of extra trees on composition and symmetry, and of one part of them with two parts of a network."""
    alone: dict[str, float] = {}
    mixed: dict[str, float] = {}
    for name in TREE_TARGETS:
        i = list(targets).index(name)
        known, asked = training[training[name].notna()], validation[validation[name].notna()]
        fitted, described = ([Scope.parse(text) for text in rows.scope] for rows in (known, asked))
        target, label = targets[name], asked[name].to_numpy(float)
        trees = baseline_predictions(fitted, target.normalise(known[name].to_numpy(float)), described)[TREES]
        network = output.scalars.value[:, i].double().numpy()[validation[name].notna()]
        for found, value in ((alone, trees), (mixed, (2 * network + trees) / 3)):
            found |= scalar_errors(name, target, value, label)
    return shown(alone), shown(mixed)


def shown(errors: dict[str, float]) -> dict[str, float]:
    """Those that have a column."""
    return {key: errors[key] for key in SHOWN if key in errors}


if __name__ == "__main__":
    main()
