"""Tables of predictions: a crystal down the page, or many crystals across it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from cloud_model.crystal.files import is_scope_string
from cloud_model.display.numbers import uncertain
from cloud_model.properties.catalogue import THERMODYNAMICS
from cloud_model.scope.explanation import space_group_symbol

if TYPE_CHECKING:
    from rich.console import Console

    from cloud_model.properties.catalogue import PropertyInfo

    Row = Mapping[str, Any]

COMMON = ("formation_energy_per_atom", "band_gap", "bulk_modulus", "heat_capacity_per_atom")
"""Properties that are shown of several crystals."""

NOTE = "±: one standard error, relative to the theory named, not to experiment."
RATIO_NOTE = "value/measured: median ratio to experiment over well-known crystals."

_NAMES = (
    "crystal",
    "formula",
    "group",
    "unit",
    "theory",
    "competing\nphases",
    "known as",
    "orbits",
    "prototype",
)  # columns that hold no numbers
_RATIO = "value/\nmeasured"
FILE_WIDTH = 10  # of names of files where space is scarce


def print_crystal(screen: Console, rows: Sequence[Row], properties: Mapping[str, PropertyInfo]) -> None:
    """Print the properties of one crystal, a row each.

    Parameters
    ----------
    screen : Console
        Where to.
    rows : sequence of Mapping
        Predictions at each temperature.
    properties : mapping of str to PropertyInfo
        What is shown.
    """
    screen.print(label(rows[0]), soft_wrap=True)
    screen.print()
    compared = any(info.experiment_ratio for info in properties.values())
    if constant := [name for name in properties if name not in THERMODYNAMICS]:
        screen.print(_properties_down(screen, rows[0], constant, properties))
    if thermal := [name for name in properties if name in THERMODYNAMICS]:
        screen.print()
        if len(rows) == 1:
            heading = f"at {rows[0]['temperature']:g} K"
            screen.print(_properties_down(screen, rows[0], thermal, properties, heading))
        else:
            _print_across(
                screen, rows, thermal, properties, {"K": [f"{row['temperature']:g}" for row in rows]}
            )
    screen.print(f"\n{NOTE}" + (f"\n{RATIO_NOTE}" if compared else ""))


def print_crystals(screen: Console, rows: Sequence[Row], properties: Mapping[str, PropertyInfo]) -> None:
    """Print a row for each crystal; what depends on temperature, a row for each crystal and temperature.

    Parameters are those of `print_crystal`; the rows of a crystal follow one another.
    """
    temperatures = sorted({row["temperature"] for row in rows})
    thermal = [name for name in properties if name in THERMODYNAMICS]
    constant = [name for name in properties if name not in THERMODYNAMICS]
    if len(temperatures) == 1:
        _print_across(screen, rows, list(properties), properties, _identity(rows), f"{temperatures[0]:g} K")
    else:
        first = [row for row in rows if row["temperature"] == rows[0]["temperature"]]
        if constant:
            _print_across(screen, first, constant, properties, _identity(first))
        if thermal:
            kelvin = {"K": [f"{row['temperature']:g}" for row in rows]}
            _print_across(screen, rows, thermal, properties, _identity(rows) | kelvin)
    screen.print(f"\n{NOTE}")


def label(row: Row) -> str:
    """Description of the crystal that was read, in one line."""
    if row["formula"] is None:
        cells = len(row["ordered_cells"])
        return f"{row['input']}: disordered, mean of {cells} ordered cell{'s' * (cells != 1)}"
    atoms = f", {row['n_atoms']} atom{'s' * (row['n_atoms'] != 1)} in the cell" if row["n_atoms"] else ""
    group = f"{space_group_symbol(row['space_group'])} ({row['space_group']})"
    return f"{row['input']}: {row['formula']}, {group}{atoms}"


def short_name(row: Row) -> str:
    """Name of the crystal where space is scarce."""
    return "SCOPE string" if is_scope_string(row["input"]) else Path(row["input"]).name


def _identity(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Columns that say what was read."""
    return {
        "crystal": [short_name(row) for row in rows],
        "formula": [row["formula"] or "disordered" for row in rows],
        "group": [space_group_symbol(row["space_group"]) if row["space_group"] else "" for row in rows],
        "atoms": ["" if row["n_atoms"] is None else str(row["n_atoms"]) for row in rows],
    }


