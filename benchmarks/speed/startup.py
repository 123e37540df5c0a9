"""How long a new process takes: CPU time of processes that take turns."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ase.build import bulk
from measure import Row, cpu_of, ratio, row


def compare(ways: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + 1):
        for name, command in ways.items():
            taken = cpu_of(command)
            if i:  # the first reads files from the disk
                seconds[name].append(taken)
    return seconds


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def imports(data: Path, rows: int, rounds: int) -> list[Row]:
    seconds = compare(
        {
            "import cloud_model": python("import cloud_model"),
            "and its CloudModel": python("from cloud_model import CloudModel"),
            "import numpy, torch": python("import numpy, torch"),
        },
        rounds,
    )
    return [
        row(
            "`import cloud_model`",
            "`import numpy, torch`",
            "<= 1.1",
            ratio(seconds, "import cloud_model", "import numpy, torch"),
            with_CloudModel=ratio(seconds, "and its CloudModel", "import numpy, torch"),
            s=seconds,
        )
    ]


def cold_predict(data: Path, rows: int, rounds: int) -> list[Row]:
    cloud = shutil.which("cloud", path=str(Path(sys.executable).parent))
    with TemporaryDirectory() as folder:
        path = Path(folder, "NaCl.cif")
        bulk("NaCl", "rocksalt", a=5.64).write(path)
        seconds = compare(
            {
                "cloud predict": [str(cloud), "predict", str(path)],
                "import torch, ase.io": python("import torch, ase.io"),
            },
            rounds,
        )
    return [
        row(
            "`cloud predict NaCl.cif` in a new process",
            '`python -c "import torch, ase.io"`',
            "<= 1.5",
            ratio(seconds, "cloud predict", "import torch, ase.io"),
            s=seconds,
        )
    ]
