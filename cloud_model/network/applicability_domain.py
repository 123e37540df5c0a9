"""The domain of a trained network: how far a crystal is from those that it was trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHARE = 0.99  # of held-out crystals of the same kind that are within the domain
_SHRINKAGE = 1e-3  # of the covariance towards a multiple of the unit matrix, so that it can be inverted


class TrainingDomain(nn.Module):
    """Mahalanobis distance of pooled hidden states from those of the training crystals.

    The distance (Lee et al., NeurIPS 2018, arXiv 1807.03888) is in units of the one that 99% of held-out crystals
    of the same kind do not exceed: a crystal beyond one is out of the domain. The common kinds of training crystals
    do not dominate: each kind is weighted equally.

    Parameters
    ----------
    features : int
        Width of the pooled hidden states.
    """

    location: Tensor
    whitening: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(features))
        self.register_buffer("whitening", torch.zeros(features, features))

    def fit(self, training: Tensor, kinds: Tensor, held_out: Tensor) -> None:
        """Learn the domain.

        Parameters
        ----------
        training : Tensor
            Pooled hidden states of training crystals, shape (n, features).
        kinds : Tensor
            Number of the kind of each training crystal, int64, shape (n,).
        held_out : Tensor
            Pooled hidden states of crystals not trained on, which set the unit, shape (m, features).
        """
        counts = kinds.bincount()
        weights = 1 / counts[kinds].double()
        weights = (weights / weights.sum())[:, None]
        location = (weights * training).sum(0)
        deviations = training - location
        covariance = deviations.T @ (weights * deviations)
        unit = torch.eye(len(location), dtype=torch.float64) * covariance.diagonal().mean().clamp(min=1e-6)
        factor = torch.linalg.cholesky(torch.lerp(covariance, unit, _SHRINKAGE))
        whitening = torch.linalg.inv(factor).T
        limit = ((held_out - location) @ whitening).norm(dim=1).quantile(SHARE)
        self.location, self.whitening = location.float(), (whitening / limit).float()

    def forward(self, features: Tensor) -> Tensor:
        """Distances of pooled hidden states of shape (batch, features), shape (batch,)."""
        return ((features - self.location) @ self.whitening).norm(dim=-1)
