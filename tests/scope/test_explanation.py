from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from pymatgen.symmetry.groups import SYMM_DATA

from cloud_model import Scope
from cloud_model.scope.explanation import explain, space_group_name
from cloud_model.scope.space_groups import space_groups

GENERAL = [(g.number, f"{g.multiplicities[g.letters[-1]]}{g.letters[-1]}") for g in space_groups()]


@pytest.mark.parametrize("dialect", ["sites", "canonical"])
def test_the_tokens_are_those_of_the_string(dialect):
    for number, symbol in GENERAL:
        scope = Scope.from_orbits(number, [(symbol, "Na"), (symbol, "Cl")], dialect)
        parts = {part: [] for part in ("generators", "positions", "composition")}
        for part, tokens, meaning in explain(str(scope)):
            assert meaning
            parts[part].append(tokens)
        assert " | ".join(map(" ".join, parts.values())) == str(scope)


def test_generators_are_those_of_pymatgen():
    for number, symbol in GENERAL:
        rows = explain(str(Scope.from_orbits(number, [(symbol, "Na")])))
        operations = [(row.tokens.split(), row.meaning) for row in rows if " to " in row.meaning]
        for (letter, *shifts), meaning in operations:
            images = meaning.rpartition(" to ")[2].split(", ")
            rotation = np.array(
                [[_at(image, point) - _at(image, (0, 0, 0)) for point in np.eye(3)] for image in images]
            )
            np.testing.assert_allclose(rotation, SYMM_DATA["generator_matrices"][letter], atol=1e-9)
            expected = [float(Fraction(SYMM_DATA["translations"][shift])) for shift in shifts]
            assert [_at(image, (0, 0, 0)) for image in images] == pytest.approx(expected)


def _at(image: str, point) -> float:
    """Value of a coordinate such as ``x - y + 1/4``."""
    total = 0.0
    for sign, term in re.findall(r"([+-]?) ?([xyz]|\d/\d)", image):
        value = point["xyz".index(term)] if term in "xyz" else Fraction(term)
        total += -float(value) if sign == "-" else float(value)
    return total


def test_diamond():
    rows = {row.tokens: row.meaning for row in explain(str(Scope.from_orbits(227, "Si:8a")))}
    assert rows["8a Si"] == "Si on Wyckoff position a, 8 sites of the conventional cell"
    assert rows["Si 1.0"] == "100 % of the atoms are Si"
    assert rows["1 Z Z Z"].endswith("(-1/8, -1/8, -1/8)")
    assert space_group_name(227) == "227, F d -3 m, cubic"
