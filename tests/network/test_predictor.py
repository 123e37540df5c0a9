"""Running a network over many crystals leaves the process as it was."""

from __future__ import annotations

from threading import Barrier, Thread

import torch
from torch.backends import mkldnn

from cloud_model.network.predictor import run_batched
from cloud_model.network.tokenizer import Tokens


def test_threads_that_overlap_leave_onednn_as_they_found_it():
    before = mkldnn.enabled
    first_entered, second_left = Barrier(2), Barrier(2)
    tokens = [Tokens((1,), (0,), (0.0,))]

    def early_and_late(batch):
        first_entered.wait()
        second_left.wait()
        return [torch.zeros(1)]

    thread = Thread(target=run_batched, args=(early_and_late, tokens))
    thread.start()
    first_entered.wait()
    run_batched(lambda batch: [torch.zeros(1)], tokens)
    assert not mkldnn.enabled  # the other thread is still inside
    second_left.wait()
    thread.join()
    assert mkldnn.enabled == before
