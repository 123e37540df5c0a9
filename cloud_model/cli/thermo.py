"""``cloud thermo``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_model.atomic import write_atomically
from cloud_model.cli import options
from cloud_model.cli.inputs import chunks, fields_of
from cloud_model.cli.output import console, new_table, print_csv, print_json, uncertain

if TYPE_CHECKING:
    import pandas as pd

    from cloud_model.model import CloudModel
    from cloud_model.physics.fits import Form
    from cloud_model.physics.thermodynamics import Thermodynamics
    from cloud_model.scope.string import Scope

_TEMPERATURES = tuple(range(0, 1001, 50))
_POINTS = 201  # of a curve
_ISOBARIC = {
    "heat_capacity_per_atom": "Cv, harmonic\nJ/\n(mol-atom K)",
    "isobaric_heat_capacity_per_atom": "Cp\nJ/\n(mol-atom K)",
    "isobaric_entropy_per_atom": "entropy\nJ/\n(mol-atom K)",
    "enthalpy_per_atom": "enthalpy\nJ/mol-atom",
    "gibbs_energy_per_atom": "Gibbs energy\nJ/mol-atom",
    "thermal_expansion": "expansion\n10^-6/K",
}
_HARMONIC = {
    "heat_capacity_per_atom": "heat capacity\nJ/(mol-atom K)",
    "vibrational_internal_energy_per_atom": "internal energy\nJ/mol-atom",
    "vibrational_entropy_per_atom": "entropy\nJ/(mol-atom K)",
    "vibrational_free_energy_per_atom": "free energy\nJ/mol-atom",
}
"""Column -> heading of the table."""


@click.command()
@click.argument("crystal", metavar="CRYSTAL", type=options.crystals)
@options.temperatures
@click.option(
    "--plot",
    type=options.figure,
    help="Draw the heat capacity into this PNG, SVG or PDF file.",
)
@click.option("--pressure", type=options.pressure, default=0.0, help="Pressure (GPa), at most 30; default 0.")
@click.option(
    "--fit",
    type=click.Choice(["shomate", "nasa9"]),
    help="Print a polynomial, as thermochemical tables have them, from 298.15 K to the highest temperature instead.",
)
@options.overwrite
@options.model
@options.output_format
def thermo(
    crystal: str,
    temperatures: Sequence[float],
    plot: Path | None,
    overwrite: bool,
    pressure: float,
    fit: Form | None,
    model: str | None,
    output_format: str,
) -> None:
    """Show the thermodynamics of a crystal.

    Heat capacities at constant volume (harmonic) and at constant pressure, and entropy, enthalpy and Gibbs energy at
    constant pressure from 0 to 1000 K, or at each --temperature; enthalpy and Gibbs energy count from the enthalpy at
    0 K. Without --plot, the heat capacity is drawn in the terminal. The other formats hold all quantities, per mole of
    atoms and of cells, each with its standard error.

    \b
    Examples:
      cloud thermo MgO.cif
      cloud thermo MgO.cif -T 77 -T 300 --format csv
      cloud thermo MgO.cif --plot heat_capacity.png
      cloud thermo MgO.cif --fit shomate
    """
    import numpy as np

    from cloud_model.cli.prediction_tables import label
    from cloud_model.errors import CloudError
    from cloud_model.physics.fits import ROOM

    options.check_outputs(overwrite, plot)
    grid = np.array(temperatures or _TEMPERATURES, dtype=float)
    if fit and grid.max() < ROOM + 100:
        raise click.BadParameter("give temperatures up to 400 K at least", param_hint="--fit")
    sources = next(chunks([crystal]))
    if len(sources) > 1:
        raise click.UsageError(f"{crystal!r} is several crystals; give one, such as {sources[0].name}")
    loaded = options.load(model)
    scope = loaded.scopes([sources[0].crystal])[0]
    if isinstance(scope, CloudError):
        raise scope
    _warn(loaded, scope, sources[0].name)
    if fit:
        _print_fit(loaded, scope, sources[0].name, fit, float(grid.max()), pressure, output_format)
        return
    found = loaded.thermodynamics(scope, grid, pressure)
    frame = found.to_frame()
    curve = replace(found, temperatures=np.linspace(0, max(grid.max(), 1), _POINTS))
    if plot:
        _save(curve, plot, sources[0].name)
    if output_format == "json":
        print_json([{"input": sources[0].name, **frame.to_dict("list")}])
    elif output_format == "csv":
        print_csv(frame.to_dict("records"))
    else:
        _print_table(frame, label({"input": sources[0].name, **fields_of(scope)}))
        if plot:
            click.echo(f"Wrote {plot}")
        else:
            _draw(curve)


def _warn(model: CloudModel, scope: Scope, name: str) -> None:
    """Say on standard error what the thermodynamics of this crystal lack."""
    from cloud_model.crystal.formula import parse_formula
    from cloud_model.properties.catalogue import imaginary_modes_warning, magnetism_warning

    warnings = [magnetism_warning(parse_formula(scope.formula))]
    if "dynamic_stability" in model.properties:
        probability = model.predict(scope, "dynamic_stability").dynamic_stability.item()
        warnings.append(imaginary_modes_warning(probability))
    for warning in filter(None, warnings):
        click.echo(f"{name}: {warning}", err=True)


def _print_table(frame: pd.DataFrame, title: str) -> None:
    from cloud_model.cli.prediction_tables import table_of

    headings = _ISOBARIC if "enthalpy_per_atom" in frame else _HARMONIC
    rows = frame.to_dict("records")
    columns = {"K": [f"{row['temperature']:g}" for row in rows]}
    for name, heading in headings.items():
        factor = 1e6 if name == "thermal_expansion" else 1.0
        columns[heading] = [uncertain(factor * row[name], factor * row[f"{name}_std"]) for row in rows]
    screen = console()
    screen.print(title, soft_wrap=True)
    screen.print()
    screen.print(table_of(columns, gap=1))


def _print_fit(
    model: CloudModel,
    scope: Scope,
    name: str,
    form: Form,
    highest: float,
    pressure: float,
    output_format: str,
) -> None:
    import numpy as np

    from cloud_model.crystal.formula import parse_formula
    from cloud_model.physics.fits import ROOM, fit_heat_capacity

    curve = model.thermodynamics(scope, np.linspace(ROOM, highest, _POINTS), pressure)
    found = fit_heat_capacity(curve, form, sum(parse_formula(scope.formula).values()))
    record = {
        "input": name,
        "formula": scope.formula,
        "form": form,
        **found.coefficients,
        "lowest_temperature": found.lowest,
        "highest_temperature": found.highest,
        "largest_deviation": found.largest_deviation,
    }
    if output_format == "json":
        print_json([record])
    elif output_format == "csv":
        print_csv([record])
    else:
        table = new_table("coefficient", form, title=f"{name}, per mole of {scope.formula}")
        for coefficient, value in found.coefficients.items():
            table.add_row(coefficient, f"{value:.9g}")
        console().print(table)
        click.echo(
            f"{found.lowest:g} to {found.highest:g} K, largest deviation of Cp {found.largest_deviation:.2g} "
            "J/(mol K). H(298.15 K) = 0: add the enthalpy of formation."
        )


def _save(curve: Thermodynamics, path: Path, title: str) -> None:
    write_atomically(path, curve.plot(title).savefig)


def _draw(curve: Thermodynamics) -> None:
    from uniplot import plot_to_string

    from cloud_model.physics.debye import R

    T = curve.temperatures
    known = curve.expansion is not None
    highest = curve.isobaric_heat_capacity_per_atom if known else curve.heat_capacity_per_atom
    lines: Any = plot_to_string(
        xs=[T, T, T],
        ys=[highest, curve.heat_capacity_per_atom, 0 * T + 3 * R],
        lines=True,
        color=False,
        title="Heat capacity, J/(mol-atom K): " + "Cp over " * known + "Cv under the line of 3R",
        width=68,
        height=16,
        y_min=0,
        y_max=float(max(28.0, 1.02 * highest.max())),
        x_gridlines=[],
        y_gridlines=[],
        x_unit=" K",
    )
    click.echo(lines)
