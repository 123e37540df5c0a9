from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_worker import SCHEDULE, run

from cloud_model.display import progress
from cloud_model.errors import DataError
from cloud_model.network import precision
from cloud_model.network.precision import autocast
from cloud_model.training import loop
from cloud_model.training.loop import METRICS
from cloud_model.training.pretraining import pretrain

WORKER = Path(__file__).parent / "training_worker.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    return run(directory), metrics(directory)


def metrics(directory: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (directory / METRICS).read_text().splitlines()]
    return [{key: line[key] for key in ("epoch", "step", "loss", "validation_loss")} for line in lines]


def same_metrics(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> bool:
    return all(a == pytest.approx(b, rel=1e-9) for a, b in zip(ours, theirs, strict=True))


def same(weights, others) -> bool:
    return all(torch.equal(weights[name], others[name]) for name in weights)


def test_training_lowers_the_loss(uninterrupted):
    _, history = uninterrupted
    assert [line["epoch"] for line in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["validation_loss"] < history[0]["validation_loss"] - 0.3


def test_an_interrupted_run_saves_and_goes_on_to_the_same_weights(uninterrupted, tmp_path, monkeypatch):
    steps = 0
    loss = pretrain._Pretraining.loss

    def interrupted(self, model, batch, part):
        nonlocal steps
        steps += 1
        if steps in (20, 45):
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, model, batch, part)

    monkeypatch.setattr(pretrain._Pretraining, "loss", interrupted)
    for _ in range(2):
        with pytest.raises(pretrain.Interrupted) as stopped:
            run(tmp_path)
        assert all(tensor.isfinite().all() for tensor in stopped.value.encoder.state_dict().values())
    weights, history = uninterrupted
    assert same(run(tmp_path), weights)
    assert same_metrics(metrics(tmp_path), history)


def test_the_handlers_of_the_caller_come_back(uninterrupted):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    first = run(tmp_path)
    monkeypatch.setattr(pretrain._Pretraining, "loss", None)
    assert same(run(tmp_path), first)


def test_a_directory_of_another_run_is_refused(tmp_path):
    short = replace(SCHEDULE, epochs=1)
    run(tmp_path, short)
    with pytest.raises(DataError, match="another schedule"):
        run(tmp_path, replace(short, learning_rate=2e-3))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    loss = pretrain._Pretraining.loss
    monkeypatch.setattr(
        pretrain._Pretraining, "loss", lambda *a: (lambda value, count: (value * torch.nan, count))(*loss(*a))
    )
    with pytest.raises(DataError, match="no longer finite"):
        run(tmp_path)
    assert not list(tmp_path.glob("state-*"))


def test_the_learning_rate_rises_and_falls_to_zero():
    factors = [loop.learning_rate_factor(done / 100, 0.05) for done in range(101)]
    assert factors[0] == 0
    assert max(factors) == factors[5] == 1
    assert factors[100] == pytest.approx(0, abs=1e-12)
    assert sorted(factors[5:], reverse=True) == factors[5:]


@pytest.mark.parametrize(("bfloat16", "chosen"), [(0.1, "bfloat16"), (50.0, "float32")])
def test_a_run_keeps_the_precision_that_was_the_fastest(tmp_path, monkeypatch, bfloat16, chosen):
    multiplied = []

    def seen(precision, device):
        multiplied.append(precision)
        return autocast(precision, device)

    monkeypatch.setattr(loop, "autocast", seen)
    auto = replace(SCHEDULE, epochs=2, precision="auto")
    for seconds in (bfloat16, 1 / bfloat16):  # interrupted, then resumed on another machine
        monkeypatch.setattr(
            precision, "product_seconds", lambda _, s=seconds: {"float32": 1.0, "bfloat16": s}
        )
        monkeypatch.setattr(loop, "interruptible", lambda: nullcontext([signal.SIGINT] * (not multiplied)))
        with nullcontext() if multiplied else pytest.raises(pretrain.Interrupted):
            run(tmp_path, auto)
    assert set(multiplied) == {chosen}
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert [line["precision"] for line in lines] == [chosen] * 2


def test_off_a_terminal_a_line_now_and_then_tells_the_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    run(tmp_path / "member", replace(SCHEDULE, epochs=1))
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"member in float32: \d+ of 128 crystals, step 1, loss \d\.\d{4}, about 0:00:\d\d left", lines[0]
    )
    assert "128 of 128 crystals" in lines[-1]


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights(uninterrupted, tmp_path):
    process = subprocess.Popen([sys.executable, WORKER, tmp_path], env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("state-??")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "weights.pt").exists()
    subprocess.run([sys.executable, WORKER, tmp_path], env=ENVIRONMENT, check=True, timeout=120)
    weights, history = uninterrupted
    assert same(torch.load(tmp_path / "weights.pt"), weights)
    assert same_metrics(metrics(tmp_path), history)


@pytest.mark.slow
def test_two_processes_reach_the_loss_of_one(uninterrupted, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*launcher, WORKER, tmp_path], env=ENVIRONMENT, check=True, timeout=240)
    weights, history = uninterrupted
    for ours, theirs in zip(metrics(tmp_path), history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    for name, tensor in torch.load(tmp_path / "weights.pt").items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=1e-5)
