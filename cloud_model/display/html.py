"""The one renderer of HTML, for notebooks, reports and the page of ``cloud serve``, and the style of predictions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

from cloud_model.display.numbers import uncertain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from jinja2 import Environment
    from pandas.io.formats.style import Styler


class HasUnit(Protocol):
    """A property with a unit, as in ``model.properties``."""

    @property
    def unit(self) -> str:
        """Empty for a number without unit."""

    @property
    def positive(self) -> bool:
        """Whether it is positive by nature."""


def render(package: str, template: str, **values: object) -> str:
    """Write HTML from a template; values are escaped.

    Parameters
    ----------
    package : str
        Package whose folder ``templates`` holds the template.
    template : str
        Name of the file.
    **values
        What the template names.
    """
    return _environment(package).get_template(template).render(**values)


def predictions_style(predictions: pd.DataFrame, properties: Mapping[str, HasUnit]) -> Styler:
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
        columns[f"{label} ({unit})" if unit else label] = [
            uncertain(value, error, properties[name].positive) for value, error in pairs
        ]
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
def _environment(package: str) -> Environment:
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader(package), autoescape=True, trim_blocks=True, lstrip_blocks=True)
