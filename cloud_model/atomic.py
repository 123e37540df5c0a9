"""Atomic writing: a file is complete, or as it was before."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from cloud_model.errors import OutputError, first_line

Content = str | bytes | Callable[[Path], object]

_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space, or write to another disk."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, or write to another disk."),
    errno.EFBIG: ("it grows beyond the largest size of a file", "Write to another disk, or raise the limit."),
    errno.EACCES: ("there is no permission to write it", "Choose another folder, or change its permissions."),
    errno.EPERM: ("there is no permission to write it", "Choose another folder, or change its permissions."),
    errno.EROFS: ("it is on a read-only file system", "Choose another folder."),
    errno.ENOENT: ("its folder does not exist", "Make the folder first."),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "Choose another path."),
    errno.EISDIR: ("it is a folder", "Give the name of a file."),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter one."),
}


LOCK = "_lock"
"""Name of the file by which a folder is locked, which stays and which readers of Parquet folders pass over."""

ABANDONED = 3600.0
"""Seconds after which an unfinished file that no one writes to is one of a process that was killed."""

_UNFINISHED = ".cloud-"  # how names of unfinished files begin
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def write_atomically(path: Path, content: Content) -> None:
    """Write a file beside its place and move it there, so that a failure leaves what was there.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists. A device or a pipe is written to directly.
    content : str, bytes or callable
        Text, as UTF-8; bytes; or what writes the file whose path it is given, of the same suffix.

    Raises
    ------
    OutputError
        If it cannot be written; it names the file and the reason, such as a full disk.
    """
    write_together({path: content})


def write_together(files: Mapping[Path, Content]) -> None:
    """Write several files, of which none takes its place before all are written.

    Parameters and errors as in `write_atomically`.
    """
    unfinished: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in files.items():
            target = path.resolve()  # the file behind a link, which stays
            if _is_special(target):
                _write(target, content)
                continue
            _remove_abandoned(target.parent)
            beside = target.with_name(f"{_UNFINISHED}{uuid.uuid4().hex}{target.suffix}")
            unfinished[beside] = target
            _write(beside, content)
            if target.exists():
                shutil.copymode(target, beside)
        for beside, path in unfinished.items():
            beside.replace(path)
    except BrokenPipeError:
        raise  # the reader of a pipe has seen enough
    except Exception as error:
        cause = error if isinstance(error, OSError) else _os_error(error)
        if cause is None:
            raise
        if cause.filename is not None and Path(cause.filename) not in {
            path,
            *unfinished,
            *unfinished.values(),
        }:
            raise  # of a file that the content is read from
        raise output_error(path, cause) from error
    finally:
        for beside in unfinished:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Keep others from writing to a folder, which is made if it does not exist, and removed if nothing gets there.

    Parameters
    ----------
    folder : Path
    work : str
        What is done there, for the error of others.

    Raises
    ------
    OutputError
        If it is locked, or cannot be written.
    """
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    except OSError as error:
        raise output_error(folder, error) from error
    with file:
        if not _lock(file):
            file.seek(0)
            raise OutputError(
                str(folder),
                f"is being written by {file.read(200).strip()}",
                "Wait for it, or use another folder.",
            )
        file.truncate(0)
        file.write(f"{work}, process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                if made and [path.name for path in folder.iterdir()] == [LOCK]:
                    (folder / LOCK).unlink()
                    folder.rmdir()


def _lock(file: IO[str]) -> bool:
    """Lock a file until it is closed or this process ends; always possible where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _os_error(error: Exception) -> OSError | None:
    """Error of the operating system that a library passed on as text."""
    found = _OS_ERROR.search(str(error))
    return OSError(int(found[1]), first_line(error)) if found else None


def output_error(path: Path, error: OSError) -> OutputError:
    """Say why a file cannot be written."""
    reason, remedy = _REASONS.get(error.errno or 0, (error.strerror or first_line(error), "Write elsewhere."))
    return OutputError(str(path), f"cannot be written: {reason}", remedy)


@lru_cache(256)
def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left; once in a process, since listing 100,000 files takes 0.2 s."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def _is_special(target: Path) -> bool:
    """Whether this is a device or a pipe; an `OSError` if it is there and cannot be replaced."""
    if not target.exists():
        return False
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return not target.is_file()


def _write(path: Path, content: Content) -> None:
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
