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
    """Print versions and the fastest precision, for bug reports.

    \b
    Examples:
      cloud info
      cloud info --format json
    """
    records = [
        {"name": "platform", "version": platform.platform()},
        {"name": "python", "version": platform.python_version()},
        *({"name": name, "version": _version(name)} for name in _PACKAGES),
        *({"name": name, "version": text} for name, text in _hardware().items()),
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


def _hardware() -> dict[str, str]:
    """Devices and precision that training and inference use on this machine."""
    import torch

    from cloud_model.network.encoder import EncoderConfig
    from cloud_model.network.precision import choose_precision, product_seconds

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    width = EncoderConfig.hidden_size
    factor = product_seconds(width)["float32"] / product_seconds(width)["bfloat16"]
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "precision": f"{choose_precision('auto', width, device)} (bfloat16 {factor:.2g} times as fast on the CPU)",
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
