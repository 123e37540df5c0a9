from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from ase.build import bulk
from click.testing import CliRunner

from cloud_model.cli import cloud


@pytest.fixture(autouse=True)
def _known_model(monkeypatch, model):
    monkeypatch.setattr("cloud_model.cli.options.load", lambda name: model)


@pytest.fixture
def folder(copper, tmp_path):
    """Two calculations of copper, the second with forces doubled, and one that cannot be read."""
    for name, factor in (("soft", 1), ("stiff", 2)):
        (tmp_path / name).mkdir()
        original = copper.force_constants
        copper.force_constants = factor * original
        copper.save(tmp_path / name / "phonopy_params.yaml", settings={"force_constants": True})
        copper.save(tmp_path / name / "phonopy_disp.yaml")
        copper.force_constants = original
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "phonopy.yaml").write_text("nothing")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cloud, ["validate", *map(str, arguments)], standalone_mode=False)


def test_table_of_one_crystal(folder):
    done = run(folder / "soft")
    assert done.return_value == 0
    assert "heat capacity in J/(mol-atom K)" in done.stdout
    assert "Debye floor" in done.stdout


def test_folder_in_json_names_every_source(folder, monkeypatch):
    monkeypatch.setattr("cloud_model.display.progress.LINE_EVERY", 0.0)
    done = run(folder, "--format", "json", "--temperature", 300)
    assert done.return_value == 1
    rows = json.loads(done.stdout)
    assert [row["error"] is None for row in rows] == [True, True, False]
    assert rows[0]["mae"] >= rows[1]["mae"]
    assert "broken" in done.stderr
    assert "Validated: 3 of 3 crystals" in done.stderr
    assert {row["input"].split("/")[-1] for row in rows} == {"phonopy_params.yaml", "phonopy.yaml"}


def test_csv_is_one_row_a_temperature(folder):
    done = run(folder / "soft", folder / "stiff", "--format", "csv", "-T", 100, "-T", 300)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [float(row["temperature"]) for row in rows] == [100, 300, 100, 300]
    assert {row["formula"] for row in rows} == {"Cu"}


def test_report_and_plot_are_written(folder, tmp_path):
    run(
        folder / "soft",
        "--plot",
        tmp_path / "plot.png",
        "--output",
        tmp_path / "report.html",
        "-T",
        100,
        "-T",
        300,
    )
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "<h2" in (tmp_path / "report.html").read_text()
    run(folder, "--output", tmp_path / "report.json", "-T", 300)
    assert len(json.loads((tmp_path / "report.json").read_text())) == 3


def test_structure_file_with_a_calculator(tmp_path):
    bulk("Cu", cubic=True).write(tmp_path / "Cu.cif")
    options = ["--calculator", "emt", "--supercell-length", 6, "--cache", tmp_path / "forces", "-T", 300]
    done = run(tmp_path / "Cu.cif", *options, "--format", "json")
    assert done.return_value == 0
    (row,) = json.loads(done.stdout)
    assert row["n_atoms_cell"] == 4
    assert np.isclose(row["table"]["harmonic_heat_capacity"][0], 23.4, atol=0.2)
    assert run(tmp_path, *options).return_value == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["soft", "--output", "report.pdf"],
        ["soft", "stiff", "--plot", "plot.png"],
        ["broken", "soft", "--crystal", "Cu.cif"],
        ["."],
    ],
)
def test_wrong_usage(arguments, folder, monkeypatch):
    monkeypatch.chdir(folder / "soft" if arguments == ["."] else folder)
    if arguments == ["."]:
        for file in (folder / "soft").iterdir():
            file.unlink()
    done = CliRunner().invoke(cloud, ["validate", *arguments])
    assert done.exit_code == 2


def test_missing_file_fails_by_name():
    done = run("missing.yaml")
    assert done.return_value == 1
    assert "missing.yaml does not exist" in done.stderr
