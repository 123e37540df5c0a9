from __future__ import annotations

import warnings
from xml.etree import ElementTree

import pandas as pd
import pytest

from cloud_model import Scope
from cloud_model.display.html import predictions_style
from cloud_model.properties.catalogue import PropertyInfo

NACL = Scope.from_orbits(225, "Na:4a;Cl:4b")


def _texts(html: str, tag: str) -> list[str]:
    """Texts of the elements of a fragment, which must be well-formed."""
    root = ElementTree.fromstring(html.replace("&nbsp;", " "))  # noqa: S314
    return [" ".join("".join(element.itertext()).split()) for element in root.iter(tag)]


def test_scope_is_shown_token_by_token():
    html = NACL._repr_html_()
    codes = _texts(html, "code")
    assert codes[0] == str(NACL)
    assert " ".join(codes[1:]) == str(NACL).replace(" |", "")
    assert "Space group 225, F m -3 m, cubic" in _texts(html, "th")


def test_model_shows_units_and_errors(tiny_model):
    html = tiny_model._repr_html_()
    assert _texts(html, "code") == list(tiny_model.properties)
    assert {"GPa", "eV/atom", "J/(mol-atom K)"} <= set(_texts(html, "td"))


def test_thermodynamics_is_drawn(tiny_model):
    html = tiny_model.thermodynamics(NACL, [0, 100, 300])._repr_html_()
    assert 'src="data:image/svg+xml;base64,' in html
    assert "Zero-point energy" in html


@pytest.fixture
def predictions(tiny_model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tiny_model.predict([NACL, "<script>.cif"], ["bulk_modulus", "refractive_index"])


def test_predictions_are_shown_with_errors_and_units(predictions, tiny_model):
    html = predictions_style(predictions, tiny_model.properties).to_html()
    assert "bulk modulus (GPa)" in html
    assert html.count("±") == 2
    assert "<script>" not in html
    assert "&lt;script&gt;.cif" in html


def test_predictions_outside_of_the_training_domain_are_marked():
    table = pd.DataFrame(
        {"x": [1.0, 2.0], "x_std": [0.1, 0.2], "error": None, "out_of_domain": [False, True]}
    )
    info = {"x": PropertyInfo(unit="", basis="crystal", description="")}
    assert predictions_style(table, info).to_html().count("outside") == 1
    assert "training domain" not in predictions_style(table[:1], info).to_html()


def test_any_part_of_the_predictions_can_be_shown(predictions, tiny_model):
    twice = pd.concat([predictions[["bulk_modulus", "bulk_modulus_std"]]] * 2)  # its index is not unique
    assert predictions_style(twice, tiny_model.properties).to_html().count("±") == 2


def test_everything_is_escaped():
    info = {"<b>x</b>": PropertyInfo(unit="<i>", basis="crystal", description="")}
    table = pd.DataFrame({"<b>x</b>": [1.0], "<b>x</b>_std": [0.1], "error": [None]}, index=["<u>row</u>"])
    html = predictions_style(table, info).to_html()
    assert not any(tag in html for tag in ("<b>", "<i>", "<u>"))
