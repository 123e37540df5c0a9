"""Pretrain the encoder of the shipped checkpoints on the corpus that ``prepare.py`` wrote.

    python recipes/pretrain.py DATA RUN

Half an hour to an hour on one core with bfloat16 matrix units. Interrupted runs resume.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

from cloud_model.encoder import EncoderConfig
from cloud_model.tokenizer import Tokenizer, build_vocabulary
from cloud_model.training.loop import Schedule
from cloud_model.training.pretrain import pretrain

LENGTH = 128


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()

    corpus = pd.read_parquet(arguments.data / "corpus.parquet").scope.tolist()
    labels = pd.read_parquet(arguments.data / "labels.parquet")
    validation = labels[labels.split == "validation"].scope.tolist()[:2000]
    elements = {word for text in corpus for word in text.rsplit(" | ", 1)[1].split()[::2]}
    tokenizer = Tokenizer(build_vocabulary(elements), LENGTH)
    config = EncoderConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    schedule = Schedule(epochs=arguments.epochs, learning_rate=6e-4)
    encoder = pretrain(corpus, tokenizer, config, schedule, arguments.run, validation=validation)
    torch.save(encoder.state_dict(), arguments.run / "encoder.pt")
    (arguments.run / "vocab.txt").write_text("\n".join(tokenizer.vocabulary) + "\n")


if __name__ == "__main__":
    main()
