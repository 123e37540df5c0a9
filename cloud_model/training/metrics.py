"""Errors of predictions and calibration of their error bars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cloud_model.display.tables import markdown_table

Array = NDArray[np.float64]
ONE_SIGMA = 0.682689
LEGEND = (
    "MAE:MAD: mean absolute error over the mean absolute deviation of the labels from their mean. 68%, 95%: shares of "
    "labels within 1 and 1.96 predicted standard errors, ideally 68% and 95%. dummy: always the mean of the training "
    "labels, so its MAE:MAD is about 1."
)
"""Meaning of the columns of `score_table`."""


def scores(label: Array, value: Array, error: Array | None = None) -> dict[str, float]:
    """Compare predictions with labels.

    Parameters
    ----------
    label, value : ndarray of float
        Shape (n,), or (n, nT) on one grid; pairs with a NaN are left out.
    error : ndarray of float, optional
        Predicted standard errors.

    Returns
    -------
    dict of str to float
        ``count``, ``mae``, ``rmse``, ``r2``, ``mad`` (mean absolute deviation of the labels from the mean of
        their column), ``mae_over_mad``, and with errors the shares of labels within one standard error
        (``coverage_68``, ideally 0.68) and within 1.96 (``coverage_95``).
    """
    known = ~(np.isnan(label) | np.isnan(value))
    residual = np.abs(label - value)[known]
    deviation = (label - np.nanmean(label, axis=0))[known]
    mae, mad = float(residual.mean()), float(np.abs(deviation).mean())
    variance = float((deviation**2).mean())
    result = {
        "count": len(residual),
        "mae": mae,
        "rmse": float(np.sqrt((residual**2).mean())),
        "r2": 1 - float((residual**2).mean()) / variance if variance > 0 else float("nan"),
        "mad": mad,
        "mae_over_mad": mae / mad if mad > 0 else float("nan"),
    }
    if error is not None:
        result["coverage_68"] = float((residual <= error[known]).mean())
        result["coverage_95"] = float((residual <= 1.96 * error[known]).mean())
    return result


def calibration(label: Array, value: Array, error: Array) -> float:
    """Factor on predicted errors that makes 68% of the labels fall within one of them; one without labels."""
    ratio = np.abs(label - value) / error
    return 1.0 if np.isnan(ratio).all() else float(np.nanquantile(ratio, ONE_SIGMA))


def score_table(rows: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Markdown table of `scores`, one row a predictor."""
    columns = {
        "mae": f"MAE ({unit})" if unit else "MAE",
        "rmse": "RMSE",
        "r2": "R2",
        "mae_over_mad": "MAE:MAD",
        "coverage_68": "68%",
        "coverage_95": "95%",
    }
    cells = (
        [name, *("" if row.get(key) is None else f"{row[key]:.4g}" for key in columns)]
        for name, row in rows.items()
    )
    return markdown_table(["", *columns.values()], cells)
