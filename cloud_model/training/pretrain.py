"""Pretraining: masked-language modelling of SCOPE strings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_model.encoder import Encoder, EncoderConfig, MaskedLanguageHead
from cloud_model.tokenizer import TokenBatch, Tokenizer
from cloud_model.training.batching import bucketed_batches
from cloud_model.training.initialise import initialise_tokens
from cloud_model.training.loop import Metrics, Schedule, train
from cloud_model.training.masking import IGNORED, Masking


class MaskedLanguageModel(nn.Module):
    """Encoder and masked-language head; maps masked ids and their labels to the loss.

    Parameters
    ----------
    config : EncoderConfig
        Shape of the encoder.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = MaskedLanguageHead(config)

    def forward(self, batch: TokenBatch, masked: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of the chosen tokens, in nats."""
        hidden = self.encoder(masked, batch.mask, batch.types)
        chosen = labels != IGNORED
        logits = self.head(hidden[chosen], self.encoder.embeddings.word_embeddings.weight)
        return functional.cross_entropy(logits.float(), labels[chosen])


def pretrain(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    config: EncoderConfig,
    schedule: Schedule,
    directory: Path,
    *,
    validation: Sequence[str] = (),
    tokens_per_batch: int = 4096,
) -> Encoder:
    """Pretrain an encoder on SCOPE strings, resuming from `directory` if training began there.

    Parameters
    ----------
    texts : sequence of str
        SCOPE strings of one dialect.
    tokenizer : Tokenizer
        Its vocabulary sets the vocabulary size of `config`.
    config : EncoderConfig
        Shape of the encoder.
    schedule : Schedule
        How long and how fast.
    directory : Path
        Receives the resumable state and the metrics.
    validation : sequence of str
        Strings for the validation loss and accuracy.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch.

    Returns
    -------
    Encoder
        The trained encoder.
    """
    torch.manual_seed(schedule.seed)
    model = MaskedLanguageModel(config)
    initialise_tokens(model.encoder.embeddings.word_embeddings, tokenizer)
    masking = Masking(tokenizer)
    tokens = [tokenizer.encode(text) for text in texts]
    lengths = np.array([len(row.ids) for row in tokens])
    held_out = [
        TokenBatch.collate([tokenizer.encode(text) for text in chunk]) for chunk in _chunks(validation, 256)
    ]

    def epoch_batches(epoch: int) -> list[tuple[int, np.ndarray]]:
        rng = np.random.default_rng([schedule.seed, epoch])
        batches = bucketed_batches(lengths, tokens_per_batch, rng)
        return [
            (seed, rows)
            for seed, rows in zip(rng.integers(2**62, size=len(batches)).tolist(), batches, strict=True)
        ]

    def loss(module: nn.Module, item: tuple[int, np.ndarray]) -> tuple[Tensor, int]:
        seed, rows = item
        batch = TokenBatch.collate([tokens[row] for row in rows])
        masked, labels = masking(batch.ids, torch.Generator().manual_seed(seed))
        return module(batch, masked, labels), int(batch.mask.sum())

    @torch.inference_mode()
    def validate(module: nn.Module) -> Metrics:
        generator = torch.Generator().manual_seed(0)
        total, count = 0.0, 0
        for batch in held_out:
            masked, labels = masking(batch.ids, generator)
            chosen = int((labels != IGNORED).sum())
            total += float(module(batch, masked, labels)) * chosen
            count += chosen
        return {"validation_loss": total / count} if count else {}

    train(model, epoch_batches, loss, schedule, directory, validate=validate)
    return model.encoder


def _chunks(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    ordered = sorted(texts, key=len)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]
