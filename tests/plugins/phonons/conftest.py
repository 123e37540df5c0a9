"""Phonons for tests: calculated with EMT, and of phonopy's own examples where its source can be fetched."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest
from known_model import KnownModel


@pytest.fixture(scope="session")
def model() -> KnownModel:
    return KnownModel(300.0, 600.0)


@pytest.fixture(scope="session")
def copper():
    """Phonopy object of copper, forces by EMT."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    from cloud_model.crystal.files import to_crystal
    from cloud_plugins.phonopy.displacements import calculate_phonons

    phonon, _ = calculate_phonons(to_crystal(bulk("Cu")), EMT(), supercell_length=7.0)
    return phonon


@pytest.fixture(scope="session")
def phonopy_source(request) -> Path:
    """Source distribution of phonopy, whose examples hold forces of density-functional theory."""
    release = f"phonopy-{version('phonopy')}"
    cache = request.config.cache.mkdir("phonopy-source")
    if not (cache / release / "example").exists():
        _download(release, cache)
    return cache / release


def _download(release: str, folder: Path) -> None:
    requirement = release.replace("-", "==")
    options = ["--no-deps", "--no-binary", "phonopy", "--dest", str(folder), "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"phonopy's source cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
    with tarfile.open(folder / f"{release}.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not in Python before 3.11.4
        archive.extractall(folder)  # noqa: S202 (of the package index, and filtered)  # noqa: S202
