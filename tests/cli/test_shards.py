from __future__ import annotations

import json
import os
import signal
from concurrent.futures import BrokenExecutor
from functools import partial
from itertools import count, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cloud_model import CloudModel, Scope
from cloud_model.cli import cloud, inputs, predict, shards
from cloud_model.cli.inputs import Report
from cloud_model.cli.shards import Sharding, write_shards
from cloud_model.errors import ArgumentError, DataError
from cloud_model.parallel import results_of

TEXTS = [
    str(Scope.from_orbits(225, [("4a", a), ("4b", b)]))
    for a, b in product(("Li", "Na", "K", "Rb", "Mg", "Ca"), ("F", "Cl", "Br", "O"))
]
BAD = "no such file.cif"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "CHUNK", 4)
    monkeypatch.setattr(inputs, "CHUNK", 4)


def predict_and_die(portions, path, report, *, victim, grave, **settings):
    """Predict, but for the first time that the victim comes, die of it."""
    portions = list(portions)
    if any(source.name == victim for portion in portions for source in portion):
        deaths = len(list(Path(grave).iterdir()))
        if deaths < settings.pop("deaths"):
            Path(grave, str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    settings.pop("deaths", None)
    predict._write_shard(portions, path, report, **settings)


def work(model: Path, grave: Path, deaths: int = 1) -> partial:
    settings = {
        "model": str(model),
        "precision": "float32",
        "names": ["band_gap", "heat_capacity_per_atom"],
        "temperatures": [300.0],
        "order": 0,
    }
    grave.mkdir(exist_ok=True)
    return partial(predict_and_die, victim=TEXTS[13], grave=str(grave), deaths=deaths, **settings)


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("part-*"))}  # not what the dead left


@pytest.fixture
def address():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def alone(tiny_checkpoint, tmp_path) -> dict[str, str]:
    """What one process writes."""
    folder = tmp_path / "alone"
    write_shards(
        Sharding(folder, 1, "loky", None), TEXTS, ".csv", work(tiny_checkpoint, tmp_path / "grave", deaths=0)
    )
    return written(folder)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_a_killed_worker_costs_its_shard_only(backend, tiny_checkpoint, tmp_path, alone, request):
    scheduler = request.getfixturevalue("address") if backend == "dask" else None
    sharding = Sharding(tmp_path / "together", 2, backend, scheduler)
    assert write_shards(sharding, TEXTS, ".csv", work(tiny_checkpoint, tmp_path / "grave")) == 0
    assert len(list((tmp_path / "grave").iterdir())) == 1
    together = written(sharding.folder)
    assert len(together) == 6
    assert list(together.values()) == list(alone.values())


@pytest.mark.slow
def test_work_that_always_kills_is_given_up_and_the_rest_is_kept(tiny_checkpoint, tmp_path):
    sharding = Sharding(tmp_path / "together", 2, "loky", None)
    with pytest.raises(DataError, match="what is done is kept"):
        write_shards(sharding, TEXTS, ".csv", work(tiny_checkpoint, tmp_path / "grave", deaths=100))
    assert not [name for name in written(sharding.folder) if name.startswith("part-00003")]


def test_what_is_there_is_not_computed_again(tiny_checkpoint, tmp_path, alone):
    folder = tmp_path / "alone"
    gone, *kept = sorted(folder.iterdir())
    for path in kept:
        path.write_text("kept")
    gone.unlink()
    write_shards(
        Sharding(folder, 1, "loky", None), TEXTS, ".csv", work(tiny_checkpoint, tmp_path / "grave", deaths=0)
    )
    assert list(written(folder).values()) == [alone[gone.name], *["kept"] * 5]


@pytest.mark.parametrize(("texts", "deaths"), [(TEXTS[1:], 0), (TEXTS, 1)], ids=["inputs", "options"])
def test_results_of_other_inputs_or_options_are_not_mixed(tiny_checkpoint, tmp_path, alone, texts, deaths):
    with pytest.raises(ArgumentError, match="other crystals or options"):
        write_shards(
            Sharding(tmp_path / "alone", 1, "loky", None),
            texts,
            ".csv",
            work(tiny_checkpoint, tmp_path / "grave", deaths),
        )


@pytest.mark.parametrize("command", ["predict", "scope"])
def test_shards_hold_what_the_command_prints(command, tiny_checkpoint, tmp_path):
    model = ["--model", str(tiny_checkpoint)] if command == "predict" else []
    run = partial(CliRunner().invoke, cloud, catch_exceptions=False)
    printed = run([command, *TEXTS[:7], BAD, *model, "--format", "csv"])
    sharded = run([command, *TEXTS[:7], BAD, *model, "--format", "csv", "--shards", str(tmp_path / "out")])
    assert printed.exit_code == sharded.exit_code == 1
    assert BAD in sharded.stderr
    first, second = written(tmp_path / "out").values()
    assert first + second.partition("\n")[2] == printed.stdout


def test_failures_of_finished_shards_are_reported_again(tmp_path):
    run = partial(
        CliRunner().invoke, cloud, ["scope", *TEXTS[:3], BAD, *TEXTS[3:], "--shards", str(tmp_path)]
    )
    first, second = run(), run()
    assert first.exit_code == second.exit_code == 1
    assert first.stderr.count(BAD) == second.stderr.count(BAD) == 1


def test_failures_are_reported_when_a_process_is_lost_after_its_work(tmp_path, monkeypatch):
    """As with Ray, which gives all results at the end or none."""

    tries = count()

    def lose(tasks, **options):
        done = list(results_of(tasks, **options))
        if next(tries) == 0:
            raise BrokenExecutor
        return done

    monkeypatch.setattr(shards, "results_of", lose)
    found = CliRunner().invoke(cloud, ["scope", BAD, *TEXTS, "--shards", str(tmp_path)])
    assert found.exit_code == 1
    assert found.stderr.count(BAD) == 1


def test_a_shard_that_is_written_again_is_reported_anew(tmp_path):
    shard = tmp_path / "part-00000-abc.csv"
    shards._write_shard(lambda portions, path, report: (path.touch(), report.say("doubt")), [], shard, False)
    assert shards._kept_report(shard).lines == ["doubt"]
    shards._write_shard(lambda portions, path, report: path.touch(), [], shard, False)
    assert vars(shards._kept_report(shard)) == vars(Report(silent=True))


def test_shards_of_embeddings(tiny_checkpoint, tmp_path):
    shared = ["--model", str(tiny_checkpoint), "--shards", str(tmp_path)]
    CliRunner().invoke(cloud, ["embed", *TEXTS[:6], *shared], catch_exceptions=False)
    frame = pd.concat(pd.read_parquet(path) for path in sorted(tmp_path.iterdir()))
    assert frame.pop("input").tolist() == TEXTS[:6]
    np.testing.assert_allclose(frame, CloudModel.from_pretrained(tiny_checkpoint).embed(TEXTS[:6]), atol=1e-5)


def test_json_shards_are_lists(tmp_path):
    arguments = ["scope", *TEXTS[:6], "--dialect", "sites", "--format", "json", "--shards", str(tmp_path)]
    CliRunner().invoke(cloud, arguments, catch_exceptions=False)
    rows = [row for text in written(tmp_path).values() for row in json.loads(text)]
    assert [row["scope"] for row in rows] == TEXTS[:6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "2"], "need --shards"),
        (["--shards", "x", "--scheduler", "tcp://a:1"], "add --backend dask"),
        (["--shards", "x", "--jobs", "0"], "not a number of processes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(cloud, ["scope", TEXTS[0], *options])
    assert refused.exit_code == 2
    assert message in refused.output
