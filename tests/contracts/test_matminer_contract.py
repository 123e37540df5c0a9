"""What matminer and scikit-learn ask of a featurizer, beside a stock featurizer of the same features."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matminer.featurizers.base import BaseFeaturizer, MultipleFeaturizer
from matminer.featurizers.conversions import ASEAtomstoStructure, DictToObject, StrToComposition
from pymatgen.io.ase import AseAtomsAdaptor
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.utils.estimator_checks import (
    check_estimator_cloneable,
    check_estimator_repr,
    check_estimator_tags_renamed,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
    check_valid_tag_types,
)

import cloud_plugins
from cloud_plugins import CloudPropertyFeaturizer


class CloudFeaturizer(BaseFeaturizer):
    """The same features by the stock way, row after row."""

    def __init__(self, model):
        self.model = model
        self.set_n_jobs(1)

    def featurize(self, crystal):
        return self.model.embed(crystal, "mean")[0].tolist()

    def feature_labels(self):
        return [f"{self.model.name} mean {i}" for i in range(self.model.embedding_width("mean"))]

    def citations(self):
        return []

    def implementors(self):
        return []


class Volume(BaseFeaturizer):
    """A stock featurizer to stand beside ours."""

    def featurize(self, crystal):
        return [crystal.volume]

    def feature_labels(self):
        return ["volume"]

    def citations(self):
        return []

    def implementors(self):
        return []


@pytest.fixture
def ours(tiny_checkpoint):
    return cloud_plugins.CloudFeaturizer(tiny_checkpoint, "mean")  # 64 columns, of which pandas does not warn


@pytest.fixture
def stock(tiny_model):
    return CloudFeaturizer(tiny_model)


@pytest.fixture
def frame(rock_salts):
    return pd.DataFrame({"structure": rock_salts, "size": 8.0}, index=range(100, 100 + len(rock_salts)))


@pytest.fixture
def faulty(frame):
    frame = frame.copy()
    frame.iloc[3, 0] = "a | b | c"
    frame.iloc[7, 0] = None
    return frame


def comparable(frame):
    """Tracebacks differ in all but where they are and how they end."""
    return frame.map(lambda value: value.splitlines()[-1] if isinstance(value, str) else value)


@pytest.mark.parametrize("multiindex", [False, True])
@pytest.mark.parametrize("return_errors", [False, True])
def test_frames_are_those_of_a_stock_featurizer(ours, stock, faulty, multiindex, return_errors):
    options = {
        "ignore_errors": True,
        "return_errors": return_errors,
        "multiindex": multiindex,
        "pbar": False,
    }
    expected = stock.featurize_dataframe(faulty.copy(), "structure", **options)
    result = ours.featurize_dataframe(faulty, "structure", **options)
    pd.testing.assert_frame_equal(comparable(result), comparable(expected), rtol=1e-4, atol=1e-5)


def test_frames_of_several_levels_go_on(ours, frame):
    once = ours.featurize_dataframe(frame, multiindex=True, pbar=False)
    twice = CloudPropertyFeaturizer(ours.model).featurize_dataframe(once, multiindex=True, pbar=False)
    assert set(twice.columns.get_level_values(0)) == {
        "Input Data",
        "CloudFeaturizer",
        "CloudPropertyFeaturizer",
    }


@pytest.mark.parametrize("multiindex", [False, True])
def test_the_frame_of_the_caller_is_left_alone(ours, frame, multiindex):
    before = frame.copy()
    ours.featurize_dataframe(frame, multiindex=multiindex, pbar=False)
    pd.testing.assert_frame_equal(frame, before)


def test_inplace_changes_the_frame_of_the_caller(ours, frame):
    expected = ours.featurize_dataframe(frame, pbar=False)
    assert ours.featurize_dataframe(frame, inplace=True, pbar=False) is None
    pd.testing.assert_frame_equal(frame, expected)


def test_columns_are_not_overwritten(ours, frame):
    once = ours.featurize_dataframe(frame, pbar=False)
    with pytest.raises(ValueError, match="exists in input dataframe"):
        ours.featurize_dataframe(once, pbar=False)


def test_errors_are_returned_only_if_they_are_ignored(ours, stock, frame):
    for featurizer in (ours, stock):
        with pytest.raises(ValueError, match="ignore_errors"):
            featurizer.featurize_dataframe(frame, "structure", return_errors=True, pbar=False)


def test_errors_are_raised_as_what_they_are(ours, stock, faulty):
    messages = []
    for featurizer in (ours, stock):
        with pytest.raises(ValueError, match="SKIP THESE ERRORS") as caught:
            featurizer.featurize_dataframe(faulty, "structure", pbar=False)
        messages.append((caught.type, str(caught.value)))
    assert messages[0] == messages[1]


def test_fit_featurize_dataframe_is_featurize_dataframe(ours, frame):
    expected = ours.featurize_dataframe(frame, pbar=False)
    for col_id in ("structure", None):
        pd.testing.assert_frame_equal(ours.fit_featurize_dataframe(frame, col_id, pbar=False), expected)


@pytest.mark.parametrize("shape", ["list", "tuple", "series", "frame", "array", "column", "rows"])
def test_featurize_many_takes_every_collection_of_a_stock_featurizer(ours, stock, rock_salts, shape):
    series = pd.Series(rock_salts)
    entries = {
        "list": rock_salts,
        "tuple": tuple(rock_salts),
        "series": series,
        "frame": series.to_frame(),
        "array": series.to_numpy(),
        "column": series.to_frame().to_numpy(),
        "rows": [[structure] for structure in rock_salts],
    }[shape]
    expected = stock.featurize_many(entries, pbar=False)
    np.testing.assert_allclose(ours.featurize_many(entries, pbar=False), expected, atol=1e-5)


def test_nothing_gives_nothing(ours, stock):
    assert ours.featurize_many([], pbar=False) == stock.featurize_many([], pbar=False) == []


def test_a_single_crystal_is_not_a_collection(ours, rock_salts):
    with pytest.raises(ValueError, match="not a collection"):
        ours.featurize_many(rock_salts[0], pbar=False)


@pytest.mark.parametrize(("pbar", "name"), [(True, "CloudFeaturizer"), ({"desc": "crystals"}, "crystals")])
def test_progress_is_shown(ours, rock_salts, capsys, pbar, name):
    ours.featurize_many(rock_salts, pbar=pbar)
    assert re.search(rf"{name}: 100%.*12/12", capsys.readouterr().err)


def test_no_progress_is_shown_unless_asked(ours, rock_salts, capsys):
    ours.featurize_many(rock_salts, pbar=False)
    assert capsys.readouterr().err == ""


def test_citations_are_bibtex_and_implementors_are_names(ours):
    for citation in ours.citations():
        assert re.fullmatch(r"@\w+\{\w+,(\s*\w+=\{.*?\},?)+\}", citation)
        assert citation.count("{") == citation.count("}")
    assert all(isinstance(name, str) for name in ours.implementors())


@pytest.mark.parametrize("over_entries", [False, True])
@pytest.mark.parametrize("return_errors", [False, True])
def test_stands_beside_stock_featurizers(ours, stock, frame, over_entries, return_errors):
    frame = frame.copy()
    frame.iloc[3, 0] = None
    options = {"ignore_errors": True, "return_errors": return_errors, "pbar": False}
    results = []
    for featurizer in (ours, stock):
        several = MultipleFeaturizer([Volume(), featurizer], iterate_over_entries=over_entries)
        several.set_n_jobs(1)
        results.append(several.featurize_dataframe(frame, "structure", **options))
    columns = [name for name in results[0].columns if "Exceptions" not in name]
    assert results[0].columns.equals(results[1].columns)
    pd.testing.assert_frame_equal(results[0][columns], results[1][columns], rtol=1e-4, atol=1e-5)


MULTIPLE = """
import json, sys, warnings
import numpy as np, pandas as pd, torch
from ase.build import bulk
from matminer.featurizers.base import MultipleFeaturizer
from matminer.featurizers.conversions import ASEAtomstoStructure
from matminer.featurizers.structure import DensityFeatures
from cloud_model import CloudModel
from cloud_plugins import CloudFeaturizer

