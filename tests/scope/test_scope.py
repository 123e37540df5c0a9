"""SCOPE strings: what they say, that they can be read back, and the published algorithm."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.spacegroup import crystal
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from cloud_model import Scope
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import ArgumentError, CloudError, CrystalError, ScopeError
from cloud_model.scope.batches import scopes
from cloud_model.scope.description import round_fraction
from cloud_model.scope.space_groups import numbers_by_generators, space_group, without_hand

EXAMPLES = Path(__file__).parents[2] / "examples"

SALT = bulk("NaCl", "rocksalt", 5.64)
CUBIC = "1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0"
CELLS = {"cubic": [5.7] * 3 + [90] * 3, "hexagonal": [5.1, 5.1, 9.3, 90, 90, 120]}


def site(symbols, positions, group, cellpar, **kwargs):
    return crystal(symbols, positions, spacegroup=group, cellpar=cellpar, **kwargs)


# in their conventional cells; among them the three groups whose published generators deviate
BUILT = {
    "rock salt": bulk("NaCl", "rocksalt", 5.64, cubic=True),
    "diamond": bulk("C", "diamond", 3.57, cubic=True),
    "zincblende": bulk("GaAs", "zincblende", 5.65, cubic=True),
    "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "magnesium": bulk("Mg"),
    "perovskite": site("OTiSr", [(0.5, 0.5, 0), (0.5, 0.5, 0.5), (0, 0, 0)], 221, CELLS["cubic"]),
    "rutile": site("TiO", [(0, 0, 0), (0.305, 0.305, 0)], 136, [4.59, 4.59, 2.96, 90, 90, 90]),
    "corundum": site(["Al", "O"], [(0, 0, 0.352), (0.306, 0, 0.25)], 167, CELLS["hexagonal"]),
    "monoclinic": site(["O", "Fe"], [(0.2, 0.3, 0.4), (0.5, 0, 0)], 14, [5.1, 6.2, 7.3, 90, 101, 90]),
    "triclinic": site(["O", "Cu"], [(0.2, 0.3, 0.41), (0.5, 0, 0.5)], 2, [5.1, 5.6, 7.3, 81, 77, 68]),
    "group 39": site(["Na", "O"], [(0, 0, 0), (0.1, 0.2, 0.3)], 39, [5.1, 6.2, 7.3, 90, 90, 90]),
    "group 131": site(["Na", "O", "S"], [(0, 0, 0), (0.2, 0, 0.5), (0.1, 0.3, 0)], 131, [6.1, 6.1, 7.3, 90, 90, 90]),
    "group 222": site(["Na", "O"], [(0.25,) * 3, (0.1, 0.2, 0.3)], 222, [11.1] * 3 + [90] * 3, setting=2),
}  # fmt: skip


@st.composite
def orbits(draw):
    """Wyckoff symbols and elements of one to eight orbits of any space group."""
    group = space_group(draw(st.integers(1, 230)))
    symbol = st.sampled_from([f"{size}{letter}" for letter, size in group.multiplicities.items()])
    pairs = st.tuples(symbol, st.sampled_from(SYMBOLS))
    return group.number, draw(st.lists(pairs, min_size=1, max_size=8))


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("canonical", f"{CUBIC} | 4a 4b | Na 0.5 Cl 0.5"),
        ("sites", f"{CUBIC} | 4a Na 4b Cl | Na 0.5 Cl 0.5"),
        ("reference", f"{CUBIC} | 4a 4b | Na 0.5 Cl 0.5"),
    ],
)
def test_rock_salt(dialect, text):
    scope = Scope.from_crystal(SALT, dialect)
    assert str(scope) == text
    assert scope.space_group == 225
    assert scope.wyckoff == ("4a", "4b")
    assert scope.composition == (("Na", 0.5), ("Cl", 0.5))
    assert scope.orbits == ((("4a", "Na"), ("4b", "Cl")) if dialect == "sites" else None)
    assert (scope.dialect, scope.symprec, scope.n_atoms) == (dialect, 0.01, 2)


def test_repeated_orbits_are_repeated_in_the_sites_dialect_only():
    scope = Scope.from_orbits(198, "K:4a;K:4a;O:12b")
    assert str(scope).split(" | ")[1] == "4a K 4a K 12b O"
    assert scope.wyckoff == ("4a", "12b")
    assert str(scope.to("canonical")).split(" | ")[1] == "4a 12b"


def test_the_sites_dialect_tells_which_element_is_where():
    normal, inverse = (
        site(["Mg", "Al", "O"], [x, y, (0.2625,) * 3], 227, [8.08] * 3 + [90] * 3, setting=2)
        for x, y in (((0.125,) * 3, (0.5,) * 3), ((0.5,) * 3, (0.125,) * 3))
    )
    assert Scope.from_crystal(normal, "sites").wyckoff == Scope.from_crystal(inverse, "sites").wyckoff
    assert Scope.from_crystal(normal, "sites") != Scope.from_crystal(inverse, "sites")


@given(orbits(), st.sampled_from(["sites", "canonical"]))
def test_parse_inverts_str(drawn, dialect):
    scope = Scope.from_orbits(*drawn, dialect)
    parsed = Scope.parse(str(scope))
    assert str(parsed) == str(scope)
    assert parsed.dialect == dialect
    assert parsed.space_group == without_hand(scope.space_group)
    assert (parsed.wyckoff, parsed.composition, parsed.orbits) == (
        scope.wyckoff,
        scope.composition,
        scope.orbits,
    )


@given(orbits())
def test_dialects_agree_on_a_crystal(drawn):
    sites, canonical = (Scope.from_orbits(*drawn, dialect) for dialect in ("sites", "canonical"))
    assert sites.to("canonical") == canonical
    assert sites.wyckoff == canonical.wyckoff


@given(orbits(), st.randoms())
def test_published_strings_become_canonical(drawn, random):
    number, pairs = drawn
    canonical = Scope.from_orbits(number, pairs, "canonical")
    wyckoff = list(dict.fromkeys(symbol for symbol, _ in pairs))
    composition = list(canonical.composition)
    random.shuffle(composition)
    published = (
        f"{space_group(number).published_generators} | {' '.join(wyckoff)} | "
        f"{' '.join(f'{element} {fraction}' for element, fraction in composition)}"
    )
    parsed = Scope.parse(published)
    assert str(parsed) == published
    assert parsed.dialect == ("canonical" if published == str(canonical) else "reference")
    assert Scope.from_crystal(published, "canonical") == canonical


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_fractions_are_rounded_as_numpy_does(part, rest):
    fraction = float(Fraction(part, part + rest))
    assert str(round_fraction(fraction)) == str(np.round(fraction, 2))


@pytest.mark.parametrize("atoms", BUILT.values(), ids=BUILT)
@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING")  # pymatgen calls spglib the old way
def test_the_published_algorithm(atoms):
    structure = AseAtomsAdaptor.get_structure(atoms)
    assert str(Scope.from_crystal(structure, "reference")) == published(structure)


def published(structure):
    """SCOPE as in the published code: pymatgen's symmetrized structure in its order."""
    symmetrized = SpacegroupAnalyzer(structure, symprec=0.01).get_symmetrized_structure()
    number = SpacegroupAnalyzer(structure, symprec=0.01).get_space_group_number()
    deviating = {39: "03aODDbOOOcODO0", 131: "13bDDOgDOOcODD0", 222: "14bDDOcDODdOOOeOOD1YYY"}
    folder = Path(find_spec("pymatgen.symmetry").submodule_search_locations[0])
    encoding = json.loads((folder / "symm_data.json").read_text())["space_group_encoding"]
    (generators,) = {entry["enc"] for entry in encoding.values() if entry["int_number"] == number}
    wyckoff = dict.fromkeys(symmetrized.wyckoff_symbols)
    fractions = structure.composition.fractional_composition.get_el_amt_dict()
    composition = (f"{element} {np.round(x, 2)}" for element, x in fractions.items())
    return f"{' '.join(deviating.get(number, generators))} | {' '.join(wyckoff)} | {' '.join(composition)}"


