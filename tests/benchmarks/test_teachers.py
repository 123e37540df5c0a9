"""Networks that say what they know of crystals without labels."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import torch

from cloud_model import Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.registry import BASE, resolve
from cloud_model.network.predictor import run_heads
from recipes.finetune import build_predictor, teach
from recipes.substitutes import UNLABELLED

SCOPES = [str(Scope.from_orbits(*crystal)) for crystal in ((225, "Na:4a;Cl:4b"), (227, "Si:8a"))]


def test_a_teacher_speaks_once(tmp_path):
    base = Checkpoint.load(resolve(BASE))
    teacher = build_predictor(base.config.encoder, 1).eval()
    torch.save(teacher.state_dict(), tmp_path / "predictor.pt")
    (tmp_path / "encoder.json").write_text(json.dumps(dataclasses.asdict(base.config.encoder)))
    (tmp_path / "targets.json").write_text(json.dumps({"band_gap": {}}))
    pd.DataFrame({"scope": SCOPES}).to_parquet(tmp_path / UNLABELLED)
    said = teach(tmp_path, resolve(BASE), tmp_path)
    expected = run_heads(teacher, [base.tokenizer.encode(text) for text in SCOPES])
    torch.testing.assert_close(said.scalars.value, expected.scalars.value, atol=0.02, rtol=0.02)
    (tmp_path / "predictor.pt").unlink()
    again = teach(tmp_path, resolve(BASE), tmp_path)
    assert torch.equal(again.scalars.value, said.scalars.value)
    assert torch.equal(again.spectra.weights, said.spectra.weights)
