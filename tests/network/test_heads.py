"""Whatever the weights, the thermodynamics head gives a physical solid."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_model.network.heads import (
    EXPANSION,
    KNOWN,
    ExpansionHead,
    Prediction,
    ScalarHeads,
    ThermodynamicsHead,
    atom_pool,
    layer_pool,
    mean_pool,
    property_features,
    with_calculated,
)
from cloud_model.network.tokenizer import TokenBatch
from cloud_model.physics import debye
from cloud_model.physics.isobaric import UncertainExpansion
from cloud_model.physics.thermodynamics import Thermodynamics


def spectra_of(seed: int, spectra: int, scale: float):
    torch.manual_seed(seed)
    head = ThermodynamicsHead(features=8, spectra=spectra).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=scale)
        return head(torch.randn(1, 8, dtype=torch.float64))


random_heads = given(
    seed=st.integers(0, 2**31), spectra=st.integers(1, 6), scale=st.sampled_from([0.1, 1.0, 100.0])
)


@settings(max_examples=60, deadline=None)
@random_heads
def test_thermodynamics_of_random_weights(seed, spectra, scale):
    theta, weights, spread, _ = spectra_of(seed, spectra, scale)
    assert (theta > 14).all()
    assert (theta < 6100).all()
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)
    assert spread.item() > 0

    T = torch.tensor([0.0, 0.5, 1.0, 20.0, 300.0, 2000.0, 1e5], dtype=torch.float64, requires_grad=True)
    cv, u, s, f = (
        (function(theta.T, T) * weights.T).sum(0)
        for function in (debye.heat_capacity, debye.internal_energy, debye.entropy, debye.free_energy)
    )
    (du,) = torch.autograd.grad(u.sum(), T, retain_graph=True)
    (ds,) = torch.autograd.grad(s.sum(), T, retain_graph=True)
    assert (cv >= 0).all()
    assert cv[0] == s[0] == 0
    assert cv[-1].item() == pytest.approx(3 * debye.R, rel=1e-3)
    torch.testing.assert_close(cv, du, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(cv, T * ds, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(f, u - T * s, rtol=1e-12, atol=1e-8)
    low = torch.tensor([0.01, 0.02], dtype=torch.float64)
    cubic = (debye.heat_capacity(theta.T, low) * weights.T).sum(0)
    assert (cubic[1] / cubic[0]).item() == pytest.approx(8, rel=1e-9)


def test_one_spectrum_is_cloud_debye():
    theta, weights, *_ = spectra_of(0, 1, 1.0)
    curve = Thermodynamics(torch.linspace(1, 900, 9).numpy(), theta[0].numpy(), weights[0].numpy())
    expected = debye.heat_capacity(theta[0], torch.linspace(1, 900, 9).double())
    torch.testing.assert_close(torch.from_numpy(curve.heat_capacity_per_atom), expected, rtol=1e-12, atol=0)


def test_error_bars_send_no_gradient_into_the_predictions():
    torch.manual_seed(0)
    features = torch.randn(5, 4, requires_grad=True)
    for head in (ScalarHeads(features=4, targets=3), ThermodynamicsHead(features=4, spectra=2)):
        for parameter in head.parameters():
            torch.nn.init.normal_(
                parameter, std=0.1
            )  # some start at zero, which would let no gradient through
        error = head(features).scale if isinstance(head, ScalarHeads) else head(features).spread
        error.log().sum().backward()
        assert features.grad is None or not features.grad.any()
        assert head.hidden.weight.grad is None or not head.hidden.weight.grad.any()
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


def test_a_value_sends_its_gradient_into_the_features():
    features = torch.randn(5, 4, requires_grad=True)
    ScalarHeads(features=4, targets=3)(features).value.sum().backward()
    assert features.grad.any()


def test_spectra_start_apart_around_the_reference():
    spectra = ThermodynamicsHead(features=4, spectra=3)(torch.zeros(1, 4))
    assert spectra.weights.shape == spectra.debye_temperatures.shape == (1, 3)
    assert spectra.spread.item() == pytest.approx(0.1)
    assert (spectra.debye_temperatures.diff() > 0).all()


def test_pooling_counts_tokens_and_atoms_and_no_padding():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 8.0], [5.0, 0.0]], [[4.0, 6.0], [2.0, 0.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    shares = torch.tensor([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]])
    batch = TokenBatch(mask.long(), mask.long(), shares, mask)
    tokens = torch.tensor([[3.0, 10 / 3], [3.0, 3.0]])
    atoms = torch.tensor([[4.5, 2.0], [3.0, 3.0]])
    deviation = torch.tensor([[0.75**0.5, 12**0.5], [1.0, 3.0]])
    torch.testing.assert_close(mean_pool(hidden, batch), tokens)
    torch.testing.assert_close(atom_pool(hidden, batch), atoms)
    torch.testing.assert_close(property_features(hidden, batch), torch.cat([tokens, atoms], dim=1))
    layers = torch.cat([atoms, deviation, -atoms], dim=1)
    torch.testing.assert_close(layer_pool(hidden, -hidden, batch), layers)


def test_new_scalar_heads_say_numbers_of_order_one_with_a_scale_of_one():
    torch.manual_seed(0)
    value, scale = ScalarHeads(features=64, targets=50)(torch.randn(200, 64))
    assert value.shape == scale.shape == (200, 50)
    assert 0.1 < value.std() < 1
    assert (scale == 1).all()


def test_scales_of_error_stay_within_bounds():
    head, thermodynamics = ScalarHeads(features=4, targets=1), ThermodynamicsHead(features=4, spectra=2)
    features = torch.zeros(1, 4)
    for bias, scale, spread in ((-99.0, -8, -8), (99.0, 4, 2)):
        torch.nn.init.constant_(head.scale_bias, bias)
        torch.nn.init.constant_(thermodynamics.spread.bias, bias)
        assert head(features).scale.item() == pytest.approx(math.exp(scale))
        assert thermodynamics(features).spread.item() == pytest.approx(math.exp(spread))


@pytest.mark.parametrize(("spectra", "offsets"), [(1, [0.0]), (2, [-0.7, 0.7]), (3, [-0.7, 0.0, 0.7])])
def test_debye_temperatures_follow_the_network_within_their_range(spectra, offsets):
    head = ThermodynamicsHead(features=4, spectra=spectra)
    torch.nn.init.zeros_(head.output.weight)
    for position in (0.0, 0.1, -1.5, 50.0):
        torch.nn.init.constant_(head.output.bias, position)
        ratio = (head(torch.zeros(1, 4)).debye_temperatures / 300).log()[0]
        expected = [3 * math.tanh((position + offset) / 3) for offset in offsets]
        torch.testing.assert_close(ratio, torch.tensor(expected))


def test_an_expansion_head_moves_from_the_middle_of_its_ranges():
    head = ExpansionHead(4, members=3)
    assert head.members(torch.randn(2, 4)).shape == (2, 3, len(EXPANSION))
    middle = torch.tensor([value for value, _ in EXPANSION.values()]).log()
    reach = torch.tensor([width for _, width in EXPANSION.values()])
    torch.nn.init.zeros_(head.output)
    for bias in (0.0, 0.05, -0.4, 99.0):
        torch.nn.init.constant_(head.bias, bias)
        expected = (middle + reach * torch.tanh(bias / reach)).expand(2, 3, -1)
        torch.testing.assert_close(head.members(torch.randn(2, 4)), expected)


def test_perceptrons_of_an_expansion_head_have_weights_of_their_own():
    torch.manual_seed(0)
    head = ExpansionHead(4, members=3)
    features = torch.randn(2, 4)
    before = head.members(features)
    assert 1e-3 < before.std(dim=1).mean() < 0.3
    with torch.no_grad():
        head.output[1] *= 2
    moved = (head.members(features) - before).abs().amax(dim=(0, 2))
    assert moved[1] > 1e-3
    assert moved[0] == moved[2] == 0


def test_errors_of_expansion_are_those_of_members_and_of_all_of_them_together():
    head = ExpansionHead(4, members=4)
    torch.nn.init.zeros_(head.output)
    with torch.no_grad():
        head.bias += torch.tensor([-0.03, -0.01, 0.01, 0.03])[:, None]
        head.uncertainty.copy_(torch.tensor([0.0, 0.1, 0.2, 0.3, 1.0]))
    logarithms, errors = head(torch.zeros(1, 4))
    spread = head.members(torch.zeros(1, 4))[0].std(dim=0)
    torch.testing.assert_close(logarithms[0], torch.tensor([v for v, _ in EXPANSION.values()]).log())
    torch.testing.assert_close(errors[0], torch.hypot(spread, head.uncertainty))


def test_calculated_fields_take_the_place_of_learned_ones_within_their_ranges():
    learned = UncertainExpansion(torch.zeros(3, len(EXPANSION)), torch.full((3, len(EXPANSION)), 0.7))
    known = {
        "volume_per_atom": Prediction(torch.tensor([20.0, 1e-3, 1e6]), torch.tensor([1.0, 1e-3, 1e3])),
        "bulk_modulus": Prediction(torch.tensor([50.0, 1e-3, 1e9]), torch.tensor([10.0, 1e-3, 1e3])),
    }
    logarithms, errors = with_calculated(learned, known)
    for column, (field, (middle, reach)) in enumerate(EXPANSION.items()):
        if field not in KNOWN:
            assert (logarithms[:, column] == 0).all()
            assert (errors[:, column] == learned.errors[:, column]).all()
            continue
        name, theory = KNOWN[field]
        value, error = known[name]
        ends = torch.tensor([value[0].item(), middle * math.exp(-reach), middle * math.exp(reach)])
        torch.testing.assert_close(logarithms[:, column], ends.log())
        torch.testing.assert_close(errors[:, column], torch.hypot(error / ends, torch.tensor(theory)))
    assert (learned.logarithms == 0).all()
