"""Decompress contents whose size and time are not known before."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from cloud_model.confined import confined

SUFFIXES = {".gz": "gzip", ".z": "gzip", ".bz2": "bzip2", ".xz": "xz", ".lzma": "xz"}
"""Suffix of a file -> its compression."""

BEGINNINGS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": ""}
"""First bytes of a compressed content -> its compression; nothing for one that is not read, zstd."""

DAMAGE = (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError)
"""What `decompressed` raises for a damaged content, or one that takes too long or too much memory."""

_OPEN: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}


def decompressed(content: bytes, compression: str, most: int, at_once: int) -> bytes:
    """Decompress a content, at most its first bytes.

    Parameters
    ----------
    content : bytes
    compression : str
        One of those of ``SUFFIXES``.
    most : int
        Bytes after which decompression ends.
    at_once : int
        Bytes, compressed or not, from which it happens in a process of its own, whose time and memory are limited.
    """
    if len(content) < at_once:
        expanded = _expand(content, compression, min(at_once, most))
        if len(expanded) < at_once:
            return expanded
    result: bytes = confined(_expand, content, compression, most)
    return result


def _expand(content: bytes, compression: str, most: int) -> bytes:
    expanded: bytes = _OPEN[compression](BytesIO(content)).read(most)
    return expanded
