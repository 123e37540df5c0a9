import os
import resource
import signal
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from cloud_model import atomic
from cloud_model.atomic import locked, write_atomically, write_together
from cloud_model.errors import OutputError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_text_bytes_and_what_a_function_writes(tmp_path):
    write_atomically(tmp_path / "text", "Å\r\n\udc80")
    write_atomically(tmp_path / "bytes", b"\0")
    write_atomically(tmp_path / "own.svg", lambda path: path.write_text(path.suffix))
    assert (tmp_path / "text").read_bytes() == "Å\r\n\\udc80".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\0"
    assert (tmp_path / "own.svg").read_text() == ".svg"
    assert names(tmp_path) == {"text", "bytes", "own.svg"}


def test_a_folder_for_which_nothing_was_written_is_removed(tmp_path):
    for folder, kept in ((tmp_path / "new", False), (tmp_path, True)):
        with pytest.raises(KeyboardInterrupt), locked(folder, "a test"):
            raise KeyboardInterrupt
        assert folder.exists() is kept
    with locked(tmp_path / "new", "a test"):
        (tmp_path / "new" / "result").touch()
    assert names(tmp_path / "new") == {"_lock", "result"}


def test_a_failure_leaves_what_was_there(tmp_path):
    old = tmp_path / "old"
    old.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(old, fail)
    with pytest.raises(KeyboardInterrupt):
        write_together({old: "new", tmp_path / "other": fail})
    assert old.read_text() == "old"
    assert names(tmp_path) == {"old"}


def test_what_a_killed_process_left_is_removed_later(tmp_path):
    def be_killed(path: Path) -> None:
        path.write_text("half")
        os._exit(9)

    if not (child := os.fork()):
        write_atomically(tmp_path / "own.svg", be_killed)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    write_atomically(tmp_path / "own.svg", "one")
    assert names(tmp_path) == {left.name, "own.svg"}  # another process may be writing it
    os.utime(left, (0, time.time() - atomic.ABANDONED - 1))
    atomic._remove_abandoned.cache_clear()  # as in another process
    write_atomically(tmp_path / "own.svg", "two")
    assert names(tmp_path) == {"own.svg"}


def test_a_folder_of_many_files_is_listed_once(tmp_path, monkeypatch):
    listed = []
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: listed.append(folder) or iter(()))
    for number in range(3):
        write_atomically(tmp_path / str(number), "")
    assert listed == [tmp_path.resolve()]


@contextmanager
def full_disk():
    """Files of this process may hold 1000 bytes, as on a disk with no more space than that."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_does_not_fit(tmp_path):
    old = tmp_path / "old"
    old.write_text("old")
    with full_disk(), pytest.raises(OutputError, match=r"old cannot be written: .*size"):
        write_atomically(old, bytes(2000))
    assert old.read_text() == "old"
    assert names(tmp_path) == {"old"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing/file", "folder does not exist"),
        ("file/file", "is a file, not a folder"),
        ("folder", "it is a folder"),
        ("x" * 256, "name is too long"),
    ],
)
def test_an_impossible_place_is_named(tmp_path, path, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=reason) as caught:
        write_atomically(tmp_path / path, "new")
    assert caught.value.subject == str(tmp_path / path)
    assert names(tmp_path) == {"file", "folder"}


def test_a_failing_read_is_not_taken_for_a_failing_write(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "copy", lambda path: path.write_text((tmp_path / "missing").read_text()))


def test_links_devices_and_permissions_stay(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    write_atomically(Path(os.devnull), "nothing")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_writers_at_once_leave_one_whole_file(tmp_path):
    texts = [str(i) * 100_000 for i in range(4)]
    threads = [Thread(target=write_atomically, args=(tmp_path / "one", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "one").read_text() in texts
    assert names(tmp_path) == {"one"}
