"""The contract of ASE's calculators, formats, plugins, files and databases."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, get_calculator_class
from ase.db import connect
from ase.io import read, write

from cloud_model import Scope
from cloud_model.errors import CrystalError, ScopeError
from cloud_plugins import CloudCalculator

NACL = Path(__file__).parents[2] / "examples" / "NaCl.cif"


@pytest.fixture
def nacl(tiny_model) -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.calc = CloudCalculator(tiny_model)
    return atoms


def test_it_is_a_calculator(nacl):
    assert isinstance(nacl.calc, Calculator)
    assert nacl.calc.name == "cloud"
    assert nacl.calc.nolabel


def test_standard_results_are_exported(nacl):
    assert nacl.get_properties(["energy"])["energy"] == nacl.get_potential_energy()


def test_results_are_kept_until_the_crystal_changes(nacl):
    nacl.get_potential_energy()
    assert not nacl.calc.calculation_required(nacl, ["energy", "band_gap", "heat_capacity"])
    nacl.set_initial_magnetic_moments([1, -1])
    nacl.set_initial_charges([1, -1])
    assert not nacl.calc.calculation_required(nacl, ["energy"])
    nacl.positions[1, 0] += 0.5
    assert nacl.calc.calculation_required(nacl, ["energy"])


def test_results_follow_the_crystal(nacl):
    before = nacl.get_potential_energy()
    nacl.symbols[0] = "K"
    assert nacl.get_potential_energy() != before
    nacl.symbols[0] = "Na"
    assert nacl.get_potential_energy() == before


def test_any_changed_parameter_discards_results(nacl):
    nacl.get_potential_energy()
    assert nacl.calc.set(temperature=300.0) == {}
    assert nacl.calc.results
    assert nacl.calc.set(temperature=500) == {"temperature": 500.0}
    assert not nacl.calc.results


def test_a_changed_model_discards_results(nacl, tiny_checkpoint):
    nacl.get_potential_energy()
    nacl.calc.set(model=tiny_checkpoint)
    assert not nacl.calc.results


def test_parameters_are_json(tiny_checkpoint):
    calculator = CloudCalculator(tiny_checkpoint, temperature=np.float32(77))
    parameters = json.loads(json.dumps(calculator.parameters))
    assert parameters == {"model": str(tiny_checkpoint), "temperature": 77.0}
    assert CloudCalculator(**parameters).parameters == calculator.parameters
    assert calculator.todict() == parameters


def test_a_loaded_model_is_stored_by_name(nacl):
    assert nacl.calc.todict() == {"model": "tiny", "temperature": 300.0}


def test_atoms_are_not_changed(nacl):
    before = nacl.copy()
    nacl.get_potential_energy()
    assert nacl == before
    assert nacl.info == {}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda calc: pickle.loads(pickle.dumps(calc))])  # noqa: S301
def test_copies_calculate_the_same(nacl, duplicate):
    other = duplicate(nacl.calc)
    assert other.get_potential_energy(nacl) == pytest.approx(nacl.get_potential_energy(), rel=1e-6)


def test_threads_may_share_a_calculator(nacl):
    images = [bulk(symbol, "fcc", a=4.0) for symbol in ("Cu", "Ag", "Au", "Al", "Ni", "Pd")] * 5
    alone = [nacl.calc.get_formation_energy(atoms) for atoms in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(nacl.calc.get_formation_energy, images))
    assert together == alone


def test_a_bad_crystal_raises_each_time(nacl):
    nacl.positions[1] = nacl.positions[0]
    for _ in range(2):
        with pytest.raises(CrystalError):
            nacl.get_potential_energy()


@pytest.mark.parametrize("name", ["x.extxyz", "x.traj"])
def test_files_keep_what_is_written_into_info(nacl, tmp_path, name):
    results = nacl.calc.write_results(nacl)
    write(tmp_path / name, nacl)
    restored = read(tmp_path / name)
    assert restored.info == pytest.approx(results)
    assert restored.get_potential_energy() == pytest.approx(nacl.get_potential_energy())


@pytest.mark.parametrize("name", ["x.db", "x.json"])
def test_databases_keep_results_as_key_value_pairs(nacl, tmp_path, name):
    with connect(tmp_path / name) as database:
        results = nacl.calc.write_results(nacl)
        database.write(nacl, **results)
        row = database.get("cloud_band_gap_std>0")
    assert row.key_value_pairs == pytest.approx(results)
    assert row.energy == pytest.approx(nacl.get_potential_energy())
    assert row.calculator == "cloud"
    assert row.calculator_parameters == nacl.calc.todict()


def test_info_holds_every_result(nacl):
    results = nacl.calc.write_results(nacl)
    assert nacl.info == results
    assert results["cloud_model"] == "tiny"
    assert results["cloud_temperature"] == 300
    assert {f"cloud_{name}" for name in nacl.calc.implemented_properties} < set(results)


def test_ase_finds_the_calculator_by_name():
    assert get_calculator_class("cloud") is CloudCalculator


def test_scope_files_hold_a_string_a_line(nacl, tmp_path):
    images = [nacl, bulk("Cu", cubic=True)]
    write(tmp_path / "x.scope", images, dialect="sites")
    lines = (tmp_path / "x.scope").read_text().splitlines()
    assert lines == [str(Scope.from_crystal(atoms, dialect="sites")) for atoms in images]


def test_scope_files_cannot_be_read_as_structures(nacl, tmp_path):
    write(tmp_path / "x.scope", nacl)
    with pytest.raises(ScopeError, match="determine no structure"):
        read(tmp_path / "x.scope")


@pytest.mark.parametrize("order", ["import cloud_plugins.ase, ase.io", "import ase.io, cloud_plugins.ase"])
def test_registration_does_not_depend_on_the_order_of_imports(order):
    code = f"{order}; from ase.calculators.calculator import get_calculator_class as get; get('cloud')"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_ase_lists_the_plugin():
    command = [sys.executable, "-m", "ase", "info", "--plugins", "--formats"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "cloud_plugins" in listed
    assert "CalculatorPlugin\n----------------\ncloud" in listed
    assert "ext=scope" in listed


def test_ase_runs_the_calculator_by_name(tiny_checkpoint, tmp_path):
    output = tmp_path / "out.json"
    command = ["run", "cloud", str(NACL), "-p", f"model={tiny_checkpoint},temperature=500", "-o", str(output)]
    subprocess.run([sys.executable, "-m", "ase", *command], check=True, timeout=120, cwd=tmp_path)
    row = connect(output).get()
    assert row.calculator == "cloud"
    assert row.calculator_parameters["temperature"] == 500
    assert np.isfinite(row.energy)


def test_plugin_survives_without_the_private_api(monkeypatch):
    import importlib

    from cloud_plugins.ase import plugin

    assert [entry.name for entry in plugin.__ase_plugins__] == ["cloud"]
    monkeypatch.setitem(sys.modules, "ase._4.plugins.plugin", None)
    try:
        assert importlib.reload(plugin).__ase_plugins__ == set()
    finally:
        monkeypatch.undo()
        importlib.reload(plugin)
