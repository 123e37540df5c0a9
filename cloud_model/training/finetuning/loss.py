"""The loss of fine-tuning: absolute errors of all properties, and the likelihood of their error bars."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_model.network.predictor import Output
from cloud_model.physics.debye import DebyeSolid
from cloud_model.physics.mixture import DebyeMixture, Spectra
from cloud_model.training.finetuning.labels import Labels

TYPICAL_DEBYE_TEMPERATURE = 350.0  # K, whose heat capacity says how much a temperature tells
TYPICAL_SPREAD = 0.3  # of the logarithm of Debye temperatures over crystals
LEAST_UNIT = 0.1  # J/(mol-atom K), unit of heat capacities where all crystals are alike
LIKELIHOOD_WEIGHT = 0.1  # of the error bars of a curve, which have one parameter
COLDEST = 100.0  # K, below which zero-point energies weigh no more


class MultiTaskLoss(nn.Module):
    """Mean absolute errors in normalised units, and the likelihood of the error bars.

    Parameters
    ----------
    weights : Tensor
        Weights of the scalar properties, shape (number of scalar properties,).
    heat_capacity_weight : float
        Weight of the heat capacity curve of a crystal.
    probabilities : Tensor
        Which scalar properties are probabilities; their loss is the cross entropy.
    """

    weights: Tensor
    probabilities: Tensor

    def __init__(self, weights: Tensor, heat_capacity_weight: float, probabilities: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("probabilities", probabilities)
        self.heat_capacity_weight = heat_capacity_weight

    def forward(self, output: Output, labels: Labels[Tensor], size: int) -> Tensor:
        """Loss of some rows of a batch of this size: weighted sum over their labels, divided by the size."""
        assert labels.weights is not None  # noqa: S101
        total = torch.zeros((), device=self.weights.device)
        if output.scalars is not None:
            known = ~labels.scalars.isnan()
            value, label = output.scalars.value, labels.scalars.nan_to_num()
            entropy = functional.binary_cross_entropy_with_logits(value, label, reduction="none")
            residual = torch.where(self.probabilities, entropy, (value - label).abs())
            likelihood = laplace_likelihood(residual.detach(), output.scalars.scale)
            total = total + ((residual + likelihood) * self.weights * known * labels.weights[:, None]).sum()
        if output.spectra is not None and (rows := ~labels.heat_capacities.isnan().all(1)).any():
            spectra = output.spectra.each(lambda part: part[rows])
            total = total + self.heat_capacity_weight * curve_loss(spectra, labels[rows])
        return total / size


def laplace_likelihood(residual: Tensor, scale: Tensor) -> Tensor:
    """Negative log likelihood of absolute residuals under a Laplace distribution of this deviation."""
    width = scale / 2**0.5
    return residual / width + width.log()


def curve_loss(spectra: Spectra, labels: Labels[Tensor]) -> Tensor:
    """Loss of heat capacities, and internal energies if there are any, summed over crystals.

    Residuals are measured in what typical crystals differ by at their temperature. The error bars send no gradient
    to the spectra.
    """
    assert labels.weights is not None  # noqa: S101
    known = ~labels.heat_capacities.isnan()
    temperatures = torch.where(known, labels.temperatures, 300.0)
    mixture = DebyeMixture(spectra, temperatures)
    residual = (mixture.heat_capacity - labels.heat_capacities.nan_to_num()).abs()
    slope = DebyeSolid(TYPICAL_DEBYE_TEMPERATURE, temperatures).heat_capacity_slope.abs()
    unit = TYPICAL_SPREAD * slope + LEAST_UNIT
    fixed = spectra._replace(
        debye_temperatures=spectra.debye_temperatures.detach(), weights=spectra.weights.detach()
    )
    error = DebyeMixture(fixed, temperatures).standard_error("heat_capacity")
    loss = residual / unit + LIKELIHOOD_WEIGHT * laplace_likelihood(residual.detach(), error)
    if labels.internal_energies is not None:
        missing = (mixture.internal_energy - labels.internal_energies).abs().nan_to_num()
        loss = loss + missing / (unit * temperatures.clamp(min=COLDEST))
    return (loss * known * labels.weights[:, None]).sum() / known.sum(1).float().mean()
