"""How much slower work is, with as many threads as cores, while another process keeps one of the cores busy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from crystals import sample
from hosts import forget
from measure import Row, child, row
from training import small_finetuning

from cloud_model import CloudModel

SPIN = "import os; os.sched_setaffinity(0, {os.cpu_count() - 1})\nwhile True: pass"
ONE_BY_ONE = 100  # crystals
EPOCHS = 1


def slowdown(data: Path, rows: int, rounds: int) -> list[Row]:
    seconds = json.loads(child("beside_a_neighbour", data, rows // 4, rounds))
    return [
        row(
            f"{what}, one of {os.cpu_count()} cores busy",
            "the same on a quiet machine",
            "<= 2.5",
            median(busy / quiet for busy, quiet in zip(times["busy"], times["quiet"], strict=True)),
            clock="wall",
            seconds=times,
        )
        for what, times in seconds.items()
    ]


def beside_a_neighbour(data: str, rows: str, rounds: str) -> None:
    """Print the seconds of each kind of work; this process inherits how long threads spin."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(os.cpu_count() or 1)
    atoms, shipped = sample(Path(data), int(rows)), CloudModel.from_pretrained()

    def embed() -> None:
        forget(shipped).embed(atoms, errors="nan")

    def one_by_one() -> None:
        model = forget(shipped)
        for crystal in atoms[:ONE_BY_ONE]:
            model.embed([crystal], errors="nan")

    ways: dict[str, Callable[[], object]] = {
        f"fine-tuning, 240 rows, {EPOCHS} epoch": small_finetuning(Path(data), EPOCHS),
        f"embeddings of {len(atoms)} structures": embed,
        f"embeddings of {ONE_BY_ONE} structures one by one": one_by_one,
    }
    found: dict[str, dict[str, list[float]]] = {name: {"quiet": [], "busy": []} for name in ways}
    for name, run in ways.items():
        run()
        for _ in range(int(rounds)):
            found[name]["quiet"].append(_wall(run))
            with _busy_core():
                found[name]["busy"].append(_wall(run))
    print(json.dumps(found))


def _wall(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@contextmanager
def _busy_core() -> Iterator[None]:
    neighbour = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        time.sleep(0.5)
        yield
    finally:
        neighbour.kill()
        neighbour.wait()