def test_equality_is_that_of_texts():
    one, other = Scope.from_crystal(SALT), Scope.from_crystal(SALT * (2, 1, 1))
    assert one == other
    assert hash(one) == hash(other)
    assert (one.n_atoms, other.n_atoms) == (2, 4)
    assert one != Scope.from_crystal(SALT, "sites")
    assert one != str(one)


def test_scopes_are_immutable_and_can_be_sent():
    scope = Scope.from_crystal(SALT, "sites")
    with pytest.raises(AttributeError):
        scope.space_group = 1
    assert pickle.loads(pickle.dumps(scope)) == scope  # noqa: S301


def test_scope_text_is_a_crystal():
    scope = Scope.from_crystal(SALT, "sites")
    assert Scope.from_crystal(str(scope), "canonical") == Scope.from_crystal(SALT)
    assert Scope.from_crystal(scope, "sites") is scope


@pytest.mark.parametrize("dialect", ["sites", "reference"])
def test_what_canonical_text_does_not_tell(dialect):
    with pytest.raises(ScopeError, match="Start from the crystal itself"):
        Scope.from_crystal(str(Scope.from_crystal(SALT)), dialect)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "three parts"),
        ("a | b", "three parts"),
        (f"{CUBIC} || Na 1.0", "three parts"),
        ("1 2 3 | 4a | Na 1.0", "generators"),
        (CUBIC + " | 4z | Na 1.0", "Wyckoff symbols"),
        (CUBIC + " | 8a | Na 1.0", "Wyckoff symbols"),
        (CUBIC + " | 4a 4a | Na 1.0", "Wyckoff symbols"),
        (CUBIC + " | 4a Na 4b | Na 1.0", "an orbit has no element"),
        (CUBIC + " | 4a Na 4b Zz | Na 1.0", "not an element"),
        (CUBIC + " | 4a Na 4b Cl | Na 0.5 Cl 0.4", "not that of its orbits"),
        (CUBIC + " | 4a | Na", "elements and fractions"),
        (CUBIC + " | 4a | X 1.0", "elements and fractions"),
        (CUBIC + " | 4a | Na one", "could not convert"),
        (CUBIC + " | 4a | Na nan", "composition"),
        (CUBIC + " | 4a | Na inf", "composition"),
        (CUBIC + " | 4a | Na 1.5", "not between 0 and 1"),
        (CUBIC + " | 4a | Na 0.5 Na 0.5", "repeated"),
        ("x" * 10**6, "three parts"),
    ],
)
def test_malformed_text(text, reason):
    with pytest.raises(ScopeError, match=reason) as caught:
        Scope.parse(text)
    assert len(str(caught.value)) < 500


