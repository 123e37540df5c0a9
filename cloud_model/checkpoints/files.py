"""Files of a checkpoint, each read once into memory that no other process can change."""

from __future__ import annotations

import os
import stat
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from cloud_model.errors import CheckpointError
from cloud_model.untrusted_json import parse_json

CONFIG, WEIGHTS, VOCABULARY, CARD = "config.json", "model.safetensors", "vocab.txt", "README.md"
PICKLE = "pytorch_model.bin"
MAX_TEXT, MAX_WEIGHTS = 2**24, 2**33  # bytes of a file


def read_bytes(path: Path, limit: int = MAX_TEXT) -> bytes:
    """Content of a regular file.

    Raises
    ------
    CheckpointError
        If it is missing, no regular file, or larger than `limit`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise damaged(path, "is not a regular file")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise damaged(path, f"is larger than {limit // 2**20} MiB")
            return file.read(limit)
    except OSError as error:
        raise CheckpointError(
            str(path), f"cannot be read ({error.strerror})", "Give a complete checkpoint directory."
        ) from error


def text_of(path: Path, content: bytes) -> str:
    """Text of a file, or a `CheckpointError`."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, "is not text") from error


def read_json(path: Path) -> Any:
    """JSON of a file, or a `CheckpointError`."""
    try:
        return parse_json(text_of(path, read_bytes(path)))
    except ValueError as error:
        raise (
            error if isinstance(error, CheckpointError) else damaged(path, f"is not JSON ({error})")
        ) from error


def tensors_of(path: Path, content: bytes) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or a `CheckpointError`."""
    try:
        return load(content)
    except (SafetensorError, MemoryError, struct.error) as error:
        raise damaged(path, f"is not a readable safetensors file ({error})") from error


def unpickled_tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    """Tensors of a file of `torch.save`, or a `CheckpointError` if it holds anything else."""
    try:
        weights = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # its unpickler raises whatever a malformed file runs into
        raise _no_tensors(path) from error
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise _no_tensors(path)
    return weights


def damaged(path: Path, reason: str) -> CheckpointError:
    """Say that a file is not what a checkpoint holds."""
    return CheckpointError(str(path), reason, "Download or write the checkpoint again.")


def _no_tensors(path: Path) -> CheckpointError:
    return CheckpointError(
        str(path),
        "does not hold plain tensors, and nothing else is ever unpickled",
        f"Convert it to {WEIGHTS}.",
    )
