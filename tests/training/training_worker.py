"""A small pretraining run to start, kill and start again in processes of its own: training_worker.py DIRECTORY."""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path

import torch

from cloud_model import Scope
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
from cloud_model.training import loop
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.pretrain import pretrain

ELEMENTS = ("Na", "K", "Rb", "Cs", "F", "Cl", "Br", "I")
TEXTS = [str(Scope.from_orbits(225, [("4a", a), ("4b", b)])) for a, b in product(ELEMENTS, repeat=2)]
TEXTS += [
    str(Scope.from_orbits(221, [("1a", a), ("1b", b), ("3c", "O")])) for a, b in product(ELEMENTS, repeat=2)
]
SCHEDULE = Schedule(epochs=6, learning_rate=1e-3, precision="float32")


def run(directory: Path, schedule: Schedule = SCHEDULE) -> dict[str, torch.Tensor]:
    """Weights of the trained encoder."""
    tokenizer = Tokenizer(build_vocabulary([*ELEMENTS, "O"]), 32)
    config = EncoderConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = pretrain(
        TEXTS, tokenizer, config, schedule, directory, validation=TEXTS[:16], tokens_per_batch=150
    )
    return encoder.state_dict()


if __name__ == "__main__":
    loop.SAVE_EVERY = 0.0
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    weights = run(target)
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(weights, target / "weights.pt")
