"""Every script of ``examples/`` runs, and what it prints is right."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from ase.db import connect

from cloud_model import CloudModel
from cloud_model.physics.debye import R

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = r"[-+]?\d+\.\d+"


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    """Run a script in an empty folder; what it printed."""
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capfd.readouterr().out

    yield run
    plt.close("all")


def test_every_example_is_tested():
    tests = Path(__file__).read_text()
    assert all(f'"{script.name}"' in tests for script in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda script: script.stem)
def test_help_says_what_a_script_does(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert "Run:" in capsys.readouterr().out


def test_perovskites(run):
    printed = run("ase_perovskites.py")
    rows = re.findall(rf"^(\w+O3) +({NUMBER}) \+- ({NUMBER}) +band gap ({NUMBER}) eV$", printed, re.MULTILINE)
    reactions = {formula: float(reaction) for formula, reaction, *_ in rows}
    assert len(reactions) == 30
    assert list(reactions.values()) == sorted(reactions.values())
    # by experiment the large cations make perovskites of the oxides, magnesium does not
    assert max(reactions["BaTiO3"], reactions["SrTiO3"]) < 0 < min(reactions["MgTiO3"], reactions["MgZrO3"])
    assert len(connect("perovskites.db")) == 30
    stored = next(connect("perovskites.db").select(formula="BaTiO3"))
    assert stored.reaction == pytest.approx(reactions["BaTiO3"], abs=6e-4)


def test_screening(run):
    printed = run("screen_nitrides.py")
    distances = re.findall(rf"^Li\S+ +({NUMBER}) eV/atom above the hull", printed, re.MULTILINE)
    assert len(distances) == 5
    assert min(map(float, distances)) == 0.0  # the lowest of all is on the hull of all
    assert "known: LiPN2" in printed
    assert Path("nitrides.png").stat().st_size > 1000


def test_matminer(run):
    printed = run("matminer_features.py")
    spread = float(re.search(rf"mean absolute deviation ({NUMBER})", printed)[1])
    sizes, errors = zip(*re.findall(rf"(\d+) features +({NUMBER}) \+-", printed), strict=True)
    magpie, cloud, both = map(int, sizes)
    assert magpie + cloud == both
    assert max(map(float, errors)) < spread / 2


def test_matminer_with_a_public_dataset(run, monkeypatch, rock_salts):
    frame = pd.DataFrame({"structure": rock_salts * 3, "last phdos peak": np.arange(36.0)})
    monkeypatch.setattr("matminer.datasets.load_dataset", {"matbench_phonons": frame}.__getitem__)
    printed = run("matminer_features.py", "--dataset", "matbench_phonons", "--rows", "30")
    assert "30 crystals, last phdos peak" in printed


def test_sklearn(run):
    printed = run("sklearn_pipeline.py")
    error, baseline = map(
        float, re.search(rf"test, 20 crystals: ({NUMBER}) .*: ({NUMBER})", printed).groups()
    )
    assert error < baseline / 2
    assert Path("learning_curve.png").stat().st_size > 10_000


def test_finetune(run):
    printed = run("finetune.py")
    ours, dummy, ridge, trees = (
        float(re.search(rf"{name} *\| +({NUMBER})", printed)[1])
        for name in ("checkpoint", "dummy", "ridge on composition", r"composition \+ symmetry")
    )
    assert ours < min(dummy / 2, ridge, trees)
    # measured, eV/atom: CRC Handbook; NIST-JANAF for SrTiO3
    for formula, measured in {"NaCl": -2.13, "MgO": -3.12, "TiO2": -3.26, "SrTiO3": -3.47}.items():
        predicted = float(re.search(rf"^{formula} +({NUMBER})", printed, re.MULTILINE)[1])
        assert predicted == pytest.approx(measured, abs=0.5)
    assert list(CloudModel.from_pretrained("enthalpy-model").properties) == ["formation_enthalpy"]


def test_heat_capacity(run):
    printed = run("heat_capacity.py")
    rows = re.findall(rf"^\w+ +{NUMBER} +({NUMBER}) \+- {NUMBER} +({NUMBER})$", printed, re.MULTILINE)
    predicted, measured = np.array(rows, dtype=float).T
    assert len(rows) == 12
    assert predicted.max() < 3 * R
    assert np.abs(predicted - measured).mean() < 2
    assert Path("heat_capacity.png").stat().st_size > 10_000


def test_phonopy(run):
    printed = run("phonopy_validation.py")
    rows = re.findall(rf"^(Cu|Ag) +({NUMBER}) +({NUMBER}) +({NUMBER})$", printed, re.MULTILINE)
    assert [name for name, *_ in rows] == ["Cu", "Ag"]
    for _, mean, largest, floor in rows:
        assert 0 < float(floor) <= float(mean) <= float(largest) < 3 * R
    assert Path("validation.html").read_text().count("<img") == 4


def test_embedding_map(run):
    printed = run("embedding_map.py")
    for label in ("chemistry", "prototype"):
        same, chance = map(int, re.search(rf"same {label}: (\d+)% \(by chance (\d+)%\)", printed).groups())
        assert same > 2 * chance
    table = pd.read_csv("embedding_map.csv")
    assert len(table) == 3000
    assert np.isfinite(table[["x", "y"]]).all(axis=None)


def test_pretrain(run):
    printed = run("pretrain.py")
    assert "kept 1344 distinct" in printed
    guess, first, last = map(
        float, re.search(rf"nats: ({NUMBER}) .* ({NUMBER}) .* ({NUMBER})", printed).groups()
    )
    assert last < first < guess
    assert last < guess / 2
