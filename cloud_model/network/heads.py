"""Hidden states to properties: pooling, scalar heads, the thermodynamics head and the expansion head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_model.network.tokenizer import TokenBatch
from cloud_model.physics.isobaric import UncertainExpansion
from cloud_model.physics.mixture import FLOOR, Spectra

HEAD_SIZE = 128


class Prediction(NamedTuple):
    """A quantity and its scale of error, of equal shapes."""

    value: Tensor
    scale: Tensor


def mean_pool(hidden: Tensor, batch: TokenBatch) -> Tensor:
    """Mean hidden state of the tokens, shape (batch, hidden_size)."""
    mask = batch.mask[..., None].to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def atom_pool(hidden: Tensor, batch: TokenBatch) -> Tensor:
    """Mean hidden state of the atoms: each element token counts as the atoms that it stands for."""
    return (hidden * batch.shares[..., None].to(hidden.dtype)).sum(1)


def layer_pool(words: Tensor, hidden: Tensor, batch: TokenBatch) -> Tensor:
    """Mean and standard deviation over the atoms of their words, and their mean hidden state.

    The words, of shape (batch, length, hidden_size), are vectors of the elements alone, without their places in the
    string; the hidden states are the last layer. Shape (batch, 3 * hidden_size).
    """
    mean = atom_pool(words, batch)
    variance = atom_pool(words**2, batch) - mean**2
    return torch.cat([mean, variance.clamp(min=0).sqrt(), atom_pool(hidden, batch)], dim=-1)


def property_features(hidden: Tensor, batch: TokenBatch) -> Tensor:
    """Input of the heads: both means, side by side, shape (batch, 2 * hidden_size)."""
    return torch.cat([mean_pool(hidden, batch), atom_pool(hidden, batch)], dim=-1)


class ScalarHeads(nn.Module):
    """One two-layer perceptron for each scalar property, in normalised units.

    The scale of error is learned from the same hidden units but sends no gradient back through them, so that it
    cannot trade accuracy for a wide error bar.

    Parameters
    ----------
    features : int
        Width of the input.
    targets : int
        Number of properties.
    dropout : float
        Share of the hidden units that training drops.
    """

    def __init__(self, features: int, targets: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.targets = targets
        self.hidden = nn.Linear(features, targets * HEAD_SIZE)
        self.dropout = nn.Dropout(dropout)
        self.value = nn.Parameter(torch.randn(targets, HEAD_SIZE) / math.sqrt(HEAD_SIZE))
        self.value_bias = nn.Parameter(torch.zeros(targets))
        self.scale = nn.Parameter(torch.zeros(targets, HEAD_SIZE))
        self.scale_bias = nn.Parameter(torch.zeros(targets))

    def forward(self, features: Tensor) -> Prediction:
        """Values and scales, both of shape (batch, targets)."""
        hidden = (
            self.dropout(functional.gelu(self.hidden(features)))
            .unflatten(-1, (self.targets, HEAD_SIZE))
            .float()
        )
        value = (hidden * self.value).sum(-1) + self.value_bias
        log_scale = (hidden.detach() * self.scale).sum(-1) + self.scale_bias
        return Prediction(value, log_scale.clamp(-8, 4).exp())


class ThermodynamicsHead(nn.Module):
    r"""A mixture of Debye spectra; one spectrum is CLOUD-DEBYE.

    Debye temperatures stay between 15 K and 6000 K, and the weights are a softmax, so that whatever the network
    says is a vibrational density of states.

    Parameters
    ----------
    features : int
        Width of the input.
    spectra : int
        Number of Debye spectra.
    dropout : float
        Share of the hidden units that training drops.
    """

    REFERENCE = 300.0  # K
    RANGE = 3.0  # of the natural logarithm of the Debye temperature, to either side of the reference

    def __init__(self, features: int, spectra: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.spectra = spectra
        self.hidden = nn.Linear(features, 2 * HEAD_SIZE)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * HEAD_SIZE, 2 * spectra)
        self.spread = nn.Linear(2 * HEAD_SIZE, 1)
        self.register_buffer("offsets", torch.linspace(-0.7, 0.7, spectra) if spectra > 1 else torch.zeros(1))
        nn.init.zeros_(self.spread.weight)
        nn.init.constant_(self.spread.bias, math.log(0.1))

    def forward(self, features: Tensor) -> Spectra:
        """Spectra of the crystals whose features have shape (batch, features)."""
        hidden = self.dropout(functional.gelu(self.hidden(features)))
        logits, positions = self.output(hidden).float().chunk(2, dim=-1)
        log_ratio = self.RANGE * torch.tanh((positions + self.offsets) / self.RANGE)
        spread = self.spread(hidden.detach()).float().squeeze(-1).clamp(-8, 2).exp()
        floor = torch.full_like(spread, FLOOR)
        return Spectra(self.REFERENCE * log_ratio.exp(), logits.softmax(-1), spread, floor)


EXPANSION = {
    "spectral_scale": (1.0, 0.2),
    "volume": (18.0, 2.5),
    "bulk_modulus": (70.0, 4.0),
    "gruneisen": (1.5, 1.0),
    "anharmonicity": (2e-6, 3.0),
}
"""The fields of `Expansion`: middle of the range, and how far the natural logarithm goes to either side."""
KNOWN = {"volume": ("volume_per_atom", 0.03), "bulk_modulus": ("bulk_modulus", 0.15)}
"""Those fields that scalar heads know better: the properties, and by how much calculations differ from experiment."""


class ExpansionHead(nn.Module):
    """Small perceptrons, each trained without a part of the formulas, that say how a crystal expands.

    Whatever they say is a crystal, within the ranges of `EXPANSION`. Perceptron k leaves out the part k modulo `PARTS`.

    Parameters
    ----------
    features : int
        Width of the input.
    members : int
        Number of perceptrons.
    """

    PARTS = 5  # of the formulas
    MEMBERS = 15
    UNITS = 32  # of each

    uncertainty: Tensor

    def __init__(self, features: int, members: int = MEMBERS) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, members * self.UNITS)
        self.output = nn.Parameter(torch.randn(members, self.UNITS, len(EXPANSION)) / self.UNITS)
        self.bias = nn.Parameter(torch.zeros(members, len(EXPANSION)))
        self.register_buffer("uncertainty", torch.zeros(len(EXPANSION)))

    def members(self, features: Tensor) -> Tensor:
        """Natural logarithms of the fields of `Expansion`, as each perceptron has them, (batch, members, 5)."""
        hidden = functional.gelu(self.hidden(features)).view(len(features), -1, 1, self.UNITS)
        outputs = (hidden * self.output.mT).sum(-1) + self.bias
        middle, reach = outputs.new_tensor([*EXPANSION.values()]).unbind(-1)
        return middle.log() + reach * torch.tanh(outputs / reach)

    def forward(self, features: Tensor) -> UncertainExpansion:
        """Natural logarithms of the fields of `Expansion` and their standard errors, both (batch, 5)."""
        variance, mean = torch.var_mean(self.members(features), dim=1)
        return UncertainExpansion(mean, torch.sqrt(variance + self.uncertainty**2))


def with_calculated(expansion: UncertainExpansion, known: Mapping[str, Prediction]) -> UncertainExpansion:
    """Take the fields that scalar heads know from them.

    Parameters
    ----------
    expansion : UncertainExpansion
        As an `ExpansionHead` says, which learns these fields for the sake of the others.
    known : mapping of str to Prediction
        Properties in their units, each of shape (batch,). Beyond the ranges of `EXPANSION` they count as at the ends.
    """
    logarithms, errors = (part.clone() for part in expansion)
    for column, (field, (middle, reach)) in enumerate(EXPANSION.items()):
        if field in KNOWN:
            name, theory = KNOWN[field]
            value, error = known[name]
            bounded = value.clamp(middle * math.exp(-reach), middle * math.exp(reach))
            logarithms[:, column] = bounded.log()
            errors[:, column] = torch.sqrt((error / bounded) ** 2 + theory**2)
    return UncertainExpansion(logarithms, errors)
