"""The command ``cloud validate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cloud_model.errors import CloudError
    from cloud_plugins.phonopy.comparison import HeatCapacityValidation

_PHONONS = ("phonopy*.yaml", "phonopy*.yaml.xz", "phonopy*.yaml.gz", "*.ncmat")
_CRYSTALS = ("*.cif", "*.vasp", "*.extxyz", "*POSCAR*")
_LONG_TABLE = 30  # rows; a longer one is printed in steps of 50 K

_file = click.Path(dir_okay=False, path_type=Path)
_folder = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--crystal", help="What CLOUD predicts, if not the unit cell of the phonons: file or SCOPE string."
)
@click.option("--calculator", help="Calculate the phonons of structure files with emt, 7net-0 or chgnet.")
@click.option("--relax", is_flag=True, help="Relax cell and positions first, their symmetry kept.")
@click.option(
    "--supercell-length", default=10.0, show_default=True, help="Shortest axis of supercells, Angstrom."
)
@click.option("--cache", type=_folder, help="Keep forces in this folder, and go on from them.")
@click.option(
    "--temperature", "temperatures", type=float, multiple=True, help="K; by default 0 to 1000 by 10."
)
@click.option("--model", help="Name or folder of a checkpoint.")
@click.option(
    "--allow-unstable", is_flag=True, help="Compare unstable crystals without their imaginary modes."
)
@click.option("--plot", type=_file, help="Draw the heat capacity of one source into this file.")
@click.option("--output", type=_file, help="Write a report, .html or .json, with the worst crystal first.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
def validate(
    sources: tuple[str, ...],
    model: str | None,
    plot: Path | None,
    output: Path | None,
    form: str,
    **options: Any,
) -> None:
    """Compare CLOUD's heat capacity with harmonic phonons.

    SOURCES are phonopy files (phonopy_params.yaml, or phonopy.yaml with FORCE_SETS or FORCE_CONSTANTS beside
    it), NCrystal materials, folders that are searched for them, or, with --calculator, structure files.
    """
    if output is not None and output.suffix not in (".html", ".json"):
        raise click.BadParameter("must end in .html or .json", param_hint="--output")
    references = [
        file for source in sources for file in _files(source, with_forces=not options["calculator"])
    ]
    if len(references) > 1 and (plot or options["crystal"]):
        raise click.UsageError("--plot and --crystal are for one source.")

    outcomes = _compare(references, model, options)
    results = {source: outcome for source, outcome in outcomes.items() if not isinstance(outcome, Exception)}
    failures = {source: outcome for source, outcome in outcomes.items() if isinstance(outcome, Exception)}

    _FORMATS[form](results, failures)
    if plot is not None:
        for result in results.values():
            result.plot().savefig(plot)
    if output is not None:
        _write(output, results, failures)
    for failure in failures.values():
        click.echo(f"Error: {failure}", err=True)
    sys.exit(bool(failures))


def _files(source: str, *, with_forces: bool) -> list[str]:
    """Replace a folder by the files in and below it, of phonopy only the best of each folder."""
    from cloud_plugins.phonopy.references import PHONOPY_FILES, phonopy_file

    folder = Path(source)
    if not folder.is_dir():
        return [source]
    patterns = _PHONONS if with_forces else _CRYSTALS
    files = sorted({file for pattern in patterns for file in folder.rglob(pattern)})
    if not files:
        raise click.UsageError(f"{source} holds none of {', '.join(patterns)}.")
    return [str(f) for f in files if f.name not in PHONOPY_FILES or f == phonopy_file(f.parent)]


def _compare(
    references: Sequence[str], model: str | None, options: dict[str, Any]
) -> dict[str, HeatCapacityValidation | CloudError]:
    from tqdm import tqdm

    from cloud_model import CloudModel
    from cloud_model.errors import CloudError
    from cloud_plugins.phonopy.calculators import named_calculator
    from cloud_plugins.phonopy.validation import DEFAULT_TEMPERATURES, validate_heat_capacity

    options["temperatures"] = options["temperatures"] or DEFAULT_TEMPERATURES
    try:
        options["model"] = CloudModel.from_pretrained(model)
        if options["calculator"]:
            options["calculator"] = named_calculator(options["calculator"])
    except CloudError as error:
        raise click.UsageError(str(error)) from error

    outcomes: dict[str, HeatCapacityValidation | CloudError] = {}
    for source in tqdm(references, desc="crystals", disable=None if len(references) > 1 else True):
        try:
            outcomes[source] = validate_heat_capacity(source, **options)
        except CloudError as error:
            outcomes[source] = error
    return outcomes


Results = Mapping[str, "HeatCapacityValidation"]
Failures = Mapping[str, "CloudError"]


def _dicts(results: Results, failures: Failures) -> list[dict[str, Any]]:
    """One object an input, the worst first and what failed last."""
    good = sorted((result.to_dict() for result in results.values()), key=lambda d: d["mae"], reverse=True)
    return good + [{"source": source, "error": str(failure)} for source, failure in failures.items()]


def _print_json(results: Results, failures: Failures) -> None:
    click.echo(json.dumps(_dicts(results, failures), indent=2))


def _print_csv(results: Results, failures: Failures) -> None:
    import pandas as pd

    frames = [result.to_frame().assign(source=source) for source, result in results.items()]
    if frames:
        click.echo(pd.concat(frames).to_csv(index=False), nl=False)


def _print_table(results: Results, failures: Failures) -> None:
    from rich.console import Console

    console = Console()
    for result in results.values() if len(results) == 1 else ():
        _print_crystal(console, result)
    if len(results) > 1:
        _print_summary(console, results)


def _print_crystal(console: Any, result: HeatCapacityValidation) -> None:
    from rich.table import Table

    frame = result.to_frame()
    if len(frame) > _LONG_TABLE:
        frame = frame[frame["temperature"] % 50 == 0]
    table = Table(title=f"{result.formula}, heat capacity in J/(mol-atom K)")
    for heading in ("T (K)", "phonons", "CLOUD", "difference", "one Debye temperature"):
        table.add_column(heading, justify="right")
    for row in frame.itertuples():
        harmonic, cloud, floor = (
            row.harmonic_heat_capacity,
            row.cloud_heat_capacity,
            row.debye_floor_heat_capacity,
        )
        table.add_row(
            f"{row.temperature:g}",
            f"{harmonic:.2f}",
            f"{cloud:.2f}",
            f"{cloud - harmonic:+.2f}",
            f"{floor:.2f}",
        )
    console.print(table)
    console.print(
        f"MAE {result.mae:.2f}, largest error {result.max_error:.2f} at {result.max_error_temperature:g} K, "
        f"Debye floor {result.debye_floor:.2f} J/(mol-atom K)\n"
        f"Debye temperature at 300 K: phonons {result.debye_temperature:.0f} K, "
        f"CLOUD {result.cloud_debye_temperature:.0f} K"
    )
    for warning in result.warnings:
        console.print(f"Note: {warning}", style="yellow")


def _print_summary(console: Any, results: Results) -> None:
    from rich.table import Table

    table = Table(title="Heat capacity, J/(mol-atom K)")
    table.add_column("source", overflow="fold")
    for heading in ("crystal", "MAE", "Debye floor", "largest error", "at T (K)"):
        table.add_column(heading, justify="right")
    for source, result in sorted(results.items(), key=lambda item: item[1].mae, reverse=True):
        figures = result.mae, result.debye_floor, result.max_error
        table.add_row(
            source, result.formula, *(f"{x:.2f}" for x in figures), f"{result.max_error_temperature:g}"
        )
    console.print(table)


_FORMATS = {"table": _print_table, "json": _print_json, "csv": _print_csv}


def _write(output: Path, results: Results, failures: Failures) -> None:
    from cloud_plugins.phonopy.report import report_html

    if output.suffix == ".json":
        output.write_text(json.dumps(_dicts(results, failures), indent=2))
    else:
        output.write_text(report_html(list(results.values()), list(failures.values())), encoding="utf-8")
