"""``cloud thermo``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud_model.cli import options
from cloud_model.cli.inputs import chunks
from cloud_model.cli.output import console, new_table, print_csv, print_json, uncertain

if TYPE_CHECKING:
    import pandas as pd

    from cloud_model.physics.thermodynamics import Thermodynamics

_TEMPERATURES = tuple(range(0, 1001, 50))
_POINTS = 201  # of a curve


@click.command()
@click.argument("crystal", metavar="CRYSTAL", type=options.crystals)
@options.temperatures
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the heat capacity into this PNG, SVG or PDF file.",
)
@options.model
@options.output_format
def thermo(
    crystal: str, temperatures: Sequence[float], plot: Path | None, model: str | None, output_format: str
) -> None:
    """Show the thermodynamics of a crystal.

    Heat capacity, internal energy, entropy and free energy from 0 to 1000 K, or at each --temperature. Energies
    include the zero-point energy. Without --plot, the heat capacity is drawn in the terminal.

    \b
    Examples:
      cloud thermo MgO.cif
      cloud thermo MgO.cif -T 77 -T 300 --format csv
      cloud thermo MgO.cif --plot heat_capacity.png
    """
    import numpy as np

    sources = next(chunks([crystal]))
    if len(sources) > 1:
        raise click.UsageError(f"{crystal!r} is {len(sources)} crystals; give one")
    grid = np.array(temperatures or _TEMPERATURES, dtype=float)
    loaded = options.load(model)
    frame = loaded.thermodynamics(sources[0].crystal, grid).to_frame()
    curve = loaded.thermodynamics(sources[0].crystal, np.linspace(0, max(grid.max(), 1), _POINTS))
    if plot:
        _save(curve, plot, sources[0].name)
    if output_format == "json":
        print_json([{"input": sources[0].name, **frame.to_dict("list")}])
    elif output_format == "csv":
        print_csv(frame.to_dict("records"))
    else:
        _print_table(frame, sources[0].name)
        if not plot:
            _draw(curve)


def _print_table(frame: pd.DataFrame, name: str) -> None:
    columns = {
        "heat_capacity_per_atom": "heat capacity\nJ/(mol-atom K)",
        "vibrational_internal_energy_per_atom": "internal energy\nJ/mol-atom",
        "vibrational_entropy_per_atom": "entropy\nJ/(mol-atom K)",
        "vibrational_free_energy_per_atom": "free energy\nJ/mol-atom",
    }
    table = new_table("K", *columns.values(), title=name)
    for row in frame.to_dict("records"):
        table.add_row(
            f"{row['temperature']:g}", *(uncertain(row[name], row[f"{name}_std"]) for name in columns)
        )
    console().print(table)


def _save(curve: Thermodynamics, path: Path, title: str) -> None:
    from cloud_model.display.plots import heat_capacity_figure

    figure = heat_capacity_figure(curve, title=title)
    if path.suffix[1:] not in figure.canvas.get_supported_filetypes():
        raise click.BadParameter(f"{path.suffix!r} is not a format of figures", param_hint="--plot")
    figure.savefig(path)


def _draw(curve: Thermodynamics) -> None:
    from uniplot import plot_to_string

    from cloud_model.physics.debye import R

    lines: Any = plot_to_string(
        xs=[curve.temperatures, curve.temperatures],
        ys=[curve.heat_capacity_per_atom, 0 * curve.temperatures + 3 * R],
        lines=True,
        color=False,
        title="Heat capacity, J/(mol-atom K), under the line of 3R",
        width=68,
        height=16,
        y_min=0,
        y_max=28,
        x_gridlines=[],
        y_gridlines=[],
        x_unit=" K",
    )
    click.echo(lines)
