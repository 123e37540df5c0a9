"""pymatgen: entries, phase diagrams, stability and screening."""

from __future__ import annotations

import csv
import io
import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from pymatgen.analysis.phase_diagram import PDPlotter, PhaseDiagram
from pymatgen.analysis.pourbaix_diagram import IonEntry, PourbaixDiagram, PourbaixEntry
from pymatgen.core import Composition
from pymatgen.core.ion import Ion
from pymatgen.entries.computed_entries import (
    CompositionEnergyAdjustment,
    ComputedEntry,
    ComputedStructureEntry,
)

from cloud_model import Scope
from cloud_model.cli import cloud
from cloud_model.errors import ArgumentError, BatchError, DataError
from cloud_model.stability.distances import formation_energy
from cloud_model.stability.references import ENERGIES, References
from cloud_plugins.pymatgen import cli, phase_diagram, predicted_entries, screen, stability
from cloud_plugins.pymatgen.prototypes import decorations, is_balanced, prototypes
from cloud_plugins.pymatgen.starting_structures import write_structures

ENERGY = ENERGIES["2018"]
NACL = str(Scope.from_orbits(225, "Na:4a;Cl:4b"))
ATOMS = {"Sr": -2.0, "O": -4.9}


def own_entries(shift=0.0, **parameters):
    """Total energies of phases whose formation energies are those of the references that ship."""
    references = References.load().within(["Sr", "O"])
    lowest = references.ground_states
    return [
        ComputedEntry(
            Composition(formula),
            sum(
                (energy + ATOMS[e] + shift * (len(Composition(formula)) > 1)) * n for e, n in counts(formula)
            ),
            entry_id=f"own-{formula}",
            parameters=parameters,
        )
        for formula, energy in lowest.items()
    ]


def counts(formula):
    return [(str(element), amount) for element, amount in Composition(formula).items()]


def test_entries_hold_the_predicted_formation_energy(rock_salts, tiny_model):
    crystals = [rock_salts[4], NACL]
    entries = predicted_entries(crystals, model=tiny_model)
    assert [type(entry) for entry in entries] == [ComputedStructureEntry, ComputedEntry]
    predicted = tiny_model.predict(crystals, ENERGY)
    np.testing.assert_allclose([e.energy_per_atom for e in entries], predicted[ENERGY], rtol=1e-6)
    assert entries[0].energy == pytest.approx(8 * predicted[ENERGY][0])
    assert entries[0].data["cloud_energy_std"] == pytest.approx(8 * predicted[f"{ENERGY}_std"][0])


def test_bad_crystals_have_no_entries(tiny_model):
    with pytest.raises(BatchError, match=r"nofile\.cif"):
        predicted_entries([NACL, "nofile.cif"], model=tiny_model)


@pytest.mark.parametrize("temperature", [None, 1000.0])
def test_distances_are_those_of_pymatgens_diagram(rock_salts, tiny_model, temperature):
    """The diagram of references and predicted entries puts a crystal where `stability` puts it."""
    scope = str(Scope.from_orbits(221, "Sr:1a;O:1b"))
    references = References.load().within(["Sr", "O"])
    (entry,) = predicted_entries([scope], temperature, model=tiny_model)
    hot = (
        references
        if temperature is None
        else references.at_temperature(tiny_model, temperature, {"SrO": scope})
    )
    diagram = phase_diagram([entry], hot, model=tiny_model)
    row = stability(scope, references, temperature, model=tiny_model).iloc[0]
    assert diagram.get_e_above_hull(entry) == pytest.approx(row.energy_above_hull, abs=1e-6)
    assert diagram.get_form_energy_per_atom(entry) == pytest.approx(formation_energy(row), abs=1e-6)


def test_diagrams_of_a_system_are_plotted_by_pymatgen():
    with mpl.rc_context({"backend": "agg"}):
        diagram = phase_diagram("Sr-O")
        assert isinstance(diagram, PhaseDiagram)
        assert {e.reduced_formula for e in diagram.stable_entries} == {"Sr", "SrO", "SrO2", "O2"}
        PDPlotter(diagram, backend="matplotlib", show_unstable=0.2).get_plot()


