"""What scikit-learn asks of estimators whose samples are crystals.

`check_estimator` runs one check on such estimators, so the contract is spelled out here by name.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from sklearn.base import clone, is_regressor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.utils import estimator_checks as checks
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from cloud_model.errors import ArgumentError
from cloud_plugins import CloudDebyeRegressor, CloudEmbedder, CloudRegressor

ESTIMATORS = [CloudEmbedder(), CloudRegressor(), CloudDebyeRegressor()]


@pytest.fixture(scope="module")
def X(rock_salts):  # noqa: N802
    return rock_salts


@pytest.fixture(scope="module")
def y(rock_salts):
    return np.array([s.composition.weight / len(s) for s in rock_salts])


@pytest.fixture
def embedder(tiny_checkpoint):
    return CloudEmbedder(str(tiny_checkpoint))


@pytest.fixture
def regressor(tiny_checkpoint):
    return CloudRegressor(str(tiny_checkpoint), epochs=1, random_state=0)


@pytest.fixture
def debye_regressor(tiny_checkpoint):
    return CloudDebyeRegressor(str(tiny_checkpoint), epochs=1, random_state=0)


@pytest.fixture
def heat_capacities(X):
    return pd.DataFrame({"crystal": X, "temperature": 300.0}), np.linspace(20, 24, len(X))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_check_estimator_passes_without_expected_failures(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # of the checks for tables of numbers
        results = checks.check_estimator(estimator)
    assert {result["status"] for result in results} == {"passed"}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize(
    "check",
    [
        checks.check_do_not_raise_errors_in_init_or_set_params,
        checks.check_estimator_cloneable,
        checks.check_estimator_repr,
        checks.check_estimator_tags_renamed,
        checks.check_get_params_invariance,
        checks.check_mixin_order,
        checks.check_no_attributes_set_in_init,
        checks.check_parameters_default_constructible,
        checks.check_set_params,
        checks.check_valid_tag_types,
    ],
)
def test_checks_that_need_no_table_pass(estimator, check):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("kind", ["list", "tuple", "series", "frame", "objects", "column", "mixed", "paths"])
def test_every_collection_of_crystals_is_the_same(embedder, X, tmp_path, kind):
    series = pd.Series(X, index=list("abcdefghijkl"))
    atoms = [AseAtomsAdaptor.get_atoms(structure, msonable=False) for structure in X]
    paths = [str(tmp_path / f"{i}.cif") for i in range(len(X))]
    for path, structure in zip(paths, X, strict=True):
        structure.to(path)
    crystals = {
        "list": X,
        "tuple": tuple(X),
        "series": series,
        "frame": series.to_frame(),
        "objects": series.to_numpy(),
        "column": series.to_frame().to_numpy(),
        "mixed": [*X[:4], *atoms[4:8], *paths[8:]],
        "paths": np.array(paths),
    }[kind]
    embedder.fit(X)
    np.testing.assert_allclose(embedder.fit_transform(crystals), embedder.transform(X), atol=1e-6)


def test_what_is_not_a_collection_of_crystals_is_refused(embedder, X):
    for wrong in (X[0], "NaCl.cif", np.array(X, dtype=object), pd.DataFrame({"a": X, "b": X})):
        with pytest.raises(ValueError, match="crystal"):
            embedder.fit(wrong)


def test_sets_of_parameters_are_stored_as_they_are_given():
    parameters = {
        "model": "somewhere",
        "head_only": True,
        "epochs": 3,
        "learning_rate": 0.1,
        "validation_fraction": 0.5,
        "random_state": 1,
    }
    for estimator in (CloudRegressor, CloudDebyeRegressor):
        assert estimator(**parameters).get_params() == parameters
        assert estimator().set_params(**parameters).get_params() == parameters
        assert clone(estimator(**parameters)).get_params() == parameters
    with pytest.raises(ValueError, match="Invalid parameter"):
        CloudEmbedder().set_params(nonsense=1)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_needs_fitting(estimator, X):
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    with pytest.raises(NotFittedError):
        estimator.transform(X) if hasattr(estimator, "transform") else estimator.predict(X)
    assert not hasattr(estimator, "partial_fit")


def test_fitting_returns_self_and_changes_no_parameter(
    embedder, regressor, debye_regressor, X, y, heat_capacities
):
    fits = [(embedder, (X,)), (regressor, (X, y)), (debye_regressor, heat_capacities)]
    for estimator, data in fits:
        before = estimator.get_params()
        assert estimator.fit(*data) is estimator
        check_is_fitted(estimator)
        assert estimator.get_params() == before
        fitted = vars(estimator).keys() - before.keys()
        assert fitted == {"model_"}
        assert not hasattr(estimator, "n_features_in_")  # as of CountVectorizer


def test_tags_tell_what_they_are(embedder, regressor):
    assert get_tags(embedder).transformer_tags is not None
    assert is_regressor(regressor)
    assert get_tags(regressor).target_tags.required
    for estimator in (embedder, regressor):
        assert not get_tags(estimator).input_tags.two_d_array


def test_frames_out_of_transform(embedder, X):
    series = pd.Series(X, index=list("abcdefghijkl"))
    result = embedder.set_output(transform="pandas").fit_transform(series)
    assert list(result.columns) == list(embedder.get_feature_names_out())
    assert result.columns[0] == "tiny layers 0"
    assert result.index.equals(series.index)


def test_composes(embedder, X, y):
    frame = pd.DataFrame({"crystal": X, "size": 8.0})
    for column in ("crystal", ["crystal"], 0, [0]):
        columns = ColumnTransformer([("cloud", embedder, column), ("size", "passthrough", ["size"])])
        assert columns.fit_transform(frame).shape == (12, 3 * 64 + 1)
    assert columns.get_feature_names_out()[[0, -1]].tolist() == ["cloud__tiny layers 0", "size__size"]
    union = FeatureUnion([("layers", embedder), ("atoms", clone(embedder).set_params(pooling="atoms"))])
    pipeline = make_pipeline(union, Ridge(1e-3)).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    assert pipeline.predict(X[:2]).shape == (2,)


def test_bagging_takes_frames_and_refuses_crystals_taken_apart(embedder):
    crystals, labels = [bulk(symbol) for symbol in ("Cu", "Al", "Ag", "Au")], np.arange(4.0)
    bagging = BaggingRegressor(make_pipeline(embedder, Ridge()), n_estimators=2, random_state=0)
    with pytest.raises(ArgumentError, match=r"takes crystals apart.*DataFrame of one column"):
        bagging.fit(crystals, labels)
    frame = pd.DataFrame({"crystal": pd.Series(crystals, dtype=object)})
    assert np.isfinite(bagging.fit(frame, labels).predict(frame)).all()


def test_copies_of_one_crystal_cannot_be_validated(regressor):
    with pytest.raises(ArgumentError, match="6 crystals holds only one crystal"):
        clone(regressor).fit([bulk("Cu")] * 6, np.arange(6.0))


def test_grid_search_over_a_pipeline(embedder, X, y):
    pipeline = Pipeline([("embed", embedder), ("ridge", Ridge())])
    search = GridSearchCV(pipeline, {"embed__pooling": ["mean", "cls"], "ridge__alpha": [1e-3, 1]}, cv=3)
    search.fit(X, y)
    assert set(search.best_params_) == {"embed__pooling", "ridge__alpha"}
    assert search.predict(X).shape == (12,)


def test_grid_search_over_a_regressor(regressor, X, y):
    search = GridSearchCV(regressor, {"head_only": [True, False]}, cv=KFold(2), error_score="raise")
    search.fit(pd.Series(X), y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    inner = TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp, check_inverse=False)
    assert inner.fit(X, y).predict(X).shape == (12,)


def test_cross_validation_in_two_processes_is_that_in_one(regressor, X, y):
    one, two = (cross_val_score(regressor, X, y, cv=KFold(2), n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_heat_capacities_are_cross_validated(debye_regressor, heat_capacities):
    X, y = heat_capacities
    scores = cross_val_score(debye_regressor, X, y, cv=KFold(2), error_score="raise")
    assert np.isfinite(scores).all()
    assert cross_val_predict(debye_regressor, X.to_numpy(), y, cv=KFold(2)).shape == (12,)


def test_temperatures_are_routed_as_metadata(debye_regressor, heat_capacities):
    import sklearn

    X, y = heat_capacities
    with sklearn.config_context(enable_metadata_routing=True):
        routed = (
            clone(debye_regressor).set_fit_request(temperatures=True).set_score_request(temperatures=True)
        )
        scores = cross_val_score(
            routed, list(X["crystal"]), y, cv=KFold(2), params={"temperatures": X["temperature"].to_numpy()}
        )
    np.testing.assert_allclose(scores, cross_val_score(debye_regressor, X, y, cv=KFold(2)), rtol=1e-6)


def test_same_seed_same_model(regressor, X, y):
    first = regressor.fit(X, y).predict(X)
    np.testing.assert_array_equal(clone(regressor).fit(X, y).predict(X), first)
    np.testing.assert_array_equal(regressor.fit(X, y).predict(X), first)
    other = clone(regressor).set_params(random_state=1).fit(X, y)
    assert not np.array_equal(other.predict(X), first)


def test_predictions_do_not_depend_on_their_company(regressor, X, y):
    predicted = regressor.fit(X, y).predict(X)
    np.testing.assert_allclose(regressor.predict(X[::-1])[::-1], predicted, rtol=1e-5)
    alone = clone(regressor).fit(X, y)
    np.testing.assert_allclose([alone.predict([crystal])[0] for crystal in X], predicted, rtol=1e-5)


def test_labels_and_weights_are_checked(regressor, X, y):
    for labels in (y[:-1], np.where(y > 30, np.nan, y), np.stack([y, y], axis=1), ["a"] * 12):
        with pytest.raises(ValueError, match=r"."):
            regressor.fit(X, labels)
    for weights in (np.ones(3), -np.ones(12), np.full(12, np.nan), np.zeros(12)):
        with pytest.raises(ValueError, match=r"."):
            regressor.fit(X, y, sample_weight=weights)


def test_score_takes_weights(regressor, X, y):
    regressor.fit(X, y)
    weights = np.arange(12) < 6
    assert regressor.score(X, y, sample_weight=weights) == pytest.approx(regressor.score(X[:6], y[:6]))


def test_html_representation(regressor, embedder, X, y):
    for estimator in (embedder.fit(X), regressor.fit(X, y), make_pipeline(embedder, Ridge())):
        html = estimator._repr_html_()
        assert "CloudEmbedder" in html or "CloudRegressor" in html


LOAD = """
import sys, joblib, numpy as np
directory = sys.argv[1]
X, expected = joblib.load(f"{directory}/data.joblib")
for name, result in expected.items():
    estimator = joblib.load(f"{directory}/{name}.joblib")
    got = estimator.transform(X) if hasattr(estimator, "transform") else estimator.predict(X)
    np.testing.assert_allclose(got, result, rtol=1e-5, atol=1e-6)
"""


def test_pickles_hold_everything(embedder, regressor, debye_regressor, X, y, heat_capacities, tmp_path):
    pairs = heat_capacities[0]
    embedder.fit(X)
    regressor.fit(X, y)
    debye_regressor.fit(*heat_capacities)
    copy = pickle.loads(pickle.dumps(debye_regressor))  # noqa: S301
    np.testing.assert_array_equal(copy.predict(pairs), debye_regressor.predict(pairs))
    for name, estimator in {"embedder": embedder, "regressor": regressor}.items():
        joblib.dump(estimator, tmp_path / f"{name}.joblib")
    expected = {"embedder": embedder.transform(X), "regressor": regressor.predict(X)}
    joblib.dump((X, expected), tmp_path / "data.joblib")
    subprocess.run([sys.executable, "-c", LOAD, tmp_path], check=True, timeout=120)


def test_pickles_are_of_cpu_tensors(regressor, X, y):
    weights = regressor.fit(X, y).model_.checkpoint.members[0].state_dict().values()
    assert {tensor.device.type for tensor in weights} == {"cpu"}
