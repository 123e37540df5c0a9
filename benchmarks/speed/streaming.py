"""Time and memory of predictions for crystals that are read from the disk as they are needed."""

from __future__ import annotations

import json
import time
import warnings
from itertools import islice
from pathlib import Path

from crystals import stream
from measure import Row, child, peak_memory, row

MANY, FEW = 100_000, 10_000
CHUNK = 1024


def predict_stream(data: str, number: str) -> None:
    from cloud_model import CloudModel

    warnings.simplefilter("ignore")
    model = CloudModel.from_pretrained()
    start = time.process_time()
    crystals = stream(Path(data), int(number))
    while chunk := list(islice(crystals, CHUNK)):
        model.predict(chunk)
    print(json.dumps({"seconds": time.process_time() - start, "peak_mib": peak_memory()}))


def growth(data: Path, rows: int, rounds: int) -> list[Row]:
    few, many = (json.loads(child("predict_stream", data, number)) for number in (FEW, MANY))
    what = f"predict {MANY:,} crystals streamed from the disk"
    return [
        row(
            f"{what}: peak memory",
            f"the same of {FEW:,}",
            "<= 1.1",
            many["peak_mib"] / few["peak_mib"],
            mib={"few": few["peak_mib"], "many": many["peak_mib"]},
        ),
        row(
            f"{what}: time",
            f"{MANY // FEW} times that of {FEW:,}",
            "<= 1.1",
            many["seconds"] / few["seconds"] * FEW / MANY,
            ms_per_crystal={"few": 1e3 * few["seconds"] / FEW, "many": 1e3 * many["seconds"] / MANY},
        ),
    ]
