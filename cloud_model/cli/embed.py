"""``cloud embed``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud_model.atomic import write_atomically
from cloud_model.cli import options, shards
from cloud_model.cli.inputs import Report, Source, chunks
from cloud_model.errors import BatchError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cloud_model.cli.shards import Sharding
    from cloud_model.model import CloudModel
    from cloud_model.network.ensemble import Pooling
    from cloud_model.network.precision import Choice

Batch = tuple[list[str], "NDArray[np.float32]"]


@click.command()
@options.inputs
@click.option(
    "-o",
    "--output",
    type=options.file,
    help="File to write: .parquet, .csv or .npz.",
)
@click.option(
    "--pooling",
    type=click.Choice(["layers", "mean", "atoms", "cls"]),
    default="layers",
    show_default=True,
    help="layers: elements and last layer over the atoms; mean, atoms, cls: last layer over tokens, atoms, of [CLS].",
)
@options.overwrite
@options.model
@options.precision(["float32", "bfloat16", "float16"], default="float32")
@shards.options
def embed(
    inputs: Sequence[str],
    output: Path | None,
    pooling: Pooling,
    overwrite: bool,
    model: str | None,
    precision: Choice,
    sharding: Sharding | None,
) -> int:
    """Write embeddings of crystals to a file.

    Parquet and CSV have the columns 'input', 'e0', 'e1', ...; NPZ the arrays 'input' and 'embedding'. Crystals
    that fail are left out.

    \b
    Examples:
      cloud embed structures/ -o embeddings.parquet
      cloud embed *.cif -o embeddings.npz --pooling atoms
      cloud embed structures/ --shards embeddings --jobs 8

    Exit code: 0; 1 if some crystals failed (each is named on standard error); 2 for wrong usage.
    """
    if (output is None) == (sharding is None):
        raise click.UsageError("Give a file with --output, or a folder with --shards.")
    if sharding is not None:
        options.load(model, precision)  # before work begins
        work = partial(_write_shard, pooling=pooling, model=model, precision=precision)
        return shards.write_shards(sharding, inputs, ".parquet", work)
    assert output is not None  # noqa: S101
    if output.suffix not in _WRITERS:
        raise click.BadParameter(f"{output.suffix!r} is none of {', '.join(_WRITERS)}", param_hint="--output")
    options.check_outputs(overwrite, output)
    report = Report()
    portions = chunks(inputs, prints=False)
    batches = _batches(options.load(model, precision), portions, pooling, report)
    write_atomically(output, lambda unfinished: _WRITERS[output.suffix](unfinished, batches))
    return report.exit_code


def _write_shard(
    portions: Iterable[list[Source]],
    path: Path,
    report: Report,
    *,
    pooling: Pooling,
    model: str | None,
    precision: Choice,
) -> None:
    _write_parquet(path, _batches(options.load(model, precision), portions, pooling, report))


def _batches(
    model: CloudModel, portions: Iterable[list[Source]], pooling: Pooling, report: Report
) -> Iterator[Batch]:
    for sources in portions:
        try:
            vectors = model.embed([source.crystal for source in sources], pooling, n_jobs=1)
        except BatchError as error:
            for i, reason in error.failures.items():
                report.failed(sources[i], reason)
            sources = [source for i, source in enumerate(sources) if i not in error.failures]
            vectors = model.embed([source.crystal for source in sources], pooling, n_jobs=1)
        yield [source.name for source in sources], vectors


def _frames(batches: Iterator[Batch]) -> Iterator[pd.DataFrame]:
    import pandas as pd

    for names, vectors in batches:
        frame = pd.DataFrame(vectors, columns=[f"e{i}" for i in range(vectors.shape[1])])
        frame.insert(0, "input", names)
        yield frame


def _write_csv(path: Path, batches: Iterator[Batch]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for i, frame in enumerate(_frames(batches)):
            frame.to_csv(file, index=False, header=i == 0)


def _write_parquet(path: Path, batches: Iterator[Batch]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    tables = (pa.Table.from_pandas(frame, preserve_index=False) for frame in _frames(batches))
    first = next(tables)
    with parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _write_npz(path: Path, batches: Iterator[Batch]) -> None:
    import numpy as np

    names, vectors = zip(*batches, strict=True)
    with path.open("wb") as file:
        np.savez(file, input=np.concatenate(names), embedding=np.concatenate(vectors))


_WRITERS: dict[str, Callable[[Path, Iterator[Batch]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".npz": _write_npz,
}
