"""Signals, full disks, dead workers, forks and threads: output is complete or not there, and nothing waits forever.

That training and ingestion go on where a signal ended them is tested with these, in ``tests/model``.
"""

from __future__ import annotations

import errno
import http.client
import io
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk, fcc111
from ase.io import write

from cloud_model import Scope
from cloud_model.atomic import locked
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.cli import cloud
from cloud_model.corpus import ingest as ingestion
from cloud_model.errors import CloudWarning, DataError, OutputError
from cloud_model.scope.batches import scopes
from cloud_plugins import CloudCalculator

SECONDS = 60
SALTS = [
    bulk(a + b, "rocksalt", 5.6)
    for a, b in product(("Na", "K", "Rb", "Mg", "Ca", "Sr"), ("F", "Cl", "Br", "O", "S"))
]


class Deadly(os.PathLike):
    """A path that ends the process which reads it."""

    def __fspath__(self) -> str:
        os._exit(1)


def predicted(checkpoint: Path) -> list[float]:
    from cloud_model import CloudModel

    return CloudModel.from_pretrained(checkpoint).predict(SALTS[:3], "band_gap")["band_gap"].tolist()


def test_a_worker_that_dies():
    with pytest.raises(DataError, match="ended before its crystals were described"):
        scopes([*SALTS, Deadly()], n_jobs=2)
    assert scopes(SALTS[:4], n_jobs=2) == scopes(SALTS[:4])  # the next ones live


def test_more_processes_than_rows_and_warnings_of_workers():
    slab = fcc111("Cu", (1, 1, 3), vacuum=8, periodic=True)
    with pytest.warns(CloudWarning, match="describes bulk crystals"):
        found = scopes([slab, SALTS[0]], n_jobs=4)
    assert [type(scope) for scope in found] == [Scope, Scope]
    assert scopes([], n_jobs=2) == []


@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)  # which is the point
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_processes_after_torch_has_run(method, tiny_checkpoint):
    expected = predicted(tiny_checkpoint)
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(predicted, tiny_checkpoint).result(timeout=SECONDS) == pytest.approx(
            expected, rel=1e-4
        )


def test_threads_share_a_model_and_a_calculator(tiny_model):
    calculator = CloudCalculator(tiny_model)
    expected = [CloudCalculator(tiny_model).get_potential_energy(atoms) for atoms in SALTS]
    gaps = tiny_model.predict(SALTS, "band_gap")["band_gap"]
    with ThreadPoolExecutor(8) as pool:
        energies = list(pool.map(calculator.get_potential_energy, SALTS * 4))
        frames = list(
            pool.map(lambda atoms: tiny_model.predict([atoms], "band_gap")["band_gap"][0], SALTS * 4)
        )
    assert energies == pytest.approx(expected * 4, rel=1e-4)
    assert frames == pytest.approx(gaps.tolist() * 4, rel=1e-4)


@pytest.fixture
def many(tmp_path) -> Path:
    """A file of more strings than are predicted in a second."""
    path = tmp_path / "many.scope"
    letters = [("4a", "4b"), ("4b", "4a")]
    text = [str(Scope.from_orbits(225, [(m, "Na"), (n, "Cl")])) for m, n in letters]
    path.write_text("\n".join(text * 20_000))
    return path


