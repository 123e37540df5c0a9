"""The mean of the weights of several runs."""

from __future__ import annotations

import json

import torch

from recipes.average import MEAN_OF, average
from recipes.export import passes


def test_average(tmp_path):
    runs = [tmp_path / name for name in ("one", "two", "three")]
    for i, run in enumerate(runs):
        run.mkdir()
        torch.save(
            {"weight": torch.full((2, 3), float(i)), "bias": torch.tensor([3.0 * i])}, run / "predictor.pt"
        )
        (run / "encoder.json").write_text("{}")
        (run / "targets.json").write_text("{}")
    average(tmp_path / "mean", runs)
    mean = torch.load(tmp_path / "mean" / "predictor.pt", weights_only=True)
    assert torch.equal(mean["weight"], torch.ones(2, 3))
    assert torch.equal(mean["bias"], torch.tensor([3.0]))
    assert (tmp_path / "mean" / MEAN_OF).read_text().split() == [str(run) for run in runs]


def test_the_passes_of_a_mean_are_told_once(tmp_path):
    first, second, mean = (tmp_path / name for name in ("first", "second", "mean"))
    for run, epoch in ((first, 8.0), (second, 1.0), (mean, None)):
        run.mkdir()
        if epoch:
            (run / "metrics.jsonl").write_text(json.dumps({"epoch": epoch, "step": 1000 * int(epoch)}) + "\n")
    (second / "start.txt").write_text(str(first))
    (mean / MEAN_OF).write_text(f"{first}\n{second}")
    assert passes(mean) == (
        "8 passes, 8,000 steps; the mean of these weights and of those after 1 pass, 1,000 steps"
    )
