"""Commands that train and evaluate checkpoints."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from cloud_model.atomic import locked
from cloud_model.cli import options
from cloud_model.cli.output import print_markdown

if TYPE_CHECKING:
    from cloud_model.network.precision import Choice


@click.command()
@click.argument("table", type=options.existing_file)
@click.option(
    "--structure-column",
    required=True,
    help="Column of crystals: CIF text, paths, SCOPE strings or pymatgen JSON.",
)
@click.option("--target", "targets", multiple=True, help="Column of a scalar property; may be repeated.")
@click.option(
    "--unit", "units", multiple=True, help="Unit of each --target, in the same order; '' for a pure number."
)
@click.option(
    "--log/--no-log",
    default=None,
    help="Learn the logarithm of the property; by default if the labels are positive and skewed.",
)
@click.option("--temperatures", help="Column of lists of temperatures in K.")
@click.option("--heat-capacities", help="Column of lists of heat capacities in J/(mol-atom K).")
@click.option(
    "--internal-energies", help="Column of lists of internal energies in J/mol-atom, zero point included."
)
@click.option(
    "--split-column",
    help="Column that says 'train', 'validation' or 'test'; by default rows are split by formula.",
)
@options.model_option("Checkpoint to start from; default: cloud-mini.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=options.folder,
    help="Directory for the new checkpoint.",
)
@click.option("--epochs", type=click.IntRange(1), help="Maximum number of passes over the table; default 40.")
@click.option("--members", type=click.IntRange(1), help="Number of networks in the ensemble; default 3.")
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="Number of folds of the formulas, one of which validates each network; default 10.",
)
@click.option(
    "--patience", type=click.IntRange(1), help="Stop after so many epochs without progress; default 15."
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="Learning rate of the heads; default 0.001.",
)
@click.option(
    "--encoder-rate",
    type=click.FloatRange(0),
    help="Learning rate of the encoder as a multiple of that of the heads; 0 freezes it; default 0.5.",
)
@click.option(
    "--layer-decay",
    type=click.FloatRange(0, 1, min_open=True),
    help="Learning rate of each encoder layer as a multiple of that of the layer above it; default 0.8.",
)
@click.option("--spectra", type=click.IntRange(1), help="Number of Debye spectra of each network; default 4.")
@options.precision(["float32", "bfloat16"])
@click.option("--seed", type=int, help="Seed of the first network; default 0.")
@options.overwrite
def finetune(
    table: Path,
    overwrite: bool,
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
    **chosen: Any,
) -> None:
    """Fine-tune a checkpoint on a new property.

    The TABLE (CSV, Parquet or JSON lines) has a crystal and its labels in each row.

    \b
    Examples:
      cloud finetune gaps.csv --structure-column cif --target gap --unit eV \\
          -o gaps
      cloud predict NaCl.cif --model gaps
    """
    from cloud_model.training.finetuning.ensemble import EnsembleSettings
    from cloud_model.training.finetuning.labelled_crystals import Columns
    from cloud_model.training.finetuning.reading import read_table
    from cloud_model.training.finetuning.table import finetune_table
    from cloud_model.training.metrics import LEGEND, score_table

    if not targets and not heat_capacities:
        raise click.UsageError("Give a --target with its --unit, or --heat-capacities with --temperatures.")
    if len(units) != len(targets):
        raise click.UsageError("Give one --unit for each --target; '' for a pure number.")
    options.check_outputs(overwrite, output / "config.json")
    columns = Columns(
        structure=structure_column,
        units=dict(zip(targets, units, strict=True)),
        transforms={} if log is None else dict.fromkeys(targets, "log10" if log else "identity"),
        temperatures=temperatures,
        heat_capacities=heat_capacities,
        internal_energies=internal_energies,
        split=split_column,
    )
    settings = {
        key: chosen[key] for key in (f.name for f in fields(EnsembleSettings)) if chosen.get(key) is not None
    }
    with locked(output, "cloud finetune"):
        report = finetune_table(
            read_table(table),
            columns,
            output,
            model=model,
            folder=table.parent,
            settings=EnsembleSettings(**settings),
        )
    for split in ("test", "held_out"):
        for name, result in report.get(split, {}).items():
            unit = columns.units.get(name, "J/(mol-atom K)")
            print_markdown(f"{name} ({split})\n\n{score_table(result, unit)}")
    print_markdown(LEGEND)
    click.echo(f"Wrote {output}")


@click.command()
@click.argument("table", type=options.existing_file)
@click.option(
    "--structure-column",
    required=True,
    help="Column of crystals: CIF text, paths, SCOPE strings or pymatgen JSON.",
)
@click.option("--target", required=True, help="Column of labels.")
@click.option("--property", "name", help="Property of the checkpoint, if its name is not that of the column.")
@options.model_option(
    "Checkpoint to evaluate or to start from; default: cloud-mini, for MatBench cloud-base."
)
@click.option("--split-column", help="Column that says which rows are 'test'; by default all rows are.")
@click.option(
    "--finetune",
    is_flag=True,
    help="Fine-tune in each fold, and evaluate the result on what the fold leaves out.",
)
@click.option("--unit", help="Unit of the target, for --finetune; '' for a pure number.")
@click.option(
    "--protocol",
    type=click.Choice(["formula", "matbench"]),
    default="formula",
    show_default=True,
    help="How --finetune makes its folds: by formula, or as MatBench does.",
)
@click.option(
    "--folds", type=click.IntRange(2), default=5, show_default=True, help="Number of folds of --finetune."
)
@click.option(
    "--members", type=click.IntRange(1), help="Number of networks in each fine-tuned ensemble; default 3."
)
@click.option(
    "--epochs", type=click.IntRange(1), help="Maximum number of passes over the training rows; default 40."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the folds and of fine-tuning.")
@click.option(
    "-o",
    "--output",
    type=options.folder,
    help="Folder for the results; default: none, they are only printed.",
)
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or data for programs.",
)
@options.overwrite
def evaluate(
    table: Path,
    overwrite: bool,
    structure_column: str,
    target: str,
    name: str | None,
    model: str | None,
    split_column: str | None,
    finetune: bool,
    unit: str | None,
    protocol: Literal["formula", "matbench"],
    folds: int,
    members: int | None,
    epochs: int | None,
    seed: int,
    output: Path | None,
    output_format: str,
) -> None:
    """Evaluate a checkpoint against baselines.

    The TABLE (CSV, Parquet or JSON lines) has a crystal and its label in each row. The baselines are fitted to it in
    folds; with --finetune, so is the checkpoint.

    \b
    Examples:
      cloud evaluate gaps.csv --structure-column cif --target band_gap
      cloud evaluate gaps.csv --structure-column cif --target gap --unit eV \\
          --finetune -o judged
    """
    if finetune and (output is None or unit is None):
        raise click.UsageError(
            "--finetune needs a --unit, '' for a pure number, and an --output for its training state."
        )
    ignored = (
        {"--property": name, "--split-column": split_column}
        if finetune
        else {"--unit": unit, "--members": members, "--epochs": epochs}
    )
    for option, value in ignored.items():
        if value is not None:
            raise click.UsageError(f"{option} goes {'without' if finetune else 'with'} --finetune.")
    options.check_outputs(overwrite, output and output / "evaluation.json")

    from cloud_model.training import evaluation
    from cloud_model.training.finetuning.ensemble import EnsembleSettings
    from cloud_model.training.finetuning.labelled_crystals import Columns
    from cloud_model.training.finetuning.reading import read_table

    rows = read_table(table)
    if finetune:
        assert output is not None and unit is not None  # noqa: S101, PT018
        chosen: dict[str, Any] = {
            key: value for key, value in {"members": members, "epochs": epochs}.items() if value is not None
        }
        result = evaluation.cross_validate(
            rows,
            Columns(structure=structure_column, units={target: unit}),
            output / "training",
            model=model,
            folder=table.parent,
            protocol=protocol,
            folds=folds,
            settings=EnsembleSettings(seed=seed, **chosen),
        )
    else:
        result = evaluation.evaluate(
            rows,
            structure_column,
            target,
            name=name,
            model=model,
            split=split_column,
            folder=table.parent,
            folds=folds,
            seed=seed,
        )
    if output is not None:
        result.save(output)
    if output_format == "json":
        click.echo(json.dumps(result.to_dict()))
    else:
        print_markdown(f"{result.name} ({result.split})\n\n{result.to_markdown()}")


@click.command()
@click.option(
    "-c",
    "--config",
    required=True,
    type=options.existing_file,
    help="TOML file of the run.",
)
@options.precision(["float32", "bfloat16"])
def pretrain(config: Path, precision: Choice) -> None:
    """Pretrain an encoder on SCOPE strings.

    The TOML file names the Parquet shards of 'cloud ingest', and may set everything else. Under torchrun or
    accelerate launch it runs on all their processes. Interrupted runs resume.

    \b
    Examples:
      cloud pretrain --config pretrain.toml
      torchrun --nproc_per_node 8 --no-python \\
          cloud pretrain --config pretrain.toml
    """
    from cloud_model.training.pretraining.run import PretrainingRun

    run = PretrainingRun.read(config)
    if precision != "auto":
        run = replace(run, schedule=replace(run.schedule, precision=precision))
    click.echo(f"Wrote {run.execute()}")
