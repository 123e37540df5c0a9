"""The network that predicts: an encoder and its heads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cloud_model.network.applicability_domain import TrainingDomain
from cloud_model.network.batches import padded_rows, run_batched
from cloud_model.network.encoder import Encoder, EncoderConfig
from cloud_model.network.heads import (
    ExpansionHead,
    Prediction,
    ScalarHeads,
    ThermodynamicsHead,
    property_features,
)
from cloud_model.network.precision import Precision, autocast
from cloud_model.network.tokenizer import TokenBatch, Tokens
from cloud_model.physics.isobaric import UncertainExpansion
from cloud_model.physics.mixture import Spectra


class Output(NamedTuple):
    """Outputs of the heads for a batch; None where the network has no such head."""

    scalars: Prediction | None
    spectra: Spectra | None
    expansion: UncertainExpansion | None = None
    distance: Tensor | None = None  # from the training crystals, shape (batch,); beyond 1 out of the domain

    def cpu(self) -> Output:
        """Move all parts to the CPU."""
        return Output(
            self.scalars and Prediction(*(part.cpu() for part in self.scalars)),
            self.spectra and self.spectra.each(lambda part: part.cpu()),
            self.expansion and UncertainExpansion(*(part.cpu() for part in self.expansion)),
            None if self.distance is None else self.distance.cpu(),
        )


class Heads(nn.Module):
    """The heads of a `Predictor`, which it shares: features as of `property_features` to outputs."""

    def __init__(self, scalars: ScalarHeads | None, thermodynamics: ThermodynamicsHead | None) -> None:
        super().__init__()
        self.scalars, self.thermodynamics = scalars, thermodynamics

    def forward(self, features: Tensor) -> Output:
        """Predictions in normalised units, and spectra in K."""
        return _outputs(self, features)


class Predictor(nn.Module):
    """Encoder, scalar heads, heads of thermodynamics and of expansion, and domain.

    Parameters
    ----------
    config : EncoderConfig
        Shape of the encoder; the heads drop as many hidden units as it does.
    scalars : int
        Number of scalar properties, 0 for none.
    spectra : int
        Number of Debye spectra, 0 for no thermodynamics.
    domain : bool
        Whether it knows how far crystals are from its training crystals.
    expansion : bool
        Whether it knows how crystals expand.
    """

    def __init__(
        self,
        config: EncoderConfig,
        scalars: int,
        spectra: int,
        domain: bool = False,
        expansion: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        features, dropout = 2 * config.hidden_size, config.hidden_dropout_prob
        self.scalars = ScalarHeads(features, scalars, dropout) if scalars else None
        self.thermodynamics = ThermodynamicsHead(features, spectra, dropout) if spectra else None
        self.expansion = ExpansionHead(features) if expansion else None
        self.domain = TrainingDomain(config.hidden_size) if domain else None

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def hidden_states(self, batch: TokenBatch, precision: Precision = "float32") -> Tensor:
        """Hidden states of the last layer, shape (batch, length, hidden_size)."""
        with autocast(precision, batch.ids.device) if precision != "float32" else nullcontext():
            return self.encoder(batch.ids, batch.mask, batch.types)

    def forward(self, batch: TokenBatch, precision: Precision = "float32") -> Output:
        """Predictions in normalised units, and spectra in K; the encoder multiplies matrices in a precision."""
        features = property_features(self.hidden_states(batch, precision), batch)
        return self.heads(features) if self.training else padded_rows(self.heads, features)

    def heads(self, features: Tensor) -> Output:
        """Outputs of the heads for crystals whose features have shape (batch, 2 * hidden_size)."""
        _, atoms = features.chunk(2, dim=-1)
        return _outputs(self, features)._replace(
            expansion=self.expansion(features) if self.expansion else None,
            distance=self.domain(atoms) if self.domain else None,
        )

    def features(self, tokens: Sequence[Tokens]) -> Tensor:
        """Input of the heads for many crystals, on the CPU; each distinct one goes through the encoder once."""
        place = {distinct: i for i, distinct in enumerate(dict.fromkeys(tokens))}
        distinct = run_batched(
            lambda batch: property_features(self.hidden_states(batch), batch), list(place), device=self.device
        )
        return distinct[torch.tensor([place[row] for row in tokens])].clone()

    def fit_domain(self, training: Sequence[Tokens], features: Tensor, unseen: Tensor) -> None:
        """Learn the domain; the kind of a crystal is its number of elements.

        Parameters
        ----------
        training : sequence of Tokens
            Crystals trained on.
        features, unseen : Tensor
            What `features` gives for them, and for crystals not trained on.
        """
        self.domain = TrainingDomain(self.encoder.config.hidden_size)
        pooled, others = (part.chunk(2, dim=-1)[1] for part in (features, unseen))
        self.domain.fit(pooled, torch.tensor([_kind(tokens) for tokens in training]), others)


def _outputs(network: Heads | Predictor, features: Tensor) -> Output:
    return Output(
        network.scalars(features) if network.scalars else None,
        network.thermodynamics(features) if network.thermodynamics else None,
    )


def _kind(tokens: Tokens) -> int:
    elements = {token for token, share in zip(tokens.ids, tokens.shares, strict=True) if share > 0}
    return min(len(elements), 5)


def run_heads(predictor: Predictor, tokens: Sequence[Tokens]) -> Output:
    """Outputs of a predictor for many crystals, in their order, on the CPU."""
    any_head = predictor.scalars or predictor.thermodynamics or predictor.expansion or predictor.domain
    return run_batched(predictor, tokens, device=predictor.device) if any_head else Output(None, None)