torch.set_num_threads(2)
torch.randn(600, 600) @ torch.randn(600, 600)
model = sys.argv[1]
atoms = [bulk(s) for s in ("Cu", "Ag", "Au", "Ni", "Pd", "Al", "Pb", "Fe", "W", "Mo", "Nb", "V")]
CloudModel.from_pretrained(model).embed(atoms)
frame = pd.DataFrame({"atoms": atoms})
converter = ASEAtomstoStructure()
converter.set_n_jobs(2)
frame = converter.featurize_dataframe(frame, "atoms", pbar=False)
frames = []
for over_entries in (True, False):
    for jobs in (1, 2):
        several = MultipleFeaturizer([DensityFeatures(), CloudFeaturizer(model, "mean")], over_entries)
        several.set_n_jobs(jobs)
        frames.append(several.featurize_dataframe(frame, frame.columns[-1], pbar=False).iloc[:, 2:])
equal = [bool(np.allclose(f.to_numpy(float), frames[0].to_numpy(float), rtol=1e-4, atol=1e-5)) for f in frames]
print(json.dumps({"equal": equal, "shape": frames[0].shape}))
"""


def test_pools_of_other_featurizers_do_not_hang_after_torch_ran(tiny_checkpoint):
    done = subprocess.run(
        [sys.executable, "-c", MULTIPLE, tiny_checkpoint],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {"equal": [True] * 4, "shape": [12, 3 + 64]}


def test_follows_conversions(ours, frame, rock_salts):
    expected = ours.featurize_many(rock_salts, pbar=False)

    frame["formula"] = [structure.formula for structure in rock_salts]
    to_composition = StrToComposition()
    to_composition.set_n_jobs(1)
    with_composition = to_composition.featurize_dataframe(frame, "formula", pbar=False)
    result = ours.featurize_dataframe(with_composition, pbar=False)
    np.testing.assert_array_equal(result[ours.feature_labels()], expected)

    stored = [structure.as_dict() for structure in rock_salts]
    to_object = DictToObject()
    to_object.set_n_jobs(1)
    np.testing.assert_allclose(make_pipeline(to_object, ours).transform(stored), expected, atol=1e-6)

    to_structure = ASEAtomstoStructure(target_col_id=None, overwrite_data=True)
    to_structure.set_n_jobs(1)
    atoms = pd.DataFrame({"x": [AseAtomsAdaptor.get_atoms(s, msonable=False) for s in rock_salts]})
    result = ours.featurize_dataframe(to_structure.featurize_dataframe(atoms, "x", pbar=False), pbar=False)
    np.testing.assert_allclose(result[ours.feature_labels()], expected, atol=1e-6)


@pytest.mark.parametrize("featurizer", [cloud_plugins.CloudFeaturizer(), CloudPropertyFeaturizer()])
@pytest.mark.parametrize(
    "check",
    [
        check_estimator_cloneable,
        check_estimator_repr,
        check_estimator_tags_renamed,
        check_get_params_invariance,
        check_no_attributes_set_in_init,
        check_parameters_default_constructible,
        check_set_params,
        check_valid_tag_types,
    ],
)
def test_is_a_scikit_learn_estimator(featurizer, check):
    check(type(featurizer).__name__, featurizer)


def test_transforms_inside_scikit_learn(ours, frame):
    size = ("size", "passthrough", ["size"])
    for column in ("structure", ["structure"]):
        columns = ColumnTransformer([("cloud", ours, column), size]).set_output(transform="pandas")
        result = columns.fit_transform(frame)
        assert result.shape == (12, 65)
        assert result.columns[0] == "cloud__tiny mean 0"
        assert result.index.equals(frame.index)
    properties = CloudPropertyFeaturizer(ours.model)
    union = FeatureUnion([("a", ours), ("b", properties)])
    assert union.fit_transform(frame["structure"]).shape == (12, 64 + len(properties.feature_labels()))


def test_frames_out_of_transform(ours, frame):
    result = clone(ours).set_output(transform="pandas").fit_transform(frame["structure"])
    assert list(result.columns) == ours.feature_labels() == list(ours.get_feature_names_out())
    assert result.index.equals(frame.index)


def test_pickles_without_the_model(ours, rock_salts):
    ours.featurize(rock_salts[0])
    pickled = pickle.dumps(ours)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).feature_labels() == ours.feature_labels()  # noqa: S301
