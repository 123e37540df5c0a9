"""Many crystals to their SCOPE, in one process or several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from cloud_model.crystal.batches import crystal_list
from cloud_model.errors import CloudError
from cloud_model.parallel import in_processes, number_of_processes
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.description import Describer, Description, Dialect
from cloud_model.scope.string import Scope, scope_or_crystal
from cloud_model.scope.symmetry import Engine


def scopes(
    crystals: Any,
    dialect: Dialect = "canonical",
    symprec: float = DEFAULT_SYMPREC,
    engine: Engine | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
    remember: bool = False,
) -> list[Scope | CloudError]:
    """Describe many crystals.

    Parameters
    ----------
    crystals : list, iterator, Series or array
        What `Scope.from_crystal` accepts.
    dialect, symprec, engine
        As in `Scope.from_crystal`.
    n_jobs : int, optional
        Number of processes, as in joblib: -1 for one per core; left out, one, or what ``joblib.parallel_config`` says.
    progress : bool
        Show a progress bar.
    remember : bool
        Keep the symmetries that are found, and use those of geometries that were searched before.

    Returns
    -------
    list of Scope or CloudError
        One item a crystal, in their order; the error for one that cannot be described.

    Raises
    ------
    ArgumentError
        If these are not several crystals, or another argument is wrong.
    """
    describer = Describer(dialect, symprec, engine, remember)
    jobs = number_of_processes(n_jobs)
    crystals = crystal_list(crystals)
    size = 256 if jobs == 1 else max(1, min(256, len(crystals) // (4 * jobs)))
    chunks = (crystals[start : start + size] for start in range(0, len(crystals), size))
    found = (
        map(partial(describe, describer), chunks)
        if jobs == 1
        else in_processes(describe, describer, (compact(chunk, dialect) for chunk in chunks), n_jobs)
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


def compact(crystals: Iterable[Any], dialect: Dialect) -> list[Any]:
    """Crystals for another process: objects as arrays, which are small; files, which are left to it to read."""
    read = partial(scope_or_crystal, dialect=dialect)
    return [
        crystal if isinstance(crystal, str | bytes | os.PathLike) else _attempt(read, crystal)
        for crystal in crystals
    ]
