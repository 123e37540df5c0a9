"""Each bad file at each entry point: named with its reason, and every other file's result still comes out."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_files import CIF, EXECUTED, FILES, SALT, poscar

from cloud_model import Scope
from cloud_model.errors import CloudError

TEXT = str(Scope.from_crystal(SALT, "sites"))
TWO = "two.cif"
"""File of two crystals: two results, an error only where one crystal is expected."""
SECONDS = 60  # that no file may take, on any machine

# the host libraries warn about much on their way to failure
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::RuntimeWarning", "ignore::DeprecationWarning"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All hostile files."""
    directory = tmp_path_factory.mktemp("files")
    here = Path.cwd()
    for fault in FILES:
        fault.make(directory)
    os.chdir(here)
    return directory


def cloud(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cloud_model.cli", *map(os.fspath, arguments)]
    run = subprocess.run(command, cwd=cwd, capture_output=True, timeout=SECONDS)
    texts = (stream.decode(errors="replace") for stream in (run.stdout, run.stderr))
    return subprocess.CompletedProcess(command, run.returncode, *texts)


@pytest.mark.parametrize("fault", FILES, ids=str)
def test_scope(fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = fault.make(tmp_path)
    started = time.monotonic()
    if fault.outcome is None:
        assert Scope.from_crystal(path).n_atoms
    elif not fault.fails:
        with pytest.warns(fault.outcome, match=fault.words):
            assert Scope.from_crystal(path).n_atoms
    else:
        with pytest.raises(CloudError, match=fault.words) as caught:
            Scope.from_crystal(path)
        assert type(caught.value) is fault.outcome
        assert caught.value.remedy
        assert len(str(caught.value)) < 1000
        str(caught.value).encode()  # can be printed
    assert time.monotonic() - started < SECONDS
    assert not Path(EXECUTED).exists()


def test_command_line(folder, tiny_checkpoint):
    """One run over the folder: results of the good files, the name and reason of each other one, exit code 1."""
    run = cloud("scope", folder, "--dialect", "sites", "--format", "json", cwd=folder)
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert "bug" not in run.stderr
    records = {Path(record["input"]).name: record for record in json.loads(run.stdout)}
    faults = {path_of(fault): fault for fault in FILES}
    for name in os.listdir(folder):  # noqa: PTH208
        path, fault = folder / name, faults[name]
        if os.path.isdir(path):  # noqa: PTH112
            continue
        fails = fault.fails and name != TWO
        for crystal in [f"{TWO}@0", f"{TWO}@1"] if name == TWO else [shown(name)]:
            assert bool(records.pop(crystal)["error"]) == fails, fault.name
        assert not fails or shown(name)[:20] in run.stderr, fault.name
    assert not records
    assert not (folder / EXECUTED).exists()


@pytest.mark.parametrize("command", ["predict", "thermo", "scope", "embed"])
@pytest.mark.parametrize(
    "name", ["pipe.cif", "loop.cif", "missing.cif", "zero.cif", "billion.vasp", "pickle.cif"]
)
def test_commands_end_with_the_reason(command, name, folder, tiny_checkpoint, tmp_path):
    from click.testing import CliRunner

    from cloud_model.cli import cloud as group

    options = {"embed": ["-o", str(tmp_path / "e.csv")]}.get(command, [])
    model = [] if command == "scope" else ["-m", str(tiny_checkpoint)]
    result = CliRunner().invoke(group, [command, str(folder / name), *model, *options])
    assert result.exit_code == 1, result.output
    assert name in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("predict", 0, "two.cif@1"),
        ("scope", 0, "two.cif@1"),
        ("thermo", 2, "is several crystals; give one, such as"),
    ],
)
def test_files_of_two_crystals(command, code, words, folder, tiny_checkpoint):
    from click.testing import CliRunner

    from cloud_model.cli import cloud as group

    model = [] if command == "scope" else ["-m", str(tiny_checkpoint)]
    result = CliRunner().invoke(group, [command, str(folder / TWO), *model])
    assert result.exit_code == code, result.output
    assert words in result.output


