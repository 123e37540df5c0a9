"""Arguments and options that several subcommands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from cloud_model.model import CloudModel
    from cloud_model.network.precision import Choice

_Decorator = Callable[[Any], Any]


def _complete_models(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of installed checkpoints, or directories where none begins so."""
    from cloud_model.checkpoints.registry import available

    names = [CompletionItem(name) for name in available() if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="dir")]


def _complete_properties(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Names of the properties of the checkpoints that ship."""
    from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS

    return [name for name in SCALARS | THERMODYNAMICS if name.startswith(incomplete)]


def model_option(text: str) -> _Decorator:
    """Option ``--model`` with a help text of its own."""
    return click.option("-m", "--model", metavar="NAME", help=text, shell_complete=_complete_models)


def precision(precisions: Sequence[str], default: str = "auto") -> _Decorator:
    """Option ``--precision``."""
    return click.option(
        "--precision",
        type=click.Choice(["auto", *precisions]),
        default=default,
        show_default=True,
        help="Precision of matrix products; auto takes the fastest on this machine.",
    )


class _Path(click.Path):
    """A path that is not empty, which would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not os.fspath(value):
            self.fail("It is empty; the current folder is '.'.", param, ctx)
        return super().convert(value, param, ctx)


class _Figure(_Path):
    """A file of a format of figures."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path: Path = super().convert(value, param, ctx)
        if path.suffix.lower() not in _FIGURES:
            self.fail(f"{path} must end in {', '.join(_FIGURES[:-1])} or {_FIGURES[-1]}.", param, ctx)
        return path


class _Folder(_Path):
    """A folder whose name is not that of a file of results, which somebody wants who gives such a name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path: Path = super().convert(value, param, ctx)
        if path.suffix.lower() in _RESULTS and not path.is_dir():
            self.fail(
                f"{path} is the name of a file; give a folder for several, such as {path.stem}.", param, ctx
            )
        return path


class _Temperature(click.types.FloatParamType):
    """A temperature in K."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from cloud_model.physics.conditions import checked_temperature

        return checked_temperature(super().convert(value, param, ctx))


class _Pressure(click.types.FloatParamType):
    """A pressure in GPa."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from cloud_model.physics.conditions import checked_pressure

        return checked_pressure(super().convert(value, param, ctx))


class _Processes(click.types.IntParamType):
    """A number of processes, as in joblib."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from cloud_model.parallel import number_of_processes

        number: int = super().convert(value, param, ctx)
        number_of_processes(number)
        return number


_FIGURES = (".png", ".svg", ".pdf")
_RESULTS = (".csv", ".html", ".json", ".npz", ".parquet", ".txt", ".xlsx")

file = _Path(dir_okay=False, path_type=Path)
figure = _Figure(dir_okay=False, path_type=Path)
folder = _Folder(file_okay=False, path_type=Path)
temperature = _Temperature()
pressure = _Pressure()
processes = _Processes()
existing_file = _Path(exists=True, dir_okay=False, path_type=Path)
existing_folder = _Path(exists=True, file_okay=False, path_type=Path)
crystals = _Path(readable=False)  # or a SCOPE string, or -; completed as a file name
inputs = click.argument("inputs", nargs=-1, required=True, metavar="CRYSTAL...", type=crystals)
properties = click.option(
    "-p",
    "--property",
    "properties",
    multiple=True,
    metavar="NAME",
    help="Only this property; may be repeated.",
    shell_complete=_complete_properties,
)
temperatures = click.option(
    "-T",
    "--temperature",
    "temperatures",
    type=temperature,
    multiple=True,
    help="Temperature (K); may be repeated.",
)
model = model_option("Checkpoint or its name; default: cloud-mini.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace existing results.")
output_format = click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Output: a table for people, or data for programs.",
)


def load(name: str | None, precision: Choice = "float32") -> CloudModel:
    """Load the model of option ``--model``."""
    from cloud_model.model import CloudModel

    return CloudModel.from_pretrained(name, precision)


def check_outputs(overwrite: bool, *outputs: Path | None) -> None:
    """Refuse to replace results, before anything is computed, unless that is asked for."""
    for output in outputs:
        if output is not None and output.is_file() and not overwrite:
            raise click.UsageError(f"{output} exists; give --overwrite to replace it, or another name.")
