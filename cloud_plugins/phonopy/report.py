"""Reports of validations: a page that opens offline, with all figures inside."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_model.display.html import render
from cloud_model.errors import CloudError
from cloud_plugins.phonopy.comparison import HeatCapacityValidation
from cloud_plugins.phonopy.quasi_harmonic import QuasiHarmonicValidation


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
    return _report("report.html.j2", results, failures)


def quasi_harmonic_report_html(
    results: Sequence[QuasiHarmonicValidation], failures: Sequence[CloudError] = ()
) -> str:
    """Write a page of `QuasiHarmonicValidation`; as `report_html`."""
    return _report("quasi_harmonic_report.html.j2", results, failures)


def _report(
    template: str,
    results: Sequence[HeatCapacityValidation | QuasiHarmonicValidation],
    failures: Sequence[CloudError],
) -> str:
    worst_first = sorted(results, key=lambda result: result.mae, reverse=True)
    return render("cloud_plugins.phonopy", template, results=worst_first, failures=failures)
