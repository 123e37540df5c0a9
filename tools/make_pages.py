"""Write what is generated in README.md and docs: tables, help texts, and the page of benchmarks.

    python tools/make_pages.py [--check]

A generated part stands between ``<!-- name -->`` and ``<!-- /name -->`` in the files themselves, which can be read
without building the site. With ``--check`` nothing is written, and the exit code is 1 if a part is out of date; the
predictions, whose last digits depend on the machine, are left out then.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

from benchmark_page import benchmark_page, draw, errors, peers

from cloud_model import CloudModel
from cloud_model.cli import cloud
from cloud_model.crystal.formats import FORMATS
from cloud_model.display.numbers import uncertain
from cloud_model.display.tables import markdown_table
from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS

ROOT = Path(__file__).parents[1]
WIDTH = 92  # of help texts
COLUMNS = {
    "formation_energy_per_atom": "formation energy",
    "band_gap": "band gap",
    "bulk_modulus": "bulk modulus",
    "debye_temperature": "Debye temperature",
    "heat_capacity_per_atom": "heat capacity, 300 K",
}


def predictions() -> str:
    """Table of the predictions for the crystals in ``examples/``."""
    model = CloudModel.from_pretrained()
    paths = sorted((ROOT / "examples").glob("*.cif"))
    frame = model.predict(paths, list(COLUMNS))

    def cell(row: dict[str, float], name: str) -> str:
        text = uncertain(row[name], row[f"{name}_std"], model.properties[name].positive)
        return text.replace("±", " ± ")

    rows = [
        [path.stem, *(cell(row, name) for name in COLUMNS)]
        for path, row in zip(paths, frame.to_dict("records"), strict=True)
    ]
    infos = [model.properties[name] for name in COLUMNS]
    heads = [
        f"{title} ({info.unit}; {info.theory})" for title, info in zip(COLUMNS.values(), infos, strict=True)
    ]
    return markdown_table(["", *heads], rows)


def experiment() -> str:
    """Table of the ratios of predictions to measured values."""
    results = json.loads((ROOT / "benchmarks" / "results" / "experiment.json").read_text())
    rows = [
        [
            f"`{name}`",
            row["theory"],
            f"{row['ratio']:.2f}",
            f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}",
            f"{row['within_error']:.0%}",
            str(row["crystals"]),
        ]
        for name, row in results.items()
    ]
    heads = [
        "property",
        "theory",
        "prediction / experiment",
        "central 68%",
        "within one error bar",
        "crystals",
    ]
    return markdown_table(heads, rows)


def measured() -> str:
    """Table of heat capacities and entropies against measured ones."""
    results = json.loads((ROOT / "benchmarks" / "results" / "experiment_heat_capacity.json").read_text())
    rows = [
        [
            f"{row['temperature']:g} K",
            str(row["crystals"]),
            f"{row['mae']:.2f}",
            f"{row['median_error_percent']:.1f} %",
            f"{row['cv_mae']:.2f}",
            f"{row['entropy_mae']:.2f}",
            f"{row['harmonic_entropy_mae']:.2f}",
        ]
        for row in results["summary"]
    ]
    heads = ["", "crystals", "$C_p$", "median error", "harmonic $C_v$", "$S$", "harmonic $S$"]
    return markdown_table(heads, rows)


def properties() -> str:
    """Table of all properties of the checkpoints that ship."""
    rows = [
        [f"`{name}`", info.unit, info.basis, info.theory, info.description]
        for name, info in (SCALARS | THERMODYNAMICS).items()
    ]
    return markdown_table(["property", "unit", "basis", "theory", "what"], rows, numbers=False)


def formats() -> str:
    """Table of the formats of crystals that are read."""
    rows = [[form.name, f"`{form.files}`", "yes" if form.several else "", form.by] for form in FORMATS]
    return markdown_table(["format", "files", "several crystals", "read by"], rows, numbers=False)


def commands() -> str:
    """Help of the command and of its subcommands."""
    context = cloud.make_context("cloud", [], resilient_parsing=True, terminal_width=WIDTH)
    parts = [f"```text\n{cloud.get_help(context)}\n```"]
    for name in cloud.list_commands(context):
        if command := cloud.get_command(context, name):
            child = command.make_context(name, [], context, resilient_parsing=True, terminal_width=WIDTH)
            parts.append(f"### cloud {name}\n\n```text\n{command.get_help(child)}\n```")
    return "\n\n".join(parts)


def models() -> str:
    """Links to the model cards in the repository."""
    cards = sorted(path.relative_to(ROOT) for path in ROOT.glob("cloud_model/checkpoints/*/README.md"))
    return "\n".join(f"- [{card.parent.name}](../../{card.as_posix()})" for card in cards)


def examples() -> str:
    """Links to the scripts of ``examples/``, and what each is about."""
    lines = []
    for script in sorted((ROOT / "examples").glob("*.py")):
        summary = (ast.get_docstring(ast.parse(script.read_text())) or "").partition("\n")[0]
        lines.append(f"- [{script.name}](../../examples/{script.name}): {summary}")
    return "\n".join(lines)


def scale() -> str:
    """Times of the steps of large batches."""
    return (ROOT / "benchmarks" / "results" / "scale.md").read_text()


def references() -> str:
    """What the reference phases are, its headings one level lower."""
    text = (ROOT / "cloud_model" / "stability" / "README.md").read_text()
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)


MEASURED_HERE = {"README.md": {"predictions": predictions}}
"""Parts that depend on the machine."""

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"errors": errors, "peers": peers, "experiment": experiment},
    "docs/benchmarks.md": {"benchmarks": benchmark_page},
    "docs/cli.md": {"commands": commands},
    "docs/examples/index.md": {"examples": examples},
    "docs/formats.md": {"formats": formats},
    "docs/models/index.md": {"models": models},
    "docs/scale.md": {"scale": scale},
    "docs/stability.md": {"references": references},
    "docs/thermodynamics.md": {"measured": measured},
    "docs/units.md": {"properties": properties, "experiment": experiment},
}
"""File -> name of a part -> what writes it."""


def filled(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """Put each part between its markers, which must be there."""
    for name, write in parts.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not (start and end):
            raise ValueError(f"there is no part {name!r}")
        text = f"{before}{start}{write().rstrip()}\n{end}{after}"
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def stale() -> list[str]:
    """Files that hold a part which is out of date."""
    return [name for name, parts in PARTS.items() if filled(text := (ROOT / name).read_text(), parts) != text]


def main() -> None:
    """Write all parts, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a part is out of date")
    if parser.parse_args().check:
        if names := stale():
            raise SystemExit(f"out of date: {', '.join(names)}; run python tools/make_pages.py")
        return
    draw()
    for parts in (PARTS, MEASURED_HERE):
        for name, writers in parts.items():
            path = ROOT / name
            path.write_text(filled(path.read_text(), writers))


if __name__ == "__main__":
    main()
