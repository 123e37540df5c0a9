"""Numbers for people to read."""

from __future__ import annotations

from math import isnan


def uncertain(value: float, error: float) -> str:
    """Write a number with its standard error, as in ``1.20±0.15``; nothing for a missing one."""
    from uncertainties import ufloat

    if isnan(value):
        return ""
    return f"{ufloat(value, error):.2uP}" if error > 0 else f"{value:.4g}"
