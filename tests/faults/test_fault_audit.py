"""No reader opens another file, starts a program or reaches a network, whatever the bytes of its file say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write
from hostile_files import FILES, PRIVATE

from cloud_model.crystal.formats import FORMATS

SALT = bulk("NaCl", "rocksalt", 5.64, cubic=True)
GOOD = {
    "CIF": ("a.cif", {}),
    "XYZ": ("a.extxyz", {}),
    "ASE trajectory": ("a.traj", {}),
    "ASE database": ("a.db", {}),
    "JSON": ("a.json", {}),
    "XSF": ("a.xsf", {}),
    "SHELX": ("a.res", {}),
    "PDB": ("a.pdb", {}),
    "GEN": ("a.gen", {}),
    "Quantum ESPRESSO input": (
        "a.pwi",
        {"format": "espresso-in", "pseudopotentials": {"Na": "a", "Cl": "b"}},
    ),
    "XDATCAR": ("XDATCAR", {"format": "vasp-xdatcar"}),
    "POSCAR": ("POSCAR", {"format": "vasp"}),
}
CSSR = "5.64 5.64 5.64\n90 90 90 SPGR = 1 P 1 OPT = 1\n2 0\n0 salt\n1 Na 0 0 0\n2 Cl 0.5 0.5 0.5\n"
AIMS = "lattice_vector 0 2.8 2.8\nlattice_vector 2.8 0 2.8\nlattice_vector 2.8 2.8 0\natom_frac 0 0 0 Cu\n"
PWO = """
     Program PWSCF v.7.0 starts
     lattice parameter (alat)  =      10.6600  a.u.
     number of atoms/cell      =            2
     number of atomic types    =            2
     celldm(1)=  10.660000  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
               a(1) = (   0.5   0.5   0.0 )
               a(2) = (   0.5   0.0   0.5 )
               a(3) = (   0.0   0.5   0.5 )
     site n.     atom                  positions (alat units)
         1           Na  tau(   1) = (   0.0   0.0   0.0  )
         2           Cl  tau(   2) = (   0.5   0.5   0.5  )
"""

WATCH = """
import json, sys, warnings
warnings.simplefilter("ignore")
from cloud_model.crystal import files
from cloud_model.crystal.files import read_crystals
files.CONFINED = sys.maxsize  # read all here, where it is watched
warm, *paths = sys.argv[1:]
for path in json.loads(warm):
    list(read_crystals(path))  # imports
seen, watching = [], False
def hook(event, arguments):
    if watching and event.startswith(("open", "subprocess", "os.system", "os.exec", "os.fork", "os.posix_spawn",
                                      "socket", "ctypes", "shutil", "tempfile", "os.listdir", "glob", "sqlite3.connect",
                                      "exec", "compile", "pickle.find_class")):
        seen.append((event, str(arguments[0])[:300]))
sys.addaudithook(hook)
for path in paths:
    seen, watching = [], True
    found = list(read_crystals(path))
    watching = False
    print(json.dumps([path, sum(not isinstance(crystal, Exception) for _, crystal in found),
                      [str(crystal) for _, crystal in found if isinstance(crystal, Exception)], seen]))
"""


def watch(good, paths, cwd):
    command = [sys.executable, "-c", WATCH, json.dumps([str(path) for path in good]), *map(str, paths)]
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good file of each format."""
    folder = tmp_path_factory.mktemp("good")
    paths = {}
    for form, (name, options) in GOOD.items():
        paths[form] = folder / name
        write(paths[form], SALT, **options)
    for form, name, text in (
        ("CSSR", "a.cssr", CSSR),
        ("Quantum ESPRESSO output", "a.pwo", PWO),
        ("FHI-aims geometry", "geometry.in", AIMS),
    ):
        paths[form] = folder / name
        paths[form].write_text(text)
    assert set(paths) == {form.name for form in FORMATS}
    return paths


def test_good_files_are_all_that_is_opened(good, tmp_path):
    for path, crystals, errors, seen in watch(good.values(), good.values(), tmp_path):
        assert crystals == 1, errors
        assert {what for event, what in seen if event == "open"} == {path}
        assert {event for event, _ in seen} - {"sqlite3.connect", "sqlite3.connect/handle"} == {"open"}


def test_hostile_files_are_all_that_is_opened(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "OUTCAR").write_text("TITEL  = PAW_PBE Au\n" * 2)  # in which ASE looks for elements
    paths = [
        fault.make(tmp_path) for fault in FILES if "terabyte" not in fault.name and "bomb" not in fault.name
    ]
    private = Path(PRIVATE).read_text().strip()
    for path, _, errors, seen in watch(good.values(), paths, tmp_path):
        opened = {what for event, what in seen if event == "open"} - {path}
        assert all(what.startswith((sys.prefix, sys.base_prefix)) for what in opened), path  # imports
        assert not [
            event
            for event, _ in seen
            if not event.startswith(("open", "sqlite3", "compile", "exec", "os.listdir"))
        ], path
        assert not any(private in error for error in errors)
