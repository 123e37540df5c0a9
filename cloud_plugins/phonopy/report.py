"""HTML of validations: one crystal in a notebook, or a page that opens offline with all figures inside."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from cloud_model.display.plots import svg
from cloud_model.errors import CloudError

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from cloud_plugins.phonopy.comparison import HeatCapacityValidation


def report_html(results: Sequence[HeatCapacityValidation], failures: Sequence[CloudError] = ()) -> str:
    """Write a page about many crystals.

    Parameters
    ----------
    results : sequence of HeatCapacityValidation
        Shown with the worst first.
    failures : sequence of CloudError
        Why the other crystals were not compared.

    Returns
    -------
    str
        A complete HTML page without links to other files.
    """
    worst_first = sorted(results, key=lambda result: result.mae, reverse=True)
    template = _environment().get_template("report.html.j2")
    return template.render(results=worst_first, failures=failures, body=crystal_html)


def crystal_html(result: HeatCapacityValidation) -> Markup:
    """Write a fragment of HTML about one crystal: figures of merit, both plots and the table."""
    from markupsafe import Markup

    spectra = sorted(zip(result.cloud.debye_temperatures, result.cloud.weights, strict=True))
    table = result.to_frame().to_html(index=False, border=0, float_format="%.4g")
    template = _environment().get_template("crystal.html.j2")
    return Markup(template.render(result=result, spectra=spectra, table=table, svg=svg))  # noqa: S704


def quasi_harmonic_report_html(results: Sequence[Any], failures: Sequence[CloudError] = ()) -> str:
    """Write a page of `QuasiHarmonicValidation`; as `report_html`."""
    worst_first = sorted(results, key=lambda result: result.mae, reverse=True)
    template = _environment().get_template("quasi_harmonic_report.html.j2")
    return template.render(results=worst_first, failures=failures, body=quasi_harmonic_html)


def quasi_harmonic_html(result: Any) -> Markup:
    """Write a fragment of HTML of a `QuasiHarmonicValidation`: figures of merit, plots and the table."""
    from markupsafe import Markup

    table = result.to_frame().to_html(index=False, border=0, float_format="%.4g")
    template = _environment().get_template("quasi_harmonic.html.j2")
    return Markup(template.render(result=result, summary=result.summary(), table=table, svg=svg))  # noqa: S704


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader("cloud_plugins.phonopy", "."), autoescape=True)
