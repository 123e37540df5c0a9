"""``cloud predict``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_model.cli import options
from cloud_model.cli.inputs import CHUNK, Report, batched, chunks
from cloud_model.cli.output import console, new_table, print_csv, print_json, uncertain
from cloud_model.errors import CloudError, CloudWarning

if TYPE_CHECKING:
    from rich.table import Table

    from cloud_model.model import CloudModel
    from cloud_model.scope.string import Scope

_COLUMNS = 3  # more properties than this run down the table, not across it
_COLUMN_WIDTH = 19  # of a value and its error
_NAME_WIDTH = 56  # of a property and its unit


@click.command()
@options.inputs
@options.properties
@options.temperatures
@options.model
@options.output_format
def predict(
    inputs: Sequence[str],
    properties: Sequence[str],
    temperatures: Sequence[float],
    model: str | None,
    output_format: str,
) -> int:
    """Predict properties of crystals.

    Each comes with its standard error. Thermodynamic properties are those at 300 K, or at each --temperature:
    JSON, one list with an object a crystal, then has lists of values; CSV and tables have a row a temperature.

    \b
    Examples:
      cloud predict NaCl.cif
      cloud predict *.cif -p band_gap -p bulk_modulus
      cloud predict MgO.cif -p heat_capacity_per_atom -T 100 -T 300 --format json
      cloud predict - < POSCAR

    Exit code: 0; 1 if some crystals failed (each is named on standard error); 2 for wrong usage.
    """
    loaded = options.load(model)
    report = Report()
    names = properties or list(loaded.properties)
    records = _records(loaded, inputs, names, temperatures or [300.0], report)
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(row for record in records for row in _rows(record))
    else:
        _print_tables(records, loaded, names)
    return report.exit_code


def _records(
    model: CloudModel,
    inputs: Sequence[str],
    names: Sequence[str],
    temperatures: Sequence[float],
    report: Report,
) -> Iterator[dict[str, Any]]:
    """One record a crystal; lists of values over temperature if there are several."""
    missing: dict[str, Any] = dict.fromkeys((name + suffix for name in names for suffix in ("", "_std")), nan)
    if model.checkpoint.config.domain:
        missing["out_of_domain"] = None
    for sources in chunks(inputs):
        scopes = model.scopes([source.crystal for source in sources])  # read once for all temperatures
        described = [scope for scope in scopes if not isinstance(scope, CloudError)]
        tables = [_predict(model, described, names, temperature) for temperature in temperatures]
        predictions = zip(*tables, strict=True)
        for source, scope in zip(sources, scopes, strict=True):
            failed = isinstance(scope, CloudError)
            rows = [missing | {"error": str(scope)}] * len(tables) if failed else next(predictions)
            error = rows[0]["error"]
            if error:
                report.failed(source, error)
            elif rows[0].get("out_of_domain"):
                click.echo(f"{source.name}: out of the domain of training, so not to be trusted", err=True)
            yield {"input": source.name, **_over_temperature(temperatures, rows)}


def _predict(
    model: CloudModel, scopes: Sequence[Scope], names: Sequence[str], temperature: float
) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ of \d+ crystals", CloudWarning)  # each is reported by name
        arrays = model.predict_arrays(scopes, names, temperature)
    columns: dict[str, list[Any]] = {name: values.tolist() for name, values in arrays.items()}
    if "out_of_domain" in columns:
        columns["out_of_domain"] = [
            None if isnan(value) else bool(value) for value in columns["out_of_domain"]
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _over_temperature(temperatures: Sequence[float], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge predictions at several temperatures: those that depend on it become lists."""
    from cloud_model.properties.catalogue import THERMODYNAMICS

    if len(rows) == 1:
        return {"temperature": temperatures[0], **rows[0]}
    values = {
        name: [row[name] for row in rows] if name.removesuffix("_std") in THERMODYNAMICS else value
        for name, value in rows[0].items()
    }
    return {"temperature": list(temperatures), **values}


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One flat record for each temperature."""
    temperature = record["temperature"]
    if not isinstance(temperature, list):
        yield record
        return
    for i in range(len(temperature)):
        yield {name: value[i] if isinstance(value, list) else value for name, value in record.items()}


def _print_tables(records: Iterable[dict[str, Any]], model: CloudModel, names: Sequence[str]) -> None:
    """Print few properties as columns, many as rows with the crystals side by side."""
    screen = console()
    rows = (row for record in records if not record["error"] for row in _rows(record))
    if len(names) <= _COLUMNS:
        for group in batched(rows, CHUNK):
            screen.print(_crystals_down(group, _units(model, names)))
        return
    for group in batched(rows, max(1, (screen.width - _NAME_WIDTH) // _COLUMN_WIDTH)):
        screen.print(_crystals_across(group, _units(model, names)))


def _units(model: CloudModel, names: Sequence[str]) -> dict[str, str]:
    return {name: model.properties[name].unit for name in names}


def _crystals_down(rows: Sequence[dict[str, Any]], units: dict[str, str]) -> Table:
    table = new_table("crystal", "K", *(f"{name}\n{unit}" for name, unit in units.items()))
    for row in rows:
        table.add_row(row["input"], f"{row['temperature']:g}", *(_cell(row, name) for name in units))
    return table


def _crystals_across(rows: Sequence[dict[str, Any]], units: dict[str, str]) -> Table:
    crystals = [f"{Path(row['input']).name}\n{row['temperature']:g} K" for row in rows]
    table = new_table("property", "unit", *crystals)
    for column in table.columns[:2]:
        column.no_wrap = True
    for name, unit in units.items():
        table.add_row(name, unit, *(_cell(row, name) for row in rows))
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    return uncertain(row[name], row[f"{name}_std"])
