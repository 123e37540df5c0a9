"""HTML of SCOPE strings, models and predictions, for notebooks and the page of ``cloud serve``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cloud_model.display.numbers import uncertain
from cloud_model.scope.explanation import explain, space_group_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from jinja2 import Environment
    from pandas.io.formats.style import Styler

    from cloud_model.model import CloudModel
    from cloud_model.physics.thermodynamics import Thermodynamics
    from cloud_model.properties.catalogue import PropertyInfo
    from cloud_model.scope.string import Scope


def scope_html(scope: Scope) -> str:
    """Write a SCOPE string with the meaning of each of its tokens."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for part, tokens, meaning in explain(scope):
        parts.setdefault(part, []).append((tokens, meaning))
    return _render("scope.html.j2", scope=str(scope), parts=parts, name=space_group_name(scope.space_group))


def model_html(model: CloudModel) -> str:
    """Write what a model predicts, in which unit, how well, and what it learned it from."""
    return _render("model.html.j2", model=model)


def thermodynamics_html(thermodynamics: Thermodynamics) -> str:
    """Draw the heat capacity, above the Debye temperatures that it is made of."""
    from cloud_model.display.plots import heat_capacity_figure, svg

    spectra = sorted(zip(thermodynamics.debye_temperatures, thermodynamics.weights, strict=True))
    figure = svg(heat_capacity_figure(thermodynamics))
    return _render("thermodynamics.html.j2", thermodynamics=thermodynamics, spectra=spectra, figure=figure)


def predictions_style(predictions: pd.DataFrame, properties: Mapping[str, PropertyInfo]) -> Styler:
    """Format a table of `CloudModel.predict` for display: each value with its standard error and unit.

    Parameters
    ----------
    predictions : DataFrame
        As given by `CloudModel.predict`.
    properties : Mapping
        ``model.properties``.

    Returns
    -------
    Styler
        Rows are crystals, columns those of the table that are properties, and notes on crystals that are outside of
        the training domain or could not be read.
    """
    import pandas as pd

    columns = {}
    for name in filter(properties.__contains__, predictions):
        label, unit = name.replace("_", " "), properties[name].unit
        pairs = zip(predictions[name], predictions[f"{name}_std"], strict=True)
        columns[f"{label} ({unit})" if unit else label] = [uncertain(*pair) for pair in pairs]
    if "out_of_domain" in predictions:
        outside = predictions["out_of_domain"].fillna(False)
        columns["training domain"] = ["outside" if out else "" for out in outside]
    if "error" in predictions:
        columns["error"] = [error or "" for error in predictions["error"]]
    table = pd.DataFrame(columns, index=predictions.index)
    shown = [name for name in table if name not in ("error", "training domain") or table[name].any()]
    styler = table[shown].style.format(escape="html")
    return styler.format_index(escape="html").format_index(escape="html", axis="columns")


@cache
def _environment() -> Environment:
    """Templates of this package; they escape what they show."""
    from jinja2 import Environment, PackageLoader

    return Environment(
        loader=PackageLoader("cloud_model.display"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)