def start(*arguments: object, cwd: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cloud_model.cli", *map(str, arguments)]
    # no buffer, which readline() would fill with more than a line that communicate() does not return
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_predict_ends_at_a_signal(number, many, tiny_checkpoint, tmp_path):
    process = start("predict", many, "-m", tiny_checkpoint, "-p", "band_gap", "-f", "csv", cwd=tmp_path)
    header = process.stdout.readline()  # it has begun
    process.send_signal(number)
    rest, errors = process.communicate(timeout=SECONDS)
    assert header.startswith(b"input,formula,")
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert b"Traceback" not in errors
    complete = rest.rpartition(b"\n")[0].splitlines()
    assert {line.count(b",") for line in complete} <= {header.count(b",")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_embed_writes_a_file_or_none(number, many, tiny_checkpoint, tmp_path):
    output = tmp_path / "embeddings.csv"
    output.write_text("as it was")
    process = start("embed", many, "-m", tiny_checkpoint, "-o", output, "--overwrite", cwd=tmp_path)
    deadline = time.monotonic() + SECONDS
    while not list(tmp_path.glob(".*.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert b"Traceback" not in errors
    assert output.read_text() == "as it was"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to groups of processes")
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "many.scope", "-m", "{model}", "-f", "csv"],
        ["predict", "many.scope", "-m", "{model}", "--shards", "shards", "--jobs", "2"],
        ["scope", "-"],
        ["screen", "--elements", "Li,Mn,O,F", "-m", "{model}", "--jobs", "2"],
        [
            "finetune", "table.csv", "--structure-column", "scope", "--target", "y", "--unit", "eV", "-o", "tuned",
            "-m", "{model}", "--epochs", "100000", "--patience", "100000",
        ],
        [
            "evaluate", "table.csv", "--structure-column", "scope", "--target", "y", "--finetune", "--unit", "eV",
            "-m", "{model}", "--epochs", "100000", "-o", "judged",
        ],
        ["pretrain", "--config", "pretrain.toml"],
        ["embed", "many.scope", "-m", "{model}", "-o", "embeddings.csv"],
        ["ingest", "long.csv", "-o", "corpus"],
        ["validate", "Cu.cif", "--calculator", "emt", "--supercell-length", "36", "-m", "{model}"],
        ["serve", "-m", "{model}", "--port", "{port}"],
    ],
    ids=[
        "predict", "shards", "scope", "screen", "finetune", "evaluate", "pretrain", "embed", "ingest", "validate",
        "serve",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("many")
def test_two_interrupts_end_any_command_within_two_seconds(arguments, tiny_checkpoint, tmp_path):
    texts = (tmp_path / "many.scope").read_text().split("\n")
    salts = [str(Scope.from_crystal(atoms, "sites")) for atoms in SALTS]
    rows = [f"{salts[i % len(salts)]},{i}" for i in range(400)]
    (tmp_path / "table.csv").write_text("\n".join(["scope,y", *rows]))
    (tmp_path / "long.csv").write_text("\n".join(["scope", *(20 * texts)]))
    pd.DataFrame({"scope": texts}).to_parquet(tmp_path / "strings.parquet")
    (tmp_path / "pretrain.toml").write_text(
        'output = "base"\n[corpus]\nshards = ["strings.parquet"]\n[schedule]\nepochs = 1000\nlearning_rate = 1e-3\n'
    )
    write(tmp_path / "Cu.cif", bulk("Cu", cubic=True))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [word.format(model=tiny_checkpoint, port=port) for word in arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "cloud_model.cli", *words],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    connection = upload_that_takes_long(process, port) if arguments[0] == "serve" else None
    time.sleep(1.5 if connection else 4)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=2)
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in errors
    if connection is not None:
        connection.close()


def upload_that_takes_long(process: subprocess.Popen[bytes], port: int) -> socket.socket:
    """An upload whose symmetry is searched for some seconds."""
    assert b"The page is at" in process.stderr.readline()
    atoms = bulk("Po", "sc", 3.35) * (12, 12, 12)
    del atoms[7]
    content = io.StringIO()
    write(content, atoms, format="extxyz")
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        try:
            connection.connect()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    headers = {"Content-Type": "application/octet-stream"}
    connection.request("POST", "/crystal?name=a.extxyz", content.getvalue(), headers)
    return connection.sock


def test_a_reader_that_leaves(many, tiny_checkpoint, tmp_path):
    """As in ``cloud predict ... | head -1``."""
    process = start("predict", many, "-m", tiny_checkpoint, "-p", "band_gap", "-f", "csv", cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as errors:
        assert b"Traceback" not in errors.read()
    assert process.wait(timeout=SECONDS) in {0, 1}


def test_ingest_goes_on_after_a_full_disk(tiny_checkpoint, tmp_path, monkeypatch):
    source = tmp_path / "strings.csv"
    strings = [str(Scope.from_crystal(atoms, "sites")) for atoms in SALTS]
    pd.DataFrame({"scope": strings}).to_csv(source)
    tokenizer = Checkpoint.load(tiny_checkpoint).tokenizer
    monkeypatch.setattr(ingestion, "BLOCK", 8)
    write, count = ingestion.pq.write_table, iter(range(100))

    def full(table, path, **options):
        write(table, path, **options)
        if next(count) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ingestion.pq, "write_table", full)
        with pytest.raises(OutputError, match="the disk is full"):
            ingestion.ingest([str(source)], tmp_path / "corpus", tokenizer)
    assert len(pd.read_parquet(tmp_path / "corpus")) == 16  # two whole blocks
    report = ingestion.ingest([str(source)], tmp_path / "corpus", tokenizer)
    assert report["crystals"] == report["kept"] == len(SALTS)
    assert sorted(pd.read_parquet(tmp_path / "corpus")["scope"]) == sorted(strings)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", [["scope"], ["predict", "-p", "band_gap"]])
def test_output_to_a_full_disk(command, tiny_checkpoint, tmp_path):
    model = [] if command[0] == "scope" else ["-m", tiny_checkpoint]
    arguments = [
        sys.executable,
        "-m",
        "cloud_model.cli",
        *command,
        *model,
        "-f",
        "csv",
        str(Scope.from_crystal(SALTS[0], "sites")),
    ]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(list(map(str, arguments)), stdout=full, stderr=subprocess.PIPE, timeout=SECONDS)
    assert run.returncode != 0
    assert b"Traceback" not in run.stderr
    assert b"standard output cannot be written: the disk is full" in run.stderr


def limited(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that may write files of 20 kB at most, as on a full disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
        "sys.argv[0] = 'cloud'; from cloud_model.cli import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS)


@pytest.mark.parametrize("name", ["e.csv", "e.parquet", "e.npz"])
def test_results_survive_a_full_disk(name, many, tiny_checkpoint, tmp_path):
    (tmp_path / name).write_text("as it was")
    run = limited("embed", many, "-m", tiny_checkpoint, "-o", name, "--overwrite", cwd=tmp_path)
    assert run.returncode == 1
    assert f"{name} cannot be written: it grows beyond the largest size of a file" in run.stderr
    assert (tmp_path / name).read_text() == "as it was"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_figures_survive_a_full_disk(tiny_checkpoint, tmp_path):
    (tmp_path / "c.png").write_text("as it was")
    text = str(Scope.from_crystal(SALTS[0], "sites"))
    run = limited("thermo", text, "-m", tiny_checkpoint, "--plot", "c.png", "--overwrite", cwd=tmp_path)
    assert run.returncode == 1
    assert "c.png cannot be written" in run.stderr
    assert (tmp_path / "c.png").read_text() == "as it was"


def test_results_are_replaced_on_request_only(tiny_checkpoint, tmp_path):
    (tmp_path / "e.csv").write_text("as it was")
    text = str(Scope.from_crystal(SALTS[0], "sites"))
    command = ["embed", text, "-m", tiny_checkpoint, "-o", "e.csv"]
    run = start(*command, cwd=tmp_path)
    _, errors = run.communicate(timeout=SECONDS)
    assert run.returncode == 2
    assert b"e.csv exists; give --overwrite" in errors
    assert (tmp_path / "e.csv").read_text() == "as it was"
    assert start(*command, "--overwrite", cwd=tmp_path).communicate(timeout=SECONDS) == (b"", b"")
    assert (tmp_path / "e.csv").read_text().startswith("input,e0,")


def test_two_runs_into_one_folder(tiny_checkpoint, tmp_path):
    tokenizer = Checkpoint.load(tiny_checkpoint).tokenizer
    source = tmp_path / "strings.csv"
    pd.DataFrame({"scope": [str(Scope.from_crystal(atoms, "sites")) for atoms in SALTS]}).to_csv(source)
    with (
        locked(tmp_path / "corpus", "cloud ingest"),
        pytest.raises(OutputError, match=f"being written by cloud ingest, process {os.getpid()} on"),
    ):
        ingestion.ingest([str(source)], tmp_path / "corpus", tokenizer)
    assert ingestion.ingest([str(source)], tmp_path / "corpus", tokenizer)["kept"] == len(SALTS)


def test_batches_of_none_and_one(tiny_model):
    assert len(tiny_model.predict([])) == 0
    assert tiny_model.embed([]).shape == (0, tiny_model.embedding_size)
    assert len(tiny_model.predict(SALTS[:1])) == 1


@pytest.mark.slow
def test_a_batch_of_100_000(tiny_model):
    text = str(Scope.from_crystal(SALTS[0], "sites"))
    frame = tiny_model.predict([text] * 100_000, "band_gap")
    assert len(frame) == 100_000
    assert frame["band_gap"].nunique() == 1


def test_duplicate_indices(tiny_model):
    crystals = pd.Series(SALTS[:4], index=["a", "a", "b", "b"])
    frame = tiny_model.predict(crystals, "band_gap")
    assert frame.index.tolist() == ["a", "a", "b", "b"]
    assert np.isfinite(frame["band_gap"]).all()


def test_an_interrupt_that_compiled_code_turns_into_another_exception(monkeypatch, capsys):
    """As in an import: ``ImportError: numpy.core.multiarray failed to import``."""

    def interrupted(*_, **__):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("failed to import")

    monkeypatch.setattr(click.Group, "main", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as ending:
            cloud(["models"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert ending.value.code == 130
    assert capsys.readouterr().err == ""
