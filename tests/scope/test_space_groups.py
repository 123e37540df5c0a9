"""The bundled table of space groups against the libraries that define it."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import moyopy
import pytest

from cloud_model.scope.space_groups import numbers_by_generators, space_group, space_groups

MAKER = Path(__file__).parents[2] / "tools" / "make_space_groups.py"


@pytest.fixture(scope="module")
def maker():
    spec = spec_from_file_location("make_space_groups", MAKER)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bundle_is_that_of_the_installed_pymatgen(maker):
    bundled = json.loads(files("cloud_model.scope").joinpath("space_groups.json").read_text())
    assert bundled == json.loads(json.dumps(maker.read_pymatgen()))


def test_relabellings_extend_those_of_pymatgen_by_changes_of_cell_only(maker, monkeypatch):
    changed = list(maker.CELL_CHANGES)
    monkeypatch.setattr(maker, "CELL_CHANGES", {})
    for group, theirs in zip(space_groups(), maker.read_pymatgen(), strict=True):
        assert set(theirs["relabellings"]) <= set(group.relabellings)
        assert (set(theirs["relabellings"]) < set(group.relabellings)) is (group.number in changed)


def test_relabellings_form_a_group():
    for group in space_groups():
        images = set(group.relabellings)
        assert group.letters in images
        steps = [str.maketrans(group.letters, image) for image in group.relabellings[:60]]
        for image in group.relabellings[:60]:
            assert all(image.translate(step) in images for step in steps)


def test_relabellings_keep_multiplicities():
    for group in space_groups():
        for image in group.relabellings:
            assert all(
                group.multiplicities[a] == group.multiplicities[b]
                for a, b in zip(group.letters, image, strict=True)
            )


def test_triclinic_relabellings_are_all_affine_maps_of_the_inversion_centres():
    assert len(space_group(2).relabellings) == 8 * 168  # translations times GL(3, 2)


def test_the_general_position_has_the_order_of_the_group():
    for group in space_groups():
        rotations = moyopy.operations_from_number(group.number).rotations
        assert group.multiplicities[group.letters[-1]] == len(rotations)


def test_three_published_strings_deviate():
    assert [g.number for g in space_groups() if g.generators != g.published_generators] == [39, 131, 222]


def test_generators_name_their_group():
    for group in space_groups():
        assert numbers_by_generators()[group.generators] == group.number
        assert numbers_by_generators()[group.published_generators] == group.number