@given(st.text(alphabet="0123456789abODNaCl. |XYZ\n", max_size=60))
def test_any_text_is_scope_or_an_error(text):
    try:
        scope = Scope.parse(text)
    except ScopeError:
        return
    assert Scope.parse(str(scope)) == scope


@given(st.data())
def test_damaged_text_is_scope_or_an_error(data):
    words = str(Scope.from_crystal(SALT, data.draw(st.sampled_from(["sites", "canonical"])))).split()
    place = data.draw(st.integers(0, len(words) - 1))
    words[place] = data.draw(
        st.sampled_from(["", "|", "4a", "8c", "Na", "Zz", "0.5", "nan", "1e999", "D", words[0]])
    )
    try:
        scope = Scope.parse(" ".join(words))
    except ScopeError:
        return
    assert Scope.parse(str(scope)) == scope


@pytest.mark.parametrize(
    ("number", "pairs"),
    [
        (0, "Na:1a"),
        (231, "Na:1a"),
        (225, ""),
        (225, []),
        (225, "Na:4a;Cl"),
        (225, "Na:4z"),
        (225, [("4a", "Zz")]),
    ],
)
def test_wrong_orbits(number, pairs):
    with pytest.raises(ScopeError):
        Scope.from_orbits(number, pairs)


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="canonical"):
        Scope.from_crystal(SALT, "chinese")
    with pytest.raises(ArgumentError, match="spglib"):
        Scope.from_crystal(SALT, "reference", engine="moyopy")
    with pytest.raises(ScopeError, match="order of sites"):
        Scope.from_orbits(225, "Na:4a", "reference")
    with pytest.raises(ArgumentError):
        scopes([SALT], n_jobs=0)
    with pytest.raises(ArgumentError):
        scopes([], "chinese")


@pytest.fixture
def mixed(tmp_path):
    """Crystals of every kind of input, three of them bad."""
    write(tmp_path / "salt.cif", SALT)
    return [
        SALT,
        Atoms("H"),
        AseAtomsAdaptor.get_structure(SALT),
        tmp_path / "salt.cif",
        tmp_path / "missing.cif",
        str(Scope.from_crystal(SALT, "sites")),
        "a | b | c",
        bulk("Cu"),
    ]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_batches_keep_their_order_and_hold_errors_in_place(mixed, n_jobs):
    found = scopes(mixed, "sites", n_jobs=n_jobs)
    assert [type(item) for item in found] == [
        Scope, CrystalError, Scope, Scope, CrystalError, Scope, ScopeError, Scope,
    ]  # fmt: skip
    good = [item for item in found if isinstance(item, Scope)]
    assert len(set(map(str, good[:4]))) == 1
    assert str(good[4]) == str(Scope.from_crystal(bulk("Cu"), "sites"))
    assert all(item.remedy for item in found if isinstance(item, CloudError))


def test_batches_of_any_length():
    assert scopes([]) == []
    assert len(scopes((SALT for _ in range(300)), progress=False)) == 300


def test_progress_is_shown_on_request(capsys):
    scopes([SALT] * 3, progress=True)
    assert "3/3" in capsys.readouterr().err


def test_every_generator_string_can_be_parsed():
    for generators, number in numbers_by_generators().items():
        letter = space_group(number).letters[-1]
        symbol = f"{space_group(number).multiplicities[letter]}{letter}"
        assert Scope.parse(f"{generators} | {symbol} | Fe 1.0").space_group == number


@pytest.mark.parametrize("dialect", ["sites", "canonical", "reference"])
@pytest.mark.parametrize("formula", ["Al2O3", "Si", "SrTiO3"])
def test_formula_of_every_dialect(formula, dialect):
    assert Scope.from_crystal(EXAMPLES / f"{formula}.cif", dialect).formula == formula


def test_formula_of_rounded_fractions_is_the_smallest():
    text = str(Scope.from_orbits(225, "Ca:4a;F:8c", "canonical"))
    assert "Ca 0.33 F 0.67" in text
    assert Scope.parse(text).formula == "CaF2"
