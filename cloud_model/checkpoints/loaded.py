"""Checkpoints that are in memory: one copy of each for the whole process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from threading import Lock

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.files import CONFIG, VOCABULARY, WEIGHTS
from cloud_model.checkpoints.registry import resolve
from cloud_model.process import after_fork

_lock = Lock()


def load_checkpoint(name: str | os.PathLike[str] | None = None) -> Checkpoint:
    """Give a checkpoint, read again only if its files changed; threads that ask at once get one copy.

    Parameters
    ----------
    name : str or path-like, optional
        As in `cloud_model.checkpoints.registry.resolve`.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or it is damaged, unsafe or incompatible.
    """
    directory = resolve(name)
    versions = tuple(_version(directory / file) for file in (CONFIG, WEIGHTS, VOCABULARY))
    with _lock:
        return _load(directory, versions)


@lru_cache(maxsize=8)
def _load(directory: Path, versions: tuple[tuple[int, int] | None, ...]) -> Checkpoint:
    return Checkpoint.load(directory)


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _renew_lock() -> None:
    global _lock
    _lock = Lock()


after_fork(_renew_lock)  # another thread may have held it
