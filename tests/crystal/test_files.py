"""Files of any format, and of none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import write
from pymatgen.io.ase import AseAtomsAdaptor

from cloud_model import Scope
from cloud_model.crystal import files
from cloud_model.crystal.files import read_crystal
from cloud_model.errors import CloudError, CrystalError

SALT = bulk("NaCl", "rocksalt", 5.64, cubic=True)
TEXT = str(Scope.from_crystal(SALT, "sites"))


def describe(path):
    return str(Scope.from_crystal(path, "sites"))


@pytest.mark.parametrize(
    "name",
    [
        "salt.cif",
        "POSCAR",
        "CONTCAR",
        "salt.vasp",
        "salt.extxyz",
        "salt.xsf",
        "salt.json",
        "salt.traj",
        "salt.res",
    ],
)
def test_formats_of_ase(tmp_path, name):
    write(tmp_path / name, SALT)
    assert describe(tmp_path / name) == TEXT
    assert describe(str(tmp_path / name)) == TEXT


@pytest.mark.parametrize("name", ["salt.cif", "POSCAR", "salt.cssr", "salt.json", "salt.xsf", "salt.yaml"])
def test_formats_of_pymatgen(tmp_path, name):
    AseAtomsAdaptor.get_structure(SALT).to(filename=str(tmp_path / name))
    assert describe(tmp_path / name) == TEXT


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
@pytest.mark.parametrize("name", ["salt.cif", "POSCAR", "salt.extxyz"])
def test_compressed_files(tmp_path, name, suffix, compress):
    write(tmp_path / name, SALT)
    packed = tmp_path / (name + suffix)
    packed.write_bytes(compress.compress((tmp_path / name).read_bytes()))
    assert describe(packed) == TEXT


def test_a_trajectory_stands_for_its_last_frame(tmp_path):
    write(tmp_path / "run.extxyz", [bulk("Cu", cubic=True), SALT])
    assert describe(tmp_path / "run.extxyz") == TEXT


def test_a_cif_is_known_by_its_content(tmp_path):
    write(tmp_path / "salt.cif", SALT)
    shutil.copy(tmp_path / "salt.cif", tmp_path / "salt.txt")
    assert describe(tmp_path / "salt.txt") == TEXT


@pytest.mark.parametrize("name", ["a@1.extxyz", "sälz.cif", "two words.cif", "semi;colon.cif", "[1].cif"])
def test_odd_names(tmp_path, name):
    write(tmp_path / "x.extxyz", SALT)
    write(tmp_path / "x.cif", SALT)
    shutil.copy(tmp_path / f"x{Path(name).suffix}", tmp_path / name)
    assert describe(tmp_path / name) == TEXT


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system refuses such names")
def test_names_that_are_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.cif"
    write(tmp_path / "x.cif", SALT)
    shutil.copy(tmp_path / "x.cif", path)
    assert describe(os.fsdecode(path)) == TEXT
    Path(os.fsdecode(path)).write_text("empty")
    with pytest.raises(CrystalError, match=r"\\xff.cif: it holds no atom sites") as caught:
        read_crystal(os.fsdecode(path))
    str(caught.value).encode()  # can be printed


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Kind -> a file that cannot be read, and what the error says."""
    folder.mkdir(exist_ok=True)
    write(folder / "good.cif", SALT)
    write(folder / "POSCAR", SALT)
    cif, poscar = (folder / "good.cif").read_bytes(), (folder / "POSCAR").read_bytes()
    contents = {
        "empty.cif": (b"", "no atom sites"),
        "binary.cif": (bytes(range(256)) * 9, "not text"),
        "binary.extxyz": (bytes(range(256)) * 9, "neither ASE"),
        "truncated.cif": (cif[: cif.rindex(b"Na")], "cut off"),
        "wrong_extension.cif": (poscar, "no atom sites"),
        "wrong_extension.extxyz": (poscar, "neither ASE"),
        "unknown.dat": (b"hello", "neither ASE"),
        "CONTCAR": (poscar[: len(poscar) // 2], "neither ASE"),
        "list.json": (b"[1, 2]", "neither ASE"),
        "deep.json": (b"[" * 100_000, "neither ASE"),
        "not_really.cif.gz": (cif, "cannot be read"),
        "truncated.cif.gz": (gzip.compress(cif)[:-30], "cannot be read"),
        "broken.cif.xz": (b"\xfd7zXZ\x00" + cif, "cannot be read"),
        "pickle.traj": (b"cos\nsystem\n(S'touch pwned'\ntR.", "neither ASE"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    write(folder / "molecule.xyz", molecule("H2O"))
    (folder / "folder.cif").mkdir()
    (folder / "loop.cif").symlink_to(folder / "loop.cif")
    os.mkfifo(folder / "pipe.cif")
    reasons = {name: reason for name, (_, reason) in contents.items()} | {
        "molecule.xyz": "no cell",
        "folder.cif": "not a regular file",
        "pipe.cif": "not a regular file",
        "loop.cif": "cannot be read",
        "missing.cif": "cannot be read: .*No such file",
        "nul\0.cif": "cannot be read",
        "x" * 5000: "cannot be read",
    }
    return {name: (folder / name, reason) for name, reason in reasons.items()}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of readers, on their way to failure
def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, (path, reason) in bad_files(tmp_path / "bad").items():
        with pytest.raises(CrystalError, match=reason) as caught:
            read_crystal(path)
        assert isinstance(caught.value, CloudError), kind
        assert caught.value.remedy, kind
        assert "\n" not in str(caught.value), kind
    assert not Path("pwned").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(tmp_path):
    write(tmp_path / "x.cif", SALT)
    (tmp_path / "x.cif").chmod(0)
    with pytest.raises(CrystalError, match="Permission denied"):
        read_crystal(tmp_path / "x.cif")


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_decompression_is_bounded(tmp_path, monkeypatch, suffix, compress):
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    bomb = tmp_path / f"bomb.cif{suffix}"
    bomb.write_bytes(compress.compress(bytes(2**24)))
    with pytest.raises(CrystalError, match="more than 1 MiB"):
        read_crystal(bomb)


def test_cartesian_and_fractional_files_agree(tmp_path):
    atoms = SALT.copy()
    atoms.rotate(33, (1, 2, 3), rotate_cell=True)
    write(tmp_path / "a.extxyz", atoms)
    crystal = read_crystal(tmp_path / "a.extxyz")
    assert np.allclose(crystal.positions, atoms.get_scaled_positions(wrap=False), atol=1e-6)
