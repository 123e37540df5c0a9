"""Commands of the training layer."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--structure-column", required=True, help="CIF text, path, SCOPE string or pymatgen JSON in each cell."
)
@click.option("--target", "targets", multiple=True, help="Column of a scalar property; may be repeated.")
@click.option("--unit", "units", multiple=True, help="Unit of each --target.")
@click.option("--log/--no-log", default=None, help="Learn the logarithm; chosen by the skewness if left out.")
@click.option("--temperatures", help="Column of lists of temperatures in K.")
@click.option("--heat-capacities", help="Column of lists of heat capacities in J/(mol-atom K).")
@click.option(
    "--internal-energies", help="Column of lists of internal energies in J/mol-atom, zero point included."
)
@click.option("--split-column", help="Column that says train, validation or test.")
@click.option("--model", help="Checkpoint to start from.")
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Checkpoint directory."
)
@click.option("--epochs", type=click.IntRange(1))
@click.option("--members", type=click.IntRange(1), help="Networks of the ensemble.")
@click.option("--folds", type=click.IntRange(2), help="One in so many formulas validates a member.")
@click.option("--patience", type=click.IntRange(1))
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True))
@click.option(
    "--encoder-rate", type=click.FloatRange(0), help="Of the encoder over that of the heads; 0 freezes it."
)
@click.option("--layer-decay", type=click.FloatRange(0, 1, min_open=True))
@click.option("--spectra", type=click.IntRange(1), help="Debye spectra of each member.")
@click.option("--seed", type=int)
def finetune(
    table: Path,
    structure_column: str,
    targets: tuple[str, ...],
    units: tuple[str, ...],
    log: bool | None,
    temperatures: str | None,
    heat_capacities: str | None,
    internal_energies: str | None,
    split_column: str | None,
    model: str | None,
    output: Path,
    **options: Any,
) -> None:
    """Teach a checkpoint a property from a TABLE (CSV, Parquet or JSON lines) of crystals and labels."""
    from cloud_model.training.adapt import Columns, finetune_table
    from cloud_model.training.metrics import score_table
    from cloud_model.training.tables import read_table
    from cloud_model.training.transfer import TransferSettings

    if not targets and not heat_capacities:
        raise click.UsageError("Give a --target with its --unit, or --heat-capacities with --temperatures.")
    if len(units) != len(targets):
        raise click.UsageError("Give one --unit for each --target; '' for a pure number.")
    columns = Columns(
        structure=structure_column,
        units=dict(zip(targets, units, strict=True)),
        transforms={} if log is None else dict.fromkeys(targets, "log10" if log else "identity"),
        temperatures=temperatures,
        heat_capacities=heat_capacities,
        internal_energies=internal_energies,
        split=split_column,
    )
    chosen = {
        key: options[key]
        for key in (f.name for f in fields(TransferSettings))
        if options.get(key) is not None
    }
    report = finetune_table(
        read_table(table),
        columns,
        output,
        model=model,
        folder=table.parent,
        settings=TransferSettings(**chosen),
    )
    for split in ("test", "held_out"):
        for name, result in report.get(split, {}).items():
            click.echo(
                f"{name} ({split})\n{score_table(result, columns.units.get(name, 'J/(mol-atom K)'))}\n"
            )
    click.echo(f"Wrote {output}")
