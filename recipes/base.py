"""Make the checkpoint ``cloud-base`` of a pretraining run: the encoder that has seen strings and no label.

python -m recipes.base PREPARED PRETRAINED OUTPUT
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import pandas as pd
import torch

from cloud_model.checkpoints.checkpoint import Checkpoint

CARD = """\
# {name}

The encoder of `cloud-mini` before it saw any label: BERT, {layers} layers x {width}, {parameters:.1f} M parameters,
pretrained by masked-language modelling on SCOPE strings of the dialect `{dialect}`. It predicts nothing by itself.
Start benchmarks and transfer learning from it where the labels of `cloud-mini` would leak:
`cloud evaluate --protocol matbench` does so by default.

- Corpus: {strings:,} distinct strings, {epochs} passes, {steps:,} steps; `recipes/pretrain.toml` has every setting.
- Sources: Materials Project 2025.02.12 (CC BY 4.0); Materials Project 2018, LeMat (OQMD, Alexandria, AFLOW, JARVIS),
  Castelli perovskites, carbon24 (Apache-2.0, MIT, NIST, CC BY 4.0); and the strings, without the labels, of the
  crystals that `cloud-mini` is trained on: MP-20, WBM, AFLOW, MatBench, JARVIS-DFT.
- Held out: the compositions of one twentieth, by a fixed hash; none of their {validation:,} strings is in the corpus.
  The cross entropy of masked tokens is {loss:.3f} nats there.

A string holds space group, Wyckoff positions and composition of a crystal, nothing else: that a crystal of a benchmark
occurs in the corpus tells the encoder that it exists, which no label of that benchmark says.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepared", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("output", type=Path, help="its name is the name of the checkpoint")
    arguments = parser.parse_args()
    pretrained = Checkpoint.load(arguments.pretrained)
    config = dataclasses.replace(pretrained.config, name=arguments.output.name)
    corpus, validation = (
        pd.read_parquet(arguments.prepared / f"{part}.parquet").scope for part in ("corpus", "validation")
    )
    if validation.isin(corpus).any():
        raise SystemExit("The corpus holds strings that are held out.")
    last = json.loads((arguments.pretrained / "training" / "metrics.jsonl").read_text().splitlines()[-1])
    card = CARD.format(
        name=config.name,
        layers=config.encoder.num_hidden_layers,
        width=config.encoder.hidden_size,
        parameters=sum(p.numel() for p in pretrained.members[0].parameters()) / 1e6,
        dialect=config.dialect,
        strings=len(corpus),
        validation=len(validation),
        epochs=last["epoch"],
        steps=last["step"],
        loss=last["validation_loss"],
    )
    Checkpoint(config, pretrained.tokenizer, pretrained.members).save(arguments.output, card, torch.float16)


if __name__ == "__main__":
    main()
