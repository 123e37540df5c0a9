"""Caches are bounded, forget what was not used longest, and change no result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from ase.build import bulk

from cloud_model import CloudModel
from cloud_model.bounded_cache import BoundedCache


def test_the_oldest_entries_are_forgotten():
    memory = BoundedCache(3)
    memory.update({key: str(key) for key in range(5)})
    memory[3] = "three"
    assert dict(memory) == {2: "2", 3: "three", 4: "4"}
    memory.get(2)
    memory[5] = "5"
    assert 2 in memory
    assert len(memory) == 3


def test_threads_may_share_a_memory():
    memory = BoundedCache(10)

    def write(start: int) -> None:
        for key in range(start, start + 5000):
            memory[key] = key

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, 20000, 5000)))
    assert len(memory) == 10


def test_a_model_that_remembers_predicts_the_same(tiny_checkpoint):
    crystals = [bulk(element, "fcc", a=4.0) for element in ("Cu", "Ag", "Au", "Cu")]
    model = CloudModel.from_pretrained(tiny_checkpoint)
    first, again = model.predict(crystals), model.predict(crystals[::-1])[::-1]
    np.testing.assert_allclose(first.drop(columns="error"), again.drop(columns="error"), rtol=1e-9)
    for pooling in ("mean", "atoms", "cls"):
        vectors = model.embed(crystals, pooling)
        np.testing.assert_array_equal(vectors, model.embed(crystals, pooling))
        alone = CloudModel.from_pretrained(tiny_checkpoint).embed(crystals[1], pooling)
        np.testing.assert_allclose(vectors[1], alone[0], atol=1e-6)
