"""Figures of the page, in the JSON schema of Plotly; the page gives them the colours of its theme."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.element_data import colour
from cloud_model.crystal.elements import COVALENT_RADII, SYMBOLS
from cloud_model.display.plots import CLOUD_COLOUR, FLOOR_COLOUR
from cloud_model.physics.debye import R
from cloud_model.web.analysis import Analysis

Array = NDArray[np.float64]

MOST_ATOMS = 400  # that are drawn
_RADIUS = 0.5  # of a sphere over the covalent radius
_ON_FACE = 1e-3  # in fractions of the cell
_HIDDEN = {"visible": False, "showspikes": False}


def structure_figure(crystal: Crystal) -> dict[str, Any] | None:
    """Draw the cell with its atoms, those on its faces on each of them; None for too many atoms."""
    fractional, numbers = _with_images(crystal)
    if len(numbers) > MOST_ATOMS:
        return None
    positions = fractional @ crystal.lattice
    spheres = [
        _spheres(positions[numbers == number], int(number)) for number in dict.fromkeys(numbers.tolist())
    ]
    layout = {
        "scene": {
            **{f"{axis}axis": _HIDDEN for axis in "xyz"},
            "aspectmode": "data",
            "camera": {"eye": {"x": 0.85, "y": 0.35, "z": 0.27}, "projection": {"type": "orthographic"}},
        },
        "legend": {
            "orientation": "h",
            "itemsizing": "constant",
            "x": 0.5,
            "xanchor": "center",
            "y": 0,
            "yanchor": "bottom",
        },
        "margin": dict.fromkeys("lrtb", 0),
    }
    return {"data": [_edges(crystal.lattice), *spheres], "layout": layout}


def heat_capacity_figure(analysis: Analysis) -> dict[str, Any] | None:
    """Draw the heat capacity with its error beside one Debye spectrum and Dulong and Petit's law."""
    curve, debye = analysis.thermodynamics, analysis.single_debye
    if curve is None or debye is None:
        return None
    T = curve.temperatures.tolist()
    value, error = curve.heat_capacity_per_atom, curve.heat_capacity_per_atom_std
    low, high = value - error, value + error
    band = {
        "x": T + T[::-1],
        "y": _rounded(np.concatenate([high, low[::-1]])),
        "fill": "toself",
        "hoverinfo": "skip",
    }
    theta = debye.debye_temperatures.item()
    return {
        "data": [
            {**band, "mode": "none", "fillcolor": f"{CLOUD_COLOUR}40", "name": "standard error"},
            _line("Dulong and Petit, 3R", T, np.full(len(T), 3 * R), "#888888", "dot"),
            _line(
                f"one Debye temperature, {theta:.0f} K", T, debye.heat_capacity_per_atom, FLOOR_COLOUR, "dash"
            ),
            _line("CLOUD", T, value, CLOUD_COLOUR, "solid"),
        ],
        "layout": {
            "xaxis": {"title": {"text": "Temperature (K)"}, "range": [0, T[-1]]},
            "yaxis": {"title": {"text": "Heat capacity (J/(mol-atom K))"}, "range": [0, 3.3 * R]},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "reversed"},
            "hovermode": "x unified",
            "margin": {"l": 60, "r": 15, "t": 60, "b": 50},
        },
    }


def _line(name: str, x: list[float], y: Array, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "dash": dash, "width": 2.5 if dash == "solid" else 1.5}
    hover = "%{y:.2f}"
    return {"x": x, "y": _rounded(y), "mode": "lines", "name": name, "line": line, "hovertemplate": hover}


def _with_images(crystal: Crystal) -> tuple[Array, NDArray[np.int64]]:
    """Fractional positions and numbers of the atoms in the cell and on all of its faces."""
    inside = crystal.positions - np.floor(crystal.positions + _ON_FACE)
    images = np.concatenate([inside + shift for shift in product((0, 1), repeat=3)])
    shown = (images < 1 + _ON_FACE).all(axis=1)
    return images[shown], np.tile(crystal.numbers, 8)[shown]


def _spheres(centres: Array, number: int) -> dict[str, Any]:
    """All atoms of an element as one mesh."""
    points, triangles = _sphere()
    vertices = (centres[:, None] + _RADIUS * COVALENT_RADII[number - 1] * points).reshape(-1, 3)
    faces = (triangles + len(points) * np.arange(len(centres))[:, None, None]).reshape(-1, 3)
    return {
        "type": "mesh3d",
        **dict(zip("xyz", map(_rounded, vertices.T), strict=True)),
        **dict(zip("ijk", faces.T.tolist(), strict=True)),
        "color": colour(number),
        "name": SYMBOLS[number - 1],
        "hoverinfo": "name",
        "showlegend": True,
        "lighting": {"ambient": 0.5, "diffuse": 0.6, "specular": 0.2, "roughness": 0.4},
        "lightposition": {"x": 2000, "y": 3000, "z": -3000},  # right of, above and behind the viewer
    }


@cache
def _sphere(n_points: int = 150) -> tuple[Array, NDArray[np.int64]]:
    """Points of a unit sphere on a Fibonacci spiral, and its triangles, counter-clockwise from outside."""
    i = np.arange(n_points)
    z = 1 - (2 * i + 1) / n_points
    longitude = np.pi * (1 + 5**0.5) * i
    points = np.stack(
        [np.sqrt(1 - z**2) * np.cos(longitude), np.sqrt(1 - z**2) * np.sin(longitude), z], axis=1
    )
    triangles = ConvexHull(points).simplices
    a, b, c = points[triangles].transpose(1, 0, 2)
    inward = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    triangles[inward] = triangles[inward, ::-1]
    return points, triangles


def _edges(lattice: Array) -> dict[str, Any]:
    """The twelve edges of the cell."""
    corners = [np.array(corner) for corner in product((0, 1), repeat=3)]
    path: list[list[float | None]] = []
    for start, end in product(corners, repeat=2):
        if (end - start).sum() == 1 and (end >= start).all():
            path += [(start @ lattice).tolist(), (end @ lattice).tolist(), [None] * 3]
    x, y, z = zip(*path, strict=True)
    line = {"width": 2, "color": "#888888"}
    return {
        "type": "scatter3d",
        "mode": "lines",
        "x": x,
        "y": y,
        "z": z,
        "line": line,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _rounded(values: Array) -> list[float]:
    rounded: list[float] = np.round(values, 3).tolist()
    return rounded
