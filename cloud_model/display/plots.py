"""Figures of heat capacities and vibrational spectra, in one style, with a colour-blind-safe palette."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from cycler import cycler
from numpy.typing import ArrayLike

from cloud_model.physics.debye import R

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cloud_model.physics.thermodynamics import Thermodynamics

# Okabe and Ito, Color Universal Design (2008)
CLOUD_COLOUR = "#0072B2"
HARMONIC_COLOUR = "#000000"
FLOOR_COLOUR = "#D55E00"
EXPERIMENT_COLOUR = "#009E73"
_OTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9")

_STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.prop_cycle": cycler(
        color=[CLOUD_COLOUR, FLOOR_COLOUR, EXPERIMENT_COLOUR, *_OTHER_COLOURS, HARMONIC_COLOUR]
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.dpi": 150,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings of all figures of this project."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def heat_capacity_figure(
    cloud: Thermodynamics,
    *,
    harmonic: ArrayLike | None = None,
    debye_floor: ArrayLike | None = None,
    experiment: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
) -> Figure:
    """Heat capacity over temperature, with the differences from a harmonic calculation below it.

    Parameters
    ----------
    cloud : Thermodynamics
        Prediction; its temperatures are those of all curves.
    harmonic : array_like, optional
        Heat capacity of a phonon calculation, J/(mol-atom K), shape (nT,).
    debye_floor : array_like, optional
        Heat capacity of the best single Debye temperature, J/(mol-atom K), shape (nT,).
    experiment : tuple of array_like, optional
        Temperatures in K and measured heat capacities in J/(mol-atom K), shape (n,) each.
    title : str
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Call its ``savefig(path)``.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(6.4, 4.2 if harmonic is None else 5.6))
        if harmonic is None:
            axes = figure.subplots()
        else:
            axes, differences = figure.subplots(2, sharex=True, height_ratios=[5, 2])
            _draw_differences(differences, cloud, np.asarray(harmonic), debye_floor)
        _draw_curves(axes, cloud, harmonic, debye_floor, experiment)
        figure.axes[-1].set_xlabel("Temperature (K)")
        axes.set_title(title)
    return figure


def density_of_states_figure(
    cloud: Thermodynamics,
    *,
    harmonic: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
) -> Figure:
    """Vibrational density of states of the mixture of Debye spectra, before that of a phonon calculation.

    Parameters
    ----------
    cloud : Thermodynamics
        Prediction.
    harmonic : tuple of array_like, optional
        Frequencies in THz and modes per atom and THz of a phonon calculation, shape (n,) each.
    title : str
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Call its ``savefig(path)``.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(6.4, 3.6))
        axes = figure.subplots()
        top = float(cloud.cutoff_frequencies.max())
        if harmonic is not None:
            frequencies, density = map(np.asarray, harmonic)
            axes.fill_between(frequencies, density, color="0.75", step="mid", label="harmonic phonons")
            top = max(top, float(frequencies[-1]))
        grid = np.linspace(0, 1.03 * top, 2000)
        axes.plot(grid, cloud.density_of_states(grid), color=CLOUD_COLOUR, label="CLOUD")
        axes.set(xlabel="Frequency (THz)", ylabel="Modes per atom and THz", title=title, ylim=(0, None))
        axes.legend()
    return figure


def svg(figure: Figure) -> str:
    """Write a figure as the address of an image that is its own content."""
    file = BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def _draw_curves(
    axes: Axes,
    cloud: Thermodynamics,
    harmonic: ArrayLike | None,
    debye_floor: ArrayLike | None,
    experiment: tuple[ArrayLike, ArrayLike] | None,
) -> None:
    T = cloud.temperatures
    axes.axhline(3 * R, color="0.5", linestyle=":", linewidth=1, label="3R (Dulong and Petit)")
    if harmonic is not None:
        axes.plot(T, harmonic, color=HARMONIC_COLOUR, label="harmonic phonons")
    if debye_floor is not None:
        axes.plot(T, debye_floor, color=FLOOR_COLOUR, linestyle="--", label="best single Debye temperature")
    axes.plot(T, cloud.heat_capacity_per_atom, color=CLOUD_COLOUR, label="CLOUD, constant volume")
    if cloud.expansion is not None:
        isobaric = cloud.isobaric_heat_capacity_per_atom
        axes.plot(T, isobaric, color=CLOUD_COLOUR, linestyle="-.", label="CLOUD, constant pressure")
    if not np.isnan(error := cloud.heat_capacity_per_atom_std).any():
        low, high = (cloud.heat_capacity_per_atom + sign * error for sign in (-1, 1))
        axes.fill_between(
            T, low, high, color=CLOUD_COLOUR, alpha=0.2, linewidth=0, label="one standard error"
        )
    if experiment is not None:
        axes.plot(*experiment, "o", color=EXPERIMENT_COLOUR, markerfacecolor="none", label="experiment")
    axes.set(ylabel="Heat capacity (J/(mol-atom K))", ylim=(0, None))
    axes.legend(loc="lower right")


def _draw_differences(
    axes: Axes, cloud: Thermodynamics, harmonic: ArrayLike, debye_floor: ArrayLike | None
) -> None:
    axes.axhline(0, color=HARMONIC_COLOUR, linewidth=1)
    if debye_floor is not None:
        axes.plot(cloud.temperatures, np.subtract(debye_floor, harmonic), color=FLOOR_COLOUR, linestyle="--")
    axes.plot(cloud.temperatures, np.subtract(cloud.heat_capacity_per_atom, harmonic), color=CLOUD_COLOUR)
    axes.set_ylabel("Difference\n(J/(mol-atom K))")
