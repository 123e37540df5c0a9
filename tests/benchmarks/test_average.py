"""The mean of the weights of several runs."""

from __future__ import annotations

import torch

from recipes.average import MEAN_OF, average


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
