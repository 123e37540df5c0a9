"""Functions that hang, grow or crash in a confined process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud_model import confined as module
from cloud_model.confined import confined, confined_iterator
from cloud_model.errors import CloudWarning, CrystalError


def double(value):
    return 2 * value


def fail(label):
    raise CrystalError(label, "is bad", "Mend it.")


def warn():
    warnings.warn("look", CloudWarning, stacklevel=1)
    warnings.warn("not ours", RuntimeWarning, stacklevel=1)
    return os.getpid()


def hang(seconds):
    module._watch(seconds)
    while True:
        pass


def grow():
    return len(bytearray(2 * module.MEMORY))


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def escape(how):
    if how == "program":
        subprocess.run(["true"], check=True)
    elif how == "shell":
        os.system("true")  # noqa: S605
    elif how == "network":
        socket.create_connection(("127.0.0.1", 9))
    else:
        Path(how).write_text("x" * 10_000)


def count(end):
    yield from range(end)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))  # noqa: PTH120
    module.end_all()
    yield
    module.end_all()


def test_results_errors_and_warnings_are_those_of_the_function():
    assert confined(double, 21) == 42
    assert list(confined_iterator(count, 1000)) == list(range(1000))
    with pytest.raises(CrystalError, match=r"x\.cif is bad\. Mend it\."):
        confined(fail, "x.cif")
    with pytest.warns(CloudWarning, match="look") as caught:
        first = confined(warn)
    assert len(caught) == 1
    with pytest.warns(CloudWarning):
        assert confined(warn) == first != os.getpid()  # the process lives on


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits")
@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [(hang, (0.1,), TimeoutError), (grow, (), MemoryError), (crash, (), MemoryError)],
)
def test_limits(function, arguments, error):
    with pytest.raises(error):
        confined(function, *arguments)
    assert confined(double, 1) == 2  # in a new process


@pytest.mark.parametrize("how", ["program", "shell", "network"])
def test_no_way_out(how):
    with pytest.raises(PermissionError):
        confined(escape, how)


def test_nothing_is_written(tmp_path):
    with pytest.raises(OSError, match="File too large"):
        confined(escape, str(tmp_path / "x"))
    assert not (tmp_path / "x").read_bytes()


def test_threads_have_processes_of_their_own():
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda value: confined(double, value), range(8))) == list(range(0, 16, 2))


def test_an_iterator_that_is_left(recwarn):
    results = confined_iterator(count, 10**9)
    assert next(results) == 0
    results.close()
    assert not module._idle
    assert confined(double, 1) == 2


def test_all_are_ended_whoever_waits():
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(confined, hang, 60)
        while not module._all:
            time.sleep(0.01)
        module.end_all()
        with pytest.raises(MemoryError):
            waiting.result(timeout=10)
    assert not module._all


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits")
def test_interrupts_end_the_process():
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        confined(hang, 60)
    assert time.monotonic() - started < 10
    assert not module._idle
