"""Each bad checkpoint at each entry point: never loaded, never executed, no memory taken for what it claims."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from hostile_checkpoints import CHECKPOINTS, content
from hostile_crystals import salt
from hostile_files import EXECUTED

from cloud_model import CloudModel
from cloud_model.checkpoints import registry
from cloud_model.checkpoints.files import VOCABULARY, WEIGHTS
from cloud_model.cli import cloud
from cloud_model.errors import CheckpointError, OutputError, ScopeError
from cloud_plugins import CloudCalculator, CloudEmbedder, CloudFeaturizer


@pytest.fixture
def directory(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(tiny_checkpoint, tmp_path / "copy")


@pytest.mark.parametrize("fault", CHECKPOINTS, ids=str)
def test_load(fault, directory):
    fault.make(directory)
    with pytest.raises(CheckpointError, match=fault.words) as caught:
        CloudModel.from_pretrained(directory)
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000
    assert not Path(EXECUTED).exists()


@pytest.mark.parametrize("fault", CHECKPOINTS[::9], ids=str)
def test_every_entry_point_refuses_it(fault, directory):
    fault.make(directory)
    for load in (
        CloudCalculator,
        lambda path: CloudFeaturizer(path).featurize(salt()),
        lambda path: CloudEmbedder(path).fit([salt()]),
    ):
        with pytest.raises(CheckpointError, match=fault.words):
            load(directory)
    for command in (["predict", "1 | 2 | 3"], ["embed", "x.cif", "-o", "e.csv"], ["thermo", "x.cif"]):
        result = CliRunner().invoke(cloud, [*command, "--model", str(directory)])
        assert result.exit_code == 2
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") <= 2


def test_the_shipped_weights_are_those_that_were_saved(tmp_path):
    shipped = shutil.copytree(registry.resolve(), tmp_path / "shipped")
    content(WEIGHTS, lambda data: data[:-1] + bytes([data[-1] ^ 1]), rehash=False)(shipped)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        CloudModel.from_pretrained(shipped)


def test_a_string_of_another_dialect_is_refused(tiny_model):
    with pytest.raises(ScopeError, match="cannot be written in the dialect 'sites'"):
        tiny_model.predict("1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a 4b | Na 0.5 Cl 0.5")


def test_a_checkpoint_that_changes_on_disk_is_read_again(directory):
    CloudModel.from_pretrained(directory).predict(salt())
    content(VOCABULARY, b"[CLS]\n", rehash=False)(directory)
    os.utime(directory / VOCABULARY, ns=(1, 1))
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        CloudModel.from_pretrained(directory)


class BrokenPoint:
    """An entry point of a package that is gone."""

    name, value = "broken", "package_that_is_gone.model"


def test_a_broken_package_does_not_hide_the_other_checkpoints(monkeypatch):
    class Points(list):
        names = ("broken",)

    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group, name="broken": Points([BrokenPoint] if name == "broken" else []),
    )
    with pytest.warns(UserWarning, match="entry point 'broken'.*is not a package"):
        assert registry.available().keys() == {"cloud-base", "cloud-mini", "cloud-small"}
    with pytest.raises(CheckpointError, match="Reinstall the package"):
        CloudModel.from_pretrained("broken")
    result = CliRunner().invoke(cloud, ["models"])
    assert result.exit_code == 0
    assert "cloud-mini" in result.output


@pytest.mark.parametrize("files", range(4))
def test_saving_to_a_full_disk_leaves_the_old_checkpoint(directory, monkeypatch, files):
    """The disk is full after so many files."""
    write, written = Path.write_bytes, []

    def write_bytes(path, data):
        written.append(path)
        if len(written) > files:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    model = CloudModel.from_pretrained(directory)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OutputError, match="the disk is full"):
        model.save(directory, "another card")
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


OFFLINE = """
import sys
from cloud_model import CloudModel
from cloud_model.errors import CheckpointError
try:
    CloudModel.from_pretrained("ChangwenXu/CLOUD")
except CheckpointError as error:
    assert "cannot be downloaded" in str(error), error
    sys.exit(0)
sys.exit("loaded")
"""


@pytest.mark.parametrize("cache", ["empty", "file"])
def test_a_hugging_face_id_offline(tmp_path, cache):
    """With an empty cache, and with one that cannot be written."""
    if cache == "file":
        (tmp_path / "cache").write_text("not a folder")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", OFFLINE], env=environment, check=True, timeout=60)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face Hub as a download needs; serves the files of `directory`."""

    directory: Path
    log_message = lambda *_: None  # noqa: E731

    def do_HEAD(self) -> None:
        self.send_response(200)
        content = self.content()
        for name, value in {
            "Content-Length": len(content),
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": "0" * 40,
        }.items():
            self.send_header(name, str(value))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content())

    def content(self) -> bytes:
        if "/resolve/" in self.path:
            return (self.directory / self.path.rpartition("/")[2]).read_bytes()
        if "/tree/" in self.path:
            sizes = {path.name: path.stat().st_size for path in self.directory.iterdir()}
            entries = [
                {"type": "file", "oid": "0", "path": name, "size": size} for name, size in sizes.items()
            ]
            return json.dumps(entries).encode()
        names = [{"rfilename": path.name} for path in self.directory.iterdir()]
        return json.dumps({"_id": "1", "id": "owner/tiny", "sha": "0" * 40, "siblings": names}).encode()


def test_two_processes_that_download_at_once(tiny_checkpoint, tmp_path):
    handler = type("Served", (Hub,), {"directory": tiny_checkpoint})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"} | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        command = [
            sys.executable,
            "-c",
            "from cloud_model import CloudModel; CloudModel.from_pretrained('owner/tiny')",
        ]
        runs = [subprocess.Popen(command, env=environment) for _ in range(2)]
        assert [run.wait(timeout=60) for run in runs] == [0, 0]
        server.shutdown()
