"""``cloud models``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from cloud_model.cli import options
from cloud_model.cli.output import console, print_csv, print_json
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
    from cloud_model.cli.prediction_tables import table_of

    default = ", the default" if record["default"] else ""
    screen = console()
    screen.print(
        f"{record['model']}{default}: dialect {record['dialect']}, symprec {record['symprec']} Angstrom, "
        f"embeddings of {record['embedding_size']}",
        highlight=False,
    )
    if not record["properties"]:
        screen.print("No properties: for embeddings and fine-tuning.\n")
        return
    infos = record["properties"].values()
    sources = [f"{info['theory']}; {info['training_set']}" for info in infos]
    numbers = {source: str(number) for number, source in enumerate(dict.fromkeys(sources), start=1)}
    columns = {
        "property": list(record["properties"]),
        "unit": [info["unit"] for info in infos],
        "mean\nerror": ["" if info["test_error"] is None else f"{info['test_error']:.3g}" for info in infos],
        "value/\nmeasured": [
            f"{info['experiment_ratio']:.2f}" if info["experiment_ratio"] else "" for info in infos
        ],
        "data": [numbers[source] for source in sources],
    }
    screen.print(table_of(columns))
    screen.print()
    for source, number in numbers.items():
        screen.print(f"data {number}: {source}", highlight=False)
