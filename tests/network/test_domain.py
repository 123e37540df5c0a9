"""Crystals unlike those of the training are flagged."""

import dataclasses
import itertools

import pytest
import torch

from cloud_model import CloudModel, Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import CloudWarning
from cloud_model.network.applicability_domain import SHARE, TrainingDomain

ALIKE = torch.zeros(4000, dtype=torch.int64)  # all crystals are of one kind


def rock_salt(cation, anion):
    return str(Scope.from_orbits(225, f"{cation}:4a;{anion}:4b"))


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, 6, generator=generator)
    return torch.randn(5000, 6, generator=generator) @ mixing + 3


def test_share_of_held_out_crystals_is_within(features):
    domain = TrainingDomain(6)
    domain.fit(features[:4000], ALIKE, features[4000:])
    assert (domain(features[4000:]) <= 1).float().mean() == pytest.approx(SHARE, abs=1.5e-3)


def test_distance_does_not_depend_on_units(features):
    domain, other = TrainingDomain(6), TrainingDomain(6)
    domain.fit(features[:4000], ALIKE, features[4000:])
    other.fit(1000 * features[:4000], ALIKE, 1000 * features[4000:])
    assert torch.allclose(domain(features), other(1000 * features), rtol=1e-4)


def test_distance_grows_linearly_away_from_the_mean(features):
    domain = TrainingDomain(6)
    domain.fit(features[:4000], ALIKE, features[4000:])
    step = torch.ones(6)
    near, far = domain(domain.location + torch.stack([step, 10 * step]))
    assert far / near == pytest.approx(10, rel=1e-3)


def test_rare_kinds_are_no_strangers(features):
    training = features[:4000].clone()
    training[:40] += 30
    kinds = ALIKE.clone()
    kinds[:40] = 1
    blind, fair = TrainingDomain(6), TrainingDomain(6)
    blind.fit(training, ALIKE, training)
    fair.fit(training, kinds, training)
    assert fair(training[:40]).mean() < 0.7 * blind(training[:40]).mean()


def test_a_single_training_crystal_makes_a_domain(features):
    domain = TrainingDomain(6)
    domain.fit(features[:1], ALIKE[:1], features[1:2])
    assert torch.isfinite(domain(features)).all()


@pytest.fixture
def model(tiny_checkpoint, tmp_path):
    """A model whose domain is the alkali halides."""
    tiny = Checkpoint.load(tiny_checkpoint)
    pairs = itertools.product(("Li", "Na", "K", "Rb", "Cs"), ("F", "Cl", "Br", "I"))
    known = [tiny.tokenizer.encode(rock_salt(*pair)) for pair in pairs]
    for member in tiny.members:
        member.fit_domain(known[::2], member.features(known[::2]), member.features(known[1::2]))
    config = dataclasses.replace(tiny.config, domain=True)
    dataclasses.replace(tiny, config=config).save(
        tmp_path / "fluorides", "# Alkali fluorides\n", torch.float16
    )
    return CloudModel.from_pretrained(tmp_path / "fluorides")


def test_predictions_say_what_is_out_of_domain(model):
    halides = [rock_salt("Na", "Cl"), rock_salt("K", "Cl")]
    foreign = str(Scope.from_orbits(62, "Pb:4c;Te:8d;H:4a"))
    with pytest.warns(CloudWarning, match="1 of 4"):
        frame = model.predict([*halides, foreign, "no crystal"], "band_gap")
    assert frame.out_of_domain.dtype == "boolean"
    assert frame.out_of_domain[:3].tolist() == [False, False, True]
    assert frame.out_of_domain.isna().tolist() == [False, False, False, True]


def test_checkpoints_without_a_domain_say_nothing(tiny_model):
    assert "out_of_domain" not in tiny_model.predict(rock_salt("Na", "F"), "band_gap")
