"""`featurize_dataframe` beside stock featurizers that call the same model row after row.

    python benchmarks/featurizer_speed.py --data DIR --rows 2000

The stock featurizers are what `BaseFeaturizer` makes of ``model.embed(crystal)`` and ``model.predict(crystal)``, in one
process (``set_n_jobs(1)``). All run in turn in this process, and the numbers are compared. The bound is what batches
could gain at most: the time of a row over that of its symmetry search and of its matrix multiplications at the peak
rate measured here. Prints JSON and writes ``results/featurizer_speed.json``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from matminer.featurizers.base import BaseFeaturizer
from pymatgen.core import Lattice, Structure

from cloud_model import CloudModel
from cloud_model.errors import CloudWarning
from cloud_plugins import CloudFeaturizer, CloudPropertyFeaturizer

RESULTS = Path(__file__).parent / "results"


class StockFeaturizer(BaseFeaturizer):
    """One row after the other."""

    def __init__(self, function: Callable[[Any], list[float]], labels: list[str]) -> None:
        self.function = function
        self.labels = labels
        self.set_n_jobs(1)

    def featurize(self, crystal: Any) -> list[float]:
        """Call the model."""
        return self.function(crystal)

    def feature_labels(self) -> list[str]:
        """Labels as given."""
        return list(self.labels)

    def citations(self) -> list[str]:
        """None."""
        return []

    def implementors(self) -> list[str]:
        """None."""
        return []


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--model", help="checkpoint; the default if left out")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", CloudWarning)
    frame = pd.DataFrame({"structure": read(arguments.data, arguments.rows)})
    model = CloudModel.from_pretrained(arguments.model)
    report = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "model": model.name,
        "rows": len(frame),
        "embeddings": compare(frame, model, CloudFeaturizer, stock_embeddings, arguments.repetitions),
        "properties": compare(frame, model, CloudPropertyFeaturizer, stock_properties, arguments.repetitions),
    }
    report["bound of embeddings"] = bound(frame, model, report["embeddings"]["stock_s"])
    text = json.dumps(report, indent=1)
    print(text)
    (RESULTS / "featurizer_speed.json").write_text(text + "\n")


def read(data: Path, rows: int) -> list[Structure]:
    with gzip.open(data / "structures_mp.jsonl.gz", "rt") as lines:
        records = [json.loads(line) for line in islice(lines, rows)]
    return [Structure(Lattice.from_parameters(*r["lattice"]), r["species"], r["frac"]) for r in records]


def stock_embeddings(model: CloudModel, labels: list[str]) -> StockFeaturizer:
    return StockFeaturizer(lambda crystal: model.embed(crystal)[0].tolist(), labels)


def stock_properties(model: CloudModel, labels: list[str]) -> StockFeaturizer:
    names = [name for name, info in model.properties.items() if info.basis != "cell"]
    return StockFeaturizer(lambda crystal: model.predict(crystal, names)[names].iloc[0].tolist(), labels)


def compare(
    frame: pd.DataFrame, model: CloudModel, ours: Any, stock: Any, repetitions: int
) -> dict[str, float]:
    """Median seconds of both, one after the other, with no prediction remembered from before."""
    seconds: dict[str, list[float]] = {"ours_s": [], "stock_s": []}
    for _ in range(repetitions):
        features = []
        batched = ours(CloudModel(model.checkpoint))
        by_row = stock(CloudModel(model.checkpoint), batched.feature_labels())
        for name, featurizer in (("ours_s", batched), ("stock_s", by_row)):
            start = time.perf_counter()
            result = featurizer.featurize_dataframe(frame, "structure", ignore_errors=True, pbar=False)
            seconds[name].append(time.perf_counter() - start)
            features.append(result[batched.feature_labels()].to_numpy(float))
        np.testing.assert_allclose(*features, rtol=1e-4, atol=1e-5)
    medians = {name: median(values) for name, values in seconds.items()}
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    return medians | {"ratio": median(ratios)}


def bound(frame: pd.DataFrame, model: CloudModel, stock_seconds: float) -> dict[str, float]:
    start = time.perf_counter()
    described = [
        scope for scope in model.scopes(frame["structure"].tolist()) if not isinstance(scope, Exception)
    ]
    symmetry = time.perf_counter() - start
    layers = sum(
        p.numel() for member in model.checkpoint.members for p in member.encoder.encoder.parameters()
    )
    tokens = sum(len(model.checkpoint.tokenizer.encode(text).ids) for text in {str(s) for s in described})
    multiplications = 2e-9 * layers * tokens / peak()
    return {
        "symmetry_s": symmetry,
        "matrix_multiplications_at_peak_s": multiplications,
        "ratio": stock_seconds / (symmetry + multiplications),
    }


def peak() -> float:
    """GFLOP/s of a matrix multiplication of the encoder's shape."""
    a, b = torch.randn(4096, 256), torch.randn(256, 1024)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2e-9 * 4096 * 256 * 1024 / min(seconds)


if __name__ == "__main__":
    main()
