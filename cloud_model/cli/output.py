"""Print records as JSON, CSV and tables."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import IO, TYPE_CHECKING, Any

import click

from cloud_model.display.numbers import uncertain as uncertain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Record = Mapping[str, Any]

_FILE_WIDTH = 80


def print_json(records: Iterable[Record], file: IO[str] | None = None) -> None:
    """Print one list, an object a line; missing numbers are null."""
    separator = "["
    for record in records:
        click.echo(f"{separator}\n{json.dumps(_without_nan(record))}", file, nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]", file)


def print_csv(records: Iterable[Record], file: IO[str] | None = None) -> None:
    """Print a header and a line per record; missing numbers are empty."""
    header: Sequence[str] = ()
    for record in records:
        if not header:
            header = list(record)
            _echo_row(header, file)
        _echo_row(_without_nan(record).values(), file)


def console() -> Console:
    """Where tables go: as wide as the terminal or as ``COLUMNS`` says, else as a page of text."""
    from rich.console import Console

    fits = sys.stdout.isatty() or "COLUMNS" in os.environ
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        width=None if fits else _FILE_WIDTH,
        color_system=None if plain else "auto",
        markup=False,  # names of files may look like it
        emoji=False,
    )


def new_table(*headers: str, title: str = "") -> Table:
    """Make an empty table, names on the left, numbers to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for i, header in enumerate(headers):
        table.add_column(Text(header), justify="left" if i == 0 else "right", overflow="fold")
    return table


def print_markdown(text: str) -> None:
    """Print text and tables that are written in Markdown."""
    from rich.markdown import Markdown

    console().print(Markdown(text))


def _echo_row(values: Iterable[Any], file: IO[str] | None) -> None:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # quotes names that hold what ends its lines
    click.echo(line.getvalue().removesuffix("\r\n"), file)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and isnan(value) else value
