"""Shards of crystals to shards of embeddings on a Dask cluster, and what that means for millions and billions.

    python -m benchmarks.scale --data DIR

Each task reads a shard of crystals, embeds them and writes a shard of Parquet, so that neither crystals nor embeddings
pass through the scheduler. The tasks go through joblib's Dask backend to a local cluster of two workers of one thread,
and again one after the other in this process; the strings and the embeddings must be the same. The extrapolation takes
the CPU time of each step as measured here, and the rate of the large encoder from ``results/speed.json``, which
``benchmarks/speed`` writes. Each kind of machine has a record of its own in ``results/scale.json``, of which ``.md`` is
made.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from ase import Atoms
from ase.geometry import cellpar_to_cell

from benchmarks.speed.measure import kind_of_machine
from cloud_model import CloudModel
from cloud_model.display.tables import markdown_table
from cloud_model.errors import CloudError

RESULTS = Path(__file__).parent / "results"
SHARD = 256  # crystals
TARGETS = {"6 million": 6e6, "1 billion": 1e9}
NODE = 64  # cores
HOUR = 3600.0
WAYS = (".serial", ".dask")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--crystals", type=int, default=4096)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        shards = write_shards(arguments.data / "structures_mp.jsonl.gz", Path(folder), arguments.crystals)
        start = time.perf_counter()
        serial = [embed_shard(path, path.with_suffix(".serial")) for path in shards]
        alone = time.perf_counter() - start
        together, overhead = on_cluster(shards)
        difference = compare(
            *(pa.concat_tables([pq.read_table(path.with_suffix(way)) for path in shards]) for way in WAYS)
        )
        rates = average(serial) | {
            "bytes_structure": size(shards, ".gz") / arguments.crystals,
            "bytes_embedding": size([path.with_suffix(".serial") for path in shards]) / arguments.crystals,
        }
    result = {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "crystals": arguments.crystals,
        "wall_seconds": {"one process": alone, "two Dask workers": together},
        "largest_difference": difference,
        "scheduler_ms_per_task": overhead,
        "per_crystal": rates,
        "large_encoder_ms": large_encoder(),
    }
    path = RESULTS / "scale.json"
    records = (json.loads(path.read_text()) if path.exists() else {}) | {kind_of_machine(): result}
    path.write_text(json.dumps(records, indent=1) + "\n")
    parts = (f"**{kind}**\n\n{report(each)}" for kind, each in records.items())
    (RESULTS / "scale.md").write_text("\n".join(parts))
    print(report(result))


def write_shards(source: Path, folder: Path, number: int) -> list[Path]:
    with gzip.open(source, "rt") as file:
        lines = random.Random(0).sample(file.readlines(), number)  # noqa: S311
    remaining = iter(lines)
    paths: list[Path] = []
    while shard := list(islice(remaining, SHARD)):
        paths.append(folder / f"{len(paths):05d}.gz")
        with gzip.open(paths[-1], "wt") as file:
            file.writelines(shard)
    return paths


def embed_shard(source: Path, target: Path) -> dict[str, float]:
    """Read, describe, embed and write one shard; CPU seconds of each step."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model = CloudModel.from_pretrained()
    clock = [time.process_time()]
    with gzip.open(source, "rt") as lines:
        crystals = [read(line) for line in lines]
    clock.append(time.process_time())
    scopes = [scope for scope in model.scopes(crystals) if not isinstance(scope, CloudError)]
    clock.append(time.process_time())
    vectors = model.embed(scopes, errors="nan", n_jobs=1)
    clock.append(time.process_time())
    flat = pa.array(vectors.astype(np.float16).ravel())
    embeddings = pa.FixedSizeListArray.from_arrays(flat, model.embedding_size)
    pq.write_table(pa.table({"scope": list(map(str, scopes)), "embedding": embeddings}), target)
    clock.append(time.process_time())
    return dict(zip(("read", "scope", "embed", "write"), np.diff(clock), strict=True))


def read(line: str) -> Atoms:
    row = json.loads(line)
    return Atoms(row["species"], scaled_positions=row["frac"], cell=cellpar_to_cell(row["lattice"]), pbc=True)


