"""Whatever the weights, the thermodynamics head gives a physical solid."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_model.network.heads import ScalarHeads, ThermodynamicsHead
from cloud_model.physics import debye
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
