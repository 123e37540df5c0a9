"""Files of any format, and of none."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import write
from pymatgen.io.ase import AseAtomsAdaptor

from cloud_model import Scope
from cloud_model.crystal import compression, files
from cloud_model.crystal.files import read_crystal, read_crystals
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


@pytest.mark.parametrize("name", ["salt.cif", "POSCAR", "salt.cssr", "salt.json", "salt.xsf", "salt.res"])
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


@pytest.mark.parametrize(
    "name", ["run.extxyz", "run.traj", "run.xsf", "XDATCAR", "run.pdb", "run.db", "run.json"]
)
def test_several_crystals(tmp_path, name):
    frames = [SALT, bulk("Cu", cubic=True), SALT * (1, 1, 2)]
    if name in ("XDATCAR", "run.xsf", "run.pdb"):  # which ASE writes of equal cells only
        frames = [SALT] * 3
    write(tmp_path / name, frames, format="vasp-xdatcar" if name == "XDATCAR" else None)
    path = str(tmp_path / name)
    everything = list(read_crystals(path))
    assert [label for label, _ in everything] == [f"{path}@{i}" for i in range(3)]
    assert [crystal.label for _, crystal in everything] == [label for label, _ in everything]
    assert [len(crystal) for _, crystal in everything] == [len(frame) for frame in frames]
    for selection, indices in [
        ("1", [1]),
        ("-1", [2]),
        ("1:", [1, 2]),
        ("::2", [0, 2]),
        ("::-1", [2, 1, 0]),
        (":", [0, 1, 2]),
    ]:
        assert [label for label, _ in read_crystals(f"{path}@{selection}")] == [
            f"{path}@{i}" for i in indices
        ]
    assert len(read_crystal(f"{path}@2")) == len(frames[2])
    with pytest.raises(CrystalError, match=r"holds 3 crystals.*@0"):
        Scope.from_crystal(path)
    with pytest.raises(CrystalError, match=r"none that was chosen. Choose from .*@0 to @2"):
        Scope.from_crystal(f"{path}@3")


def test_one_bad_frame_among_good_ones(tmp_path):
    write(tmp_path / "run.extxyz", [SALT, SALT, SALT])
    text = (tmp_path / "run.extxyz").read_text()
    (tmp_path / "run.extxyz").write_text(text.replace("Na", "Xx", 5).replace("Xx", "Na", 4) + "8\n")
    found = [item for _, item in read_crystals(tmp_path / "run.extxyz")]
    assert [isinstance(item, CrystalError) for item in found] == [False, True, False, True]


@pytest.mark.parametrize(
    "name", ["salt.cif", "POSCAR", "salt.extxyz", "salt.json", "salt.xsf", "salt.res", "salt.gen"]
)
def test_texts(tmp_path, name):
    write(tmp_path / name, SALT)
    text = (tmp_path / name).read_text()
    for source in (
        text,
        text.encode(),
        io.StringIO(text),
        io.BytesIO(text.encode()),
        gzip.compress(text.encode()),
    ):
        assert describe(source) == TEXT


@pytest.mark.parametrize("text", ["hello\nworld" * 99, "{}", "[" * 500 + "]" * 500, "x" * 5000, "\n", "{\n"])
def test_texts_that_hold_no_crystal(text):
    with pytest.raises(CrystalError) as caught:
        read_crystal(text)
    assert len(caught.value.subject) + len(caught.value.reason) < 350
    assert text[:90] not in str(caught.value) or len(text) < 90


@pytest.mark.parametrize("wrap", [
    lambda one: one, lambda one: [one], lambda one: {"structure": one, "energy": -1.0},
    lambda one: [{"structure": one}],
    lambda one: {"data": [{"material_id": "x", "structure": one}]}, lambda one: {"mp-1": one},
])  # fmt: skip
def test_documents(wrap):
    one = AseAtomsAdaptor.get_structure(SALT).as_dict()
    assert describe(json.dumps(wrap(one))) == TEXT
    assert str(Scope.from_crystal(wrap(one), "sites") if isinstance(wrap(one), dict) else TEXT) == TEXT


def test_an_optimade_answer():
    attributes = {
        "lattice_vectors": SALT.cell.tolist(), "cartesian_site_positions": SALT.positions.tolist(),
        "species": [{"name": s, "chemical_symbols": [s], "concentration": [1.0]} for s in ("Na", "Cl")],
        "species_at_sites": SALT.get_chemical_symbols(),
    }  # fmt: skip
    assert describe(json.dumps({"data": [{"id": "1", "attributes": attributes}], "meta": {}})) == TEXT


def test_elements_of_vasp_4_in_the_first_line(tmp_path):
    write(tmp_path / "POSCAR", SALT, sort=True, vasp5=False)
    lines = (tmp_path / "POSCAR").read_text().splitlines()
    lines[0] = "Cl Na"
    (tmp_path / "POSCAR").write_text("\n".join(lines))
    assert describe(tmp_path / "POSCAR") == TEXT
    lines[0] = "chloride of sodium"
    (tmp_path / "POSCAR").write_text("\n".join(lines))
    with pytest.raises(CrystalError, match="names no elements"):
        read_crystal(tmp_path / "POSCAR")


def test_memory_does_not_grow_with_the_number_of_crystals(tmp_path):
    path = tmp_path / "run.extxyz"
    write(path, SALT)
    read_crystal(path)  # imports
    path.write_text(path.read_text() * 1000)
    tracemalloc.start()
    assert sum(1 for _ in read_crystals(path)) == 1000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * path.stat().st_size  # sent to the process that reads it


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
        "binary.extxyz": (bytes(range(256)) * 9, "not an XYZ file"),
        "truncated.cif": (cif[: cif.rindex(b"Na")], "cut off"),
        "wrong_extension.cif": (poscar, "no atom sites"),
        "wrong_extension.extxyz": (poscar, "not an XYZ file"),
        "unknown.dat": (b"hello", "'.dat', is none of those"),
        "CONTCAR": (poscar[: len(poscar) // 2], "atoms in|cannot be read"),
        "list.json": (b"[1, 2]", "holds no crystal"),
        "deep.json": (b"[" * 100_000, "not JSON"),
        "not_really.cif.gz": (cif, "cannot be read"),
        "truncated.cif.gz": (gzip.compress(cif)[:-30], "cannot be read"),
        "broken.cif.xz": (b"\xfd7zXZ\x00" + cif, "cannot be read"),
        "pickle.traj": (b"cos\nsystem\n(S'touch pwned'\ntR.", "not an ASE trajectory"),
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


@pytest.mark.parametrize("name", ["POSCAR", "salt.xsf", "run.extxyz", "salt.xyz"])
def test_files_that_break_off_inside_their_last_number(tmp_path, name):
    path = tmp_path / name
    write(path, [SALT, SALT] if name == "run.extxyz" else SALT)
    content = path.read_bytes().rstrip()
    path.write_bytes(content)
    assert describe(path.with_name(f"{name}@0") if name == "run.extxyz" else path) == TEXT
    for characters in (1, 3, 7):
        path.write_bytes(content[:-characters])
        *good, (_, last) = read_crystals(path)
        assert len(good) == (name == "run.extxyz")
        assert isinstance(last, CrystalError)
        assert "breaks off inside its last number" in str(last)


def test_texts_of_people_may_end_in_a_short_number():
    lines = [
        "salt",
        "1",
        "2.82 2.82 0",
        "2.82 0 2.82",
        "0 2.82 2.82",
        "Na Cl",
        "1 1",
        "Direct",
        "0.0 0.0 0.0",
    ]
    for last in ("0.5 0.5 0.5", "0.500000 0.500000 0.5", ".5 .5 .5"):
        assert describe("\n".join([*lines, last])) == TEXT


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_decompression_is_bounded(tmp_path, monkeypatch, suffix, compress):
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    bomb = tmp_path / f"bomb.cif{suffix}"
    bomb.write_bytes(compress.compress(bytes(2**24)))
    with pytest.raises(CrystalError, match="more than 1 MiB"):
        read_crystal(bomb)


@pytest.mark.parametrize("compress", [gzip, bz2, lzma])
def test_what_expands_far_is_decompressed_within_limits(tmp_path, monkeypatch, compress):
    """In a process that can be ended; a small content is not."""

    def takes_too_long(*_):
        raise TimeoutError("it takes more than 30 s")

    monkeypatch.setattr(compression, "confined", takes_too_long)
    write(tmp_path / "salt.cif", SALT)
    content = (tmp_path / "salt.cif").read_bytes()
    assert describe(compress.compress(content)) == TEXT
    bomb = compress.compress(content + b" " * files.CONFINED)
    assert len(bomb) < 1000
    with pytest.raises(CrystalError, match=r"cannot be decompressed: it takes more than 30 s"):
        read_crystal(bomb)
    (tmp_path / "bomb.cif.gz").write_bytes(gzip.compress(bytes(files.CONFINED)))
    with pytest.raises(CrystalError, match=r"cannot be read: it takes more than 30 s"):
        read_crystal(tmp_path / "bomb.cif.gz")


def test_cartesian_and_fractional_files_agree(tmp_path):
    atoms = SALT.copy()
    atoms.rotate(33, (1, 2, 3), rotate_cell=True)
    write(tmp_path / "a.extxyz", atoms)
    crystal = read_crystal(tmp_path / "a.extxyz")
    assert np.allclose(crystal.positions, atoms.get_scaled_positions(wrap=False), atol=1e-6)


def test_a_type_of_json_does_not_fill_the_memory():
    text = '{"numbers": {"__ndarray__": [[1], "S2000000000", ["a"]]}, "positions": [[0, 0, 0]], "cell": [[1, 0, 0]]}'
    with pytest.raises(CrystalError, match="no type of numbers"):
        read_crystal(text)
