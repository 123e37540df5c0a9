"""The command ``cloud validate``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_model.atomic import write_atomically
from cloud_model.cli import options
from cloud_model.cli.output import console, new_table, print_csv, print_json
from cloud_model.display.progress import ProgressReport
from cloud_plugins.phonopy.calculators import NAMES

if TYPE_CHECKING:
    from rich.table import Table

    from cloud_model.errors import CloudError
    from cloud_plugins.phonopy.comparison import HeatCapacityValidation
    from cloud_plugins.phonopy.quasi_harmonic import QuasiHarmonicValidation

Results = Mapping[str, "HeatCapacityValidation"]
Failures = Mapping[str, "CloudError"]

_PHONONS = ("phonopy*.yaml", "phonopy*.yaml.xz", "phonopy*.yaml.gz", "*.ncmat")
_CRYSTALS = ("*.cif", "*.vasp", "*.extxyz", "*POSCAR*")
_QUASI_HARMONIC = {
    "heat_capacity": ("Cp\nJ/(mol-\natom K)", 1.0, 2),
    "thermal_expansion": ("expansion\n10^-6/K", 1e6, 1),
    "bulk_modulus": ("bulk\nmodulus\nGPa", 1.0, 1),
    "gibbs_energy": ("Gibbs\nenergy\nJ/mol-\natom", 1.0, 0),
}
"""Column -> heading of the table, factor to its unit, and digits."""
_LONG_TABLE = 30  # rows; a longer one is printed in steps of 50 K


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=options.crystals)
@click.option(
    "--crystal",
    help="Crystal that CLOUD predicts (file or SCOPE string), if it is not the cell of the phonons.",
)
@click.option(
    "--calculator",
    type=click.Choice(NAMES),
    metavar="NAME",
    help="Calculate phonons with emt, 7net-0, 7net-l3i5 or chgnet.",
)
@click.option("--relax", is_flag=True, help="Relax cell and positions first, keeping the symmetry.")
@click.option(
    "--supercell-length",
    default=10.0,
    show_default=True,
    help="Smallest length of the axes of supercells (Angstrom).",
)
@click.option(
    "--cache", type=options.folder, help="Folder that keeps forces, so that an interrupted run resumes."
)
@click.option(
    "--quasi-harmonic", is_flag=True, help="Compare at constant pressure, with phonons of several volumes."
)
@click.option("--pressure", type=options.pressure, help="Pressure (GPa) for --quasi-harmonic; default 0.")
@click.option(
    "--allow-unstable",
    is_flag=True,
    help="Compare dynamically unstable crystals too, leaving out imaginary modes.",
)
@click.option(
    "--plot", type=options.figure, help="Draw the heat capacity of one source into this PNG, SVG or PDF file."
)
@click.option(
    "-o", "--output", type=options.file, help="Write a report, .html or .json, the worst crystal first."
)
@options.temperatures
@options.overwrite
@options.model
@options.output_format
def validate(
    sources: Sequence[str],
    temperatures: Sequence[float],
    overwrite: bool,
    model: str | None,
    plot: Path | None,
    output: Path | None,
    output_format: str,
    quasi_harmonic: bool,
    pressure: float | None,
    **settings: Any,
) -> int:
    """Compare CLOUD's heat capacity with that of harmonic phonons.

    Sources are phonopy files (phonopy_params.yaml, or phonopy.yaml with FORCE_SETS or FORCE_CONSTANTS beside
    it), NCrystal materials, folders that are searched for them, or, with --calculator, structure files. The
    temperatures are 0 to 1000 K in steps of 10 K unless given.

    \b
    Examples:
      cloud validate phonopy_params.yaml --plot heat_capacity.png
      cloud validate calculations/ -o report.html
      cloud validate Cu.cif --calculator emt --relax
      cloud validate Cu.cif --calculator emt --quasi-harmonic

    With --quasi-harmonic a source is a folder that holds e-v.dat (volume and energy of a cell in each line) and, for
    each volume in the order of their names, thermal_properties.yaml files or folders with phonopy files; or, with
    --calculator, a structure file, which is relaxed and strained. Heat capacity, expansion, bulk modulus and Gibbs
    energy at constant pressure are compared from 0 K to the highest --temperature, or to 1000 K.

    Exit code: 0; 1 if some sources failed (each is named on standard error); 2 for wrong usage.
    """
    if output is not None and output.suffix not in (".html", ".json"):
        raise click.BadParameter("must end in .html or .json", param_hint="--output")
    if not settings["calculator"] and (settings["relax"] or settings["cache"]):
        raise click.UsageError("--relax and --cache need a --calculator.")
    options.check_outputs(overwrite, plot, output)
    if quasi_harmonic:
        settings |= {"pressure": pressure or 0.0, "temperatures": temperatures, "model": model}
        return _validate_quasi_harmonic(sources, plot, output, output_format, settings)
    if pressure is not None:
        raise click.UsageError("--pressure is for --quasi-harmonic: harmonic phonons have one volume.")
    files = [file for source in sources for file in _files(source, with_forces=not settings["calculator"])]
    if len(files) > 1 and (plot or settings["crystal"]):
        raise click.UsageError("--plot and --crystal are for one source.")
    if temperatures:
        settings["temperatures"] = temperatures

    results, failures = _compare(files, model, **settings)
    _PRINTERS[output_format](results, failures)
    for source, failure in failures.items():
        text = str(failure)
        click.echo(text if text.startswith(source) else f"{source}: {text}", err=True)
    _plot(plot, results.values())
    if output is not None:
        _write(output, results, failures)
        click.echo(f"Wrote {output}", err=True)
    return int(bool(failures))


def _validate_quasi_harmonic(
    sources: Sequence[str],
    plot: Path | None,
    output: Path | None,
    output_format: str,
    settings: dict[str, Any],
) -> int:
    from cloud_model.errors import CloudError
    from cloud_plugins.phonopy.quasi_harmonic import validate_quasi_harmonic
    from cloud_plugins.phonopy.report import quasi_harmonic_report_html

    if settings.pop("allow_unstable"):
        raise click.UsageError("--allow-unstable is for harmonic phonons: unstable ones have no free energy.")
    if len(sources) > 1 and (plot or settings["crystal"]):
        raise click.UsageError("--plot and --crystal are for one source.")
    settings.pop("relax")  # the crystal is always relaxed
    settings["model"] = options.load(settings["model"])
    temperatures = settings.pop("temperatures")
    settings["max_temperature"] = max(temperatures, default=1000.0)
    results: dict[str, QuasiHarmonicValidation] = {}
    failures: dict[str, CloudError] = {}
    with closing(ProgressReport("Validated", len(sources), "crystals")) as report:
        for source in sources:
            try:
                results[source] = validate_quasi_harmonic(source, **settings)
            except CloudError as error:
                failures[source] = error
                click.echo(str(error), err=True)
            report.update(1)
    records = _records(results, failures)
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(
            {"input": source, "formula": result.formula, **row}
            for source, result in results.items()
            for row in result.to_frame().to_dict("records")
        )
    else:
        for result in results.values():
            console().print(_quasi_harmonic_table(result))
    _plot(plot, results.values())
    if output is not None:
        page = quasi_harmonic_report_html(list(results.values()), list(failures.values()))
        write_atomically(output, json.dumps(records, indent=2) if output.suffix == ".json" else page)
        click.echo(f"Wrote {output}", err=True)
    return int(bool(failures))


def _plot(path: Path | None, results: Iterable[HeatCapacityValidation | QuasiHarmonicValidation]) -> None:
    """Draw the only result, if there is one and a figure is asked for."""
    if path is None:
        return
    for result in results:
        write_atomically(path, result.plot().savefig)
        click.echo(f"Wrote {path}", err=True)


def _quasi_harmonic_table(result: QuasiHarmonicValidation) -> Table:
    from cloud_model.cli.prediction_tables import table_of

    frame = result.to_frame()
    rows = frame[frame["temperature"] % 50 == 0]
    columns = {"K": [f"{kelvin:g}" for kelvin in rows["temperature"]]}
    for name, (heading, factor, digits) in _QUASI_HARMONIC.items():
        for side, prefix in (("phonons", "quasi_harmonic"), ("CLOUD", "cloud")):
            values = factor * rows[f"{prefix}_{name}"]
            columns[f"{heading}\n{side}"] = [f"{value:.{digits}f}" for value in values]
    table = table_of(columns)
    table.title, table.title_justify = f"{result.formula}, constant pressure", "left"
    return table


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
    files: Sequence[str], model: str | None, calculator: str | None, **settings: Any
) -> tuple[Results, Failures]:
    from cloud_model.errors import CloudError
    from cloud_plugins.phonopy.calculators import named_calculator
    from cloud_plugins.phonopy.validation import validate_heat_capacity

    settings["calculator"] = named_calculator(calculator) if calculator else None
    settings["model"] = options.load(model)
    results: dict[str, HeatCapacityValidation] = {}
    failures: dict[str, CloudError] = {}
    with closing(ProgressReport("Validated", len(files), "crystals")) as report:
        for file in files:
            try:
                results[file] = validate_heat_capacity(file, **settings)
            except CloudError as error:
                failures[file] = error
            report.update(1)
    worst_first = sorted(results.items(), key=lambda item: item[1].mae, reverse=True)
    return dict(worst_first), failures


def _records(
    results: Mapping[str, HeatCapacityValidation | QuasiHarmonicValidation], failures: Failures
) -> list[dict[str, Any]]:
    """One object a source, those that failed last."""
    good = [{"input": source, **result.to_dict(), "error": None} for source, result in results.items()]
    return good + [{"input": source, "error": str(failure)} for source, failure in failures.items()]


def _print_json(results: Results, failures: Failures) -> None:
    print_json(_records(results, failures))


def _print_csv(results: Results, _: Failures) -> None:
    print_csv(
        {"input": source, "formula": result.formula, **row}
        for source, result in results.items()
        for row in result.to_frame().to_dict("records")
    )


def _print_tables(results: Results, _: Failures) -> None:
    if len(results) == 1:
        (result,) = results.values()
        screen = console()
        screen.print(_crystal_table(result))
        screen.print(_figures_of_merit(result))
    elif results:
        console().print(_summary_table(results))


_PRINTERS = {"table": _print_tables, "json": _print_json, "csv": _print_csv}


def _crystal_table(result: HeatCapacityValidation) -> Table:
    frame = result.to_frame()
    if len(frame) > _LONG_TABLE:
        frame = frame[frame["temperature"] % 50 == 0]
    title = f"{result.formula}, heat capacity in J/(mol-atom K)"
    table = new_table("K", "phonons", "CLOUD", "difference", "one Debye temperature", title=title)
    for row in frame.itertuples():
        harmonic, cloud = row.harmonic_heat_capacity, row.cloud_heat_capacity
        values = f"{harmonic:.2f}", f"{cloud:.2f}", f"{cloud - harmonic:+.2f}"
        table.add_row(f"{row.temperature:g}", *values, f"{row.debye_floor_heat_capacity:.2f}")
    return table


def _figures_of_merit(result: HeatCapacityValidation) -> str:
    return "\n".join(
        (
            f"MAE {result.mae:.2f}, largest error {result.max_error:.2f} at {result.max_error_temperature:g} K, "
            f"Debye floor {result.debye_floor:.2f} J/(mol-atom K)",
            f"Debye temperature at 300 K: phonons {result.debye_temperature:.0f} K, "
            f"CLOUD {result.cloud_debye_temperature:.0f} K",
            *(f"Note: {warning}" for warning in result.warnings),
        )
    )


def _summary_table(results: Results) -> Table:
    headers = ("source", "crystal", "MAE", "Debye floor", "largest error", "at K")
    table = new_table(*headers, title="Heat capacity, J/(mol-atom K)")
    for source, result in results.items():
        figures = (f"{x:.2f}" for x in (result.mae, result.debye_floor, result.max_error))
        table.add_row(source, result.formula, *figures, f"{result.max_error_temperature:g}")
    return table


def _write(output: Path, results: Results, failures: Failures) -> None:
    from cloud_plugins.phonopy.report import report_html

    if output.suffix == ".json":
        write_atomically(output, json.dumps(_records(results, failures), indent=2))
    else:
        write_atomically(output, report_html(list(results.values()), list(failures.values())))
