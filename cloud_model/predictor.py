"""The network that predicts: an encoder and its heads, and how it runs over many crystals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cloud_model.encoder import Encoder, EncoderConfig
from cloud_model.heads import Prediction, ScalarHeads, Spectra, ThermodynamicsHead, property_features
from cloud_model.tokenizer import TokenBatch, Tokens

TOKENS_PER_BATCH = 4096


class Output(NamedTuple):
    """What the heads say of a batch; None where the network has no such head."""

    scalars: Prediction | None
    spectra: Spectra | None


class Predictor(nn.Module):
    """Encoder, scalar heads and thermodynamics head.

    Parameters
    ----------
    config : EncoderConfig
        Shape of the encoder.
    scalars : int
        Number of scalar properties, 0 for none.
    spectra : int
        Number of Debye spectra, 0 for no thermodynamics.
    """

    def __init__(self, config: EncoderConfig, scalars: int, spectra: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        features = 2 * config.hidden_size
        self.scalars = ScalarHeads(features, scalars) if scalars else None
        self.thermodynamics = ThermodynamicsHead(features, spectra) if spectra else None

    def hidden_states(self, batch: TokenBatch) -> Tensor:
        """Hidden states of the last layer, shape (batch, length, hidden_size)."""
        types = batch.types if self.encoder.config.type_vocab_size > 1 else None
        return self.encoder(batch.ids, None if batch.mask.all() else batch.mask, types)

    def forward(self, batch: TokenBatch) -> Output:
        """Predictions in normalised units, and spectra in K."""
        features = property_features(self.hidden_states(batch), batch)
        return Output(
            self.scalars(features) if self.scalars else None,
            self.thermodynamics(features) if self.thermodynamics else None,
        )


@torch.inference_mode()
def run_batched(function: Callable[[TokenBatch], Sequence[Tensor]], tokens: Sequence[Tokens]) -> list[Tensor]:
    """Apply a function to batches of similar length and put the results back in order.

    Parameters
    ----------
    function : callable
        Batch -> tensors whose first axis is the batch.
    tokens : sequence of Tokens
        At least one.

    Returns
    -------
    list of Tensor
        What `function` returns, over all rows.
    """
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row].ids))
    parts, start = [], 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * len(tokens[order[stop]].ids) <= TOKENS_PER_BATCH:
            stop += 1
        parts.append(function(TokenBatch.collate([tokens[row] for row in order[start:stop]])))
        start = stop
    inverse = torch.empty(len(order), dtype=torch.int64)
    inverse[torch.tensor(order)] = torch.arange(len(order))
    return [torch.cat(pieces)[inverse] for pieces in zip(*parts, strict=True)]


def run_heads(predictor: Predictor, tokens: Sequence[Tokens]) -> Output:
    """Outputs of a predictor for many crystals, in their order, on the CPU."""
    device = next(predictor.parameters()).device

    def heads(batch: TokenBatch) -> list[Tensor]:
        output = predictor(batch.to(device))
        return [part.cpu() for part in (*(output.scalars or ()), *(output.spectra or ()))]

    parts = run_batched(heads, tokens) if predictor.scalars or predictor.thermodynamics else []
    scalars = Prediction(*parts[:2]) if predictor.scalars else None
    return Output(scalars, Spectra(*parts[-3:]) if predictor.thermodynamics else None)
