"""What trained networks say of crystals without labels, as labels for another network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cloud_model.network.predictor import Output
from cloud_model.network.tokenizer import Tokens
from cloud_model.physics.mixture import DebyeMixture
from cloud_model.properties.targets import ScalarTarget
from cloud_model.training.finetuning.labels import LabelledTokens, Labels

Array = NDArray[np.float64]
TAUGHT_WEIGHT = 0.5
"""Weight of a crystal without labels, where one with labels weighs one."""
BATCH = 5000  # crystals whose heat capacities are integrated at once


def with_taught(
    crystals: LabelledTokens,
    repeats: NDArray[np.int64],
    unlabelled: Sequence[Tokens],
    outputs: Sequence[Output],
    targets: Mapping[str, ScalarTarget],
) -> tuple[LabelledTokens, NDArray[np.int64]]:
    """Crystals and repeats, once unlabelled crystals have joined with what teachers say of them."""
    more = taught_labels(outputs, targets, crystals.labels.temperatures)
    return (
        LabelledTokens([*crystals.tokens, *unlabelled], joined(crystals.labels, more)),
        np.append(repeats, np.ones(len(more), dtype=int)),
    )


def taught_labels(
    outputs: Sequence[Output], targets: Mapping[str, ScalarTarget], temperatures: NDArray[np.float64]
) -> Labels[Array]:
    """Mean of what networks say of the same crystals; heat capacities on the first complete row of temperatures, K."""
    temperatures = temperatures[~np.isnan(temperatures).any(1)][0]
    scalars, curves = [], []
    device = "cuda" if torch.cuda.is_available() else "cpu"
    grid = torch.from_numpy(temperatures).to(device)
    for output in outputs:
        scalars.append(output.scalars.value.double().numpy())
        parts = zip(*(part.double().to(device).split(BATCH) for part in output.spectra), strict=True)
        spectra = [type(output.spectra)(*part) for part in parts]
        curves.append(torch.cat([DebyeMixture(s, grid).heat_capacity for s in spectra]).cpu().numpy())
    mean = np.mean(scalars, axis=0)
    physical = [target.physical(mean[:, i], mean[:, i])[0] for i, target in enumerate(targets.values())]
    return Labels(np.stack(physical, 1), np.tile(temperatures, (len(mean), 1)), np.mean(curves, axis=0))


def joined(first: Labels[Array], second: Labels[Array]) -> Labels[Array]:
    """Labels of some crystals and of others that were taught; the temperatures of both are as many."""
    return Labels(
        np.concatenate([first.scalars, second.scalars]),
        np.concatenate([first.temperatures, second.temperatures]),
        np.concatenate([first.heat_capacities, second.heat_capacities]),
        weights=np.append(np.ones(len(first)), np.full(len(second), TAUGHT_WEIGHT)),
    )
