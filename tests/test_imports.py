"""Importing a package imports nothing that is not used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cloud_model
import cloud_plugins

HOSTS = {"ase", "matminer", "phonopy", "pymatgen", "sklearn"}
HEAVY = HOSTS | {"matplotlib", "pandas", "scipy", "spglib", "torch", "transformers"}


def imported_by(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after a statement."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import cloud_model", "import cloud_plugins", "import cloud_model.cli"]
)
def test_packages_are_light(statement):
    assert not imported_by(statement) & HEAVY


def test_the_model_imports_no_host():
    assert not imported_by("from cloud_model import CloudModel, Scope") & (HOSTS | {"pandas", "scipy"})


@pytest.mark.parametrize(
    ("statement", "host"),
    [("import cloud_plugins.ase", "ase"), ("import cloud_plugins.sklearn", "sklearn")],
)
def test_plugins_import_their_own_host_only(statement, host):
    assert imported_by(statement) & HOSTS == {host}


@pytest.mark.parametrize("package", [cloud_model, cloud_plugins])
def test_every_public_name_exists(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("package", [cloud_model, cloud_plugins])
def test_other_names_do_not(package):
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018
