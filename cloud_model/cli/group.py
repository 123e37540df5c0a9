"""The group of subcommands, and how errors end them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from cloud_model.atomic import output_error
from cloud_model.cli.embed import embed
from cloud_model.cli.info import info
from cloud_model.cli.models import models
from cloud_model.cli.predict import predict
from cloud_model.cli.scope import scope
from cloud_model.cli.serve import serve
from cloud_model.cli.thermo import thermo
from cloud_model.errors import (
    ArgumentError,
    CheckpointError,
    CloudError,
    CloudWarning,
    PropertyError,
    warn_user,
)
from cloud_model.process import interrupted_at_once
from cloud_model.version import __version__

GROUP = "cloud_model.commands"
_USAGE = (ArgumentError, CheckpointError, PropertyError)  # what only an option can cause
_INTERRUPTED = 130
_REPORT = "please report it with the output of 'cloud info'."


class Commands(click.Group):
    """Subcommands of this package, and those of others by entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of ``--help``: ours in the order of a user's first steps, then the others."""
        return [*self.commands, *sorted(entry_points(group=GROUP).names)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a subcommand; None, with a warning, for one whose package cannot be imported."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        for point in entry_points(group=GROUP, name=cmd_name):
            try:
                command: click.Command = point.load()
            except ImportError as error:
                warn_user(f"command {cmd_name!r} cannot be loaded: {error}")
                return None
            return command
        return None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and exit with 0, 1 (some inputs failed), 2 (usage) or 130 (interrupted), never a traceback."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        with warnings.catch_warnings(), interrupted_at_once() as interrupts:
            _show_warnings_plainly()
            try:
                code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            except click.ClickException as error:
                error.show()
                code = error.exit_code
            except (click.Abort, KeyboardInterrupt):
                code = _INTERRUPTED
            except Exception as error:
                code = _INTERRUPTED if interrupts else _explain(error)
        sys.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version")
def cloud() -> None:
    """Predict properties of crystals with the language model CLOUD.

    A crystal is a file (CIF, POSCAR, extxyz, ...), a folder or pattern of them, a SCOPE string, or - for stdin.
    For a file that holds several crystals, file@3 and file@1:5 select among them.

    \b
    Examples:
      cloud predict NaCl.cif
      cloud predict structures/ --property band_gap --format csv > gaps.csv
      cloud thermo MgO.cif --plot heat_capacity.png
      cloud scope - < POSCAR
    """


for command in (predict, thermo, scope, embed, serve, models, info):
    cloud.add_command(command)


def main() -> None:
    """Entry point of the console script."""
    cloud(prog_name="cloud")


def _explain(error: Exception) -> int:
    """Print what went wrong; the exit code."""
    if isinstance(error, CloudError | OSError):
        if isinstance(error, OSError) and error.filename is None:
            error = output_error(Path("standard output"), error)
        click.echo(f"Error: {error}", err=True)
        return 2 if isinstance(error, _USAGE) else 1
    if sys.flags.dev_mode:  # python -X dev shows where it happened
        raise error
    click.echo(f"Error: {type(error).__name__}: {error}. This is a bug; {_REPORT}", err=True)
    return 1


def _show_warnings_plainly() -> None:
    """Print each of our own warnings once, as a line on standard error, and no others unless Python was asked to."""
    shown: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            click.echo(f"Warning: {message}", err=True)

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", CloudWarning)
    warnings.showwarning = show
