from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from itertools import product
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest
from ase.build import bulk
from ase.db import connect
from ase.io import write
from pymatgen.core import Lattice, Structure

from cloud_model import Scope
from cloud_model.corpus import ingest as module
from cloud_model.corpus.ingest import IngestSettings, ingest
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import ArgumentError, DataError
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary

PAIRS = [*product(("Na", "K", "Rb"), ("F", "Cl"))]
STRINGS = {str(Scope.from_orbits(225, [("4a", a), ("4b", b)])) for a, b in PAIRS}
TOKENIZER = Tokenizer(build_vocabulary(SYMBOLS[:83]), 2**20)


@pytest.fixture(scope="module")
def crystals():
    return [bulk(a + b, "rocksalt", a=5.0 + 0.1 * i) for i, (a, b) in enumerate(PAIRS)]


@pytest.fixture
def folder(tmp_path, crystals):
    path = tmp_path / "crystals"
    (path / "nested").mkdir(parents=True)
    for i, atoms in enumerate(crystals):
        write(path / ("nested" if i % 2 else "") / f"{i}.cif", atoms)
    write(path / "supercell.vasp", crystals[0] * (2, 1, 1))
    (path / "broken.cif").write_text("data_broken\n")
    return path


def texts(output: Path) -> list[str]:
    return pd.read_parquet(output).scope.tolist()


def assert_complete(output: Path, report: dict) -> None:
    assert sorted(texts(output)) == sorted(STRINGS)
    assert report == json.loads((output / module.REPORT).read_text())
    assert report["kept"] == len(STRINGS)


def test_a_folder_becomes_shards_and_a_report(folder, tmp_path):
    output = tmp_path / "corpus"
    report = ingest([str(folder)], output, TOKENIZER)
    assert_complete(output, report)
    assert report["crystals"] == 8
    assert report["duplicates"] == 1
    assert report["unreadable_by_reason"] == {"CrystalError": 1}
    assert sum(report["lengths"].values()) == 6
    rows = pd.read_parquet(output)
    assert set(rows.formula) == {a + b for a, b in PAIRS}
    assert set(rows.space_group) == {225}
    unreadable = pd.read_csv(output / module.UNREADABLE)
    assert unreadable.id.tolist() == ["broken.cif"]


def as_zip(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target.with_suffix(".zip"), "w") as archive:
        for file in sorted(folder.rglob("*.cif")):
            archive.write(file, f"../{file.name}")  # its name must not be used as a path
    return target.with_suffix(".zip")


def as_tar(folder: Path, target: Path) -> Path:
    with tarfile.open(target.with_suffix(".tar.gz"), "w:gz") as archive:
        archive.add(folder, "crystals")
    return target.with_suffix(".tar.gz")


def as_database(folder: Path, target: Path) -> Path:
    from ase.io import read

    with connect(target.with_suffix(".db")) as database:
        for file in sorted(folder.rglob("?.cif")):
            database.write(read(file))
    return target.with_suffix(".db")


def as_lines(folder: Path, target: Path) -> Path:
    entries = [Structure.from_file(file).as_dict() for file in sorted(folder.rglob("?.cif"))]
    entries = [{"material_id": f"x-{i}", "structure": entry} for i, entry in enumerate(entries)]
    target.with_suffix(".jsonl").write_text(
        "".join(json.dumps(entry) + "\n" for entry in entries) + "no JSON\n"
    )
    return target.with_suffix(".jsonl")


def as_csv(folder: Path, target: Path) -> Path:
    pd.DataFrame({"scope": [*STRINGS, "no string"]}).to_csv(target.with_suffix(".csv"))
    return target.with_suffix(".csv")


def as_parquet(folder: Path, target: Path) -> Path:
    pd.DataFrame({"id": range(6), "scope": [*STRINGS]}).to_parquet(target.with_suffix(".parquet"))
    return target.with_suffix(".parquet")


@pytest.mark.parametrize("make", [as_zip, as_tar, as_database, as_lines, as_csv, as_parquet])
def test_every_source_gives_the_same_strings(make, folder, tmp_path):
    output = tmp_path / "corpus"
    assert_complete(output, ingest([str(make(folder, tmp_path / "source"))], output, TOKENIZER))