def test_entries_make_a_pourbaix_diagram(tiny_model):
    solid = predicted_entries([str(Scope.from_orbits(225, "Sr:4a;O:4b"))], model=tiny_model)[0]
    ion = IonEntry(Ion.from_formula("Sr[2+]"), -5.8)
    metal = next(e for e in phase_diagram("Sr-O").stable_entries if e.reduced_formula == "Sr")
    diagram = PourbaixDiagram([PourbaixEntry(solid), PourbaixEntry(metal), PourbaixEntry(ion)])
    assert len(diagram.stable_entries) >= 1


@pytest.mark.parametrize("bad", ["", "Sr-Xx", "Sr-Fr"])
def test_systems_without_references_are_refused(bad):
    with pytest.raises(DataError):
        phase_diagram(bad)


def test_own_entries_are_references(tiny_model):
    entries = own_entries()
    scope = str(Scope.from_orbits(221, "Sr:1a;O:1b"))
    expected = stability(scope, References.load(), model=tiny_model).iloc[0]
    for references in (entries, PhaseDiagram(entries)):
        row = stability(scope, references, model=tiny_model).iloc[0]
        assert row.energy_above_hull == pytest.approx(expected.energy_above_hull, abs=1e-4)
        assert row.decomposition == expected.decomposition
    assert phase_diagram(entries).get_form_energy_per_atom(
        next(e for e in phase_diagram(entries).stable_entries if e.reduced_formula == "SrO")
    ) == pytest.approx(References.load().ground_states["SrO"], abs=1e-4)


def corrected(name):
    entries = own_entries()
    adjustment = CompositionEnergyAdjustment(-0.6, 1, name="O", cls={"@class": name})
    return [*entries, ComputedEntry("SrO", -12.0, energy_adjustments=[adjustment])]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (own_entries(shift=-0.3), "another functional or correction scheme"),
        (own_entries(run_type="R2SCAN"), "calculated with R2SCAN"),
        (corrected("MaterialsProjectDFTMixingScheme"), "corrected by MaterialsProjectDFTMixingScheme"),
        (
            corrected("MaterialsProject2020Compatibility") + corrected("MaterialsProjectCompatibility"),
            "mix the Materials Project's corrections",
        ),
        ([ComputedEntry("SrO", -12.0), ComputedEntry("Sr", -1.5)], "O has no entry of its own"),
        ([], "hold no entries"),
    ],
)
def test_references_that_cannot_be_compared_are_refused(tiny_model, entries, reason):
    with pytest.raises(DataError, match=reason):
        stability(str(Scope.from_orbits(225, "Sr:4a;O:4b")), entries, model=tiny_model)


def test_energies_of_two_schemes_do_not_join(tiny_model):
    from cloud_plugins.pymatgen.entries import references_from

    newer = references_from(corrected("MaterialsProject2020Compatibility"))
    assert newer.scheme == "2020"
    with pytest.raises(DataError, match="corrections since 2020"):
        References.load().join(newer)


# screening

PROTOTYPES = References.from_records(
    "a test",
    [
        {"id": "rock salt", "formula": "NaCl", ENERGY: -2.0, "scope": NACL},
        {
            "id": "fluorite",
            "formula": "CaF2",
            ENERGY: -4.0,
            "scope": str(Scope.from_orbits(225, "Ca:4a;F:8c")),
        },
        {
            "id": "the same",
            "formula": "KBr",
            ENERGY: -2.0,
            "scope": str(Scope.from_orbits(225, "K:4a;Br:4b")),
        },
    ],
)


def test_prototypes_are_distinct_and_filtered():
    assert [p.example for p in prototypes(PROTOTYPES, 2)] == ["NaCl (rock salt)", "CaF2 (fluorite)"]
    assert [p.n_sites for p in prototypes(PROTOTYPES, 2)] == [8, 12]
    assert len(prototypes(PROTOTYPES, 2, n_sites=8)) == 1
    assert prototypes(PROTOTYPES, 2, space_groups={62}) == []
    assert prototypes(PROTOTYPES, 3) == []


def test_decorations_are_distinct_strings_of_all_elements():
    found = [str(scope) for scope, _ in decorations(prototypes(PROTOTYPES, 2), ["Mg", "S"], False)]
    expected = [(225, "Mg:4a;S:4b"), (225, "Mg:4a;S:8c"), (225, "S:4a;Mg:8c")]
    assert sorted(found) == sorted(str(Scope.from_orbits(*orbits)) for orbits in expected)


