"""Nothing reaches for the network unless asked, and what is needed at run time is no more than what is listed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OFFLINE = """
import socket

def refuse(*_, **__):
    raise AssertionError("something reaches for the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse

from ase.build import bulk
from cloud_model import CloudModel, Scope
from cloud_model.checkpoints.registry import available
from cloud_plugins import CloudCalculator, CloudEmbedder, CloudFeaturizer

salt = bulk("NaCl", "rocksalt", a=5.64)
model = CloudModel.from_pretrained()
model.predict([salt])
model.embed([salt])
model.thermodynamics(salt, [300])
Scope.from_crystal(salt)
available()
CloudCalculator().get_potential_energy(salt)
CloudFeaturizer().featurize(salt)
CloudEmbedder().fit([salt]).transform([salt])
"""


def test_no_network_unless_asked(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr


def test_every_dependency_is_listed_with_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    table = (ROOT / "docs" / "dependencies.md").read_text()
    listed = re.findall(r"^\| `([\w-]+)` \| (\S.*) \|$", table, re.MULTILINE)
    assert {name for name, _ in listed} == names
    assert len(listed) == len(names)


@pytest.mark.parametrize("package", ["cloud_model", "cloud_plugins"])
def test_nothing_is_evaluated_or_unpickled_but_our_own(package):
    """``pickle`` is used to send crystals to our own processes, nowhere else."""
    found = {
        path.name
        for path in (ROOT / package).rglob("*.py")
        if re.search(
            r"(?<![\w.])(pickle\.loads?|eval|exec|os\.system|yaml\.(unsafe_)?load)\(", path.read_text()
        )
    }
    assert found == ({"confined.py", "parallel.py"} if package == "cloud_model" else set())
