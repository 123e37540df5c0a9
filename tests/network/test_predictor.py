"""What a network is told of a crystal, and that running it leaves the process as it was."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier, Thread

import pytest
import torch
from torch.backends import mkldnn

from cloud_model import Scope
from cloud_model.network.applicability_domain import TrainingDomain
from cloud_model.network.batches import run_batched
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import TokenBatch, Tokenizer, Tokens, build_vocabulary

TOKENIZER = Tokenizer(build_vocabulary(["Na", "Cl", "Mg", "Al", "O"]), max_length=32)
ORBITS = {"Mg": (225, "Mg:4a"), "NaCl": (225, "Na:4a;Cl:4b"), "MgAl2O4": (227, "Mg:8a;Al:16d;O:32e")}


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(
        EncoderConfig(
            vocab_size=len(TOKENIZER),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=32,
            type_vocab_size=3,
        ),
        scalars=1,
        spectra=0,
    ).eval()


def encode(formula: str) -> Tokens:
    return TOKENIZER.encode(str(Scope.from_orbits(*ORBITS[formula])))


def test_the_domain_weighs_crystals_by_their_number_of_elements(predictor, monkeypatch):
    seen = []
    monkeypatch.setattr(
        TrainingDomain, "fit", lambda self, pooled, kinds, unseen: seen.append(kinds.tolist())
    )
    tokens = [encode(formula) for formula in ORBITS]
    predictor.fit_domain(tokens, *2 * [predictor.features(tokens)])
    assert seen == [[1, 2, 3]]


def test_hidden_states_depend_on_the_section_of_a_token(predictor):
    batch = TokenBatch.collate([encode("NaCl")])
    flat = replace(batch, types=torch.zeros_like(batch.types))
    assert not torch.allclose(predictor.hidden_states(batch), predictor.hidden_states(flat))


def test_padding_changes_nothing(predictor):
    alone = predictor(TokenBatch.collate([encode("NaCl")]))
    padded = predictor(TokenBatch.collate([encode("NaCl"), encode("MgAl2O4")]))
    torch.testing.assert_close(alone.scalars.value[0], padded.scalars.value[0])


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
