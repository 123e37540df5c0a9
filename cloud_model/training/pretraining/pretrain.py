"""Pretraining: masked-language modelling of SCOPE strings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_model.errors import ScopeError, VocabularyError
from cloud_model.network.encoder import Encoder, EncoderConfig, MaskedLanguageHead
from cloud_model.network.precision import kernel_rows, padded_to
from cloud_model.network.tokenizer import TokenBatch, Tokenizer, Tokens, TokenTable
from cloud_model.training.batching import bucketed_batches
from cloud_model.training.loop import Schedule, Step, train
from cloud_model.training.pretraining.initialise import initialise_tokens
from cloud_model.training.pretraining.masking import IGNORED, Masking
from cloud_model.training.pretraining.strings import Corpus, TextCorpus, pools
from cloud_model.training.state import Metrics


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
        """Cross entropy of the chosen tokens, in nats, summed over them."""
        hidden = self.encoder(masked, batch.mask, batch.types)
        chosen = labels != IGNORED
        states = hidden[chosen]
        number = len(states)
        states = padded_to(kernel_rows(number, states.device), states)
        logits = self.head(states, self.encoder.embeddings.word_embeddings.weight)[:number]
        return functional.cross_entropy(logits.float(), labels[chosen], reduction="sum")


class Masked(NamedTuple):
    """A batch with some tokens masked.

    Attributes
    ----------
    batch : TokenBatch
        As it was.
    ids, labels : Tensor
        As given by `Masking`.
    """

    batch: TokenBatch
    ids: Tensor
    labels: Tensor

    def rows(self, part: slice) -> Masked:
        """Pick some rows."""
        batch = TokenBatch(*(getattr(self.batch, name)[part] for name in ("ids", "types", "shares", "mask")))
        return Masked(batch, self.ids[part], self.labels[part])

    def to(self, device: torch.device) -> Masked:
        """Move the batch."""
        return Masked(self.batch.to(device), self.ids.to(device), self.labels.to(device))


@dataclass(frozen=True, kw_only=True)
class _Pretraining:
    """The task of the training loop: strings and the masked-language loss."""

    corpus: Corpus
    tokenizer: Tokenizer
    masking: Masking
    validation: Sequence[TokenBatch]
    tokens_per_batch: int
    seed: int
    unreadable: Counter[str]
    uses_all = True

    @property
    def rows(self) -> int:
        return sum(self.corpus.sizes)

    @property
    def identity(self) -> str:
        return self.corpus.identity

    def steps(self, epoch: int, start: tuple[int, int]) -> Iterator[Step]:
        self.unreadable.clear()
        for number, texts in pools(self.corpus, self.seed, epoch, start[0]):
            table = TokenTable.of(list(self._tokens(texts)))
            rng = np.random.default_rng([self.seed, epoch, number, 1])
            batches = bucketed_batches(table.lengths, self.tokens_per_batch, rng)
            seeds = rng.integers(2**62, size=len(batches)).tolist()
            for i in range(start[1] if number == start[0] else 0, len(batches)):
                batch = table.batch(batches[i])
                masked = Masked(batch, *self.masking(batch.ids, torch.Generator().manual_seed(seeds[i])))
                yield Step(masked, len(batches[i]), (number, i + 1))

    def _tokens(self, texts: Sequence[str]) -> Iterator[Tokens]:
        for text in texts:
            try:
                yield self.tokenizer.encode(text)
            except (ScopeError, VocabularyError) as error:
                self.unreadable[error.reason] += 1

    def loss(self, model: nn.Module, batch: Masked, part: slice) -> tuple[Tensor, int]:
        chosen = max(1, int((batch.labels != IGNORED).sum()))
        own = batch.rows(part)
        if not len(own.ids):  # a process without rows takes part in the step, with no token chosen
            own = batch.rows(slice(1))._replace(labels=torch.full_like(batch.labels[:1], IGNORED))
        own = own.to(next(model.parameters()).device)
        return model(*own) / chosen, int(own.batch.mask.sum())

    @torch.inference_mode()
    def validate(self, model: nn.Module) -> Metrics:
        device = next(model.parameters()).device
        generator = torch.Generator().manual_seed(0)
        total, count = 0.0, 0
        for batch in self.validation:
            masked = Masked(batch, *self.masking(batch.ids, generator))
            total += float(model(*masked.to(device)))
            count += int((masked.labels != IGNORED).sum())
        metrics: Metrics = {"unreadable_strings": self.unreadable.total()}
        return metrics | ({"validation_loss": total / count} if count else {})


def pretrain(
    texts: Sequence[str] | Corpus,
    tokenizer: Tokenizer,
    config: EncoderConfig,
    schedule: Schedule,
    directory: Path,
    *,
    validation: Sequence[str] = (),
    tokens_per_batch: int = 4096,
    masking: Masking | None = None,
    start: Encoder | None = None,
    tensorboard: bool = False,
) -> Encoder:
    """Pretrain an encoder on SCOPE strings, resuming from `directory` if training began there.

    Strings that the tokenizer cannot read are passed over; the metrics count them.

    Parameters
    ----------
    texts : sequence of str or Corpus
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
        Strings for the validation loss.
    tokens_per_batch : int
        Upper bound of rows times longest row of a batch.
    masking : Masking, optional
        Which tokens are to be restored; 15% of them, elements as a whole, if left out.
    start : Encoder, optional
        Its weights are the start values.
    tensorboard : bool
        Write the metrics for TensorBoard too.

    Returns
    -------
    Encoder
        The trained encoder.

    Raises
    ------
    Interrupted
        If training was interrupted; it has the encoder as it is.
    """
    torch.manual_seed(schedule.seed)
    model = MaskedLanguageModel(config)
    initialise_tokens(model.encoder.embeddings.word_embeddings, tokenizer)
    if start is not None:
        model.encoder.load_state_dict(start.state_dict())
    task = _Pretraining(
        corpus=TextCorpus(texts) if isinstance(texts, Sequence) else texts,
        tokenizer=tokenizer,
        masking=masking or Masking(tokenizer),
        validation=[
            TokenBatch.collate([tokenizer.encode(text) for text in part]) for part in _chunks(validation)
        ],
        tokens_per_batch=tokens_per_batch,
        seed=schedule.seed,
        unreadable=Counter(),
    )
    try:
        train(model, task, schedule, directory, tensorboard=tensorboard)
    except KeyboardInterrupt:
        raise Interrupted(model.encoder.eval()) from None
    return model.encoder


class Interrupted(KeyboardInterrupt):
    """Pretraining was interrupted; its state is saved, and `encoder` is what it has come to."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder


def _chunks(texts: Sequence[str], size: int = 256) -> list[Sequence[str]]:
    ordered = sorted(texts, key=len)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]
