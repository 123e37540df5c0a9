"""How times are taken and compared, and on which kind of machine."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instructions that decide how fast matrices are multiplied, as Linux calls them."""

PART = 250  # crystals after which the next way takes its turn

Seconds = dict[str, list[float]]
Row = dict[str, Any]


def in_turn(ways: dict[str, Callable[[], Any]], rounds: int) -> Seconds:
    """CPU seconds of this process for each way, which take turns; a first round is not counted."""
    seconds: Seconds = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if i:
                seconds[name].append(time.process_time() - start)
    return seconds


def part_by_part(ways: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]], rounds: int) -> Seconds:
    """Like `in_turn`, for ways that go through many crystals: they take turns after each part."""
    seconds: Seconds = {name: [0.0] * rounds for name in ways}
    for run, crystals in ways.values():
        run(crystals[:PART])
    for i in range(rounds):
        for first in range(0, len(next(iter(ways.values()))[1]), PART):
            for name, (run, crystals) in ways.items():
                start = time.process_time()
                run(crystals[first : first + PART])
                seconds[name][i] += time.process_time() - start
    return seconds


def ratio(seconds: Seconds, one: str, other: str) -> float:
    """Median over the rounds of the time of one way over that of another."""
    return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def milliseconds(seconds: Seconds, count: int = 1) -> dict[str, float]:
    """Median of each way, for one of `count` crystals."""
    return {name: 1e3 * median(values) / count for name, values in seconds.items()}


def cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def child(name: str, *arguments: object) -> str:
    """Output of a function of `__main__.CHILDREN` in a process of its own."""
    command = [sys.executable, str(Path(__file__).parent), "--child", name, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def peak_memory() -> float:
    """MiB, of this process so far; ``ru_maxrss`` would be that of its parent."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def row(what: str, against: str, target: str, value: float, **details: Any) -> Row:
    """Give one line of the table; the target is ``>= x`` or ``<= x``, of the ratio `value`."""
    sign, limit = target.split()
    met = value >= float(limit) if sign == ">=" else value <= float(limit)
    return {
        "what": what,
        "against": against,
        "target": target,
        "ratio": value,
        "met": met,
        "details": details,
    }


def kind_of_machine() -> str:
    """Processor, and which of the `FEATURES` it has."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    known = [feature for feature in FEATURES if feature in flags]
    return f"{fields.get('model name', platform.processor())} ({', '.join(known) or platform.machine()})"
