"""Format numbers with their standard errors."""

from __future__ import annotations

from math import floor, isnan, log10

UNKNOWN = "unknown"
"""In place of a positive quantity whose error is as large as itself."""


def uncertain(value: float, error: float, positive: bool = False) -> str:
    """Write a number with its standard error, as in ``1.20±0.15``; nothing for a missing one.

    The error has two digits, and the number as many decimals. An error as large as the number leaves one digit of
    either, as in ``0.01±0.05``; of a quantity that is positive by nature, such as a modulus, nothing is known then.
    """
    from uncertainties import ufloat

    if isnan(value):
        return ""
    if not error > 0:
        return f"{value:.4g}"
    if positive and error >= abs(value):
        return UNKNOWN
    digits = 1 if error >= abs(value) else 2
    if not 1e-3 <= max(abs(value), error) < 1e6:
        return f"{ufloat(value, error):.{digits}ueP}"
    decimals = digits - 1 - floor(log10(error))
    number, bar = (f"{round(part, decimals):.{max(decimals, 0)}f}" for part in (value, error))
    return f"{number}±{bar}"
