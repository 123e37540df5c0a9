"""Many crystals in several processes: by joblib, on this machine or on what ``joblib.parallel_config`` names."""

from __future__ import annotations

import hashlib
import pickle
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, TypeVar

from cloud_model.bounded_cache import BoundedCache
from cloud_model.errors import ArgumentError, CloudWarning, DataError, shortly, warn_user

_MOST = 10_000  # processes

Shared = TypeVar("Shared")
Result = TypeVar("Result")
Work = Callable[[Shared, Sequence[Any]], Result]

_received: BoundedCache[bytes, Any] = BoundedCache(1)


def number_of_processes(n_jobs: int | None) -> int:
    """Number of processes that `n_jobs` means.

    Parameters
    ----------
    n_jobs : int or None
        As in joblib: -1 for one per core; None for one, or what `joblib.parallel_config` says. What runs in a process
        of joblib already starts no others by itself.

    Raises
    ------
    ArgumentError
        If it is zero or no integer.
    """
    if n_jobs is not None and (type(n_jobs) is not int or n_jobs == 0 or abs(n_jobs) > _MOST):
        raise ArgumentError(
            f"n_jobs {shortly(n_jobs)}", "is not a number of processes", "Use 1, or -1 for one per core."
        )
    if n_jobs == 1 or (n_jobs is None and "joblib" not in sys.modules):
        return 1
    from joblib import effective_n_jobs
    from joblib.parallel import get_active_backend

    if n_jobs is None:
        backend, configured = get_active_backend()
        if configured is None or backend.nesting_level:
            return 1
    return int(effective_n_jobs(n_jobs))


def results_of(
    tasks: Iterable[Any], n_jobs: int | None = None, ordered: bool = True, **options: Any
) -> Iterator[Any]:
    """Results of tasks of joblib, as they come where its backend can give them so (that of Ray cannot)."""
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    kind = "generator" if ordered else "generator_unordered"
    parallel = Parallel(n_jobs, return_as=kind if backend.supports_return_generator else "list", **options)
    return iter(parallel(tasks))


def in_processes(
    work: Work[Shared, Result], shared: Shared, portions: Iterable[Sequence[Any]], n_jobs: int | None
) -> Iterator[Result]:
    """Yield ``work(shared, portion)`` for each portion, in order; warnings of the package are given here.

    Parameters
    ----------
    work : callable
        Function of a module.
    shared : object
        What the work on all portions has in common; a process unpickles it once.
    portions : iterable of sequence
        What is pickled for one task.
    n_jobs : int or None
        As in joblib.

    Raises
    ------
    DataError
        If a process dies.
    """
    import numpy as np
    from joblib import delayed

    pickled = pickle.dumps(shared)
    digest = hashlib.blake2b(pickled).digest()
    array = np.frombuffer(pickled, np.uint8)  # which joblib maps into the memory of all processes
    tasks = (delayed(_work)(work, digest, array, pickle.dumps(portion)) for portion in portions)
    try:
        for result, messages in results_of(tasks, n_jobs):
            for message in messages:
                warn_user(message)
            yield result
    except BrokenExecutor as error:
        raise DataError(
            f"one of {number_of_processes(n_jobs)} processes",
            "ended before its crystals were described, for lack of memory or by a signal",
            "Use fewer processes.",
        ) from error


def _work(work: Work[Any, Result], digest: bytes, shared: Any, portion: bytes) -> tuple[Result, list[Any]]:
    received = _received.get(digest)
    if received is None:
        received = _received[digest] = pickle.loads(shared)  # noqa: S301
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CloudWarning)
        result = work(received, pickle.loads(portion))  # noqa: S301
    return result, [warning.message for warning in caught if warning.category is CloudWarning]
