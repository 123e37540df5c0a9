"""``cloud models``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from cloud_model.cli import options
from cloud_model.cli.output import console, new_table, print_csv, print_json
from cloud_model.errors import CheckpointError, warn_user


@click.command()
@options.output_format
def models(output_format: str) -> None:
    """List the installed checkpoints.

    What each predicts, how well, and from which data it learned. The error is the mean absolute error on crystals not
    trained on, in the unit of the property and against the theory named; value/measured is the median ratio to
    experiment over well-known crystals.

    \b
    Examples:
      cloud models
      cloud models --format json
    """
    records = list(_records())
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(row for record in records for row in _rows(record))
    else:
        for record in records:
            _print_table(record)


def _records() -> Iterator[dict[str, Any]]:
    from cloud_model.checkpoints.registry import DEFAULT, available
    from cloud_model.model import CloudModel

    for name, directory in available().items():
        try:
            model = CloudModel.from_pretrained(directory)
        except CheckpointError as error:
            warn_user(str(error))
            continue
        yield {
            "model": name,
            "default": name == DEFAULT,
            "dialect": model.dialect,
            "symprec": model.symprec,
            "embedding_size": model.embedding_size,
            "properties": {key: asdict(info) for key, info in model.properties.items()},
        }


def _rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, info in record["properties"].items():
        yield {"model": record["model"], "property": name, **info}


def _print_table(record: Mapping[str, Any]) -> None:
    default = ", the default" if record["default"] else ""
    title = (
        f"{record['model']}{default}: dialect {record['dialect']}, symprec {record['symprec']} Angstrom, "
        f"embeddings of {record['embedding_size']}"
    )
    sources = list(dict.fromkeys(info["training_set"] for info in record["properties"].values()))
    table = new_table("property", "unit", "theory", "mean error", "value/measured", "data", title=title)
    for name, info in record["properties"].items():
        error = "" if info["test_error"] is None else f"{info['test_error']:.3g}"
        ratio = f"{info['experiment_ratio']:.2f}" if info["experiment_ratio"] else ""
        table.add_row(
            name, info["unit"], info["theory"], error, ratio, str(sources.index(info["training_set"]) + 1)
        )
    screen = console()
    screen.print(table)
    for number, source in enumerate(sources, start=1):
        screen.print(f"data {number}: {source}", highlight=False, markup=False)
