"""Equivalent namings of the Wyckoff positions have one canonical form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_model.crystal.elements import BY_ELECTRONEGATIVITY, ELEMENT_RANK, SYMBOLS
from cloud_model.scope.canonical import canonical_letters, canonical_orbits
from cloud_model.scope.space_groups import letter_rank, space_group


@st.composite
def orbits(draw):
    """A space group and up to eight orbits of it."""
    group = space_group(draw(st.integers(1, 230)))
    orbit = st.tuples(st.sampled_from(group.letters), st.sampled_from(["Na", "Ti", "O", "Cl", "U"]))
    return group, draw(st.lists(orbit, min_size=1, max_size=8))


@given(orbits(), st.randoms())
def test_relabelling_and_order_do_not_matter(drawn, random):
    group, occupied = drawn
    image = dict(zip(group.letters, random.choice(group.relabellings), strict=True))
    renamed = [(image[letter], element) for letter, element in occupied]
    random.shuffle(renamed)
    assert canonical_orbits(group.number, renamed) == canonical_orbits(group.number, occupied)


@given(orbits())
def test_the_canonical_form_is_one_of_the_equivalent_ones(drawn):
    group, occupied = drawn
    canonical = sorted(canonical_orbits(group.number, occupied))
    tables = [dict(zip(group.letters, image, strict=True)) for image in group.relabellings]
    assert any(canonical == sorted((table[x], element) for x, element in occupied) for table in tables)


@given(orbits())
def test_the_canonical_form_is_the_smallest_by_both_rules(drawn):
    group, occupied = drawn
    tables = [dict(zip(group.letters, image, strict=True)) for image in group.relabellings]
    forms = [
        sorted((letter_rank(table[letter]), ELEMENT_RANK[element]) for letter, element in occupied)
        for table in tables
    ]
    smallest = min(forms, key=lambda form: (sorted({letter for letter, _ in form}), form))
    found = canonical_orbits(group.number, occupied)
    assert [(letter_rank(letter), ELEMENT_RANK[element]) for letter, element in found] == smallest


@given(orbits())
def test_the_canonical_form_is_its_own(drawn):
    group, occupied = drawn
    canonical = canonical_orbits(group.number, occupied)
    assert canonical_orbits(group.number, canonical) == canonical


@given(orbits())
def test_letters_do_not_depend_on_elements(drawn):
    group, occupied = drawn
    letters = {letter for letter, _ in canonical_orbits(group.number, occupied)}
    assert canonical_letters(group.number, {letter for letter, _ in occupied}) == sorted(
        letters, key=letter_rank
    )


@pytest.mark.parametrize(
    ("number", "occupied", "canonical"),
    [
        (225, "b:Na a:Cl", "a:Na b:Cl"),  # rock salt: the cation comes first
        (216, "c:Zn a:S", "a:Zn c:S"),
        (221, "b:Ba a:Ti d:O", "a:Ba b:Ti c:O"),  # perovskite
        (2, "h:O i:Na", "a:O i:Na"),
        (2, "a:O b:O c:O d:O", "a:O b:O c:O d:O"),  # four centres that span space,
        (2, "a:O b:O c:O g:O", "a:O b:O c:O g:O"),  # and four in a plane
        (14, "c:Fe b:O", "a:Fe b:O"),
        (47, "A:O h:Fe", "a:Fe A:O"),
    ],
)
def test_known_forms(number, occupied, canonical):
    def read(text):
        return [tuple(word.split(":")) for word in text.split()]

    assert canonical_orbits(number, read(occupied)) == read(canonical)


def test_elements_are_in_the_order_of_electronegativity():
    from pymatgen.core import Element

    known = [Element(symbol).X for symbol in BY_ELECTRONEGATIVITY[: BY_ELECTRONEGATIVITY.index("He")]]
    assert known == sorted(known)
    assert ELEMENT_RANK.keys() == set(SYMBOLS)
    assert [Element.from_Z(z).symbol for z in range(1, 119)] == list(SYMBOLS)
