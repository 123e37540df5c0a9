"""What a network says of a crystal is the same to the last bit in any company."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch

from cloud_model import CloudModel, Scope
from cloud_model.network.batches import run_batched
from cloud_model.network.tokenizer import Tokens

TEMPERATURES = [50.0, 300.0, 800.0]
ORBITS = (
    "Na:4a;Cl:4b",
    "Mg:4a",
    "K:4a;Br:4b",
    "Cs:4a;I:4b",
    "Al:4a;O:8c;Mg:24d",
    "Li:4a;Li:4b;Fe:8c;O:24d;S:24e",
)


@pytest.fixture(scope="module")
def crystals() -> list[Scope]:
    longer = [f"{'O:48h;' * i}Na:4a;Cl:4b;Si:{8 * 12}j" for i in range(2, 9)]
    return [Scope.from_orbits(225, orbits) for orbits in (*ORBITS, *longer)]


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="only MKL promises an order of sums")
@pytest.mark.parametrize(("threads", "tolerance"), [(1, 0), (2, 0), (8, 0), (3, 1e-6)])
def test_predictions_and_embeddings_do_not_depend_on_the_batch(crystals, threads, tolerance):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    model = CloudModel.from_pretrained()
    try:
        model.checkpoint.cache.clear()
        predicted = [model.predict(scope, temperature=TEMPERATURES) for scope in crystals]
        embedded = np.concatenate([model.embed(scope) for scope in crystals])
        for seed, size in enumerate((2, 3, 5, 7, 11, len(crystals))):
            rows = random.Random(seed).sample(range(len(crystals)), size)  # noqa: S311
            model.checkpoint.cache.clear()
            frame = model.predict([crystals[row] for row in rows], temperature=TEMPERATURES)
            expected = pd.concat([predicted[row] for row in rows]).select_dtypes("number")
            for name, values in expected.items():
                np.testing.assert_allclose(frame[name], values, tolerance, tolerance / 100, err_msg=name)
            embeddings = model.embed([crystals[row] for row in rows])
            np.testing.assert_allclose(embeddings, embedded[rows], rtol=10 * tolerance, atol=tolerance)
    finally:
        torch.set_num_threads(before)


def test_results_keep_their_kind_and_their_order():
    tokens = [Tokens((7,) * length, (0,) * length, (0.0,) * length) for length in (30, 3, 17, 9, 30, 3)]

    def function(batch):
        lengths = batch.mask.sum(1)
        return lengths, None, (lengths[:, None].double(),)

    lengths, none, (column,) = run_batched(function, tokens)
    assert lengths.tolist() == [30, 3, 17, 9, 30, 3]
    assert none is None
    assert column.shape == (6, 1)


def test_batches_go_to_the_device_of_the_network():
    meta = torch.device("meta")
    tokens = [Tokens((0, 5, 2), (0, 0, 0), (0.0, 1.0, 0.0))] * 3

    def function(batch):
        assert batch.ids.device == batch.mask.device == meta
        return torch.ones(len(batch.ids))

    assert run_batched(function, tokens, device=meta).shape == (3,)
