"""The command `cloud`: output for people and programs, exit codes, pipes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from click.testing import CliRunner, Result

from cloud_model import Scope
from cloud_model.cli import cloud
from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS
from cloud_model.training.finetuning.ensemble import EnsembleSettings

EXAMPLES = Path(__file__).parents[2] / "examples"
NACL, SI = str(EXAMPLES / "NaCl.cif"), str(EXAMPLES / "Si.cif")
NACL_SCOPE = "1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a 4b | Na 0.5 Cl 0.5"
NACL_SITES = NACL_SCOPE.replace("4a 4b", "4a Na 4b Cl")


def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(cloud, [str(argument) for argument in arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def predict(tiny_checkpoint):
    """Run `cloud predict` with the untrained model."""

    def run_predict(*arguments: object, stdin: str | None = None) -> Result:
        return run("predict", "--model", tiny_checkpoint, *arguments, stdin=stdin)

    return run_predict


@pytest.fixture
def broken(tmp_path) -> Path:
    path = tmp_path / "broken.cif"
    path.write_bytes(b"")
    return path


def test_json_is_one_list_with_an_object_a_crystal(predict, tiny_model):
    result = predict(NACL, SI, "--format", "json")
    assert result.exit_code == 0
    records = json.loads(result.stdout)
    frame = tiny_model.predict([NACL, SI])
    assert [record.pop("input") for record in records] == [NACL, SI]
    assert [record.pop("temperature") for record in records] == [300, 300]
    read = [[record.pop(name) for name in ("formula", "space_group", "n_atoms")] for record in records]
    assert read == [["NaCl", 225, 8], ["Si", 227, 8]]
    assert [list(record) for record in records] == [list(frame)] * 2
    pd.testing.assert_frame_equal(pd.DataFrame(records), frame)


def test_json_of_several_temperatures_holds_lists(predict, tiny_model):
    arguments = ("-p", "band_gap", "-p", "heat_capacity", "-T", 100, "-T", 300, "-f", "json")
    (record,) = json.loads(predict(NACL, *arguments).stdout)
    expected = [tiny_model.predict(NACL, "heat_capacity", T)["heat_capacity"][0] for T in (100, 300)]
    assert record["temperature"] == [100, 300]
    assert record["heat_capacity"] == pytest.approx(expected)
    assert len(record["heat_capacity_std"]) == 2
    assert isinstance(record["band_gap"], float)


def test_csv_has_a_row_for_each_crystal_and_temperature(predict):
    output = predict(NACL, SI, "-p", "heat_capacity", "-T", 100, "-T", 300, "-f", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(output)))
    assert [(row["input"], float(row["temperature"])) for row in rows] == [
        (NACL, 100), (NACL, 300), (SI, 100), (SI, 300)
    ]  # fmt: skip
    assert float(rows[0]["heat_capacity"]) < float(rows[1]["heat_capacity"])


@pytest.mark.parametrize("properties", [[], ["-p", "band_gap"]])
def test_tables_name_crystals_properties_and_units(predict, properties):
    result = predict(NACL, *properties)
    assert result.exit_code == 0
    assert "NaCl.cif: NaCl, Fm-3m (225), 8 atoms in the cell" in result.stdout
    assert {"band_gap", "eV", "PBE"} < set(result.stdout.split())
    assert "±" in result.stdout


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("narrow")
def test_several_crystals_have_a_row_each_within_80_columns():
    lines = run("predict", EXAMPLES / "*.cif").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines if ".cif" in line}
    assert len(rows) == len([*EXAMPLES.glob("*.cif")])
    assert rows["TiO2.cif"][1:4] == ["TiO2", "P4_2/mnm", "6"]
    assert all(re.fullmatch(r"\S+±\S+", value) for row in rows.values() for value in row[4:])


def test_only_what_depends_on_temperature_stands_under_one(predict):
    arguments = ("-p", "band_gap", "-p", "heat_capacity", "-T", 100, "-T", 300)
    rows = [line.split() for line in predict(NACL, SI, *arguments).stdout.splitlines() if "NaCl.cif" in line]
    gap, cold, warm = (row[4:] for row in rows)
    assert len(gap) == 1
    assert (cold[0], warm[0]) == ("100", "300")
    one = predict(NACL, *arguments).stdout
    assert one.index("band_gap") < one.index("heat")
    assert one.count("band_gap") == 1


def test_many_properties_continue_in_further_tables(predict):
    few = predict(NACL, SI).stdout
    everything = predict(NACL, SI, "--all").stdout
    assert "shear" not in few
    assert "shear" in everything
    assert everything.count("SCOPE") == 0


@pytest.mark.parametrize("output_format", ["table", "json", "csv"])
def test_failed_crystals_are_named_and_the_others_printed(predict, broken, output_format):
    result = predict(broken, NACL, "no-such-file.cif", "-p", "band_gap", "-f", output_format)
    assert result.exit_code == 1
    assert str(broken) in result.stderr
    assert "no-such-file.cif" in result.stderr
    assert "NaCl" in result.stdout
    assert "NaCl" not in result.stderr
    if output_format == "json":
        bad, good, missing = json.loads(result.stdout)
        assert bad["band_gap"] is None
        assert "broken.cif" in bad["error"]
        assert "no-such-file.cif" in missing["error"]
        assert good["error"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [NACL, "--property", "colour"],
        [NACL, "--temperature", "-1"],
        [NACL, "--temperature", "nan"],
        [NACL, "--temperature", "hot"],
        [NACL, "--format", "xml"],
        [NACL, "--colour", "red"],
    ],
)
def test_wrong_usage(predict, arguments):
    result = predict(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert not result.stdout


def test_unknown_model_is_wrong_usage():
    result = run("predict", NACL, "--model", "no-such-model")
    assert result.exit_code == 2
    assert "no-such-model" in result.stderr


def test_unknown_command_is_wrong_usage():
    assert run("frobnicate").exit_code == 2


def test_folders_and_patterns(predict):
    names = sorted(str(path) for path in EXAMPLES.glob("*.cif"))
    records = json.loads(predict(EXAMPLES / "*.cif", "-p", "band_gap", "-f", "json").stdout)
    assert [record["input"] for record in records] == names


def test_a_folder_is_its_files(tmp_path):
    for name in ("b.cif", "a.cif"):
        (tmp_path / name).write_bytes(Path(NACL).read_bytes())
    for name in ("_lock", ".DS_Store", ".cloud-0123.cif"):
        (tmp_path / name).write_text("no crystal")
    result = run("scope", tmp_path)
    assert result.stdout == "".join(f"{tmp_path / name}\t{NACL_SCOPE}\n" for name in ("a.cif", "b.cif"))


def test_an_empty_folder_is_wrong_usage(tmp_path):
    assert run("scope", tmp_path).exit_code == 2


def test_a_single_crystal_gives_its_string_alone():
    assert run("scope", NACL).stdout == f"{NACL_SCOPE}\n"


@pytest.mark.parametrize("dialect", ["canonical", "sites", "reference"])
def test_dialects(dialect):
    assert run("scope", SI, "--dialect", dialect).stdout == f"{Scope.from_crystal(SI, dialect=dialect)}\n"


@pytest.mark.parametrize("suffix", ["cif", "vasp", "xyz", "json"])
def test_standard_input_is_a_file_of_crystals(tmp_path, suffix):
    from ase.io import read
    from pymatgen.core import Structure

    path = tmp_path / f"x.{suffix}"
    if suffix == "json":
        Structure.from_file(NACL).to(filename=str(path))
    else:
        read(NACL).write(path, format="extxyz" if suffix == "xyz" else suffix)
    assert run("scope", "-", stdin=path.read_text()).stdout == f"{NACL_SCOPE}\n"


def test_standard_input_may_be_scope_strings(predict):
    result = predict("-", "-p", "band_gap", "-f", "csv", stdin=f"{NACL_SITES}\n\nno | scope | string\n")
    assert result.exit_code == 1
    assert "stdin:3" in result.stderr
    assert result.stdout.splitlines()[1].startswith("stdin:1,NaCl,225,,300.0,")


def test_files_of_scope_strings_have_a_crystal_a_line(predict, tmp_path):
    path = tmp_path / "x.scope"
    path.write_text(f"{NACL_SITES}\n{NACL_SITES}\n")
    records = json.loads(predict(path, "-p", "band_gap", "-f", "json").stdout)
    assert [record["input"] for record in records] == [f"{path}:1", f"{path}:2"]


def test_a_bug_is_reported_in_one_line(monkeypatch):
    monkeypatch.setattr("cloud_model.scope.batches.scopes", lambda *_: 1 / 0)
    result = run("scope", NACL)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "ZeroDivisionError" in result.stderr


def test_names_that_are_not_unicode(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.cif"
    Path(os.fsdecode(name)).write_bytes(Path(NACL).read_bytes())
    for output_format in ("table", "json", "csv"):
        result = run("scope", tmp_path, NACL, "--format", output_format)
        assert result.exit_code == 0
        assert result.stdout.count("4a 4b") == 2


def test_binary_standard_input_fails_with_its_name():
    result = run("scope", "-", stdin=bytes(range(256)))
    assert result.exit_code == 1
    assert "stdin" in result.stderr


@pytest.mark.parametrize("name", ["e.parquet", "e.csv", "e.npz"])
def test_embeddings(tiny_checkpoint, tiny_model, broken, tmp_path, name):
    output = tmp_path / name
    result = run("embed", NACL, broken, SI, "-o", output, "--model", tiny_checkpoint)
    assert result.exit_code == 1
    assert str(broken) in result.stderr
    if output.suffix == ".npz":
        with np.load(output) as data:
            inputs, vectors = list(data["input"]), data["embedding"]
    else:
        frame = pd.read_csv(output) if output.suffix == ".csv" else pd.read_parquet(output)
        inputs, vectors = list(frame.pop("input")), frame.to_numpy()
    assert inputs == [NACL, SI]
    np.testing.assert_allclose(vectors, tiny_model.embed([NACL, SI]), rtol=1e-5)


def test_embeddings_of_unknown_format(tiny_checkpoint, tmp_path):
    assert run("embed", NACL, "-o", tmp_path / "e.txt", "--model", tiny_checkpoint).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_an_error(tiny_checkpoint, tmp_path):
    result = run("embed", NACL, "-o", tmp_path / "missing" / "e.csv", "--model", tiny_checkpoint)
    assert result.exit_code == 1
    assert "missing" in result.stderr


def test_thermodynamics_draws_in_the_terminal(tiny_checkpoint):
    result = run("thermo", NACL, "--model", tiny_checkpoint)
    assert result.exit_code == 0
    assert "Heat capacity, J/(mol-atom K)" in result.stdout
    assert "1000" in result.stdout


@pytest.mark.parametrize(("threshold", "warned"), [(-1e9, False), (1e9, True)])
def test_thermodynamics_of_a_crystal_that_is_likely_unstable_warns(
    tiny_checkpoint, monkeypatch, threshold, warned
):
    monkeypatch.setattr("cloud_model.properties.catalogue.UNLIKELY_STABLE", threshold)
    result = run("thermo", NACL, "-T", 300, "--model", tiny_checkpoint, "--format", "csv")
    assert ("imaginary phonon modes" in result.stderr) is warned
    assert "imaginary" not in result.stdout


@pytest.mark.parametrize(("atoms", "warned"), [(bulk("NiO", "rocksalt", a=4.18), True), (bulk("Cu"), False)])
def test_thermodynamics_of_magnetic_crystals_warns(tiny_checkpoint, tmp_path, atoms, warned):
    atoms.write(tmp_path / "crystal.cif")
    result = run("thermo", tmp_path / "crystal.cif", "-T", 300, "--model", tiny_checkpoint, "--format", "csv")
    assert ("Ni may be magnetic" in result.stderr) is warned


def test_thermodynamics_as_data(tiny_checkpoint, tiny_model):
    arguments = ("thermo", NACL, "-T", 100, "-T", 300, "--model", tiny_checkpoint, "--format")
    frame = tiny_model.thermodynamics(NACL, [100, 300]).to_frame()
    (record,) = json.loads(run(*arguments, "json").stdout)
    assert record.pop("input") == NACL
    pd.testing.assert_frame_equal(pd.DataFrame(record), frame)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(run(*arguments, "csv").stdout)), frame)


def test_thermodynamics_as_polynomial(tiny_checkpoint):
    arguments = ("thermo", NACL, "-T", 900, "--fit", "shomate", "--model", tiny_checkpoint)
    (record,) = json.loads(run(*arguments, "--format", "json").stdout)
    assert (record["formula"], record["lowest_temperature"], record["highest_temperature"]) == (
        "NaCl",
        298.15,
        900,
    )
    text = run(*arguments).stdout
    assert "add the enthalpy of formation" in text
    assert f"{record['A']:.9g}" in text
    assert run("thermo", NACL, "-T", 200, "--fit", "nasa9", "--model", tiny_checkpoint).exit_code == 2


@pytest.mark.parametrize(
    ("name", "magic"), [("cv.png", b"\x89PNG"), ("cv.pdf", b"%PDF"), ("cv.svg", b"<?xml")]
)
def test_thermodynamics_as_figure(tiny_checkpoint, tmp_path, name, magic):
    result = run("thermo", NACL, "--plot", tmp_path / name, "--model", tiny_checkpoint)
    assert result.exit_code == 0
    assert "▁" not in result.stdout
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_thermodynamics_of_unknown_figure_format(tiny_checkpoint, tmp_path):
    assert run("thermo", NACL, "--plot", tmp_path / "cv.txt", "--model", tiny_checkpoint).exit_code == 2


def test_models_lists_what_each_predicts(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("cloud_model.checkpoints.registry.available", lambda: {"tiny": tiny_checkpoint})
    (record,) = json.loads(run("models", "--format", "json").stdout)
    assert record["model"] == "tiny"
    assert set(record["properties"]) == set(SCALARS) | set(THERMODYNAMICS)
    assert record["properties"]["bulk_modulus"]["unit"] == "GPa"
    monkeypatch.setenv("COLUMNS", "80")
    printed = run("models").stdout
    assert "vibrational_internal_energy_per_atom  J/mol-atom" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_info_names_versions():
    versions = {record["name"]: record["version"] for record in json.loads(run("info", "-f", "json").stdout)}
    assert {"cloud-plugins", "python", "torch", "ase"} <= versions.keys()


@pytest.mark.parametrize("command", [[], *([name] for name in cloud.commands)])
def test_help_fits_one_screen(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 40


@click.command()
def shout() -> int:
    """Shout."""
    click.echo("HELLO")
    return 1


def register(monkeypatch, value: str) -> None:
    points = EntryPoints([EntryPoint("shout", value, "cloud_model.commands")])
    monkeypatch.setattr("cloud_model.cli.group.entry_points", lambda **query: points.select(**query))


def test_other_packages_add_commands(monkeypatch):
    register(monkeypatch, f"{__name__}:shout")
    assert "Shout." in run("--help").stdout
    result = run("shout")
    assert (result.stdout, result.exit_code) == ("HELLO\n", 1)


def test_a_command_that_cannot_be_imported_does_not_harm_the_others(monkeypatch):
    register(monkeypatch, "no_such_package:shout")
    result = run("--help")
    assert "predict" in result.stdout
    assert "no_such_package" in result.stderr
    assert run("shout").exit_code == 2


def console(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "cloud_model.cli", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, **options)


def test_output_may_be_cut_off():
    pipe = f"{sys.executable} -m cloud_model.cli scope {EXAMPLES}/*.cif --format csv | head -n 1"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, timeout=120)
    assert done.stdout == "input,scope,space_group,n_atoms,error\n"
    assert done.stderr == ""


def test_interrupted(monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cloud_model.scope.batches.scopes", interrupt)
    result = run("scope", NACL)
    assert result.exit_code == 130
    assert not result.stderr.strip()


def test_colours_are_off_without_a_terminal_and_by_request():
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    assert b"\x1b[" not in console("info", env=environment).stdout
    assert b"\x1b[" not in console("info").stdout


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("cloud pre", ["plain,predict", "plain,pretrain"]),
        ("cloud predict Na", ["file,Na"]),
        ("cloud predict --property bulk", ["plain,bulk_modulus"]),
        ("cloud predict --model cloud-m", ["plain,cloud-mini"]),
        ("cloud predict --model ./", ["dir,./"]),
    ],
)
def test_completion(line, completions):
    environment = os.environ | {
        "_CLOUD_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    assert console(env=environment).stdout.decode().split() == completions


def test_the_width_of_tables_in_a_pipe_can_be_set():
    environment = os.environ | {"COLUMNS": "40"}
    assert max(map(len, console("info", env=environment).stdout.decode().splitlines())) <= 40


def test_help_names_the_defaults_of_fine_tuning():
    text = " ".join(run("finetune", "--help").stdout.split())
    settings = EnsembleSettings()
    for option, value in {
        "epochs": settings.epochs,
        "members": settings.members,
        "folds": settings.folds,
        "patience": settings.patience,
        "learning-rate": settings.learning_rate,
        "encoder-rate": settings.encoder_rate,
        "layer-decay": settings.layer_decay,
        "spectra": settings.spectra,
        "seed": settings.seed,
    }.items():
        told = text.partition(f"--{option} ")[2].partition(" --")[0]
        assert f"default {value:g}" in told.rstrip("."), option


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["predict", "empty"], "no files found"),
        (["predict", NACL, "-T", -1], "temperature -1"),
        (["predict", NACL, "--shards", "out", "--jobs", 0], "not a number of processes"),
        (["embed", "empty", "-o", "e.csv"], "no files found"),
        (["embed", NACL, "-o", "e.txt"], "none of .parquet"),
        (["thermo", NACL, "--plot", "cv.txt"], "must end in .png, .svg or .pdf"),
        (["thermo", NACL, "--pressure", 31], "pressure 31"),
        (["thermo", NACL, "--fit", "nasa9", "-T", 200], "400 K at least"),
        (["hull", NACL, "--plot", "hull"], "must end in"),
        (["hull", NACL, "--join"], "needs --references"),
        (["hull", NACL, "--references", "none.csv"], "does not exist"),
        (["hull", "empty"], "no files found"),
        (["screen", "--elements", "Mg,O", "-o", "s.csv"], "give a folder for several, such as s."),
        (["screen", "--elements", "Mg,O", "--join"], "needs --references"),
        (["screen", "--elements", "Mg,O", "--space-groups", "0"], "from 1 to 230"),
        (["screen", "--elements", "Mg,O", "--jobs", 0], "not a number of processes"),
        (["ingest", ".", "-o", "corpus.parquet"], "such as corpus."),
        (["validate", NACL, "--calculator", "lj"], "is not one of"),
        (["validate", NACL, "--relax"], "need a --calculator"),
        (["validate", NACL, "--pressure", 1], "for --quasi-harmonic"),
        (["validate", NACL, "--quasi-harmonic", "--allow-unstable"], "for harmonic phonons"),
        (["validate", NACL, "--plot", "cv.docx"], "must end in"),
        (["finetune", "t.csv", "--structure-column", "s", "--target", "y", "-o", "m"], "one --unit"),
        (["evaluate", "t.csv", "--structure-column", "s", "--target", "y", "--finetune"], "needs a --unit"),
        (["evaluate", "t.csv", "--structure-column", "s", "--target", "y", "--epochs", 3], "with --finetune"),
    ],
)
def test_mistaken_options_are_refused_before_work_begins(tmp_path, monkeypatch, arguments, reason):
    def work(*_: object, **__: object) -> None:
        pytest.fail("work began")

    monkeypatch.setattr("cloud_model.model.CloudModel.from_pretrained", work)
    monkeypatch.setattr("cloud_model.checkpoints.checkpoint.Checkpoint.load", work)
    monkeypatch.setattr("cloud_model.training.finetuning.reading.read_table", work)
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("t.csv").touch()
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "t.csv"}


def test_off_a_terminal_lines_tell_the_progress_of_long_work(predict, tiny_checkpoint, tmp_path, monkeypatch):
    assert "Done" not in predict(NACL, SI).stderr
    monkeypatch.setattr("cloud_model.display.progress.LINE_EVERY", 0.0)
    monkeypatch.setattr("cloud_model.cli.inputs.CHUNK", 1)
    lines = predict(NACL, SI, "nofile.cif").stderr.splitlines()
    told = [line for line in lines if line.startswith("Done")]
    assert [line.split(",")[0] for line in told] == [f"Done: {n} of 3 inputs" for n in (1, 2, 3)]
    assert told[-1].endswith("about 0:00:00 left")
    assert "Done: 1 crystals" in predict(NACL).stderr
    told = run("ingest", EXAMPLES, "-o", tmp_path / "corpus", "-m", tiny_checkpoint).stderr
    assert f"{EXAMPLES}: 1 crystals" in told
    shards = ("--shards", tmp_path / "shards")
    monkeypatch.setattr("cloud_model.cli.shards.CHUNK", 1)
    assert "Done: 2 of 2 shards" in predict(NACL, SI, *shards).stderr
    assert "Done" not in predict(NACL, SI, *shards).stderr
