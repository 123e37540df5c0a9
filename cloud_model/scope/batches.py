"""Many crystals to their SCOPE, in one process or several."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from itertools import chain
from typing import Any

from cloud_model.errors import (
    ArgumentError,
    CloudError,
    CloudWarning,
    DataError,
    warn_user,
)
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.description import Describer, Description, Dialect
from cloud_model.scope.string import Scope, scope_or_crystal
from cloud_model.scope.symmetry import Engine


def scopes(
    crystals: Iterable[Any],
    dialect: Dialect = "canonical",
    symprec: float = DEFAULT_SYMPREC,
    engine: Engine | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    remember: bool = False,
) -> list[Scope | CloudError]:
    """Describe many crystals.

    Parameters
    ----------
    crystals : iterable
        What `Scope.from_crystal` accepts.
    dialect, symprec, engine
        As in `Scope.from_crystal`.
    n_jobs : int
        Number of processes, as in joblib: -1 for one a core.
    progress : bool
        Show a progress bar.
    remember : bool
        Keep the symmetries that are found, and use those of geometries that were searched before.

    Returns
    -------
    list of Scope or CloudError
        One item a crystal, in their order; the error for one that cannot be described.
    """
    describer = Describer(dialect, symprec, engine, remember)
    if type(n_jobs) is not int or n_jobs == 0:
        raise ArgumentError(
            f"n_jobs {n_jobs!r}", "it is no number of processes", "Use 1, or -1 for one a core."
        )
    crystals = list(crystals)
    size = 256 if n_jobs == 1 else max(1, min(256, len(crystals) // (4 * abs(n_jobs))))
    chunks = (crystals[start : start + size] for start in range(0, len(crystals), size))
    found = (
        map(partial(describe, describer), chunks) if n_jobs == 1 else _in_processes(describer, chunks, n_jobs)
    )
    if not progress:
        return list(chain.from_iterable(found))

    from tqdm import tqdm

    return list(tqdm(chain.from_iterable(found), "SCOPE", len(crystals), unit="crystal"))


def describe(describer: Describer, crystals: Sequence[Any]) -> list[Scope | CloudError]:
    """Take each step for all crystals, which keeps its code in the caches of the processor."""
    items: list[Any] = list(crystals)
    for step in (partial(scope_or_crystal, dialect=describer.dialect), describer.search, describer.write):
        items = [_attempt(step, item) for item in items]
    return [Scope(*item) if isinstance(item, Description) else item for item in items]


def _attempt(step: Callable[[Any], Any], item: Any) -> Any:
    """Take a step, unless an earlier one failed or was the last."""
    if isinstance(item, Scope | CloudError):
        return item
    try:
        return step(item)
    except CloudError as error:
        return error


def _in_processes(
    describer: Describer, chunks: Iterable[list[Any]], n_jobs: int
) -> Iterator[list[Scope | CloudError]]:
    from joblib import Parallel, delayed

    read = partial(scope_or_crystal, dialect=describer.dialect)

    def compact(crystal: Any) -> Any:
        """Send objects as arrays, which are small, and leave the reading of files to the processes."""
        return crystal if isinstance(crystal, str | bytes | os.PathLike) else _attempt(read, crystal)

    # in one piece, since joblib looks at each array for something to share
    packed = (pickle.dumps([compact(crystal) for crystal in chunk]) for chunk in chunks)
    tasks = (delayed(_describe_packed)(describer, crystals) for crystals in packed)
    try:
        for described, messages in Parallel(n_jobs, return_as="generator")(tasks):
            for message in messages:
                warn_user(message)
            yield described
    except BrokenExecutor as error:
        raise DataError(
            f"one of {n_jobs} processes",
            "ended before its crystals were described, for lack of memory or by a signal",
            "Use fewer processes.",
        ) from error


def _describe_packed(
    describer: Describer, crystals: bytes
) -> tuple[list[Scope | CloudError], list[Warning | str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CloudWarning)
        described = describe(describer, pickle.loads(crystals))  # noqa: S301
    return described, [warning.message for warning in caught if warning.category is CloudWarning]