@pytest.mark.parametrize(
    ("formula", "balanced"),
    [
        ({"Na": 1, "Cl": 1}, True),
        ({"Na": 1, "Cl": 2}, False),
        ({"Li": 1, "Mn": 2, "O": 4}, True),
        ({"Mg": 1, "O": 2}, False),
        ({"Fe": 3, "O": 4}, True),
        ({"Cu": 1, "Zn": 1}, False),
        ({"Ca": 3, "P": 2, "O": 8}, True),
    ],
)
def test_charges_balance(formula, balanced):
    assert is_balanced(formula) is balanced


def test_screening_ranks_by_probability_and_marks_the_known(tiny_model):
    frame = screen("Mg-O", model=tiny_model, known_prototypes=PROTOTYPES, charge_balance=False)
    assert frame.probability_stable.is_monotonic_decreasing
    assert frame.scope.is_unique
    rock_salt = frame[frame.scope == str(Scope.from_orbits(225, "Mg:4a;O:4b"))]
    assert rock_salt.known.item() == "mp-1265"
    alone = stability(frame.scope[2], model=tiny_model).iloc[0]
    assert frame.energy_above_hull[2] == pytest.approx(alone.energy_above_hull, abs=1e-6)
    best = screen("Mg-O", model=tiny_model, known_prototypes=PROTOTYPES, charge_balance=False, top=2)
    assert best.scope.tolist() == frame.scope[:2].tolist()
    balanced = screen("Mg-O", model=tiny_model, known_prototypes=PROTOTYPES)
    assert set(balanced.formula) == {"MgO"}


