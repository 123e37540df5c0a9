"""Bounded cache of recent results."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Any, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(OrderedDict[Key, Value]):
    """A dictionary that keeps the entries used last and forgets the others.

    Threads may share it, without a lock that a process forked from one of them would wait for: each of its steps is
    one operation of a dictionary.

    Parameters
    ----------
    size : int
        How many entries it keeps.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def get(self, key: Key, default: Any = None) -> Any:
        """Value of a key, which becomes the one used last; `default` if there is none."""
        value = super().get(key, default)
        with suppress(KeyError):  # there is none, or another thread removed it
            self.move_to_end(key)
        return value

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        while len(self) > self.size:
            with suppress(KeyError):
                self.popitem(last=False)
