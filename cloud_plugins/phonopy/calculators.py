"""ASE calculators by name."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from cloud_model.errors import ArgumentError, shortly

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

NAMES = ("emt", "7net-0", "7net-l3i5", "chgnet")


def checked_calculator(calculator: Any) -> Calculator:
    """Calculator, made if it is a name; or an `ArgumentError`."""
    if isinstance(calculator, str):
        return named_calculator(calculator)
    if isinstance(calculator, type) or not hasattr(calculator, "get_property"):
        raise ArgumentError(
            f"calculator {shortly(calculator)}",
            "is not an ASE calculator",
            f"Pass one, or a name: {', '.join(NAMES)}.",
        )
    found: Calculator = calculator
    return found


def named_calculator(name: str) -> Calculator:
    """Make the calculator of this name, on the CPU.

    Parameters
    ----------
    name : {"emt", "7net-0", "7net-l3i5", "chgnet"}
        EMT of ASE (Al, Ni, Cu, Pd, Ag, Pt, Au), one of SevenNet's networks or CHGNet. The latter two are optional
        packages and bring their weights with them.

    Raises
    ------
    ArgumentError
        The name is unknown or its package is not installed.
    """
    try:
        if name == "emt":
            from ase.calculators.emt import EMT

            return EMT()
        if name in ("7net-0", "7net-l3i5"):
            from sevenn.calculator import SevenNetCalculator

            return SevenNetCalculator(name, device="cpu")
        if name == "chgnet":
            from chgnet.model.dynamics import CHGNetCalculator

            with redirect_stdout(sys.stderr):  # it greets its user
                return CHGNetCalculator(use_device="cpu")
    except ImportError as error:
        raise ArgumentError(
            f"calculator {name!r}",
            f"needs a package that is not installed ({error})",
            'Run: pip install "cloud-plugins[potentials]"',
        ) from error
    raise ArgumentError(f"calculator {name!r}", "is not known", f"Use one of {', '.join(NAMES)}.")
