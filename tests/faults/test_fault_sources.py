"""Damaged sources of ``cloud ingest``: an error that names the source, or records in ``_unreadable.csv``."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pytest
from ase.db import connect
from hostile_files import CIF, SALT, structure

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.corpus.ingest import ingest
from cloud_model.errors import DataError


def archive(*members: str) -> bytes:
    """A zip file of good CIFs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for member in members:
            opened.writestr(member, CIF)
    return file.getvalue()


def with_links() -> bytes:
    """A tar file of a good CIF, links and a pipe."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        good = tarfile.TarInfo("../../good.cif")
        good.size = len(CIF)
        opened.addfile(good, io.BytesIO(CIF))
        for name, kind in (
            ("link.cif", tarfile.SYMTYPE),
            ("hard.cif", tarfile.LNKTYPE),
            ("pipe.cif", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            opened.addfile(member)
    return file.getvalue()


LINES = b"\n".join(
    [structure(), b"{", b"null", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"\xff", b'{"structure": 5}']
)
BROKEN = {
    "missing.zip": None,
    "text.zip": b"hello",
    "half.zip": archive("a.cif", "b.cif")[:100],
    "text.tar.gz": b"hello",
    "half.tar": with_links()[:600],
    "text.db": b"hello" * 1000,
    "text.parquet": b"hello",
    "ends.parquet": b"PAR1" + bytes(90) + b"PAR1",
    "empty.csv": b"",
    "other.csv": b"a,b\n1,2\n",
    "ragged.csv": b"scope\na\nb,c,d\n",
    "text.csv.gz": b"hello",
    "text.jsonl.gz": b"hello",
    "half.jsonl.gz": gzip.compress(LINES)[:60],
}
READ = {  # source -> crystals, distinct strings, unreadable
    "lines.jsonl": (LINES, (7, 1, 6)),
    "slip.zip": (archive("../../out.cif", "/out.cif", "inner/../../out.cif"), (3, 1, 0)),
    "links.tar": (with_links(), (1, 1, 0)),
    "strange.csv": (b"scope\nhello\n1 | 2 | 3\n/etc/passwd\n\xff\n", (4, 0, 4)),
}


@pytest.fixture
def tokenizer(tiny_checkpoint):
    return Checkpoint.load(tiny_checkpoint).tokenizer


@pytest.mark.parametrize("name", BROKEN)
def test_sources_that_cannot_be_read(name, tokenizer, tmp_path):
    if BROKEN[name] is not None:
        (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(DataError, match=name.replace(".", r"\.")) as caught:
        ingest([str(tmp_path / name)], tmp_path / "corpus", tokenizer)
    assert caught.value.remedy


@pytest.mark.parametrize("name", READ)
def test_sources_of_damaged_records(name, tokenizer, tmp_path):
    content, counts = READ[name]
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / name).write_bytes(content)
    report = ingest([str(inner / name)], inner / "corpus", tokenizer)
    assert (report["crystals"], report["kept"], report["unreadable"]) == counts
    assert not list(tmp_path.glob("*.cif"))  # nothing is written where a member says


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "zip", "db", "cif"])
def test_pipes_are_not_waited_for(suffix, tokenizer, tmp_path):
    os.mkfifo(tmp_path / f"pipe.{suffix}")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        ingest([str(tmp_path / f"pipe.{suffix}")], tmp_path / "corpus", tokenizer)


def test_damaged_rows_of_a_database(tokenizer, tmp_path):
    path = tmp_path / "some.db"
    with connect(path) as database:
        database.write(SALT)
        database.write(SALT)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE systems SET numbers = NULL WHERE id = 1")
    raw.close()
    report = ingest([str(path)], tmp_path / "corpus", tokenizer)
    assert (report["kept"], report["unreadable"]) == (1, 1)


def test_names_too_long_for_the_file_system(tokenizer, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        ingest(["x" * 5000], Path(tmp_path, "corpus"), tokenizer)
