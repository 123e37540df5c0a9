"""The network that predicts: an encoder and its heads."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from cloud_model.encoder import Encoder, EncoderConfig
from cloud_model.heads import Prediction, ScalarHeads, Spectra, ThermodynamicsHead, property_features
from cloud_model.tokenizer import TokenBatch


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
        """Hidden states, shape (batch, length, hidden_size)."""
        return self.encoder(batch.ids, None if batch.mask.all() else batch.mask, batch.types)

    def forward(self, batch: TokenBatch) -> Output:
        """Predictions in normalised units, and spectra in K."""
        features = property_features(self.hidden_states(batch), batch)
        return Output(
            self.scalars(features) if self.scalars else None,
            self.thermodynamics(features) if self.thermodynamics else None,
        )