def test_a_run_that_breaks_off_goes_on_without_gaps_or_duplicates(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    output = tmp_path / "corpus"
    write_shard = module._State._write_shard
    written = []

    def breaks(self, number, source, kept):
        write_shard(self, number, source, kept)
        written.append(number)
        if len(written) in (2, 4):
            raise KeyboardInterrupt  # after the shard is there, before it counts

    monkeypatch.setattr(module._State, "_write_shard", breaks)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            ingest([str(folder)], output, TOKENIZER)
    report = ingest([str(folder)], output, TOKENIZER)
    assert_complete(output, report)
    assert report["crystals"] == 8
    assert ingest([str(folder)], output, TOKENIZER) == report


def test_sources_add_up(folder, tmp_path):
    output = tmp_path / "corpus"
    ingest([str(as_csv(folder, tmp_path / "a"))], output, TOKENIZER)
    report = ingest([str(as_csv(folder, tmp_path / "a")), str(folder)], output, TOKENIZER)
    assert_complete(output, report)
    assert report["duplicates"] == 7


def test_unknown_tokens_are_counted(tmp_path):
    source = tmp_path / "a.csv"
    pd.DataFrame({"scope": [str(Scope.from_orbits(225, [("4a", "Po")]))]}).to_csv(source)
    report = ingest([str(source)], tmp_path / "corpus", TOKENIZER)
    assert list(report["unknown_tokens"].values()) == [1]


def test_other_settings_are_refused(tmp_path, folder):
    source = str(as_csv(folder, tmp_path / "a"))
    ingest([source], tmp_path / "corpus", TOKENIZER)
    with pytest.raises(ArgumentError, match="was begun with"):
        ingest([source], tmp_path / "corpus", TOKENIZER, IngestSettings(symprec=0.1))


def test_a_missing_source_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        ingest([str(tmp_path / "nothing")], tmp_path / "corpus", TOKENIZER)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of dask's own
def test_a_dask_cluster_gives_the_same_strings(folder, tmp_path):
    distributed = pytest.importorskip("distributed")
    from joblib import parallel_config

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        parallel_config(backend="dask"),
    ):
        report = ingest([str(folder)], tmp_path / "corpus", TOKENIZER, IngestSettings(n_jobs=-1))
        workers = client.run(lambda: "cloud_model.scope.symmetry" in sys.modules)
    assert_complete(tmp_path / "corpus", report)
    assert any(workers.values())


def optimade_entry(name: str, structure: Structure, concentration: float = 1.0) -> dict:
    symbols = [site.specie.symbol for site in structure]
    return {
        "id": name,
        "type": "structures",
        "attributes": {
            "last_modified": "2025-01-01T00:00:00Z",
            "elements": sorted(set(symbols)),
            "nelements": len(set(symbols)),
            "elements_ratios": [symbols.count(symbol) / len(symbols) for symbol in sorted(set(symbols))],
            "chemical_formula_reduced": "NaCl",
            "chemical_formula_anonymous": "AB",
            "chemical_formula_descriptive": "NaCl",
            "dimension_types": [1, 1, 1],
            "nperiodic_dimensions": 3,
            "lattice_vectors": structure.lattice.matrix.tolist(),
            "cartesian_site_positions": structure.cart_coords.tolist(),
            "nsites": len(structure),
            "species": [
                {"name": symbol, "chemical_symbols": [symbol], "concentration": [concentration]}
                for symbol in sorted(set(symbols))
            ],
            "species_at_sites": symbols,
            "structure_features": ["disorder"] if concentration < 1 else [],
        },
    }


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """URL of the ``optimade`` package's own server with six crystals, a disordered one and pages of three."""
    pytest.importorskip("optimade.server.main")
    structures = [
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5 + 0.1 * i), pair, [[0, 0, 0], [0.5, 0.5, 0.5]])
        for i, pair in enumerate(PAIRS)
    ]
    entries = [optimade_entry(f"x-{i}", structure) for i, structure in enumerate(structures)]
    entries.insert(4, optimade_entry("disordered", structures[0], 0.5))
    lines = [{"x-optimade": {"meta": {"api_version": "1.2.0"}}}, *entries]
    path = tmp_path_factory.mktemp("optimade") / "structures.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "OPTIMADE_INSERT_FROM_JSONL": str(path),
        "OPTIMADE_INSERT_TEST_DATA": "false",
    }
    environment |= {"OPTIMADE_PAGE_LIMIT": "3", "OPTIMADE_CONFIG_FILE": "", "OPTIMADE_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "uvicorn", "optimade.server.main:app", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            urlopen(f"{url}/versions", timeout=5)  # noqa: S310
            break
        except URLError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield url
    process.terminate()
    process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client's own
def test_an_optimade_provider_is_read_page_by_page(provider, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    output = tmp_path / "corpus"
    add = module._State.add
    blocks = []

    def interrupted(self, *arguments):
        blocks.append(1)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        add(self, *arguments)

    monkeypatch.setattr(module._State, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest([provider], output, TOKENIZER)
    report = ingest([provider], output, TOKENIZER)
    assert_complete(output, report)
    assert report["crystals"] == 7
    assert report["unreadable_by_reason"] == {"DisorderedCrystalError": 1}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client's own
def test_a_provider_that_fails_is_reported(provider, tmp_path):
    with pytest.raises(DataError, match="provider fails"):
        ingest([f"{provider}/nowhere"], tmp_path / "corpus", TOKENIZER)
    with pytest.raises(DataError, match="provider fails"):
        ingest([f"{provider}?filter=nonsense ==="], tmp_path / "corpus", TOKENIZER)