@pytest.mark.parametrize("name", ["a[/b].cif", ":smile:.cif", "[bold]a.cif"])
@pytest.mark.parametrize("properties", [["-p", "band_gap"], []])
def test_names_that_look_like_markup(name, properties, tiny_checkpoint, tmp_path):
    from click.testing import CliRunner

    from cloud_model.cli import cloud as group

    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(CIF)
    result = CliRunner().invoke(group, ["predict", str(path), "-m", str(tiny_checkpoint), *properties])
    assert result.exit_code == 0
    assert path.name in result.output.replace("\n", "")


@pytest.mark.parametrize("name", ["new\nline.cif", "carriage\rreturn.cif", 'quote".cif', "a,b.cif"])
def test_names_in_csv(name, tmp_path):
    (tmp_path / name).write_bytes(CIF)
    run = cloud("scope", name, "--dialect", "sites", "--format", "csv", cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(run.stdout, newline="")))
    assert [(row["input"], row["scope"]) for row in rows] == [(name, TEXT)]


def test_ingest(folder, tiny_checkpoint, tmp_path):
    from cloud_model.checkpoints.checkpoint import Checkpoint
    from cloud_model.corpus.ingest import ingest

    tokenizer = Checkpoint.load(tiny_checkpoint).tokenizer
    report = ingest([str(folder)], tmp_path / "corpus", tokenizer)
    with (tmp_path / "corpus" / "_unreadable.csv").open(newline="") as file:
        unreadable = {row["id"] for row in csv.DictReader(file)}
    names = {path_of(fault): fault for fault in FILES}
    listed = {name: names[name] for name in os.listdir(folder) if not os.path.isdir(folder / name)}  # noqa: PTH112, PTH208
    assert report["crystals"] == len(listed) + 1
    assert unreadable == {shown(name) for name, fault in listed.items() if fault.fails and name != TWO}
    assert not (folder / EXECUTED).exists()


def test_tables_of_files(folder, tiny_checkpoint):
    import pandas as pd

    from cloud_model.checkpoints.checkpoint import Checkpoint
    from cloud_model.training.finetuning.labelled_crystals import Columns, LabelledCrystals

    names = ["good.cif", "two.cif", "missing.cif", "pipe.cif", "bomb.cif.gz", "latin1.cif"]
    table = pd.DataFrame({"file": names, "gap": range(6)})
    with pytest.warns(UserWarning, match="4 of 6 rows are left out: row 1: .*two.cif: it holds 2 crystals"):
        labelled = LabelledCrystals.read(
            table, folder, Columns(structure="file", units={"gap": "eV"}), Checkpoint.load(tiny_checkpoint)
        )
    assert labelled.rows.tolist() == [0, 5]


@pytest.mark.slow
def test_a_folder_of_100_000_files(tmp_path):
    (tmp_path / "many").mkdir()
    for i in range(100_000):
        (tmp_path / "many" / f"{i}.cif").touch()
    (tmp_path / "many" / "good.cif").write_bytes(CIF)
    run = cloud("scope", "many", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stdout.strip().startswith("many/good.cif")
    assert run.stderr.count("no atom sites") == 100_000


def test_folders_with_loops_end(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "again").symlink_to(tmp_path)
    (tmp_path / "POSCAR").write_bytes(poscar())
    run = cloud("scope", ".", "--dialect", "sites", cwd=tmp_path)
    assert (run.returncode, run.stdout.strip()) == (0, TEXT)
    run = cloud("scope", "**/*", "--dialect", "sites", cwd=tmp_path)
    assert run.returncode == 1
    assert TEXT in run.stdout


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe\0", b"1 | 2 | 3\n", b"{", b"_cell_length_a 5", b"[" * 100_000]
)
def test_standard_input(text, tmp_path):
    command = [sys.executable, "-m", "cloud_model.cli", "scope", "-"]
    run = subprocess.run(command, input=text, cwd=tmp_path, capture_output=True, timeout=SECONDS)
    assert run.returncode in {1, 2}
    assert b"Traceback" not in run.stderr
    assert run.stderr.count(b"\n") <= 3


def path_of(fault) -> str:
    """Name of its file, as `hostile_files` gave it."""
    return fault.make.__closure__[-1].cell_contents


def shown(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")
