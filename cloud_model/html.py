"""HTML of SCOPE strings, models and predictions, for notebooks and the page of ``cloud serve``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cloud_model.explanation import explain, space_group_name
from cloud_model.quantities import uncertain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from jinja2 import Environment
    from pandas.io.formats.style import Styler

    from cloud_model.model import CloudModel
    from cloud_model.properties import PropertyInfo
    from cloud_model.scope import Scope
    from cloud_model.thermodynamics import Thermodynamics


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
    from cloud_model.plotting import heat_capacity_figure, svg

    spectra = sorted(zip(thermodynamics.debye_temperatures, thermodynamics.weights, strict=True))
    figure = svg(heat_capacity_figure(thermodynamics))
    return _render("thermodynamics.html.j2", thermodynamics=thermodynamics, spectra=spectra, figure=figure)


def predictions_style(predictions: pd.DataFrame, properties: Mapping[str, PropertyInfo]) -> Styler:
    """Show a table of `CloudModel.predict` for people: each value with its standard error and unit.

    Parameters
    ----------
    predictions : DataFrame
        As given by `CloudModel.predict`.
    properties : Mapping
        ``model.properties``.

    Returns
    -------
    Styler
        Rows are crystals. Those outside of the training domain are in italics; a crystal that could not be read
        has its error in the last column.
    """
    import pandas as pd

    names = [name for name in predictions if name in properties]
    table = pd.DataFrame(index=predictions.index)
    for name in names:
        unit = properties[name].unit
        pairs = zip(predictions[name], predictions[f"{name}_std"], strict=True)
        table[f"{name.replace('_', ' ')} ({unit})" if unit else name.replace("_", " ")] = [
            uncertain(*p) for p in pairs
        ]
    outside = (
        predictions.get("out_of_domain", pd.Series(False, predictions.index))
        .eq(True)
        .fillna(False)
        .astype(bool)
    )
    if outside.any():
        table["note"] = outside.map({True: "outside of the training domain", False: ""})
    if predictions["error"].notna().any():
        table["error"] = predictions["error"].fillna("")
    styles = pd.DataFrame("", table.index, table.columns).mask(outside, "font-style: italic")
    styler = table.style.apply(lambda _: styles, axis=None).format(escape="html")
    return styler.format_index(escape="html").format_index(escape="html", axis="columns")


@cache
def environment() -> Environment:
    """Templates of this package; they escape what they show."""
    from jinja2 import Environment, PackageLoader

    return Environment(
        loader=PackageLoader("cloud_model"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def _render(template: str, **values: object) -> str:
    return environment().get_template(template).render(**values)
