"""Phonon files: phonopy's loader of YAML would run what a tag names."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hostile_files import EXECUTED, yaml_bomb

from cloud_model.errors import PhononError
from cloud_plugins import validate_heat_capacity

COMMAND = f"touch {EXECUTED}"


@pytest.mark.parametrize(
    "text",
    [
        f"!!python/object/apply:os.system ['{COMMAND}']",
        f"unit_cell: !!python/object/apply:os.system ['{COMMAND}']",
        f"unit_cell: !<tag:yaml.org,2002:python/object/apply:os.system> ['{COMMAND}']",
        f"%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system ['{COMMAND}']",
        f'{{"a":!!python/object/apply:os.system ["{COMMAND}"]}}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gzip"])
def test_tags_are_refused(text, encoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    path = Path("phonopy_params.yaml.gz" if encoding == "gzip" else "phonopy_params.yaml")
    path.write_bytes(content)
    with pytest.raises(PhononError, match="holds a YAML tag"):
        validate_heat_capacity(path)
    assert not Path(EXECUTED).exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe", b"[" * 1000, yaml_bomb(), b"a: 1"])
def test_files_that_are_no_phonons(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "phonopy.yaml"
    path.write_bytes(content)
    with pytest.raises(PhononError) as caught:
        validate_heat_capacity(path)
    assert caught.value.remedy
    assert not Path(EXECUTED).exists()
