"""Diagrams of binary and ternary systems: the hull of the references, and crystals with error bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.analysis.phase_diagram import PhaseDiagram

from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.formula import fractions, parse_formula
from cloud_model.display.plots import CLOUD_COLOUR, FLOOR_COLOUR, HARMONIC_COLOUR, style
from cloud_model.errors import ArgumentError
from cloud_model.stability.distances import GIBBS_ENERGY, formation_energy
from cloud_model.stability.references import References
from cloud_plugins.pymatgen.entries import reference_entries

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
_BETWEEN_LABELS = 0.11  # of the side of a triangle, below which names would overlap
_SHOWN = 40  # crystals with error bars beside a triangle


def hull_figure(rows: Sequence[Mapping[str, Any]], phases: References) -> Figure:
    """Draw crystals and the hull of the references of a system of two or three elements.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `stability`; error bars are their intervals of 95%.
    phases : References
        With the energies that the crystals were compared with.

    Returns
    -------
    matplotlib.figure.Figure
        Two elements: formation energy over composition. Three: the triangle of compositions with the edges of the hull,
        and the distances of the crystals, at most 40, beside it. Where phases crowd, competing ones are named.

    Raises
    ------
    ArgumentError
        If the crystals do not have two or three elements together.
    """
    from matplotlib.figure import Figure

    elements = elements_of(rows)
    if len(elements) not in (2, 3):
        raise ArgumentError(
            f"The system {'-'.join(elements)}",
            f"has {len(elements)} elements, and a diagram needs two or three",
            "Give crystals of two or three elements.",
        )
    diagram = PhaseDiagram(reference_entries(phases.within(elements)))
    with style():
        if len(elements) == 2:
            figure = Figure(figsize=(6.4, 4.4))
            _draw_binary(figure.subplots(), rows, diagram, elements)
        else:
            figure = Figure(figsize=(9.6, 4.6))
            triangle, bars = figure.subplots(1, 2, width_ratios=[1.1, 1])
            _draw_triangle(triangle, rows, diagram, elements)
            _draw_distances(bars, rows)
    return figure


def elements_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Elements of rows of `stability`, in the order of electronegativity."""
    present = {element for row in rows for element in parse_formula(row["formula"])}
    return sorted(present, key=ELEMENT_RANK.__getitem__)


def _draw_binary(
    axes: Axes, rows: Sequence[Mapping[str, Any]], diagram: PhaseDiagram, elements: Sequence[str]
) -> None:
    second = elements[1]
    stable = sorted(
        (
            entry.composition.get_atomic_fraction(second),
            diagram.get_form_energy_per_atom(entry),
            entry.reduced_formula,
        )
        for entry in diagram.stable_entries
    )
    axes.plot(
        [x for x, *_ in stable], [y for _, y, _ in stable], "o-", color=HARMONIC_COLOUR, label="references"
    )
    for share, energy, name in stable:
        axes.annotate(
            _subscripts(name), (share, energy), (0, -6), textcoords="offset points", ha="center", va="top"
        )
    shares = [fractions(parse_formula(row["formula"])).get(second, 0.0) for row in rows]
    energies = [formation_energy(row) for row in rows]
    axes.errorbar(
        shares,
        energies,
        _half_width(rows),
        fmt="D",
        color=CLOUD_COLOUR,
        markersize=5,
        capsize=3,
        label="CLOUD, 95%",
    )
    quantity = "Gibbs energy of formation" if GIBBS_ENERGY in rows[0] else "Formation energy"
    axes.set(
        xlabel=f"Share of {second} among the atoms", ylabel=f"{quantity} (eV/atom, PBE+U)", xlim=(-0.03, 1.03)
    )
    axes.margins(y=0.15)
    axes.legend()


def _draw_triangle(
    axes: Axes, rows: Sequence[Mapping[str, Any]], diagram: PhaseDiagram, elements: Sequence[str]
) -> None:
    def place(formula: str) -> tuple[float, float]:
        shares = fractions(parse_formula(formula))
        x, y = np.array([shares.get(element, 0.0) for element in elements]) @ _CORNERS
        return float(x), float(y)

    names = [entry.composition.get_integer_formula_and_factor()[0] for entry in diagram.qhull_entries]
    for facet in diagram.facets:
        corners = np.array([place(names[vertex]) for vertex in (*facet, facet[0])])
        axes.plot(*corners.T, color="0.7", linewidth=0.8, zorder=1)
    labelled: list[tuple[float, float]] = []
    competing = {formula for row in rows for formula in row["decomposition"]}
    for entry in sorted(
        diagram.stable_entries,
        key=lambda entry: (
            not entry.is_element,
            entry.reduced_formula not in competing,
            entry.reduced_formula,
        ),
    ):
        point = place(entry.composition.get_integer_formula_and_factor()[0])
        axes.plot(*point, "o", color=HARMONIC_COLOUR, markersize=4, zorder=3)
        if any(np.hypot(point[0] - x, point[1] - y) < _BETWEEN_LABELS for x, y in labelled):
            continue
        labelled.append(point)
        axes.annotate(
            _subscripts(entry.reduced_formula),
            point,
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    x, y = zip(*(place(row["formula"]) for row in rows), strict=True)
    distances = [row["energy_above_hull"] for row in rows]
    drawn = axes.scatter(x, y, c=distances, cmap="cividis", marker="D", s=28, zorder=4, edgecolors="white")
    axes.figure.colorbar(drawn, ax=axes, label="Energy above the hull (eV/atom)", shrink=0.75)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_distances(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    shown = sorted(rows, key=lambda row: row["energy_above_hull"])[:_SHOWN]
    heights = np.arange(len(shown))[::-1]
    x = [row["energy_above_hull"] for row in shown]
    axes.axvline(0, color=FLOOR_COLOUR, linewidth=1)
    axes.errorbar(x, heights, xerr=_half_width(shown), fmt="D", color=CLOUD_COLOUR, markersize=4, capsize=2)
    axes.set_yticks(heights, [f"{_subscripts(row['formula'])}, {row['space_group']}" for row in shown])
    axes.tick_params(axis="y", labelsize=8 if len(shown) < 25 else 5)
    axes.set_xlabel("Energy above the hull (eV/atom, PBE+U), 95%")


def _half_width(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [row["energy_above_hull_high"] - row["energy_above_hull"] for row in rows]


def _subscripts(formula: str) -> str:
    """Formula with its numbers below the line, for matplotlib."""
    return "".join(f"$_{{{symbol}}}$" if symbol.isdigit() else symbol for symbol in formula)