def _properties_down(
    screen: Console,
    row: Row,
    names: Sequence[str],
    properties: Mapping[str, PropertyInfo],
    heading: str = "",
) -> Table:
    """Table of the properties of one crystal, without the ratios to experiment where there is no room for them."""
    ratios = [properties[name].experiment_ratio for name in names]
    columns = {
        heading or "property": list(names),
        "unit": [properties[name].unit for name in names],
        "value": [_cell(row, name, properties[name]) for name in names],
        "theory": [properties[name].theory for name in names],
        _RATIO: [f"{ratio:.2f}" if ratio else "" for ratio in ratios],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    widths = widths_of(shown)
    gap = 2
    if sum(widths.values()) + gap * len(widths) > screen.width:
        shown.pop(_RATIO, None)
    return table_of(shown, gap=gap)


def _print_across(
    screen: Console,
    rows: Sequence[Row],
    names: Sequence[str],
    properties: Mapping[str, PropertyInfo],
    identity: Mapping[str, list[str]],
    temperature: str = "",
) -> None:
    """Print as many tables as the width demands, all with the same rows."""
    columns = {
        _heading(name, properties[name], temperature): [_cell(row, name, properties[name]) for row in rows]
        for name in names
    }
    widths = {
        heading: max(len(word) for word in [*heading.split(), *cells]) for heading, cells in columns.items()
    }
    first = widths_of(identity)
    gap = 2
    if sum(first.values()) + sum(widths.values()) + gap * (len(first) + len(widths)) > screen.width:
        gap = 1
        first |= {"crystal": min(first["crystal"], FILE_WIDTH)} if "crystal" in first else {}
    available = screen.width - sum(first.values()) - gap * len(first)
    for block in _blocks(widths, available, gap):
        table = {**identity, **{heading: columns[heading] for heading in block}}
        screen.print(table_of(table, first | {heading: widths[heading] for heading in block}, gap))


def _blocks(widths: Mapping[str, int], available: int, gap: int) -> Iterator[list[str]]:
    """Columns that fit side by side, at least one."""
    block: list[str] = []
    for heading, width in widths.items():
        if block and sum(widths[other] + gap for other in block) + width > available:
            yield block
            block = []
        block.append(heading)
    yield block


def _heading(name: str, info: PropertyInfo, temperature: str) -> str:
    lines = [name.replace("_", " "), temperature if name in THERMODYNAMICS else "", info.unit, info.theory]
    return "\n".join(filter(None, lines))


def widths_of(columns: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Widths in which every line of a heading and every cell stays whole."""
    return {title: max(map(len, [*title.split("\n"), *cells])) for title, cells in columns.items()}


def narrowed(widths: Mapping[str, int], available: int, least: Mapping[str, int], gap: int) -> dict[str, int]:
    """Widths that fit into those available, if they can: columns shrink in the order of `least`, no further than it."""
    fitted = dict(widths)
    excess = sum(widths.values()) + gap * (len(widths) - 1) - available
    for title, smallest in least.items():
        cut = max(0, min(excess, fitted[title] - smallest))
        fitted[title] -= cut
        excess -= cut
    return fitted


def table_of(
    columns: Mapping[str, Sequence[str]], widths: Mapping[str, int] | None = None, gap: int = 2
) -> Table:
    """Table of texts, names to the left, numbers to the right; as wide as its texts unless told otherwise."""
    widths = widths or widths_of(columns)
    between = gap - 1  # the box itself has one
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, between, 0, 0))
    for i, heading in enumerate(columns):
        table.add_column(
            Text(heading),
            justify="left" if heading in _NAMES or (i == 0 and heading != "K") else "right",
            width=widths[heading],
            overflow="fold",
            vertical="bottom",
        )
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table


def _cell(row: Row, name: str, info: PropertyInfo) -> str:
    return uncertain(row[name], row[f"{name}_std"], info.positive)
