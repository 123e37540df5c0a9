"""Call a function on untrusted data in a process with limits of time, memory and open files.

The process is started once, and again after a call that exceeds a limit, which ends it. It starts no other process
and reaches no network. Under Windows there are no such limits.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO, Any

from cloud_model.errors import CloudWarning, warn_user
from cloud_model.process import after_fork

SECONDS = 30.0
"""Most time of the processor for a call, or between two of its results; four times that on the clock."""

MEMORY = 2**31
"""Most bytes of memory, of addresses and not only of what is used."""

_FILES = 64  # open at a time
_AT_ONCE = 64  # results that are sent together
_FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.startfile", "socket.")
_SIZE = struct.Struct("<Q")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from cloud_model.confined import serve; serve()"
)

_idle: list[_Worker] = []
_all: set[_Worker] = set()
_inside = False  # whether this is such a process


def confined(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module, and return its result.

    Raises
    ------
    TimeoutError, MemoryError
        If a limit is exceeded. What the function raises is raised here, its warnings of ours are given here.
    """
    (result,) = confined_iterator(_once, function, *arguments)
    return result


def confined_iterator(function: Callable[..., Iterable[Any]], *arguments: Any) -> Iterator[Any]:
    """Yield the results of a function of a module; as `confined`."""
    if _inside:
        yield from function(*arguments)
        return
    worker = _idle.pop() if _idle else _Worker()
    try:
        worker.send((function, arguments))
        while True:
            kind, content, messages = worker.receive()
            for message in messages:
                warn_user(message)
            if kind == "end":
                break
            if kind == "error":
                raise content
            yield from content
    except BaseException as error:
        if worker.ended or not isinstance(error, Exception):  # in the middle of something
            worker.end()
        else:
            _idle.append(worker)
        raise
    _idle.append(worker)


def serve() -> None:
    """Answer calls until the other end is closed: what the process does."""
    global _inside
    _inside = True
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # libraries may print
    _limit_resources()
    sys.addaudithook(_forbid)
    while (request := _read(source)) is not None:
        _watch()
        caught: list[warnings.WarningMessage]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", CloudWarning)
            answer: tuple[str, Any, list[str]]
            try:
                function, arguments = pickle.loads(request)  # noqa: S301
                results = iter(function(*arguments))
                while batch := list(islice(results, _AT_ONCE)):
                    _write(target, ("items", batch, [str(warning.message) for warning in caught]))
                    caught.clear()
                    _watch()
                answer = ("end", None, [str(warning.message) for warning in caught])
            except Exception as error:
                answer = ("error", error, [])
        _write(target, answer)
        _watch(0)


class _Worker:
    def __init__(self) -> None:
        command = [sys.executable, "-c", _START, json.dumps(sys.path)]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | threads,
            start_new_session=True,  # an interrupt is ours
        )
        self.ended = False
        _all.add(self)

    def send(self, message: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # which receiving reports
            _write(self._process.stdin, message)

    def receive(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101
        answer = _read(self._process.stdout)
        if answer is not None:
            return pickle.loads(answer)  # noqa: S301
        self.ended = True
        _all.discard(self)
        code = self._process.wait()
        if code in (-signal.SIGALRM, -signal.SIGPROF):
            raise TimeoutError(f"it takes more than {SECONDS:.0f} s")
        raise MemoryError(f"it needs more than {MEMORY >> 30} GiB of memory")

    def kill(self) -> None:
        """Let the call that waits for it fail."""
        self._process.kill()

    def end(self) -> None:
        _all.discard(self)
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()


def _once(function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    yield function(*arguments)


def _write(stream: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message, protocol=5)
    stream.write(_SIZE.pack(len(content)) + content)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    """One message; None at the end."""
    head = stream.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    content = stream.read(size)
    return content if len(content) == size else None


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(kind, (most, most))


def _watch(seconds: float = SECONDS) -> None:
    """End this process after that time, whatever it does then."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 4 * seconds)  # should it wait, or the machine be busy


def _forbid(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} in a confined process")


def end_all() -> None:
    """End the processes. Calls that wait for one raise a `MemoryError`."""
    while _idle:
        _idle.pop().end()
    for worker in list(_all):
        worker.kill()


def _forget_in_child() -> None:
    for worker in _all:
        worker._process.returncode = 0  # it is not a child of this process
    _all.clear()
    _idle.clear()


atexit.register(end_all)
after_fork(_forget_in_child)