def test_a_screening_that_was_ended_goes_on(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr("cloud_plugins.pymatgen.screening.BLOCK", 2)
    arguments = {"model": tiny_model, "known_prototypes": PROTOTYPES, "charge_balance": False}
    whole = screen("Mg-O", **arguments)
    screen("Mg-O", output=tmp_path, **arguments)
    file = tmp_path / "candidates.csv"
    content = file.read_text()
    file.write_text(content[: len(content) // 2])  # in the middle of a line
    again = screen("Mg-O", output=tmp_path, **arguments)
    assert file.read_text() == content
    assert again.scope.tolist() == whole.scope.tolist()
    with pytest.raises(ArgumentError, match="was begun with"):
        screen("Mg-S", output=tmp_path, **arguments)


def test_processes_give_what_one_gives(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("cloud_plugins.pymatgen.screening.BLOCK", 2)
    arguments = {"model": tiny_checkpoint, "known_prototypes": PROTOTYPES, "charge_balance": False}
    one, two = (screen("Mg-O", n_jobs=jobs, **arguments) for jobs in (1, 2))
    assert one.scope.tolist() == two.scope.tolist()
    np.testing.assert_allclose(one.energy_above_hull, two.energy_above_hull, atol=1e-5)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [("", "no elements"), ("Mg,Xx", "'Xx'"), ("Mg,Mg", "not distinct"), ("Mg,Fr", "Fr")],
)
def test_bad_systems_are_refused_before_computing(tiny_model, elements, reason):
    with pytest.raises((ArgumentError, DataError), match=reason):
        screen(elements, model=tiny_model)


def test_nothing_to_screen_is_refused(tiny_model):
    with pytest.raises(DataError, match="no prototype is left"):
        screen("Mg-O", model=tiny_model, known_prototypes=PROTOTYPES, n_sites=1)


def test_first_structures_have_the_string_of_their_candidate(tmp_path, rock_salts, tiny_model):
    folder = tmp_path / "structures"
    folder.mkdir()
    rock_salts[0].to_file(str(folder / "MgO.cif"))
    (folder / "notes.txt").write_text("no crystal")
    frame = screen("Ca-S", model=tiny_model, known_prototypes=PROTOTYPES)
    written = write_structures(frame, folder, tmp_path / "first", model=tiny_model)
    scope = str(Scope.from_orbits(225, "Ca:4a;S:4b"))
    assert [str(Scope.from_crystal(path, "sites")) for path in written] == [scope]
    assert written[0].name == f"{frame.scope.tolist().index(scope) + 1:04d}_CaS.cif"


# command line


def run(command, *arguments):
    arguments = [command.name, *map(str, arguments)]
    return CliRunner().invoke(cloud, arguments, standalone_mode=False)


def test_hull_prints_json_csv_and_tables(tiny_checkpoint, tmp_path, monkeypatch):
    plot = tmp_path / "hull.png"
    done = run(cli.hull, NACL, "-m", tiny_checkpoint, "-f", "json", "--plot", plot)
    (record,) = json.loads(done.stdout)
    assert record["decomposition"] == {"Na": 0.5, "Cl": 0.5}
    assert record["known"] == "mp-22862"
    assert plot.stat().st_size > 1000
    assert done.return_value == 0
    assert f"Wrote {plot}" in done.stderr
    monkeypatch.setenv("COLUMNS", "120")
    table = run(cli.hull, NACL, "-m", tiny_checkpoint)
    assert "0.50 Cl + 0.50 Na" in " ".join(table.stdout.split())
    assert "cannot be ranked" in table.stdout
    assert "PBE and PBE+U, the Materials Project's corrections before 2020." in table.stdout
    hot = run(cli.hull, NACL, "-m", tiny_checkpoint, "-T", 500).stdout
    assert "Vibrations: those at 500 K." in hot
    done = run(cli.hull, NACL, "nofile.cif", "-m", tiny_checkpoint, "-f", "csv")
    assert done.return_value == 1
    assert len(done.stdout.splitlines()) == 3
    assert "nofile.cif" in done.stderr
    assert [row["space_group"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["225", ""]


def test_ternary_systems_are_drawn(tiny_checkpoint, tmp_path):
    plot = tmp_path / "hull.svg"
    scope = Scope.from_orbits(221, "Ca:1a;Ti:1b;O:3c")
    assert run(cli.hull, scope, "-m", tiny_checkpoint, "--plot", plot, "-f", "csv").return_value == 0
    assert "svg" in plot.read_text()[:400]
    plot.write_text("old")
    arguments = (scope, "-m", tiny_checkpoint, "--plot", plot, "-f", "csv")
    assert "--overwrite" in str(run(cli.hull, *arguments).exception)
    assert plot.read_text() == "old"
    assert run(cli.hull, *arguments, "--overwrite").return_value == 0
    assert "svg" in plot.read_text()[:400]


def test_candidates_out_of_the_domain_are_marked(capsys):
    candidate = {
        "formula": "He3O2",
        "space_group": 212,
        "orbits": "O:8c;He:12d",
        "energy_above_hull": -1.5,
        "energy_above_hull_std": 0.07,
        "energy_above_hull_high": -1.3,
        "probability_stable": 0.99,
        "decomposition": {"He": 0.6, "O": 0.4},
        "known": None,
        "prototype": "Mg3Ru2 (mp-625)",
    }
    for doubtful in (True, False):
        cli._print_candidates([candidate | {"out_of_domain": doubtful}], None, None)
        printed = capsys.readouterr().out
        assert ("99%*" in printed) is ("out of domain" in printed) is doubtful


def test_screen_prints_the_best(tiny_checkpoint, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    arguments = ("--elements", "Mg,O", "--max-sites", 12, "--space-groups", "200-230", "--top", 2)
    done = run(cli.screen, *arguments, "-m", tiny_checkpoint, "-o", folder, "-f", "json")
    records = json.loads(done.stdout)
    assert len(records) == 2
    assert all(200 <= record["space_group"] <= 230 for record in records)
    best = pd.read_csv(folder / "best.csv").decomposition.map(json.loads)
    assert best.tolist() == [record["decomposition"] for record in records]
    assert {path.name for path in folder.iterdir()} == {
        "_lock",
        "best.csv",
        "candidates.csv",
        "settings.json",
    }
    monkeypatch.setenv("COLUMNS", "80")
    printed = run(cli.screen, *arguments, "-m", tiny_checkpoint).stdout
    assert "cannot be ranked" in printed
    assert all(record["formula"] in printed for record in records)
    assert max(map(len, printed.splitlines())) <= 80
    best = (folder / "best.csv").read_text()
    (folder / "best.csv").write_text("old")
    again = (*arguments, "-m", tiny_checkpoint, "-o", folder)
    assert "--overwrite" in str(run(cli.screen, *again).exception)
    assert (folder / "best.csv").read_text() == "old"
    run(cli.screen, *again, "--overwrite")
    assert (folder / "best.csv").read_text() == best
