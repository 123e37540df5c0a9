"""The checkpoints that ship say sensible things of well-known crystals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_model import CloudModel, Scope

SALT = "Na:4a;Cl:4b"
MAGNESIA = "Mg:4a;O:4b"
CORUNDUM = "Al:12c;O:18e"


@pytest.fixture(scope="module", params=["cloud-mini", "cloud-small"])
def model(request):
    return CloudModel.from_pretrained(request.param)


def predicted(model, number, orbits, name, temperature=300.0):
    return model.predict(Scope.from_orbits(number, orbits), name, temperature)[name].item()


@pytest.mark.parametrize(
    ("number", "orbits", "heat_capacity"),
    [(225, MAGNESIA, 18.9), (227, "Si:8a", 19.9), (225, SALT, 24.0), (167, CORUNDUM, 16.1)],
    ids=["MgO", "Si", "NaCl", "Al2O3"],
)
def test_heat_capacity_at_room_temperature(model, number, orbits, heat_capacity):
    """Harmonic values of density functional theory, J/(mol-atom K), from phonopy's example force sets."""
    assert predicted(model, number, orbits, "heat_capacity_per_atom") == pytest.approx(
        heat_capacity, rel=0.05
    )


def test_formation_energies(model):
    """Materials Project: NaCl -2.1, MgO -3.0, Al2O3 -3.4 eV/atom; an element has none."""
    name = "formation_energy_per_atom"
    assert predicted(model, 225, SALT, name) == pytest.approx(-2.1, abs=0.4)
    assert predicted(model, 225, MAGNESIA, name) == pytest.approx(-3.0, abs=0.4)
    assert predicted(model, 167, CORUNDUM, name) == pytest.approx(-3.4, abs=0.4)
    assert predicted(model, 225, "Cu:4a", name) == pytest.approx(0, abs=0.1)


def test_stiffness_follows_chemistry(model):
    diamond, silicon, salt = (
        predicted(model, number, orbits, "bulk_modulus")
        for number, orbits in ((227, "C:8a"), (227, "Si:8a"), (225, SALT))
    )
    assert diamond > 200 > 150 > silicon > 60 > 40 > salt


def test_metals_have_no_gap_and_insulators_have_one(model):
    assert predicted(model, 225, "Cu:4a", "band_gap") < 0.1
    assert 4 < predicted(model, 225, SALT, "band_gap") < 9


def test_every_prediction_is_a_finite_number(model):
    examples = sorted((Path(__file__).parents[2] / "examples").glob("*.cif"))
    frame = model.predict(examples)
    assert len(frame) > 5
    assert frame.error.isna().all()
    assert np.isfinite(frame.drop(columns="error").to_numpy(float)).all()


def test_the_card_tells_data_licences_and_errors():
    from cloud_model.checkpoints.registry import resolve

    card = (resolve() / "README.md").read_text()
    for word in ("CC BY 4.0", "extra trees", "ridge on composition", "dummy", "Where not to trust it"):
        assert word in card


def test_every_property_tells_its_training_set(model):
    assert all(info.training_set for info in model.properties.values())
    assert model.properties["debye_temperature"].test_error > 0
