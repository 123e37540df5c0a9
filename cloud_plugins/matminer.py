"""matminer plugin: embeddings and predicted properties of crystals as featurizers."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from ase import Atoms
from matminer.featurizers.base import BaseFeaturizer
from numpy.typing import NDArray
from pymatgen.core.structure import IStructure
from sklearn.utils import InputTags, Tags, TransformerTags
from tqdm.auto import tqdm

from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.crystal.files import is_scope_string
from cloud_model.errors import ArgumentError, CloudWarning, ScopeError
from cloud_model.model import CloudModel
from cloud_model.network.ensemble import Pooling
from cloud_model.parallel import number_of_processes
from cloud_model.physics.conditions import checked_temperature
from cloud_model.properties.catalogue import THERMODYNAMICS
from cloud_model.scope.string import Scope
from cloud_model.stability.distances import stability

CRYSTALS_PER_BATCH = 1024
STABILITY = {"energy_above_hull": "eV/atom", "probability_stable": ""}
"""Features that compare a crystal with known phases, and their units."""

CITATION = (
    "@article{xu2025cloud, title={{CLOUD}: A Scalable and Physics-Informed Foundation Model for Crystal "
    "Representation Learning}, author={Xu, Changwen and Zhu, Shang and Viswanathan, Venkatasubramanian}, "
    "journal={arXiv preprint arXiv:2506.17345}, year={2025}}"
)

Errors = Literal["raise", "nan"]


class _CrystalFeaturizer(BaseFeaturizer):  # type: ignore[misc]  # matminer has no types
    """A featurizer whose model sees batches of crystals instead of single ones.

    One process featurizes all rows, unless ``set_n_jobs`` or ``joblib.parallel_config`` says otherwise.
    """

    model: str | os.PathLike[str] | CloudModel | None

    @abstractmethod
    def _features(self, crystals: Any, errors: Errors) -> NDArray[np.floating]:
        """Features of crystals, one row each."""

    @property
    def _loaded(self) -> CloudModel:
        return CloudModel.from_pretrained(self.model)

    @property
    def _jobs(self) -> int | None:
        """Argument of `set_n_jobs`; unlike ``n_jobs``, None if it was not called."""
        return getattr(self, "_n_jobs", None)

    def featurize(self, crystal: Any) -> list[float]:
        """Featurize one crystal.

        Parameters
        ----------
        crystal : Structure, Atoms, path or SCOPE string

        Returns
        -------
        list of float
            One number for each of `feature_labels`.

        Raises
        ------
        CloudError
            If it cannot be read.
        """
        (one,) = crystal_list([crystal])
        if is_collection(one):
            raise ArgumentError("crystal", "is several", "Use featurize_many.")
        features: list[float] = self._features(one, "raise")[0].tolist()
        return features

    def featurize_many(
        self,
        entries: Any,
        ignore_errors: bool = False,
        return_errors: bool = False,
        pbar: bool | dict[str, Any] = True,
    ) -> list[list[Any]]:
        """Featurize crystals; arguments, result and errors are those of `BaseFeaturizer`."""
        if return_errors and not ignore_errors:
            raise ArgumentError("return_errors", "needs ignore_errors", "Set ignore_errors=True as well.")
        crystals = crystal_list(entries)
        bar = {"desc": type(self).__name__, "disable": not pbar} | (pbar if isinstance(pbar, dict) else {})
        rows: list[list[Any]] = []
        with tqdm(total=len(crystals), **bar) as progress:
            size = CRYSTALS_PER_BATCH * number_of_processes(self._jobs)
            for start in range(0, len(crystals), size):
                batch = crystals[start : start + size]
                rows += self._featurize_batch(batch, ignore_errors, return_errors)
                progress.update(len(batch))
        return rows

    def _featurize_batch(
        self, crystals: list[Any], ignore_errors: bool, return_errors: bool
    ) -> list[list[Any]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\d+ of \d+ crystals", CloudWarning)  # the host's to report
            features = self._features(crystals, "nan")
        rows = [row + [np.nan] * return_errors for row in features.tolist()]
        for i in np.flatnonzero(np.isnan(features).all(axis=1)):
            rows[i] = self.featurize_wrapper((crystals[i],), return_errors, ignore_errors)
        return rows

    def featurize_dataframe(
        self,
        df: pd.DataFrame,
        col_id: Hashable | list[Hashable] | None = None,
        ignore_errors: bool = False,
        return_errors: bool = False,
        inplace: bool = False,
        multiindex: bool = False,
        pbar: bool | dict[str, Any] = True,
    ) -> pd.DataFrame | None:
        """Add features to a frame.

        Parameters
        ----------
        df : DataFrame
        col_id : label or list of one label, optional
            Column of the crystals. Left out, it is the one that holds Structures, Atoms or SCOPE strings.
        ignore_errors, return_errors, inplace, multiindex, pbar
            As in `BaseFeaturizer`.

        Returns
        -------
        DataFrame or None
            The frame with its new columns; None if ``inplace``.

        Raises
        ------
        ArgumentError
            If no column, or more than one, holds crystals.
        CloudError
            If a crystal cannot be read, unless ``ignore_errors``.
        """
        column = _crystal_column(df) if col_id is None else col_id
        frame = df if inplace else df.copy(deep=False)  # whose columns the host renames if multiindex
        return super().featurize_dataframe(
            frame, column, ignore_errors, return_errors, inplace, multiindex, pbar
        )

    def fit_featurize_dataframe(
        self, df: pd.DataFrame, col_id: Hashable | list[Hashable] | None = None, *args: Any, **kwargs: Any
    ) -> pd.DataFrame | None:
        """Do as `featurize_dataframe`; there is nothing to fit."""
        return super().fit_featurize_dataframe(
            df, _crystal_column(df) if col_id is None else col_id, *args, **kwargs
        )

    def transform(self, X: Any) -> NDArray[np.floating]:
        """Features of crystals, shape (n, d); rows of NaN and a warning for those that cannot be read."""
        return self._features(crystal_list(X), "nan")

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the features, `feature_labels`, as an array."""
        return np.array(self.feature_labels(), dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "transformer"
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        tags.input_tags = InputTags(one_d_array=True, two_d_array=False, string=True)
        tags.requires_fit = False
        return tags

    @abstractmethod
    def feature_labels(self) -> list[str]:
        """Names of the features."""

    def citations(self) -> list[str]:
        """The article on CLOUD, in BibTeX."""
        return [CITATION]

    def implementors(self) -> list[str]:
        """Who wrote this."""
        return ["the authors of cloud-plugins"]


class CloudFeaturizer(_CrystalFeaturizer):
    """Embedding of a crystal by CLOUD.

    Parameters
    ----------
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out. It decides the
        dialect and the symmetry tolerance of the SCOPE strings.
    pooling : {'layers', 'mean', 'atoms', 'cls'}
        How hidden states of tokens become one vector, as in `CloudModel.embed`.

    Notes
    -----
    Features are ``<model> <pooling> <i>``, one for each component of the embedding, without a unit.

    References
    ----------
    C. Xu, S. Zhu, V. Viswanathan, arXiv:2506.17345 (2025).

    Examples
    --------
    >>> import pandas as pd
    >>> from ase.build import bulk
    >>> from cloud_plugins import CloudFeaturizer
    >>> frame = pd.DataFrame({"crystal": [bulk("Cu"), bulk("NaCl", "rocksalt", a=5.64)]})
    >>> CloudFeaturizer().featurize_dataframe(frame, pbar=False).columns[1]
    'cloud-mini layers 0'
    """

    def __init__(
        self, model: str | os.PathLike[str] | CloudModel | None = None, pooling: Pooling = "layers"
    ) -> None:
        self.model = model
        self.pooling = pooling

    def _features(self, crystals: Any, errors: Errors) -> NDArray[np.floating]:
        return self._loaded.embed(crystals, self.pooling, errors, self._jobs)

    def feature_labels(self) -> list[str]:
        """Names of the components of the embedding."""
        model = self._loaded
        return [f"{model.name} {self.pooling} {i}" for i in range(model.embedding_width(self.pooling))]


class CloudPropertyFeaturizer(_CrystalFeaturizer):
    """Properties of a crystal as CLOUD predicts them.

    Parameters
    ----------
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.
    properties : sequence of str, optional
        Names among those of the checkpoint, and ``energy_above_hull`` and ``probability_stable``, which compare a
        crystal with the known phases of its elements. Left out, all of the checkpoint that do not depend on the choice
        of cell.
    temperature : float
        Temperature for thermodynamic properties (K).

    Notes
    -----
    Features are ``<model> <property> (<unit>)``, thermodynamic ones ``<model> <property> at <T> K (<unit>)``.

    Examples
    --------
    >>> from cloud_plugins import CloudPropertyFeaturizer
    >>> CloudPropertyFeaturizer(properties=["band_gap"]).feature_labels()
    ['cloud-mini band_gap (eV)']
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | CloudModel | None = None,
        properties: Sequence[str] | None = None,
        temperature: float = 300.0,
    ) -> None:
        self.model = model
        self.properties = properties
        self.temperature = temperature

    def _names(self, model: CloudModel) -> list[str]:
        if self.properties is None:
            return [name for name, info in model.properties.items() if info.basis != "cell"]
        return list(self.properties)

    def _features(self, crystals: Any, errors: Errors) -> NDArray[np.floating]:
        model = self._loaded
        names = self._names(model)
        own = [name for name in names if name not in STABILITY]
        temperature = checked_temperature(self.temperature)
        frames = [model.predict(crystals, own, temperature, errors, n_jobs=self._jobs)] if own else []
        if len(own) < len(names):
            frames.append(stability(crystals, model=model, errors=errors))
        features: NDArray[np.float64] = pd.concat(frames, axis=1)[names].to_numpy(dtype=float)
        return features

    def feature_labels(self) -> list[str]:
        """Names and units of the properties."""
        model = self._loaded
        return [self._label(model, name) for name in self._names(model)]

    def _label(self, model: CloudModel, name: str) -> str:
        temperature = f" at {self.temperature:g} K" if name in THERMODYNAMICS else ""
        unit = STABILITY[name] if name in STABILITY else model.properties[name].unit
        return f"{model.name} {name}{temperature}" + (f" ({unit})" if unit else "")


def _crystal_column(df: pd.DataFrame) -> Hashable:
    """Label of the one column that holds crystals."""
    columns = df.select_dtypes(["object", "string"]).items()
    labels: list[Hashable] = [label for label, values in columns if any(map(_is_crystal, values))]
    if len(labels) == 1:
        return labels[0]
    raise ArgumentError(
        f"columns {', '.join(map(repr, labels))}"
        if labels
        else f"a frame of {len(df)} rows and {len(df.columns)} columns",
        "all hold crystals" if labels else "has no column of Structures, Atoms or SCOPE strings",
        "Name the column of the crystals with col_id.",
    )


def _is_crystal(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, IStructure | Atoms)
    if not is_scope_string(value):
        return False
    try:
        Scope.parse(value)
    except ScopeError:
        return False
    return True
