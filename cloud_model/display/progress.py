"""Progress of long work: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from tqdm import tqdm

LINE_EVERY = 30.0  # seconds


class ProgressReport:
    """Tells on standard error how far some work is.

    Parameters
    ----------
    title : str
        What is done.
    total : int or None
        Items that there are; None if that is not known.
    unit : str
        What an item is, in the plural.
    done : int
        Items that were done before.
    silent : bool
        Say nothing.
    """

    def __init__(self, title: str, total: int | None, unit: str, done: int = 0, silent: bool = False) -> None:
        self.title, self.total, self.unit = title, total, unit
        self._silent = silent
        self._first = self._done = done
        self._started = self._told = time.monotonic()
        on_terminal = not silent and sys.stderr.isatty()
        self._bar = (
            tqdm(desc=title, total=total, initial=done, unit=f" {unit}", leave=False, delay=2)
            if on_terminal
            else None
        )

    @property
    def is_due(self) -> bool:
        """Whether `update` would tell figures, which may be costly to find."""
        wait = 1.0 if self._bar is not None else LINE_EVERY
        return not self._silent and time.monotonic() - self._told >= wait

    def update(self, items: int, figures: str = "") -> None:
        """Add items that are done; `figures`, such as a loss, are told with them."""
        due = self.is_due
        self._done += items
        if self._bar is not None:
            self._bar.update(items)
            if due and figures:
                self._bar.set_postfix_str(figures)
        elif due:
            print(self._line(figures), file=sys.stderr, flush=True)
        if due:
            self._told = time.monotonic()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def _line(self, figures: str) -> str:
        if self.total is None:
            parts = [f"{self._done:,} {self.unit}", figures]
        else:
            elapsed = time.monotonic() - self._started
            left = elapsed / max(self._done - self._first, 1) * max(self.total - self._done, 0)
            parts = [f"{self._done:,} of {self.total:,} {self.unit}", figures]
            parts.append(f"about {timedelta(seconds=round(left))} left")
        return f"{self.title}: {', '.join(part for part in parts if part)}"
