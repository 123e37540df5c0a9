"""Pretrain a tiny encoder from scratch: crystals to an ingested corpus, to a checkpoint.

Needs: nothing beyond cloud-plugins. Run: python examples/pretrain.py
Writes: pretraining/, with the database, the corpus, the settings and the checkpoint "tiny"

The crystals are rock salts, zinc blendes, fluorites and perovskites of every element that fits the formula, built here:
enough to see the machinery, not to learn chemistry from. For a real corpus give `cloud ingest` your own files,
archives, ASE databases or OPTIMADE providers, and the encoder and epochs of recipes/pretrain.toml.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from itertools import permutations, product
from math import log
from pathlib import Path

from ase.db import connect
from ase.spacegroup import crystal

from cloud_model import CloudModel

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

SETTINGS = """\
output = "tiny"
tokens_per_batch = 2048

[corpus]
shards = ["corpus"]

[encoder]
hidden_size = 64
num_hidden_layers = 2
num_attention_heads = 4
intermediate_size = 128

[schedule]
epochs = 6
learning_rate = 2e-3
"""
METALS = ["Li", "Na", "K", "Mg", "Ca", "Sr", "Zn", "Cd", "Al", "Sc", "Ti", "Zr"]
ANIONS = ["N", "O", "F", "S", "Cl", "Se", "Br", "I"]
ORIGIN, QUARTER, CENTRE, FACE = (0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5), (0.5, 0.5, 0)
PROTOTYPES = {225: [(ORIGIN, CENTRE), (ORIGIN, QUARTER)], 216: [(ORIGIN, QUARTER)]}

folder = Path("pretraining")
folder.mkdir(exist_ok=True)
with connect(folder / "crystals.db", append=False) as db:
    for space_group, prototypes in PROTOTYPES.items():
        for positions, elements in product(prototypes, product(METALS, ANIONS)):
            db.write(crystal(elements, positions, spacegroup=space_group, cellpar=[6, 6, 6, 90, 90, 90]))
    for (a, b), anion in product(permutations(METALS, 2), ANIONS):
        db.write(
            crystal(
                [a, b, anion], [ORIGIN, CENTRE, FACE], spacegroup=221, cellpar=[5.5, 5.5, 5.5, 90, 90, 90]
            )
        )
(folder / "run.toml").write_text(SETTINGS)

ingest = ["cloud", "ingest", folder / "crystals.db", "--output", folder / "corpus"]
report = json.loads(subprocess.run(ingest, check=True, stdout=subprocess.PIPE, text=True).stdout)
print(f"ingested {report['crystals']} crystals, kept {report['kept']} distinct SCOPE strings")

subprocess.run(["cloud", "pretrain", "--config", folder / "run.toml"], check=True)

model = CloudModel.from_pretrained(folder / "tiny")
lines = (folder / "tiny" / "training" / "metrics.jsonl").read_text().splitlines()
first, *_, last = (json.loads(line)["loss"] for line in lines)
guess = log(len(model.checkpoint.tokenizer))
print(
    f"loss of masked tokens, nats: {guess:.2f} by guessing, {first:.2f} in epoch 1, {last:.2f} in epoch {len(lines)}"
)
print(f"embeddings of {model.embedding_size}; predictions need fine-tuning, see finetune.py")
