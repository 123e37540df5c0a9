"""What each stage is worth at the size that ships: runs of ``recipes/finetune.py``, side by side.

    python benchmarks/full_size.py PREPARED PRETRAINED "what it is=RUN" ...

Mean absolute errors on own validation crystals, whose compositions occur in no training or pretraining string; one
seed each. The last network is averaged with trees as well. Writes ``full_size.json`` and ``full_size.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from cloud_model import Scope
from cloud_model.checkpoint import Checkpoint
from cloud_model.predictor import Output, run_heads
from cloud_model.properties import ScalarTarget
from cloud_model.training.baselines import baseline_predictions
from cloud_model.training.finetune import errors

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "recipes"))
import finetune as recipe  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
SHOWN = {
    "formation_energy_per_atom": "E_f, eV/atom",
    "band_gap": "gap, eV",
    "log10(bulk_modulus)": "log10 K",
    "log10(shear_modulus)": "log10 G",
    "refractive_index": "n",
    "debye_temperature": "Debye, K",
    "max_phonon_frequency": "phonon peak, cm^-1",
    "heat_capacity_per_atom(75 K)": "Cv 75 K",
    "heat_capacity_per_atom(300 K)": "Cv 300 K",
    "perovskite_formation_energy": "perovskites, eV",
}
"""Heat capacities in J/(mol-atom K)."""
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
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.prepared / "labels.parquet")
    validation = table[table.split == "validation"]
    targets = recipe.scalar_targets(table[table.split == "train"])
    pretrained = Checkpoint.load(arguments.pretrained)
    tokens = [pretrained.tokenizer.encode(text) for text in validation.scope]
    labels = recipe.labels_of(validation, list(targets))
    results = {}
    for name, run in (pair.rsplit("=", 1) for pair in arguments.runs):
        predictor = recipe.load(Path(run), pretrained.config.encoder, len(targets)).eval()
        found = errors(predictor, targets, tokens, labels)
        results[name] = {key: found[key] for key in SHOWN}
    trees, mean = trees_and_mean(
        run_heads(predictor, tokens), targets, table[table.split == "train"], validation
    )
    results |= {"the last, averaged with extra trees": mean, "extra trees on composition + symmetry": trees}
    (RESULTS / "full_size.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = [["network", *SHOWN.values()], ["---"] * (len(SHOWN) + 1)]
    lines += [
        [name, *(f"{row[key]:.3g}" if key in row else "" for key in SHOWN)] for name, row in results.items()
    ]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    (RESULTS / "full_size.md").write_text(f"{text}\n")
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
            predicted, _ = target.physical(value, value)
            if f"log10({name})" in SHOWN:
                found[f"log10({name})"] = float(np.abs(np.log10(predicted) - np.log10(label)).mean())
            else:
                found[name] = float(np.abs(predicted - label).mean())
    return alone, mixed


if __name__ == "__main__":
    main()
