"""Entry points: what we declare can be found and loaded, and other packages can bring checkpoints."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import entrypoints
import numpy as np
import pytest

from cloud_model import CloudModel
from cloud_model.checkpoints.registry import GROUP, available
from cloud_model.errors import CheckpointError

OURS = {
    "console_scripts": {"cloud"},
    "ase.ioformats": {"scope"},
    "ase.plugins": {"cloud"},
    "cloud_model.commands": {"evaluate", "finetune", "ingest", "pretrain", "validate"},
}


def build_wheel(directory: Path, name: str, checkpoint: Path, value: str) -> Path:
    """Write the wheel of a package that holds a checkpoint, as any build backend would."""
    package = f"{name.replace('-', '_')}_checkpoint"
    wheel = directory / f"{package}-1.0-py3-none-any.whl"
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{package}/__init__.py", "")
        for file in checkpoint.iterdir():
            archive.write(file, f"{package}/weights/{file.name}")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[{GROUP}]\n{name} = {value}\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def install(tmp_path_factory, tiny_checkpoint):
    """Install a wheel with pip, and give the folder that it went to."""

    def install(name: str, value: str) -> Path:
        directory = tmp_path_factory.mktemp(name)
        wheel = build_wheel(directory, name, tiny_checkpoint, value)
        options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", "--target"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, directory / "site", wheel], check=True
        )
        return directory / "site"

    return install


@pytest.fixture(scope="module")
def third_party(install):
    return install("moon", "moon_checkpoint.weights")


def test_checkpoint_of_another_package_is_found_by_name(
    third_party, monkeypatch, tiny_model, tiny_checkpoint, rock_salts
):
    monkeypatch.syspath_prepend(third_party)
    assert available()["moon"] == third_party / "moon_checkpoint" / "weights"
    model = CloudModel.from_pretrained("moon")
    np.testing.assert_array_equal(model.embed(rock_salts), tiny_model.embed(rock_salts))


def test_checkpoint_of_another_package_serves_every_plugin(third_party, monkeypatch, rock_salts):
    from ase.build import bulk

    from cloud_plugins import CloudCalculator, CloudEmbedder, CloudFeaturizer

    monkeypatch.syspath_prepend(third_party)
    assert len(CloudFeaturizer("moon").featurize(rock_salts[0])) == 192
    assert CloudEmbedder("moon").fit_transform(rock_salts).shape == (12, 192)
    assert np.isfinite(CloudCalculator("moon").get_property("band_gap", bulk("MgO", "rocksalt", a=4.2)))


def test_an_unknown_name_is_refused_with_those_that_are_installed(third_party, monkeypatch):
    monkeypatch.syspath_prepend(third_party)
    with pytest.raises(CheckpointError, match="moon"):
        CloudModel.from_pretrained("sun")


@pytest.mark.parametrize("value", ["absent_package.weights", "star_checkpoint.absent", "json"])
def test_a_package_without_its_checkpoint_disturbs_no_other(install, monkeypatch, tiny_checkpoint, value):
    monkeypatch.syspath_prepend(install("star", value))
    with pytest.raises(CheckpointError):
        CloudModel.from_pretrained("star")
    CloudModel.from_pretrained(tiny_checkpoint)


def test_no_package_replaces_a_bundled_checkpoint(install, monkeypatch):
    bundled = available()
    if "cloud-mini" not in bundled:
        pytest.skip("no weights in this tree")
    monkeypatch.syspath_prepend(install("cloud-mini", "cloud_mini_checkpoint.weights"))
    assert available()["cloud-mini"] == bundled["cloud-mini"]


@pytest.mark.parametrize(("group", "names"), OURS.items())
def test_declared_entry_points_can_be_loaded(group, names):
    found = {
        point.name: point
        for point in metadata.entry_points(group=group)
        if point.dist.name == "cloud-plugins"
    }
    assert found.keys() >= names
    for point in found.values():
        point.load()


@pytest.mark.parametrize("group", [*OURS, GROUP])
def test_the_entrypoints_package_finds_the_same(group, third_party, monkeypatch):
    monkeypatch.syspath_prepend(third_party)
    ours = {
        (point.name, point.module, point.attr or "")
        for point in metadata.entry_points(group=group)
        if point.dist.name in ("cloud-plugins", "moon_checkpoint")
    }
    theirs = {
        (point.name, point.module_name, point.object_name or "")
        for point in entrypoints.get_group_all(group)
        if point.distro.name in ("cloud_plugins", "moon_checkpoint")
    }
    assert ours == theirs != set()