def on_cluster(shards: list[Path]) -> tuple[float, float]:
    """Wall seconds of all shards on two workers, and milliseconds that an empty task takes."""
    from dask.distributed import Client

    with (
        Client(n_workers=2, threads_per_worker=1, dashboard_address=None),
        joblib.parallel_config(backend="dask"),
    ):
        joblib.Parallel()(joblib.delayed(CloudModel.from_pretrained)() for _ in range(2))  # imports
        start = time.perf_counter()
        joblib.Parallel()(joblib.delayed(embed_shard)(path, path.with_suffix(".dask")) for path in shards)
        together = time.perf_counter() - start
        start = time.perf_counter()
        joblib.Parallel(batch_size=1)(joblib.delayed(abs)(i) for i in range(500))
        return together, 1e3 * (time.perf_counter() - start) / 500


def compare(one: pa.Table, other: pa.Table) -> float:
    """Check that strings are equal; largest difference of the embeddings."""
    assert one["scope"].equals(other["scope"])
    first, second = (
        table["embedding"].combine_chunks().flatten().to_numpy().astype(float) for table in (one, other)
    )
    return float(np.nanmax(np.abs(first - second)))


def average(parts: list[dict[str, float]]) -> dict[str, float]:
    """Milliseconds a crystal, of the shards after the first, which loads what is needed."""
    return {
        f"ms_{step}": 1e3 * float(np.mean([part[step] for part in parts[1:]])) / SHARD for step in parts[0]
    }


def size(paths: list[Path], suffix: str | None = None) -> int:
    return sum((path.with_suffix(suffix) if suffix else path).stat().st_size for path in paths)


def large_encoder() -> float:
    """Milliseconds a crystal for the size of the published network."""
    rows = json.loads((RESULTS / "speed.json").read_text())[kind_of_machine()]["embeddings"]["rows"]
    line = next(row for row in rows if row["what"].endswith("768 x 12, random"))
    return 1e3 / line["details"]["per_second"]["ours"]


def report(result: dict[str, Any]) -> str:
    """Markdown."""
    each = result["per_crystal"]
    steps = {
        "read, from compressed JSON": each["ms_read"],
        "describe as SCOPE": each["ms_scope"],
        "embed, shipped encoder": each["ms_embed"],
        "write, Parquet": each["ms_write"],
        "embed, encoder of the published size": result["large_encoder_ms"],
    }
    small = each["ms_read"] + each["ms_scope"] + each["ms_embed"] + each["ms_write"]
    large = small - each["ms_embed"] + result["large_encoder_ms"]
    walls = result["wall_seconds"]
    extrapolations: dict[str, Callable[[float], str]] = {
        "core-hours, shipped encoder": lambda n: f"{n * small / 1e3 / HOUR:,.1f}",
        f"hours on a node of {NODE} cores": lambda n: f"{n * small / 1e3 / HOUR / NODE:,.2f}",
        "core-hours, published size": lambda n: f"{n * large / 1e3 / HOUR:,.0f}",
        f"hours on {NODE} such nodes": lambda n: f"{n * large / 1e3 / HOUR / NODE**2:,.2f}",
        "crystals, compressed (GB)": lambda n: f"{n * each['bytes_structure'] / 1e9:,.1f}",
        "strings and float16 embeddings, Parquet (GB)": (
            lambda n: f"{n * each['bytes_embedding'] / 1e9:,.1f}"
        ),
        f"tasks of {SHARD} crystals": lambda n: f"{n / SHARD:,.0f}",
        "hours that the scheduler needs for them": (
            lambda n: f"{n / SHARD * result['scheduler_ms_per_task'] / 1e3 / HOUR:,.2f}"
        ),
    }
    lines = [
        f"{result['crystals']:,} crystals in shards of {SHARD}: {walls['one process']:.0f} s in one process, "
        f"{walls['two Dask workers']:.0f} s on two Dask workers ({result['cores']} cores at a load of "
        f"{result['load_average']:.1f}). All strings are equal; the largest difference of an embedding is "
        f"{result['largest_difference']:.1g}.",
        "",
        markdown_table(
            ["step", "CPU time (ms a crystal)"], ([step, f"{ms:.2f}"] for step, ms in steps.items())
        ),
        "",
        markdown_table(
            ["", *TARGETS],
            ([name, *map(value, TARGETS.values())] for name, value in extrapolations.items()),
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
