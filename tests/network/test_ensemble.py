"""The networks of an ensemble as one."""

from __future__ import annotations

import pytest
import torch

from cloud_model import Scope
from cloud_model.network.ensemble import embed, run_ensemble
from cloud_model.network.predictor import run_heads
from cloud_model.network.tokenizer import TokenBatch

ORBITS = [(225, "Na:4a;Cl:4b"), (227, "Mg:8a;Al:16d;O:32e"), (221, "Sr:1a;Ti:1b;O:3c"), (225, "Mg:4a;O:4b")]


@pytest.fixture(scope="module")
def tokens(tiny_model):
    return [tiny_model.checkpoint.tokenizer.encode(Scope.from_orbits(*orbits)) for orbits in ORBITS]


def test_an_ensemble_is_the_mean_of_its_networks(tiny_model, tokens):
    members = tiny_model.checkpoint.members
    output, single = run_ensemble(members, tokens), [run_heads(member, tokens) for member in members]
    for name in ("scalars", "expansion"):
        values, errors = (
            torch.stack(parts).double() for parts in zip(*(getattr(one, name) for one in single), strict=True)
        )
        mean, error = getattr(output, name)
        torch.testing.assert_close(mean, values.mean(0))
        torch.testing.assert_close(error**2, (errors**2).mean(0) + values.var(0, correction=0))
    assert output.spectra.weights.shape == (len(tokens), 3 * len(members))
    torch.testing.assert_close(output.spectra.weights.sum(1), torch.ones(len(tokens)).double())


def test_networks_share_the_batches(tiny_model, tokens, monkeypatch):
    made = []
    to = TokenBatch.to
    monkeypatch.setattr(TokenBatch, "to", lambda self, device: made.append(self) or to(self, device))
    members = tiny_model.checkpoint.members
    run_ensemble(members[:1], tokens)
    alone = len(made)
    run_ensemble(members, tokens)
    assert len(made) == 2 * alone > 0


def test_embeddings_stand_side_by_side(tiny_model, tokens):
    members = tiny_model.checkpoint.members
    for pooling in ("layers", "mean", "atoms", "cls"):
        parts = [embed([member], tokens, pooling) for member in members]
        assert torch.equal(embed(members, tokens, pooling), torch.cat(parts, dim=1))


def test_two_thirds_of_the_default_embedding_know_the_composition_alone(tiny_model):
    coesite = (15, "O:4a;O:4e;O:8f;O:8f;O:8f;Si:8f;Si:8f")
    crystals = [(152, "Si:3a;O:6c"), coesite, (225, "Cu:4a")]
    tokens = [tiny_model.checkpoint.tokenizer.encode(Scope.from_orbits(*orbits)) for orbits in crystals]
    quartz, other, copper = embed(tiny_model.checkpoint.members[:1], tokens, "layers").unflatten(1, (3, -1))
    torch.testing.assert_close(quartz[:2], other[:2])
    assert (quartz[2] - other[2]).abs().max() > 1e-3
    torch.testing.assert_close(copper[1], torch.zeros_like(copper[1]), atol=1e-3, rtol=0)
