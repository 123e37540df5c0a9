"""Prediction intervals of stated coverage, by split conformal prediction.

A residual is measured in units of its predicted standard error. Quantiles of that ratio over crystals that nobody
trained on are the factors that make an interval of a standard error, whatever the shape of the distribution (Lei et
al., J. Am. Stat. Assoc. 113, 1094, 2018).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cloud_model.errors import ArgumentError, shortly

Array = NDArray[np.float64]

COVERAGES = (0.5, 0.6, 0.6827, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)

FARTHEST = 3.0  # distance from the training crystals beyond which error bars grow no more


def growth_factor(growth: float, distance: Array | float) -> Array:
    """Factor on error bars at a distance from the training crystals, one at none."""
    return np.exp(growth * np.minimum(distance, FARTHEST))


def interval_factors(ratios: Array, share: float = 1.0) -> dict[str, float]:
    """Half-widths of intervals in standard errors.

    Parameters
    ----------
    ratios : ndarray, shape (n,)
        Absolute residuals over their standard errors, of crystals not trained on; NaN where there is no label. For a
        bound of its own, residuals with the sign that is positive beyond it.
    share : float
        Share of the labels outside of the interval that may lie beyond this bound.

    Returns
    -------
    dict of str to float
        Coverage -> factor. Of n residuals it is the one of rank ``ceil((n + 1) * (1 - share * (1 - coverage)))``, so
        that small samples promise no more than they can; coverages for which n is too small are left out.
    """
    known = np.sort(ratios[~np.isnan(ratios)])
    ranks = {c: int(np.ceil((len(known) + 1) * (1 - share * (1 - c)))) for c in COVERAGES}
    return {f"{c:g}": max(0.0, float(known[rank - 1])) for c, rank in ranks.items() if rank <= len(known)}


def interval_factor(factors: Mapping[str, float], coverage: float) -> float:
    """Half-width of the interval of this coverage, in standard errors.

    Parameters
    ----------
    factors : mapping of str to float
        As `interval_factors` gives them; those of coverages in between are interpolated.
    coverage : float
        Share of the crystals whose property the interval is to hold, between 0 and 1.

    Raises
    ------
    ArgumentError
        If the coverage is beyond those that could be measured.
    """
    known = sorted((float(name), factor) for name, factor in factors.items())
    widest = known[-1][0] if known else 0.0
    if not (isinstance(coverage, int | float) and 0 < coverage <= widest):
        raise ArgumentError(
            f"interval {shortly(coverage)}",
            f"is not above 0 and at most {widest:g}, the largest share that was measured",
            "Give the share of crystals that the interval is to hold, such as 0.95."
            if known
            else "Use a checkpoint with calibrated intervals, such as the default.",
        )
    shares, widths = zip((0.0, 0.0), *known, strict=True)
    return float(np.interp(coverage, shares, widths))


def share_within(factors: Mapping[str, float], ratio: float) -> float:
    """Share of the crystals whose residual is within so many standard errors, the inverse of `interval_factor`.

    Beyond the largest coverage that was measured, what is left outside falls with the square of the ratio, as
    Chebyshev's inequality bounds it.

    Parameters
    ----------
    factors : mapping of str to float
        As `interval_factors` gives them.
    ratio : float
        Half-width of an interval in standard errors.
    """
    known = sorted((float(name), factor) for name, factor in factors.items())
    shares, widths = zip((0.0, 0.0), *known, strict=True)
    if ratio <= widths[-1]:
        return float(np.interp(ratio, widths, shares))
    return 1 - (1 - shares[-1]) * (widths[-1] / ratio) ** 2
