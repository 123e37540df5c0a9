"""What every fault of the matrix has: a name, how to make it, and its exact outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_model.errors import CloudError, CloudWarning

Outcome = type[CloudError] | type[CloudWarning] | None


@dataclass(frozen=True)
class Fault:
    """A bad input, or a good one that looks bad.

    Attributes
    ----------
    name : str
        What is wrong with it.
    make : callable
        Makes it; given a folder, returns what the user passes in.
    outcome : type or None
        Class of the error or warning; None for a result without either.
    words : str
        What the message says, a regular expression.
    slow : bool
        Whether it takes more than a second.
    """

    name: str
    make: Callable[[Path], Any]
    outcome: Outcome
    words: str = ""
    slow: bool = False

    @property
    def fails(self) -> bool:
        """Whether there is no result."""
        return self.outcome is not None and issubclass(self.outcome, CloudError)

    def __str__(self) -> str:
        return self.name
