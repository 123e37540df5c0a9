"""Estimators: what they learn, and that their heat capacities are physical."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.constants import R

from cloud_model import CloudModel
from cloud_model.errors import ArgumentError, BatchError
from cloud_plugins import CloudDebyeRegressor, CloudEmbedder, CloudRegressor


@pytest.fixture(scope="module")
def mass(rock_salts):
    """Mean atomic mass in u: sharply defined by the elements, so it can be learned from few crystals."""
    return pd.Series([s.composition.weight / len(s) for s in rock_salts], name="mean_mass")


@pytest.fixture(scope="module")
def regressor(tiny_checkpoint, rock_salts, mass):
    return CloudRegressor(tiny_checkpoint, epochs=60, learning_rate=3e-3, random_state=0).fit(
        rock_salts, mass
    )


@pytest.fixture(scope="module")
def debye_regressor(tiny_checkpoint, rock_salts):
    temperatures = np.tile([50.0, 100.0, 300.0], (len(rock_salts), 1))
    curves = np.tile([5.0, 12.0, 22.0], (len(rock_salts), 1))
    return CloudDebyeRegressor(tiny_checkpoint, epochs=60, learning_rate=3e-3, random_state=0).fit(
        rock_salts, curves, temperatures
    )


def test_embedder_gives_the_embeddings_of_the_model(tiny_checkpoint, tiny_model, rock_salts):
    embedder = CloudEmbedder(tiny_checkpoint, pooling="atoms").fit(rock_salts)
    np.testing.assert_array_equal(embedder.transform(rock_salts), tiny_model.embed(rock_salts, "atoms"))


def test_regressor_learns(regressor, rock_salts, mass):
    assert regressor.score(rock_salts, mass) > 0.7


def test_fitted_model_is_named_after_its_labels(regressor, rock_salts):
    predicted = regressor.model_.predict(rock_salts)
    assert list(predicted) == ["mean_mass", "mean_mass_std", "out_of_domain", "error"]
    np.testing.assert_array_equal(predicted["mean_mass"], regressor.predict(rock_salts))


def test_fitted_model_serves_other_plugins(regressor, rock_salts, tmp_path):
    regressor.model_.save(tmp_path / "masses")
    loaded = CloudModel.from_pretrained(tmp_path / "masses")
    np.testing.assert_allclose(
        loaded.predict(rock_salts)["mean_mass"], regressor.predict(rock_salts), rtol=1e-6
    )


def test_labels_without_a_name_are_the_target(tiny_checkpoint, rock_salts, mass):
    fitted = CloudRegressor(tiny_checkpoint, epochs=1).fit(rock_salts, mass.to_numpy())
    assert list(fitted.model_.properties) == ["target"]


def test_head_only_leaves_the_encoder_alone(tiny_checkpoint, tiny_model, rock_salts, mass):
    head_only, whole = (
        CloudRegressor(tiny_checkpoint, head_only=choice, epochs=2).fit(rock_salts, mass).model_
        for choice in (True, False)
    )
    own = tiny_model.embed(rock_salts)[:, : head_only.embedding_size]
    np.testing.assert_array_equal(head_only.embed(rock_salts), own)
    assert not np.allclose(whole.embed(rock_salts), own)


def test_the_model_to_start_from_is_not_trained(tiny_model, rock_salts, mass):
    before = tiny_model.embed(rock_salts)
    CloudRegressor(tiny_model, epochs=1).fit(rock_salts, mass)
    np.testing.assert_array_equal(tiny_model.embed(rock_salts), before)


def test_crystals_of_weight_zero_are_left_out(tiny_checkpoint, rock_salts, mass):
    estimator = CloudRegressor(tiny_checkpoint, epochs=2, random_state=0)
    weights = np.repeat([1.0, 0.0], len(rock_salts))
    misleading = np.concatenate([mass, -1000 * mass])
    weighted = estimator.fit(rock_salts * 2, misleading, sample_weight=weights).predict(rock_salts)
    np.testing.assert_array_equal(estimator.fit(rock_salts, mass).predict(rock_salts), weighted)


def test_weights_pull_the_fit_their_way(tiny_checkpoint, rock_salts):
    sulphides = np.arange(len(rock_salts)) % 2 == 1
    labels = np.where(sulphides, 1.0, 0.0)
    estimator = CloudRegressor(tiny_checkpoint, head_only=True, epochs=8, random_state=0)
    means = [
        estimator.fit(rock_salts, labels, sample_weight=np.where(sulphides, weight, 1))
        .predict(rock_salts)
        .mean()
        for weight in (0.05, 20)
    ]
    assert means[0] < means[1]


def test_fitting_does_not_touch_the_random_numbers_of_the_user(tiny_checkpoint, rock_salts, mass):
    import torch

    before = torch.random.get_rng_state()
    CloudRegressor(tiny_checkpoint, epochs=1).fit(rock_salts, mass)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bad_crystals_are_named(regressor, tiny_checkpoint, rock_salts, mass):
    bad = [*rock_salts[:-1], "a | b | c"]
    for call in (
        lambda: regressor.predict(bad),
        lambda: CloudRegressor(tiny_checkpoint).fit(bad, mass),
        lambda: CloudEmbedder(tiny_checkpoint).fit_transform(bad),
    ):
        with pytest.raises(BatchError) as caught:
            call()
        assert list(caught.value.failures) == [11]


def test_heat_capacities_are_learned(debye_regressor, rock_salts):
    temperatures = np.tile([50.0, 100.0, 300.0], (len(rock_salts), 1))
    predicted = debye_regressor.predict(rock_salts, temperatures)
    np.testing.assert_allclose(predicted, np.tile([5.0, 12.0, 22.0], (len(rock_salts), 1)), atol=2.5)


def test_heat_capacities_are_those_of_a_vibrational_spectrum(debye_regressor, rock_salts):
    grid = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 60)])
    (curve,) = debye_regressor.predict(rock_salts[:1], grid[None])
    assert curve[0] == 0
    assert (np.diff(curve) >= -1e-9).all()
    assert curve[-1] == pytest.approx(3 * R, rel=1e-6)
    thermodynamics = debye_regressor.model_.thermodynamics(rock_salts[0], grid)
    np.testing.assert_allclose(thermodynamics.heat_capacity_per_atom, curve, rtol=1e-10)


@pytest.mark.parametrize("shape", ["pairs", "frame", "array"])
def test_temperatures_may_stand_beside_the_crystals(debye_regressor, rock_salts, shape):
    kelvin = np.linspace(20, 400, len(rock_salts))
    frame = pd.DataFrame({"crystal": rock_salts, "temperature": kelvin})
    samples = {
        "pairs": list(zip(rock_salts, kelvin, strict=True)),
        "frame": frame,
        "array": frame.to_numpy(),
    }[shape]
    np.testing.assert_array_equal(
        debye_regressor.predict(samples), debye_regressor.predict(rock_salts, kelvin)
    )


def test_missing_or_odd_temperatures_are_refused(debye_regressor, tiny_checkpoint, rock_salts):
    with pytest.raises(ArgumentError, match="temperatures"):
        debye_regressor.predict(rock_salts)
    with pytest.raises(ArgumentError, match="negative"):
        debye_regressor.predict(rock_salts, np.full(12, -1.0))
    with pytest.raises(ValueError, match="inconsistent"):
        debye_regressor.predict(rock_salts, [300.0])
    with pytest.raises(ArgumentError, match="one temperature for each"):
        CloudDebyeRegressor(tiny_checkpoint).fit(rock_salts, np.ones(12), np.ones((12, 2)))
