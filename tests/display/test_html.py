from __future__ import annotations

from xml.etree import ElementTree

from cloud_model import Scope

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
