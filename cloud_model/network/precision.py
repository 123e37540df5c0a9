"""Precision of matrix products: by default the fastest on this processor."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.backends import mkldnn
from torch.nn import functional

from cloud_model.errors import check_choice
from cloud_model.process import Temporarily

Precision = Literal["float32", "bfloat16", "float16"]
Choice = Literal["auto", "float32", "bfloat16", "float16"]

TOKENS = 128  # of the products that are timed: enough to be bound by arithmetic, few enough for milliseconds
ROUNDS = 5
WORTHWHILE = 1.2  # times faster that a lower precision must be


def check_precision(precision: str) -> None:
    """Raise an `ArgumentError` unless this is a precision, or ``auto``."""
    check_choice("precision", precision, get_args(Choice))


def choose_precision(choice: Choice, width: int, device: torch.device) -> Precision:
    """Resolve ``auto`` to the fastest of float32 and bfloat16 for a network on a device.

    Parameters
    ----------
    choice : {'auto', 'float32', 'bfloat16', 'float16'}
        Anything but ``auto`` is returned as it is.
    width : int
        Hidden units of the network.
    device : torch.device
        Where it runs. On a CPU a product of the network's own shape is timed, once a process; a GPU says by
        itself whether it has bfloat16 units.

    Raises
    ------
    ArgumentError
        If there is no such precision.
    """
    check_precision(choice)
    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu":
        return "float32"
    seconds = product_seconds(width)
    return "bfloat16" if seconds["float32"] > WORTHWHILE * seconds["bfloat16"] else "float32"


@cache
def product_seconds(width: int) -> dict[Precision, float]:
    """Time of the product that an encoder of this width spends most time on, in each precision, on the CPU."""
    hidden, weights = torch.randn(TOKENS, width), torch.randn(4 * width, width)
    pairs: dict[Precision, tuple[Tensor, Tensor]] = {
        "float32": (hidden, weights),
        "bfloat16": (hidden.bfloat16(), weights.bfloat16()),
    }
    seconds: dict[Precision, float] = {}
    for precision, (left, right) in pairs.items():
        rounds = [_seconds(left, right) for _ in range(ROUNDS)]
        seconds[precision] = min(rounds)
    return seconds


@torch.inference_mode()
def _seconds(left: Tensor, right: Tensor) -> float:
    start = time.perf_counter()
    functional.linear(left, right)
    return time.perf_counter() - start


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Context in which matrices are multiplied in a precision; weights and everything else stay float32."""
    lower = precision != "float32"
    return torch.autocast(device.type, getattr(torch, precision) if lower else None, enabled=lower)


def kernels(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Context that leaves float32 products on the CPU to MKL, which is as fast as oneDNN.

    oneDNN compiles, and keeps, a kernel for each new shape of a batch.
    """
    return _without_onednn if precision == "float32" and device.type == "cpu" else nullcontext()


def kernel_rows(rows: int, device: torch.device) -> int:
    """Number of rows, at least so many, that a product of matrices should have.

    In lower precision on a CPU oneDNN compiles, and keeps, a kernel of about a MiB for each number of rows, so that
    there should be few: eight between a power of two and the next.
    """
    if device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return rows
    step = 1 << max(0, (rows - 1).bit_length() - 4)
    return -(-rows // step) * step


def padded_to(number: int, rows: Tensor) -> Tensor:
    """Rows, and as many of zeros as make this number of them."""
    missing = number - len(rows)
    return functional.pad(rows, (0, 0, 0, missing)) if missing else rows


_without_onednn = Temporarily(
    lambda: bool(mkldnn.enabled), partial(setattr, mkldnn, "enabled"), lambda _: False
)
