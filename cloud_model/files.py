"""Read a crystal from a file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cloud_model.cif import read_cif
from cloud_model.crystals import Crystal, from_ase, from_pymatgen, from_pymatgen_dict
from cloud_model.errors import CrystalError

MAX_BYTES = 2**28
"""Largest content of a file, after decompression."""

_COMPRESSION: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_crystal(path: str | os.PathLike[str]) -> Crystal:
    """Read a crystal from a file of any format that ASE or pymatgen reads.

    `cloud_model.cif` reads CIFs; ASE reads the rest, and pymatgen what ASE cannot read. Of several frames, as in a
    trajectory, it is the last one, as ASE's ``read`` gives; a CIF must hold one crystal.

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
    content = _read_bytes(path, label)
    inner = path.with_suffix("") if path.suffix in _COMPRESSION else path

    if inner.suffix.lower() in {".cif", ".mcif"} or b"_atom_site_fract_x" in content:
        return read_cif(content.decode(errors="replace"), label)
    if inner.suffix.lower() == ".json" and (structure := _structure_dict(content)):
        return from_pymatgen_dict(structure, label)
    if inner == path:
        return _read_with_hosts(path, label)
    with TemporaryDirectory() as folder:
        decompressed = Path(folder, inner.name)
        decompressed.write_bytes(content)
        return _read_with_hosts(decompressed, label)


def _read_bytes(path: Path, label: str) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise CrystalError(label, "it is not a regular file", "Give the name of a file.")
        with _COMPRESSION.get(path.suffix, open)(path, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
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
    return content


def _structure_dict(content: bytes) -> dict[str, object] | None:
    """Return a pymatgen Structure written as JSON, if it is one."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and "sites" in data else None


def _read_with_hosts(path: Path, label: str) -> Crystal:
    from ase.io import read

    try:
        atoms = read(path, do_not_split_by_at_sign=True)
    except Exception as ase_error:  # readers raise whatever a malformed file runs into
        from pymatgen.core import Structure

        try:
            structure = Structure.from_file(path)
        except Exception as error:  # as above
            raise CrystalError(
                label,
                f"neither ASE ({_first_line(ase_error)}) nor pymatgen ({_first_line(error)}) can read it",
                "Check its format; the suffix must be the usual one, or the name POSCAR or CONTCAR.",
            ) from error
        return from_pymatgen(structure, label)
    return from_ase(atoms, label)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__
