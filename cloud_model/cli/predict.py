"""``cloud predict``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_model.cli import options, shards
from cloud_model.cli.inputs import CHUNK, Report, Source, batched, chunks, fields_of
from cloud_model.cli.output import console, print_csv, print_json
from cloud_model.errors import CloudError, CloudWarning

if TYPE_CHECKING:
    from cloud_model.cli.shards import Sharding
    from cloud_model.model import CloudModel
    from cloud_model.network.precision import Choice
    from cloud_model.scope.string import Scope


@click.command()
@options.inputs
@options.properties
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="Show all properties, also of several crystals, and per mole of cells.",
)
@options.temperatures
@click.option(
    "--order",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Predict disordered crystals as the mean over at most N ordered cells.",
)
@options.model
@options.precision(["float32", "bfloat16", "float16"], default="float32")
@options.output_format
@shards.options
def predict(
    inputs: Sequence[str],
    properties: Sequence[str],
    show_all: bool,
    temperatures: Sequence[float],
    order: int,
    model: str | None,
    precision: Choice,
    output_format: str,
    sharding: Sharding | None,
) -> int:
    """Predict properties of crystals.

    Standard errors are relative to the theory that a property was learned from, not to experiment. For several
    crystals the table shows the common properties; --property and --all show others. JSON and CSV hold all.

    Thermodynamic properties are those at 300 K, or at each --temperature: lists of values in JSON, one row for each
    temperature in CSV and tables.

    \b
    Examples:
      cloud predict NaCl.cif
      cloud predict *.cif -p band_gap -p bulk_modulus
      cloud predict MgO.cif -p heat_capacity_per_atom -T 100 -T 300 --format json
      cloud predict - < POSCAR
      cloud predict structures/ --shards predictions --jobs 8

    Exit code: 0; 1 if some crystals failed (each is named on standard error); 2 for wrong usage.
    """
    portions = chunks(inputs) if sharding is None else iter(())
    loaded = options.load(model, precision)
    report = Report()
    names = properties or list(loaded.properties)
    asked = temperatures or [300.0]
    if sharding is not None:
        suffix = ".json" if output_format == "json" else ".csv"
        work = partial(
            _write_shard,
            model=model,
            precision=precision,
            names=list(names),
            temperatures=list(asked),
            order=order,
        )
        return shards.write_shards(sharding, inputs, suffix, work)
    records = _records(loaded, portions, names, asked, report, order)
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(row for record in records for row in _rows(record))
    else:
        _print_tables(records, loaded, names, not (properties or show_all))
    return report.exit_code


def _write_shard(
    portions: Iterable[list[Source]],
    path: Path,
    report: Report,
    *,
    model: str | None,
    precision: Choice,
    names: Sequence[str],
    temperatures: Sequence[float],
    order: int,
) -> None:
    records = _records(options.load(model, precision), portions, names, temperatures, report, order)
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".json":
            print_json(records, file)
        else:
            print_csv((row for record in records for row in _rows(record)), file)


def _records(
    model: CloudModel,
    portions: Iterable[list[Source]],
    names: Sequence[str],
    temperatures: Sequence[float],
    report: Report,
    order: int,
) -> Iterator[dict[str, Any]]:
    """One record a crystal; lists of values over temperature if there are several."""
    from cloud_model.inference.columns import column_names

    missing: dict[str, Any] = dict.fromkeys(column_names(model.checkpoint.config, names), nan)
    if "out_of_domain" in missing:
        missing["out_of_domain"] = None
    for sources in portions:
        scopes = model.scopes([source.crystal for source in sources])  # read once for all temperatures
        described = [scope for scope in scopes if order or not isinstance(scope, CloudError)]
        tables = [_predict(model, described, names, temperature, order) for temperature in temperatures]
        predictions = zip(*tables, strict=True)
        for source, scope in zip(sources, scopes, strict=True):
            rows = [missing | {"error": str(scope)}] * len(tables)
            read = fields_of(None if isinstance(scope, CloudError) else scope)
            if order or not isinstance(scope, CloudError):
                rows = next(predictions)
            error = rows[0]["error"]
            if error:
                report.failed(source, error)
            elif rows[0].get("out_of_domain"):
                report.doubt(source)
            yield {"input": source.name, **read, **_over_temperature(temperatures, rows)}


def _predict(
    model: CloudModel,
    scopes: Sequence[Scope | CloudError],
    names: Sequence[str],
    temperature: float,
    order: int,
) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ of \d+ crystals", CloudWarning)  # each is reported by name
        arrays = model.predict_arrays(scopes, names, temperature, order=order)
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


def _print_tables(
    records: Iterable[dict[str, Any]], model: CloudModel, names: Sequence[str], common: bool
) -> None:
    """Print one crystal as a list of its properties, several as a row each."""
    from cloud_model.cli.prediction_tables import COMMON, print_crystal, print_crystals

    screen = console()
    crystals = ([*_rows(record)] for record in records if not record["error"])
    for group in batched(crystals, CHUNK):
        shown = names
        if common and len(group) > 1:
            shown = [name for name in COMMON if name in names] or names
        elif common:
            shown = [name for name in names if model.properties[name].basis != "cell"]
        properties = {name: model.properties[name] for name in shown}
        if len(group) == 1:
            print_crystal(screen, group[0], properties)
        else:
            print_crystals(screen, [row for rows in group for row in rows], properties)
