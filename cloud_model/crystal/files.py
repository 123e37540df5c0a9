"""Read a crystal from a file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import signal
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cloud_model.crystal.cif import read_cif
from cloud_model.crystal.conversions import from_ase, from_pymatgen, from_pymatgen_dict
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.prechecks import check_format
from cloud_model.errors import CrystalError, first_line

MAX_BYTES = 2**27
"""Largest content of a file, after decompression."""

MAX_SECONDS = 30.0
"""Longest time that ASE and pymatgen may take for a file."""

_COMPRESSION: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".z": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".lzma": lzma.open,
}
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd


def read_crystal(path: str | os.PathLike[str]) -> Crystal:
    """Read a crystal from a file of any format that ASE or pymatgen reads.

    `cloud_model.crystal.cif` reads CIFs; ASE reads the rest, and pymatgen what ASE cannot read. Of several
    frames, as in a trajectory, it is the last one, as ASE's ``read`` gives; a CIF must hold one crystal.

    Parameters
    ----------
    path : str or os.PathLike
        May be compressed, with the further suffix ``.gz``, ``.bz2`` or ``.xz``.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        If the file cannot be read, or does not hold one physical crystal.
    """
    path = Path(os.fsdecode(path))
    label = os.fsencode(path).decode(errors="backslashreplace")
    content = read_bytes(path, label)
    inner = path.with_suffix("") if path.suffix.lower() in _COMPRESSION else path

    if inner.suffix.lower() in {".cif", ".mcif"} or b"_atom_site_fract_x" in content:
        return read_cif(content.decode(errors="replace"), label)
    if inner.suffix.lower() == ".json" and (structure := _structure_dict(content)):
        return from_pymatgen_dict(structure, label)
    check_format(inner.name, content, label)
    if inner == path:
        return _read_with_hosts(path, label)
    with TemporaryDirectory() as folder:
        decompressed = Path(folder, inner.name)
        decompressed.write_bytes(content)
        return _read_with_hosts(decompressed, label)


def read_bytes(path: Path, label: str) -> bytes:
    """Read a file, decompressed if its suffix says so.

    Raises
    ------
    CrystalError
        If it cannot be read, is no regular file, or holds more than ``MAX_BYTES``.
    """
    compression = _COMPRESSION.get(path.suffix.lower())
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise CrystalError(label, "it is not a regular file", "Give the name of a file.")
        with open(path, "rb", opener=_open_without_waiting) as file:
            content: bytes = (compression(file) if compression else file).read(MAX_BYTES + 1) or b""
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, CrystalError):
            raise
        raise CrystalError(
            label, f"it cannot be read: {error}", "Check its name, permissions and content."
        ) from None
    if len(content) > MAX_BYTES:
        raise CrystalError(
            label,
            f"it holds more than {MAX_BYTES // 2**20} MiB",
            "Write the one crystal to a file of its own.",
        )
    if content.startswith(_COMPRESSED):
        raise CrystalError(label, "it is compressed, twice or with an unusual name", "Decompress it.")
    return content


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _structure_dict(content: bytes) -> dict[str, object] | None:
    """Return a pymatgen Structure written as JSON, if it is one."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and "sites" in data else None


def _read_with_hosts(path: Path, label: str) -> Crystal:
    from ase.io import read

    with _limited_time():
        try:
            atoms = read(path, do_not_split_by_at_sign=True)
        except Exception as ase_error:  # readers raise whatever a malformed file runs into
            from pymatgen.core import Structure

            try:
                structure = Structure.from_file(path)
            except Exception as error:  # as above
                reasons = (
                    f"neither ASE ({first_line(ase_error)}) nor pymatgen ({first_line(error)}) can read it"
                )
                raise CrystalError(
                    label,
                    reasons.replace(str(path), label),
                    "Check its format; the suffix must be the usual one, or the name POSCAR or CONTCAR.",
                ) from error
            return from_pymatgen(structure, label)
    return from_ase(atoms, label)


@contextmanager
def _limited_time() -> Iterator[None]:
    """Interrupt a reader that takes too long, where that is possible: in the main thread, under Unix."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"it takes more than {MAX_SECONDS:.0f} s")

    handler = signal.signal(signal.SIGALRM, stop)
    timer = signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS, 1)  # again, should the reader go on
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
