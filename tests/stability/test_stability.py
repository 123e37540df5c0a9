"""Hulls are those of pymatgen, distances are energy differences, and what cannot be compared is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from cloud_model import Scope
from cloud_model.crystal.formula import fractions, parse_formula
from cloud_model.errors import BatchError, CloudWarning, DataError, ScopeError, VocabularyError
from cloud_model.physics.ideal_gas import gibbs_energy
from cloud_model.stability.distances import stability
from cloud_model.stability.hull import Hull
from cloud_model.stability.references import ENERGIES, References, vibrational_energies

ENERGY = ENERGIES["2018"]
NACL = str(Scope.from_orbits(225, "Na:4a;Cl:4b"))
CSCL_TYPE = str(Scope.from_orbits(221, "Na:1a;Cl:1b"))


def small(energy=-2.0, **more):
    phases = {"Na": 0.0, "Cl": 0.0, "NaCl": energy} | more
    scopes = {"NaCl": NACL, "Na": str(Scope.from_orbits(229, "Na:2a"))}
    return References.from_records(
        "a test",
        [{"id": f, "formula": f, ENERGY: e, "scope": scopes.get(f, "")} for f, e in phases.items()],
    )


@pytest.fixture(scope="module")
def shipped():
    return References.load()


def pymatgen_diagram(phases):
    pairs = zip(phases.ids, phases.energies_of_formulas(), strict=True)
    return PhaseDiagram([PDEntry(Composition(f), energy, name=name) for name, (f, energy) in pairs])


@pytest.mark.parametrize("system", ["Na-Cl", "Li-Mn-O", "Ca-Zn-N", "Li-Fe-P-O"])
def test_hulls_are_those_of_pymatgen(shipped, system):
    phases = shipped.within(system.split("-"))
    hull, diagram = Hull(phases), pymatgen_diagram(phases)
    rng = np.random.default_rng(0)
    for numbers in rng.integers(1, 6, (10, len(hull.elements))):
        counts = dict(zip(hull.elements, map(int, numbers), strict=True))
        expected = diagram.get_hull_energy_per_atom(Composition(counts))
        assert hull.decompose(fractions(counts)).energy == pytest.approx(expected, abs=1e-6)


def test_a_phase_that_is_left_out_is_below_the_others_by_its_energy_of_decomposition(shipped):
    phases = shipped.within(["Li", "Mn", "O"])
    hull, diagram = Hull(phases), pymatgen_diagram(phases)
    for row, formula in enumerate(phases.formulas):
        counts = parse_formula(formula)
        if len(counts) == 1 or phases.formulas.count(formula) > 1:
            continue
        below = phases.energies[row] - hull.decompose(fractions(counts), without=row).energy
        entry = next(e for e in diagram.all_entries if e.name == phases.ids[row])
        expected = diagram.get_phase_separation_energy(entry, stable_only=True)
        assert below == pytest.approx(expected, abs=1e-6)


def test_a_decomposition_has_the_composition_and_the_energy_of_the_hull(shipped):
    phases = shipped.within(["Li", "Mn", "O"])
    point = fractions({"Li": 3, "Mn": 2, "O": 5})
    found = Hull(phases).decompose(point)
    parts = [fractions(parse_formula(phases.formulas[row])) for row in found.rows]
    for element, share in point.items():
        total = sum(s * part.get(element, 0.0) for s, part in zip(found.shares, parts, strict=True))
        assert total == pytest.approx(share, abs=1e-6)
    assert found.energy == pytest.approx(found.shares @ phases.energies[found.rows])


def test_the_shipped_references_are_on_their_own_hull(shipped):
    """Every phase, with its published energy, is as low as the mixture of all phases at its composition."""
    for system in ("Mg-O", "Ba-Ti-O", "Fe-S", "Ga-As-In"):
        phases = shipped.within(system.split("-"))
        hull = Hull(phases)
        for energy, composition in zip(phases.energies, phases.compositions(), strict=True):
            assert energy == pytest.approx(hull.decompose(composition).energy, abs=5e-3)


def test_every_element_of_the_shipped_references_has_a_phase(shipped):
    assert {e for formula in shipped.formulas for e in parse_formula(formula)} == shipped.elements
    assert len(shipped) > 23_000
    assert len(set(shipped.ids)) == len(shipped)


def test_the_distance_is_the_prediction_less_the_hull(tiny_model):
    frame = stability([CSCL_TYPE], small(-2.0), model=tiny_model)
    row = frame.iloc[0]
    predicted = tiny_model.predict(CSCL_TYPE, ENERGY).iloc[0]
    assert row.energy_above_hull == pytest.approx(predicted[ENERGY] + 2.0)
    assert row.energy_above_hull_std == pytest.approx(predicted[f"{ENERGY}_std"])
    assert row.energy_above_hull_high - row.energy_above_hull_low == pytest.approx(
        2 * 1.959964 * row.energy_above_hull_std
    )
    assert row.decomposition == {"NaCl": 1.0}
    assert row.known is None
    assert row.error is None
    assert row.probability_stable < 0.5


def test_probabilities_are_those_of_the_measured_errors():
    from cloud_model.properties.intervals import interval_factor, share_within

    factors = {"0.5": 0.8, "0.95": 3.0, "0.99": 6.0}
    for share in (0.2, 0.5, 0.8, 0.99):
        assert share_within(factors, interval_factor(factors, share)) == pytest.approx(share)
    beyond = [share_within(factors, ratio) for ratio in (6.0, 8.0, 100.0)]
    assert beyond == sorted(beyond)
    assert 0.99 < beyond[1] < beyond[2] < 1


def test_energies_are_named_as_predictions_are(tiny_model):
    older, newer = "formation_energy_per_atom_2018", "formation_energy_per_atom"
    records = {
        name: [{"formula": f, name: e} for f, e in {"Na": 0, "Cl": 0, "NaCl": -2}.items()]
        for name in (older, newer)
    }
    for scheme, name, other in (("2018", older, newer), ("2020", newer, older)):
        references = References.from_records("a test", records[name], scheme)
        row = stability(CSCL_TYPE, references, model=tiny_model).iloc[0]
        assert row[name] == pytest.approx(tiny_model.predict(CSCL_TYPE, name)[name].iloc[0])
        assert other not in row
    hot = stability(NACL, small(), 1000.0, model=tiny_model)
    assert "formation_gibbs_energy_per_atom" in hot
    assert not {older, newer} & set(hot)


def test_a_frame_without_crystals_has_the_columns_of_others(tiny_model):
    for temperature in (None, 300.0):
        frames = [stability(crystals, small(), temperature, model=tiny_model) for crystals in ([], [NACL])]
        assert list(frames[0]) == list(frames[1])
        assert len(frames[0]) == 0


def test_a_known_phase_is_compared_with_all_others(tiny_model):
    row = stability(NACL, small(-2.0), model=tiny_model).iloc[0]
    assert row.known == "NaCl"
    assert row.decomposition == {"Na": 0.5, "Cl": 0.5}
    assert row.energy_above_hull == pytest.approx(tiny_model.predict(NACL, ENERGY)[ENERGY].iloc[0])


def test_errors_of_competing_phases_count_with_their_shares(tiny_model):
    references = small(-2.0, NaCl3=-1.9)
    errors = np.array([0.0, 0.0, 0.3, 0.4])
    references = References(**vars_of(references) | {"errors": errors})
    scope = str(Scope.from_orbits(221, "Na:1a;Na:1b;Cl:3c"))  # Na2Cl3
    row = stability(scope, references, model=tiny_model).iloc[0]
    own = tiny_model.predict(scope, ENERGY)[f"{ENERGY}_std"].iloc[0]
    shares = np.array([row.decomposition.get(f, 0.0) for f in references.formulas])
    assert row.energy_above_hull_std == pytest.approx(np.hypot(own, np.sqrt((shares**2 * errors**2).sum())))


def vars_of(references):
    return {name: getattr(references, name) for name in References.__dataclass_fields__}


def test_a_better_competitor_makes_a_crystal_less_stable(tiny_model):
    probabilities = [
        stability(CSCL_TYPE, small(energy), model=tiny_model).probability_stable[0]
        for energy in (-0.1, -0.5, -0.9)
    ]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(set(probabilities)) == 3


def test_temperature_adds_the_vibrations_of_crystal_and_competitors(tiny_model):
    scope = str(Scope.from_orbits(225, "Na:4a"))
    cold, hot = (stability(scope, small(), T, model=tiny_model).energy_above_hull[0] for T in (None, 1000.0))
    free, _ = vibrational_energies(tiny_model, [scope, small().scopes[0]], 1000.0)
    assert hot - cold == pytest.approx(free[0] - free[1], rel=1e-6)


def test_gases_are_what_tables_say():
    """Entropies at 298.15 K and 1 bar, J/(mol K) of molecules, NIST-JANAF."""
    for element, entropy in {"N": 191.61, "O": 205.15, "F": 202.79, "Cl": 223.08}.items():
        slope = (gibbs_energy(element, 298.25) - gibbs_energy(element, 298.05)) / 0.2
        assert -2 * slope == pytest.approx(entropy, rel=2e-3)


def test_heat_drives_out_gas(tiny_model):
    """An oxide beside oxygen at 1 bar: what oxygen gains by being a gas grows with temperature."""
    oxide = {"Na": 0.0, "O": 0.0, "Na2O": -1.4}
    structures = {"Na": "Na:2a", "Na2O": ""}
    records = [
        {
            "formula": f,
            ENERGY: e,
            "scope": str(Scope.from_orbits(229, s)) if (s := structures.get(f)) else "",
        }
        for f, e in oxide.items()
    ]
    phases = References.from_records("a test", records)
    oxygen = [phases.at_temperature(tiny_model, T).energies[1] for T in (300.0, 1000.0)]
    assert oxygen[1] - oxygen[0] < -0.7  # eV/atom; G(1000 K) - G(300 K) of O2 is -0.79


def test_predicted_references_keep_elements_and_unknown_structures(tiny_model):
    predicted = small(-2.0, NaCl3=-1.9).predicted(tiny_model)
    assert predicted.energies[[0, 1, 3]].tolist() == [0.0, 0.0, -1.9]
    assert predicted.energies[2] == pytest.approx(tiny_model.predict(NACL, ENERGY)[ENERGY][0])
    assert predicted.errors[2] > 0


def test_bad_crystals_of_a_batch_are_reported(tiny_model):
    canonical = str(Scope.parse(NACL).to("canonical"))
    with pytest.warns(CloudWarning, match="2 of 3"):
        frame = stability([NACL, canonical, "nofile.cif"], small(), model=tiny_model)
    assert frame.error.isna().tolist() == [True, False, False]
    assert frame.energy_above_hull.isna().tolist() == [False, True, True]
    assert frame.space_group[0] == 225
    assert frame.space_group.dtype == "Int64"
    with pytest.raises(BatchError):
        stability([NACL, "nofile.cif"], small(), model=tiny_model, errors="raise")
    with pytest.raises(ScopeError, match="which element is on which orbit"):
        stability(canonical, small(), model=tiny_model)


def test_elements_without_reference_are_refused(tiny_model, shipped):
    potassium = str(Scope.from_orbits(225, "K:4a;Cl:4b"))
    with pytest.raises(DataError, match="K has no reference phase in a test"):
        stability(potassium, small(), model=tiny_model)
    with pytest.raises(VocabularyError, match="Fm"):
        stability(str(Scope.from_orbits(225, "Fm:4a;Cl:4b")), small(), model=tiny_model)
    for elements, reason in ((["Xx"], "not an element"), ([], "no elements"), (["Fr"], "no reference phase")):
        with pytest.raises(DataError, match=reason):
            shipped.within(elements)


def test_references_of_another_scheme_are_refused(tmp_path, tiny_model, shipped):
    shifted = References.from_records(
        "shifted",
        [
            {"formula": f, ENERGY: e - 0.2 * (len(parse_formula(f)) > 1)}
            for f, e in zip(*(c[:4000] for c in (shipped.formulas, shipped.energies)), strict=True)
        ],
    )
    with pytest.raises(DataError, match="another functional or correction scheme"):
        shipped.join(shifted)
    table = tmp_path / "own.csv"
    table.write_text("formula,formation_energy_per_atom_2018\nNa,0\nCl,0\nNaCl,-3.4\n")
    with pytest.raises(DataError, match=r"differ by 1\.\d\d eV/atom"):
        stability(NACL, table, model=tiny_model)


@pytest.mark.parametrize("name", ENERGIES.values())
def test_total_energies_are_no_references(tmp_path, tiny_model, name):
    table = tmp_path / "own.csv"
    table.write_text(f"formula,{name}\nNa,-1.31\nCl,-1.84\nNaCl,-3.4\n")
    with pytest.raises(DataError, match="another functional"):
        stability(NACL, table, model=tiny_model)


def test_tables_say_by_the_name_of_the_energy_which_scheme_they_have(tmp_path, tiny_model, shipped):
    table = tmp_path / "own.csv"
    table.write_text("formula,formation_energy_per_atom\nNa,0\nCl,0\nNaCl,-2.05\n")
    newer = References.load(table)
    assert newer.scheme == newer.select([0, 1]).scheme == newer.join(newer).scheme == "2020"
    assert stability(CSCL_TYPE, table, model=tiny_model).columns[2] == "formation_energy_per_atom"
    with pytest.raises(DataError, match="corrections since 2020"):
        shipped.join(newer)
    table.write_text("formula,formation_energy_per_atom,formation_energy_per_atom_2018\nNa,0,0\n")
    assert References.load(table).scheme == "2018"


def test_own_references_join_or_replace(tmp_path, tiny_model, shipped):
    table = tmp_path / "own.csv"
    table.write_text("id,formula,formation_energy_per_atom_2018\na,Na,0\nb,Cl2,0\nc,NaCl,-2.1\nd,Na2Cl,-9\n")
    own = References.load(table)
    assert stability(CSCL_TYPE, table, model=tiny_model).decomposition[0] == {"Na2Cl": 0.75, "Cl": 0.25}
    joined = shipped.join(own)
    assert stability(CSCL_TYPE, joined, model=tiny_model).decomposition[0] == {"Na2Cl": 0.75, "Cl": 0.25}
    assert len(joined) == len(shipped) + 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("formula,energy\nNa,0\n", "no column formation_energy_per_atom_2018 or formation_energy_per_atom"),
        ("formation_energy_per_atom\n0\n", "no column formula"),
        ("formula,formation_energy_per_atom_2018\n", "holds no phases"),
        ("formula,formation_energy_per_atom_2018\nNaX,0\n", "does not consist of elements"),
        ("formula,formation_energy_per_atom_2018\nLi0.5CoO2,0\n", "whole numbers"),
        ("formula,formation_energy_per_atom_2018\nNa,low\n", "no formation energy"),
        ("formula,formation_energy_per_atom_2018\nNa,nan\n", "formation energy nan"),
    ],
)
def test_bad_tables_are_refused(tmp_path, content, reason):
    table = tmp_path / "own.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=reason):
        References.load(table)


def test_missing_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        References.load(tmp_path / "none.csv")
