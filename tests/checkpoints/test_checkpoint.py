"""Checkpoints: a round trip, and every way in which one can be bad."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

from cloud_model import CloudModel
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.files import CONFIG, VOCABULARY, WEIGHTS
from cloud_model.checkpoints.registry import available, resolve
from cloud_model.errors import ArgumentError, CheckpointError, ScopeError


@pytest.fixture
def directory(tiny_checkpoint, tmp_path):
    return shutil.copytree(tiny_checkpoint, tmp_path / "copy")


def edit(directory, **entries):
    config = json.loads((directory / CONFIG).read_text())
    (directory / CONFIG).write_text(json.dumps(config | entries))


def test_round_trip(tiny_checkpoint, tmp_path):
    first = Checkpoint.load(tiny_checkpoint)
    first.save(tmp_path / "again", "# Untrained\n")
    second = Checkpoint.load(tmp_path / "again")
    assert second.config == first.config
    assert second.tokenizer.vocabulary == first.tokenizer.vocabulary
    for one, other in zip(first.members, second.members, strict=True):
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(tensor, other.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    "change",
    [{"unit": "eV\x1b[31m"}, {"description": "a\nb"}, {"unit": 5}],
    ids=["escape", "line feed", "number"],
)
def test_what_could_not_be_read_again_is_not_written(tiny_checkpoint, tmp_path, change):
    checkpoint = Checkpoint.load(tiny_checkpoint)
    name, info = next(iter(checkpoint.config.properties.items()))
    properties = {**checkpoint.config.properties, name: replace(info, **change)}
    bad = replace(checkpoint, config=replace(checkpoint.config, properties=properties))
    with pytest.raises(CheckpointError, match="is not written"):
        bad.save(tmp_path / "bad", "# Bad\n")
    assert not (tmp_path / "bad").exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_are_as_readable_as_others(tiny_checkpoint, tmp_path):
    Checkpoint.load(tiny_checkpoint).save(tmp_path / "shared", "# Shared\n")
    (tmp_path / "other").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "shared").iterdir()}
    assert modes == {(tmp_path / "other").stat().st_mode}


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, VOCABULARY])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        Checkpoint.load(directory)


@pytest.mark.parametrize("name", [WEIGHTS, VOCABULARY])
def test_changed_content_is_noticed(directory, name):
    content = bytearray((directory / name).read_bytes())
    content[-3] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256"):
        Checkpoint.load(directory)


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00", b"\xff" * 64, b"{}"])
def test_damaged_weights_are_refused_even_without_a_hash(directory, content):
    edit(directory, sha256={})
    (directory / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError):
        Checkpoint.load(directory)


@pytest.mark.parametrize(
    "entries",
    [
        {"format": 99},
        {"format": "1"},
        {"members": 3},
        {"members": "many"},
        {"spectra": 7},
        {"encoder": {"vocab_size": 10}},
        {"encoder": None},
        {"encoder": {"size": 1}},
        {"targets": [1, 2]},
        {"sha256": {"../../etc/passwd": "0"}},
        {"dialect": "klingon"},
    ],
    ids=json.dumps,
)
def test_bad_configurations_are_refused(directory, entries):
    edit(directory, **entries)
    with pytest.raises(CheckpointError):
        Checkpoint.load(directory)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"model_type": "gpt2"}', '{"model_type": "bert"}'])
def test_files_that_are_no_configuration_are_refused(directory, text):
    (directory / CONFIG).write_text(text)
    with pytest.raises(CheckpointError):
        Checkpoint.load(directory)


def test_a_string_of_another_dialect_is_refused(tiny_model):
    with pytest.raises(ScopeError, match="sites"):
        tiny_model.predict("1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a 4b | Na 0.5 Cl 0.5")


def test_the_default_ships():
    assert resolve() == available()["cloud-mini"]
    assert CloudModel.from_pretrained().name == "cloud-mini"


def test_unknown_names_list_the_installed_ones():
    with pytest.raises(CheckpointError, match="cloud-mini"):
        CloudModel.from_pretrained("cloud-maxi")


def test_a_hugging_face_id_offline_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="Check the name and the connection"):
        CloudModel.from_pretrained("ChangwenXu/CLOUD-does-not-exist")


@pytest.mark.parametrize("name", ["a b/c", "../x", "owner/..", "~/none", ""])
def test_names_that_are_nothing_are_refused(name):
    with pytest.raises(CheckpointError if name else ArgumentError):
        CloudModel.from_pretrained(name)


@pytest.mark.parametrize("entry", [{"hidden_size": "wide"}, {"hidden_size": -1}, {"num_attention_heads": 0}])
def test_impossible_networks_are_refused(directory, entry):
    config = json.loads((directory / CONFIG).read_text())
    edit(directory, encoder=config["encoder"] | entry)
    with pytest.raises(CheckpointError):
        Checkpoint.load(directory)
