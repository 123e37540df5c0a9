"""Bounded cache of recent results."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(OrderedDict[Key, Value]):
    """A dictionary that keeps its latest entries and forgets the others.

    Threads may share it.

    Parameters
    ----------
    size : int
        How many entries it keeps.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        if len(self) > self.size:
            self.popitem(last=False)
