from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cloud_model.errors import PhononError
from cloud_plugins.phonopy import validate_heat_capacity
from cloud_plugins.phonopy.report import report_html

T = np.array([0.0, 100.0, 300.0])


@pytest.fixture(scope="module")
def results(copper, model):
    density = (np.linspace(0, 25, 100), np.linspace(0, 25, 100) ** 2, "THz")
    scope = "1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a <b> | Cu 1.0"
    far = validate_heat_capacity(density, scope.replace("<b>", "Cu"), model=model, temperatures=T)
    return [validate_heat_capacity(copper, model=model, temperatures=T), far]


class Page(HTMLParser):
    """Addresses and open elements of a page."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_and_opens_offline(results):
    page = Page(report_html(results))
    assert page.open == []
    assert all(address.startswith(("#", "data:image/svg+xml;base64,")) for address in page.addresses)
    assert sum(address.startswith("data:") for address in page.addresses) == 4


def test_worst_crystals_come_first(results):
    text = report_html(results)
    headings = re.findall(r"<h2 id=.*?>(.*?)</h2>", text)
    assert headings == [result.formula for result in sorted(results, key=lambda r: r.mae, reverse=True)]


def test_what_was_not_compared_is_named_and_escaped(results):
    text = report_html(results, [PhononError("<script>.yaml", "is unstable", "Relax it")])
    assert "&lt;script&gt;.yaml is unstable" in text
    assert "<script" not in text


def test_page_without_results():
    assert "1 more could not be compared" in report_html(
        [], [PhononError("a.yaml", "is unstable", "Relax it")]
    )


def test_notebooks_show_figures_and_table(results):
    shown = results[0]._repr_html_()
    Page(shown)
    assert "Cu" in shown
    assert shown.count("data:image/svg+xml") == 2
