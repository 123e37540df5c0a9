"""What takes a model takes a name, a directory or a loaded model, and refuses a bad name before it works."""

from __future__ import annotations

import pytest

from cloud_model.errors import CheckpointError
from cloud_plugins import CloudCalculator
from cloud_plugins.matminer import CloudFeaturizer, CloudPropertyFeaturizer
from cloud_plugins.phonopy import validate_heat_capacity, validate_quasi_harmonic
from cloud_plugins.pymatgen import predicted_entries, screen, stability, with_predictions
from cloud_plugins.sklearn import CloudEmbedder, CloudRegressor


class _Untouchable:
    """An input that may not be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(name)


QUICK = {
    "calculator": lambda crystals, model: CloudCalculator(model).get_property(
        "band_gap", crystals[0].to_ase_atoms()
    ),
    "embeddings": lambda crystals, model: CloudFeaturizer(model).featurize(crystals[0]),
    "features": lambda crystals, model: CloudPropertyFeaturizer(model, ["band_gap"]).featurize(crystals[0]),
    "embedder": lambda crystals, model: CloudEmbedder(model).fit_transform(crystals[:2]),
    "entries": lambda crystals, model: predicted_entries(crystals[:2], model=model),
    "stability": lambda crystals, model: stability(crystals[:2], model=model),
    "properties": lambda crystals, model: with_predictions(crystals[0], "band_gap", model=model),
}
WORK = {
    "regressor": lambda model: CloudRegressor(model, epochs=1).fit(["a|b|c"] * 8, [1.0] * 8),
    "heat capacity": lambda model: validate_heat_capacity(_Untouchable(), model=model),
    "quasi-harmonic": lambda model: validate_quasi_harmonic(_Untouchable(), model=model),
    "screen": lambda model: screen("Na-Cl", model=model),
}


@pytest.mark.parametrize("name", QUICK)
def test_directories_and_models_are_the_same(name, rock_salts, tiny_checkpoint, tiny_model):
    results = [
        QUICK[name](rock_salts, model) for model in (tiny_checkpoint, str(tiny_checkpoint), tiny_model)
    ]
    assert len({repr(result) for result in results}) == 1


@pytest.mark.parametrize("name", [*QUICK, *WORK])
def test_unknown_models_are_refused(name, rock_salts):
    with pytest.raises(CheckpointError, match="no-such-model"):
        WORK[name]("no-such-model") if name in WORK else QUICK[name](rock_salts, "no-such-model")
