"""Arguments and options that several subcommands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cloud_model.model import CloudModel

inputs = click.argument("inputs", nargs=-1, required=True, metavar="CRYSTAL...")
temperatures = click.option(
    "-T", "--temperature", "temperatures", type=float, multiple=True, help="Temperature, K; may be repeated."
)
model = click.option(
    "-m", "--model", metavar="NAME", help="Name or directory of a checkpoint; see 'cloud models'."
)
output_format = click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="A table for people, or data for programs.",
)


def load(name: str | None) -> CloudModel:
    """Load the model of option ``--model``."""
    from cloud_model.model import CloudModel

    return CloudModel.from_pretrained(name)
