"""``cloud info``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from cloud_model.cli import options
from cloud_model.cli.output import console, new_table, print_csv, print_json

_PACKAGES = (
    "cloud-plugins",
    "ase",
    "matminer",
    "moyopy",
    "numpy",
    "pandas",
    "phonopy",
    "pymatgen",
    "scikit-learn",
    "spglib",
    "torch",
)


@click.command()
@options.output_format
def info(output_format: str) -> None:
    """Print versions, for reports of problems.

    \b
    Examples:
      cloud info
      cloud info --format json
    """
    records = [
        {"name": "platform", "version": platform.platform()},
        {"name": "python", "version": platform.python_version()},
        *({"name": name, "version": _version(name)} for name in _PACKAGES),
    ]
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(records)
    else:
        table = new_table("name", "version")
        for record in records:
            table.add_row(record["name"], record["version"])
        console().print(table)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
