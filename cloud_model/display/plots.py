"""Figures of heat capacities and vibrational spectra, in one style, with a colour-blind-safe palette."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from cycler import cycler
from numpy.typing import ArrayLike, NDArray
from scipy.constants import R

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

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
    temperatures: ArrayLike,
    heat_capacity: ArrayLike,
    standard_error: ArrayLike | None = None,
    *,
    isobaric: ArrayLike | None = None,
    harmonic: ArrayLike | None = None,
    debye_floor: ArrayLike | None = None,
    experiment: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
) -> Figure:
    """Heat capacity over temperature, with the differences from a harmonic calculation below it.

    Parameters
    ----------
    temperatures : array_like
        Temperatures of all curves, K, shape (nT,).
    heat_capacity : array_like
        Predicted heat capacity at constant volume, J/(mol-atom K), shape (nT,).
    standard_error : array_like, optional
        Its standard error, J/(mol-atom K), shape (nT,); not drawn where it is NaN.
    isobaric : array_like, optional
        Predicted heat capacity at constant pressure, J/(mol-atom K), shape (nT,).
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

    T, predicted = np.asarray(temperatures), np.asarray(heat_capacity)
    with style():
        figure = Figure(figsize=(6.4, 4.2 if harmonic is None else 5.6))
        if harmonic is None:
            axes = figure.subplots()
        else:
            axes, differences = figure.subplots(2, sharex=True, height_ratios=[5, 2])
            _draw_differences(differences, T, predicted, harmonic, debye_floor)
        axes.axhline(3 * R, color="0.5", linestyle=":", linewidth=1, label="3R (Dulong and Petit)")
        if harmonic is not None:
            axes.plot(T, harmonic, color=HARMONIC_COLOUR, label="harmonic phonons")
        if debye_floor is not None:
            axes.plot(
                T, debye_floor, color=FLOOR_COLOUR, linestyle="--", label="best single Debye temperature"
            )
        _draw_prediction(axes, T, predicted, standard_error, isobaric)
        if experiment is not None:
            axes.plot(*experiment, "o", color=EXPERIMENT_COLOUR, markerfacecolor="none", label="experiment")
        axes.set(ylabel="Heat capacity (J/(mol-atom K))", ylim=(0, None))
        axes.legend(loc="lower right")
        figure.axes[-1].set_xlabel("Temperature (K)")
        axes.set_title(title)
    return figure


def density_of_states_figure(
    frequencies: ArrayLike,
    density: ArrayLike,
    *,
    harmonic: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
) -> Figure:
    """Vibrational density of states of the mixture of Debye spectra, before that of a phonon calculation.

    Parameters
    ----------
    frequencies : array_like
        Frequencies, THz, shape (n,).
    density : array_like
        Predicted modes per atom and THz, shape (n,).
    harmonic : tuple of array_like, optional
        Frequencies in THz and modes per atom and THz of a phonon calculation, shape (m,) each.
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
        if harmonic is not None:
            axes.fill_between(*harmonic, color="0.75", step="mid", label="harmonic phonons")
        axes.plot(frequencies, density, color=CLOUD_COLOUR, label="CLOUD")
        axes.set(xlabel="Frequency (THz)", ylabel="Modes per atom and THz", title=title, ylim=(0, None))
        axes.legend()
    return figure


def svg(figure: Figure) -> str:
    """Write a figure as the address of an image that is its own content."""
    file = BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def _draw_prediction(
    axes: Axes,
    T: Array,
    heat_capacity: Array,
    standard_error: ArrayLike | None,
    isobaric: ArrayLike | None,
) -> None:
    axes.plot(T, heat_capacity, color=CLOUD_COLOUR, label="CLOUD, constant volume")
    if isobaric is not None:
        axes.plot(T, isobaric, color=CLOUD_COLOUR, linestyle="-.", label="CLOUD, constant pressure")
    if standard_error is not None and not np.isnan(standard_error).any():
        low, high = np.subtract(heat_capacity, standard_error), np.add(heat_capacity, standard_error)
        axes.fill_between(
            T, low, high, color=CLOUD_COLOUR, alpha=0.2, linewidth=0, label="one standard error"
        )


def _draw_differences(
    axes: Axes, T: Array, heat_capacity: Array, harmonic: ArrayLike, debye_floor: ArrayLike | None
) -> None:
    axes.axhline(0, color=HARMONIC_COLOUR, linewidth=1)
    if debye_floor is not None:
        axes.plot(T, np.subtract(debye_floor, harmonic), color=FLOOR_COLOUR, linestyle="--")
    axes.plot(T, np.subtract(heat_capacity, harmonic), color=CLOUD_COLOUR)
    axes.set_ylabel("Difference\n(J/(mol-atom K))")
