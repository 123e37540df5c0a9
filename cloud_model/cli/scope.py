"""``cloud scope``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_model.cli import options, shards
from cloud_model.cli.inputs import Report, Source, chunks
from cloud_model.cli.output import print_csv, print_json
from cloud_model.errors import CloudError
from cloud_model.scope import DEFAULT_SYMPREC

if TYPE_CHECKING:
    from cloud_model.cli.shards import Sharding
    from cloud_model.scope.description import Dialect


@click.command()
@options.inputs
@click.option(
    "--dialect",
    type=click.Choice(["canonical", "sites", "reference"]),
    default="canonical",
    show_default=True,
    help="Dialect of the string.",
)
@click.option(
    "--symprec",
    type=float,
    default=DEFAULT_SYMPREC,
    show_default=True,
    help="Tolerance of the symmetry search (Angstrom).",
)
@options.output_format
@shards.options
def scope(
    inputs: Sequence[str], dialect: Dialect, symprec: float, output_format: str, sharding: Sharding | None
) -> int:
    """Describe crystals as SCOPE strings.

    A string holds the space group, the Wyckoff positions and the composition. The table has one line per crystal:
    the string, after the name of the crystal if there are several.

    \b
    Examples:
      cloud scope NaCl.cif
      cloud scope - < POSCAR
      cloud scope *.cif --dialect sites --format csv
      cloud scope structures/ --shards strings --jobs 8

    Exit code: 0; 1 if some crystals failed (each is named on standard error); 2 for wrong usage.
    """
    if sharding is not None:
        suffix = ".json" if output_format == "json" else ".csv"
        work = partial(_write_shard, dialect=dialect, symprec=symprec)
        return shards.write_shards(sharding, inputs, suffix, work)
    report = Report()
    records = _records(chunks(inputs), dialect, symprec, report)
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(records)
    else:
        _print_lines(records)
    return report.exit_code


def _write_shard(
    portions: Iterable[list[Source]], path: Path, report: Report, *, dialect: Dialect, symprec: float
) -> None:
    records = _records(portions, dialect, symprec, report)
    with path.open("w", encoding="utf-8") as file:
        (print_json if path.suffix == ".json" else print_csv)(records, file)


def _records(
    portions: Iterable[list[Source]], dialect: Dialect, symprec: float, report: Report
) -> Iterator[dict[str, Any]]:
    from cloud_model.scope.batches import scopes

    for sources in portions:
        results = scopes([source.crystal for source in sources], dialect, symprec)
        for source, result in zip(sources, results, strict=True):
            if isinstance(result, CloudError):
                report.failed(source, result)
                text, group, atoms, error = None, None, None, str(result)
            else:
                text, group, atoms, error = str(result), result.space_group, result.n_atoms, None
            yield {
                "input": source.name,
                "scope": text,
                "space_group": group,
                "n_atoms": atoms,
                "error": error,
            }


def _print_lines(records: Iterator[dict[str, Any]]) -> None:
    """Like grep, name the inputs only where there are several."""
    first = list(islice(records, 2))
    for record in chain(first, records):
        if not record["error"]:
            name = f"{record['input']}\t" if len(first) > 1 else ""
            click.echo(name + record["scope"])
