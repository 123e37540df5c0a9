"""What ``ase info --plugins`` lists; the value of the entry point ``ase.plugins``."""

from __future__ import annotations

from typing import Any

__ase_plugins__: set[Any]

try:
    from ase._4.plugins.plugin import CalculatorPlugin
except ImportError:  # this API of ASE is private and may move; the calculator works without it
    __ase_plugins__ = set()
else:
    __ase_plugins__ = {
        CalculatorPlugin(
            "cloud",
            citation="arXiv:2506.17345",
            implementation="cloud_plugins.ase.calculator.CloudCalculator",
        )
    }
