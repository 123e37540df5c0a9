from __future__ import annotations

import json
import os
import signal
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from training_worker import ELEMENTS, TEXTS

from cloud_model import CloudModel
from cloud_model.cli import cloud
from cloud_model.errors import ArgumentError, DataError
from cloud_model.network.tokenizer import MASK, SPECIAL_TOKENS, TokenBatch, Tokenizer, build_vocabulary
from cloud_model.training.batching import bucketed_batches
from cloud_model.training.pretraining import pretrain
from cloud_model.training.pretraining import strings as corpus
from cloud_model.training.pretraining.masking import IGNORED, Masking
from cloud_model.training.pretraining.run import PretrainingRun
from cloud_model.training.pretraining.strings import ParquetCorpus, TextCorpus, pools

TOKENIZER = Tokenizer(build_vocabulary([*ELEMENTS, "O"]), 32)
RUN = """
output = "tiny"
tokens_per_batch = 300

[corpus]
shards = ["shards"]
validation = ["shards/a.parquet"]

[encoder]
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 32
max_position_embeddings = 32

[schedule]
epochs = 2
learning_rate = 1e-3
precision = "float32"
"""


@pytest.fixture
def config(tmp_path) -> Path:
    shards = tmp_path / "shards"
    shards.mkdir()
    for name, part in (("a", TEXTS[:50]), ("b", TEXTS[50:])):
        pq.write_table(pa.table({"scope": part}), shards / f"{name}.parquet", row_group_size=20)
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path / "run.toml"


def test_one_command_makes_a_checkpoint(config, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    done = CliRunner().invoke(cloud, ["pretrain", "--config", str(config)], catch_exceptions=False)
    assert done.exit_code == 0
    output = config.parent / "tiny"
    model = CloudModel.from_pretrained(output)
    assert model.embed(TEXTS[:3]).shape == (3, 3 * 16)
    assert not model.properties
    assert len((output / "training" / "metrics.jsonl").read_text().splitlines()) == 2
    assert "128 SCOPE strings" in (output / "README.md").read_text()
    written = tomllib.loads((output / "pretrain.toml").read_text())
    assert written["schedule"] == {
        **{"epochs": 2, "learning_rate": 1e-3, "warmup": 0.05, "weight_decay": 0.01},
        **{"gradient_norm": 1.0, "precision": "float32", "seed": 0},
    }
    assert PretrainingRun.read(output / "pretrain.toml") == PretrainingRun.read(config)


def test_pretraining_goes_on_from_a_checkpoint(config):
    PretrainingRun.read(config).execute()
    config.write_text(RUN.replace('"tiny"', '"second"\nmodel = "tiny"').replace("1e-3", "1e-9"))
    run = PretrainingRun.read(config)
    weights = [
        CloudModel.from_pretrained(config.parent / name).embed(TEXTS[:5])
        for name in ("tiny", PretrainingRun.execute(run).name)
    ]
    np.testing.assert_allclose(*weights, atol=1e-4)


def test_an_interrupted_run_leaves_a_usable_checkpoint(config, monkeypatch):
    loss = pretrain._Pretraining.loss
    steps = []

    def interrupted(self, *arguments):
        steps.append(1)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, *arguments)

    monkeypatch.setattr(pretrain._Pretraining, "loss", interrupted)
    stopped = CliRunner().invoke(cloud, ["pretrain", "--config", str(config)])
    assert stopped.exit_code == 130
    output = config.parent / "tiny"
    assert np.isfinite(CloudModel.from_pretrained(output).embed(TEXTS[:3])).all()
    assert "not finished" in (output / "README.md").read_text()
    PretrainingRun.read(config).execute()
    assert "not finished" not in (output / "README.md").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "", "schedule.epochs is missing"),
        ("epochs = 2", "epochs = 2.5", "schedule.epochs is 2.5, not int"),
        ('precision = "float32"', "precision = 0", "schedule.precision is 0, not one of auto"),
        ("hidden_size", "hidden_sise", "encoder.hidden_sise is unknown; known are hidden_size"),
        ("float32", "float31", "schedule.precision is 'float31', not one of auto, float32"),
        ("[schedule]", "[schedule", "cannot be read as TOML"),
    ],
)
def test_mistakes_in_the_configuration_are_named(config, old, new, message):
    config.write_text(RUN.replace(old, new))
    with pytest.raises(ArgumentError, match=message):
        PretrainingRun.read(config)


def test_strings_that_cannot_be_read_are_counted(config):
    table = pa.table({"scope": [*TEXTS[:5], "no string", TEXTS[0].replace("Na", "Po")]})
    pq.write_table(table, config.parent / "shards" / "c.parquet")
    config.write_text(RUN.replace("[corpus]", f"[corpus]\nelements = {json.dumps([*ELEMENTS, 'O'])}"))
    output = PretrainingRun.read(config).execute()
    lines = (output / "training" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["unreadable_strings"] for line in lines] == [2, 2]


@pytest.mark.parametrize("groups", ["memory", "shards"])
def test_pools_hold_every_string_once(groups, config, monkeypatch):
    monkeypatch.setattr(corpus, "POOL", 7)
    monkeypatch.setattr(corpus, "MIXED", 45)
    source = TextCorpus(TEXTS) if groups == "memory" else ParquetCorpus([config.parent / "shards"])
    found = list(pools(source, seed=1, epoch=2))
    assert Counter(text for _, texts in found for text in texts) == Counter(TEXTS)
    assert [number for number, _ in found] == list(range(len(found)))
    assert list(pools(source, 1, 2, first=9)) == found[9:]
    assert [texts for _, texts in pools(source, 1, 3)] != [texts for _, texts in found]


def test_corpora_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match="no Parquet shards"):
        ParquetCorpus([tmp_path])
    (tmp_path / "a.parquet").write_text("text")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        ParquetCorpus([tmp_path])
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column 'scope'"):
        ParquetCorpus([tmp_path])


@pytest.mark.parametrize("whole_elements", [True, False])
def test_masking_chooses_as_published(whole_elements):
    batch = TokenBatch.collate([TOKENIZER.encode(text) for text in TEXTS] * 200)
    masked, labels = Masking(TOKENIZER, 0.15, whole_elements)(batch.ids, torch.Generator().manual_seed(0))
    chosen = labels != IGNORED
    eligible = torch.tensor([token not in {*SPECIAL_TOKENS, "|"} for token in TOKENIZER.vocabulary])[
        batch.ids
    ]
    assert not (chosen & ~eligible).any()
    assert float(chosen[eligible].float().mean()) == pytest.approx(0.15, abs=0.005)
    assert float((masked[chosen] == MASK).float().mean()) == pytest.approx(0.8, abs=0.01)
    assert float((masked[chosen] == labels[chosen]).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert torch.equal(labels[chosen], batch.ids[chosen])
    assert torch.equal(masked[~chosen], batch.ids[~chosen])
    sodium = batch.ids == TOKENIZER.vocabulary.index("Na")
    together = ((chosen & sodium).sum(1) == sodium.sum(1)) | ((chosen & sodium).sum(1) == 0)
    assert bool(together.all()) == whole_elements


def test_batches_keep_to_their_budget_and_hold_every_row_once():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 60, size=500)
    batches = bucketed_batches(lengths, 600, rng, pool=128)
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert max(len(batch) * lengths[batch].max() for batch in batches) <= 600
    padding = sum(len(batch) * lengths[batch].max() for batch in batches) / lengths.sum()
    assert padding < 1.2
