"""Settings of the whole process that the package touches: all are here, and most only last for a call.

- ``GOMP_SPINCOUNT`` in the environment, when `cloud_model` is imported and it is not set: `limit_spinning`.
- What a forked child must renew, since threads and their locks do not survive a fork: `after_fork`.
- oneDNN and the limit of recursion, during a call: `Temporarily`.
- A filter on the log of moyo, which lets all pass but what a search of SCOPE warns of: `cloud_model.scope.symmetry`.
- The handlers of SIGINT and SIGTERM, during a training: `interruptible`; that of SIGINT, during a command:
  `interrupted_at_once`.

Worker processes of the package also set their own threads, limits and timers (`cloud_model.confined`,
`cloud_model.cli.shards`).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def limit_spinning() -> None:
    """Let waiting threads of GNU OpenMP, which torch brings, sleep soon; it is read when torch is imported.

    By default they spin for milliseconds, which beside a busy neighbour makes small networks ten times slower.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def after_fork(renew: Callable[[], object]) -> None:
    """Call a function in each forked child; nothing where a system has no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


class Temporarily(Generic[T]):
    """Context in which the process has another setting: the first thread in changes it, the last one out restores it.

    Parameters
    ----------
    get : callable
        Gives the setting.
    put : callable
        Changes it.
    change : callable
        New setting from the old one.
    """

    def __init__(self, get: Callable[[], T], put: Callable[[T], object], change: Callable[[T], T]) -> None:
        self._get, self._put, self._change = get, put, change
        self._lock = threading.Lock()
        self._inside = 0
        self._before = get()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = self._get()
                self._put(self._change(self._before))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._put(self._before)


@contextmanager
def interrupted_at_once() -> Iterator[Sequence[int]]:
    """Let a second SIGINT end the process at once, whatever it does, such as clean up after the first.

    What is yielded holds the first, which compiled code that is being imported may turn into another exception.
    """
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        caught.append(number)
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield caught
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield caught
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def interruptible() -> Iterator[Sequence[int]]:
    """Catch SIGINT and SIGTERM; what is yielded holds those that came. A second one raises KeyboardInterrupt."""
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, note) for number in signals}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
