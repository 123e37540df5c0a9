"""`CloudModel`, the one way in: crystals to properties, embeddings and thermodynamics."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.loaded import load_checkpoint
from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.files import all_crystals
from cloud_model.crystal.occupancies import DisorderedSites
from cloud_model.crystal.ordering import ordered_cells
from cloud_model.errors import (
    ArgumentError,
    BatchError,
    CheckpointError,
    CloudError,
    PropertyError,
    warn_user,
)
from cloud_model.network.batches import run_batched
from cloud_model.network.heads import atom_pool, layer_pool, mean_pool
from cloud_model.network.precision import Choice, Precision, choose_precision, encoding_in
from cloud_model.network.predictor import Predictor, run_heads
from cloud_model.network.tokenizer import TokenBatch, Tokens
from cloud_model.physics.isobaric import IsobaricCrystals, UncertainExpansion
from cloud_model.physics.mixture import DebyeMixture, Spectra
from cloud_model.physics.quasi_harmonic import MAX_PRESSURE, Expansion
from cloud_model.physics.thermodynamics import ISOBARIC_QUANTITIES, QUANTITIES, Thermodynamics
from cloud_model.process import after_fork
from cloud_model.properties.catalogue import THERMODYNAMICS, PropertyInfo
from cloud_model.properties.intervals import interval_factor
from cloud_model.scope.batches import scopes
from cloud_model.scope.string import Scope

if TYPE_CHECKING:
    import pandas as pd

Pooling = Literal["layers", "mean", "atoms", "cls"]
Array = NDArray[np.float64]

_POOLING: dict[str, Callable[[Predictor, TokenBatch], Tensor]] = {
    "layers": lambda network, batch: layer_pool(
        network.word_states(batch), network.hidden_states(batch), batch
    ),
    "mean": lambda network, batch: mean_pool(network.hidden_states(batch), batch),
    "atoms": lambda network, batch: atom_pool(network.hidden_states(batch), batch),
    "cls": lambda network, batch: network.hidden_states(batch)[:, 0],
}

# The threads of torch do not survive a fork; a child that waited for them would wait forever.
after_fork(lambda: torch.set_num_threads(1))


class _Described(NamedTuple):
    """A crystal as the network reads it."""

    text: str
    tokens: Tokens
    n_atoms: float | None
    is_ordered: bool = False  # one of the cells of a disordered crystal


class _Outputs(NamedTuple):
    """What the networks say of crystals, in physical units."""

    values: Array  # (n, scalar properties)
    errors: Array  # (n, scalar properties)
    debye_temperatures: Array  # K, (n, members * spectra)
    weights: Array  # (n, members * spectra)
    spread: Array  # (n, 1)
    floor: Array  # (n, 1)
    expansion: Array  # (n, 5), or (n, 0)
    expansion_errors: Array  # as expansion
    distance: Array  # from the training crystals, (n, 1)


class CloudModel:
    """A trained model.

    Parameters
    ----------
    checkpoint : Checkpoint
        Usually obtained by `from_pretrained`.
    dtype : {'float32', 'bfloat16', 'float16', 'auto'}
        As in `from_pretrained`.

    Attributes
    ----------
    checkpoint : Checkpoint
        Its configuration, vocabulary and networks, which nobody may change: models share them.
    name : str
        Of the checkpoint.
    dialect : {'reference', 'canonical', 'sites'}
        Of the SCOPE strings that it reads.
    symprec : float
        Tolerance of its symmetry search, Angstrom.

    Examples
    --------
    >>> from ase.build import bulk
    >>> model = CloudModel.from_pretrained()
    >>> rock_salts = [bulk("NaCl", "rocksalt", a=5.64), bulk("MgO", "rocksalt", a=4.21)]
    >>> model.predict(rock_salts, ["bulk_modulus"])["bulk_modulus"].round()  # GPa  # doctest: +SKIP
    >>> model.embed(rock_salts).shape == (2, model.embedding_size)
    True
    >>> model.thermodynamics(rock_salts[1], [0, 300]).heat_capacity_per_atom[0]  # J/(mol-atom K)
    np.float64(0.0)
    """

    def __init__(self, checkpoint: Checkpoint, dtype: Choice = "float32") -> None:
        self.checkpoint = checkpoint
        self.dtype = choose_precision(dtype, checkpoint.config.encoder.hidden_size, torch.device("cpu"))
        self.name = checkpoint.config.name
        self.dialect = checkpoint.config.dialect
        self.symprec = checkpoint.config.symprec

    def __reduce__(self) -> tuple[type[CloudModel], tuple[Checkpoint, Precision]]:
        return type(self), (self.checkpoint, self.dtype)

    def __repr__(self) -> str:
        return f"CloudModel({self.name!r}, dialect={self.dialect!r}, properties={list(self.properties)})"

    def _repr_html_(self) -> str:
        from cloud_model.display.html import render

        return render("cloud_model.display", "model.html.j2", model=self)

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str] | CloudModel | None = None, dtype: Choice = "float32"
    ) -> CloudModel:
        """Load a checkpoint; models of the same checkpoint share their weights.

        Parameters
        ----------
        name : str, path-like or CloudModel, optional
            A bundled or installed name, a directory, or a Hugging Face id such as ``ChangwenXu/CLOUD``.
            Without it, the bundled default. A model that is loaded already is returned as it is.
        dtype : {'float32', 'bfloat16', 'float16', 'auto'}
            In which the encoder multiplies matrices; ``auto`` is the faster of float32 and bfloat16 on this
            machine. Weights and everything else are float32. Only in float32 are predictions the same to the last
            bit whatever else is in the batch.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint, or it is damaged, unsafe or incompatible.
        ArgumentError
            If there is no such dtype.
        """
        if isinstance(name, CloudModel):
            return name
        return cls(load_checkpoint(name), dtype)

    def save(self, directory: str | os.PathLike[str], card: str | None = None) -> None:
        """Write the checkpoint, for `from_pretrained`.

        Parameters
        ----------
        directory : str or path-like
            Made if it does not exist.
        card : str, optional
            The model card, Markdown; its name and properties if left out.
        """
        rows = "".join(
            f"- {name} ({info.unit or 'no unit'}): {info.description}\n"
            for name, info in self.properties.items()
        )
        self.checkpoint.save(Path(directory), card or f"# {self.name}\n\n{rows}")

    @property
    def properties(self) -> Mapping[str, PropertyInfo]:
        """Name -> unit, basis, description, training set and test error of each property."""
        return MappingProxyType(dict(self.checkpoint.config.properties))

    @property
    def embedding_size(self) -> int:
        """Columns of `embed`, unless told to pool otherwise."""
        return self.embedding_width("layers")

    def embedding_width(self, pooling: Pooling) -> int:
        """Columns of `embed` for a way of pooling."""
        parts = 3 if pooling == "layers" else 1
        return parts * self.checkpoint.config.encoder.hidden_size * len(self.checkpoint.members)

    @property
    def elements(self) -> frozenset[str]:
        """Symbols of the elements that it knows."""
        return frozenset(self.checkpoint.tokenizer.vocabulary) & ELEMENT_RANK.keys()

    def scopes(self, crystals: Any) -> list[Scope | CloudError]:
        """SCOPE of each crystal in the dialect of this model; in place of a bad crystal, its error.

        Parameters
        ----------
        crystals : sequence
            ASE Atoms, pymatgen Structures, paths, SCOPE strings; mixed if you like.
        """
        return scopes(crystals, self.dialect, self.symprec, remember=True)

    def tokens(self, crystals: Any) -> list[Tokens]:
        """Token ids of each crystal, what the network is trained on.

        Parameters
        ----------
        crystals : crystal or collection of crystals
            As in `predict`.

        Raises
        ------
        CloudError
            If a single crystal cannot be read; for a collection a `BatchError`, whose ``failures`` names
            each.
        """
        good, _ = self._read(crystals, "raise")
        return [crystal.tokens for crystal in good.values()]

    def predict(
        self,
        crystals: Any,
        properties: str | Sequence[str] | None = None,
        temperature: float | Sequence[float] | Array = 300.0,
        errors: Literal["raise", "nan"] = "nan",
        interval: float | None = None,
        order: int = 0,
    ) -> pd.DataFrame:
        """Predict properties of crystals.

        Parameters
        ----------
        crystals : crystal or collection of crystals
            A list, tuple, Series, one-column DataFrame or array. Each is an ASE Atoms, a pymatgen Structure,
            a path to a file that either reads, or a SCOPE string.
        properties : str or sequence of str, optional
            Names from `properties`; all if left out.
        temperature : float or sequence of float
            Temperature for thermodynamic properties (K), or several, of which each crystal has a row.
        errors : {'raise', 'nan'}
            How unreadable crystals of a collection are handled: an error for the batch, or rows of
            NaN and a warning.
        interval : float, optional
            Share of crystals, such as 0.95, whose property is to lie between the columns ``<name>_low`` and
            ``<name>_high``, which then stand in place of ``<name>_std``.
        order : int
            Predict a disordered crystal as the mean over at most so many ordered cells of it, which keep its
            composition to 0.01; by default it is an error.

        Returns
        -------
        DataFrame
            One row a crystal, with the index of `crystals` if it comes from pandas. For several temperatures
            one row a crystal and temperature, in this order; the index of the crystals, called ``crystal`` if it
            has no name, gets a level ``temperature``: ``frame.xs(300, level="temperature")``. For each property a
            column ``<name>`` in the unit of ``properties[name]`` and a column ``<name>_std``, its standard
            error, or the two bounds. Column ``out_of_domain`` is true where a crystal is less like the training
            crystals than 98% of held-out ones are, so that neither prediction nor standard error can be trusted;
            checkpoints that do not know their domain have none. Column ``error`` is None, or says why a row holds
            no predictions. Properties of a cell need a cell: they are NaN for a SCOPE string. With `order`, column
            ``ordered_cells`` holds the SCOPE strings of the cells of a disordered crystal; the variance of their
            predictions is added to the square of the standard error.

        Raises
        ------
        CloudError
            If a single crystal cannot be read. In a collection, bad crystals are reported in ``error`` and
            counted in a `CloudWarning`.
        BatchError
            If crystals cannot be read and `errors` is ``'raise'``; its ``failures`` names each.
        PropertyError
            If the model does not know a property.
        ArgumentError
            If a temperature is not a finite number >= 0, there is none, or no interval holds such a share.
        """
        import pandas as pd

        crystals = all_crystals(crystals)
        is_list = np.ndim(temperature) == 1
        values: Any = temperature if is_list else [temperature]
        grid = np.array([checked_temperature(value) for value in values])
        if not len(grid):
            raise ArgumentError("temperature", "is an empty list", "Give temperatures in K.")
        tables = self._predict(crystals, properties, grid, errors, interval, order)
        columns: dict[str, Any] = {
            name: np.stack([table[name] for table in tables], axis=1).ravel() for name in tables[0]
        }
        if "out_of_domain" in columns:
            columns["out_of_domain"] = pd.array(columns["out_of_domain"], dtype="boolean")
        frame = pd.DataFrame(columns)
        index = crystals.index if isinstance(crystals, pd.Series | pd.DataFrame) else None
        if is_list:
            index = pd.RangeIndex(len(frame) // len(grid)) if index is None else index
            levels = [index.get_level_values(i).repeat(len(grid)) for i in range(index.nlevels)]
            names = ["crystal" if name is None and index.nlevels == 1 else name for name in index.names]
            temperatures = np.tile(grid, len(index))
            index = pd.MultiIndex.from_arrays([*levels, temperatures], names=[*names, "temperature"])
        return frame if index is None else frame.set_axis(index)

    def predict_arrays(
        self,
        crystals: Any,
        properties: str | Sequence[str] | None = None,
        temperature: float = 300.0,
        errors: Literal["raise", "nan"] = "nan",
        interval: float | None = None,
        order: int = 0,
    ) -> dict[str, NDArray[Any]]:
        """Predict properties without pandas, which takes longer than the network for a single crystal.

        Parameters and exceptions are those of `predict`; there is one temperature.

        Returns
        -------
        dict of str to ndarray
            The columns of `predict`, each of shape (n,); ``error`` of objects, all others of floats, with
            NaN in the rows of bad crystals.
        """
        grid = np.array([checked_temperature(temperature)])
        (columns,) = self._predict(crystals, properties, grid, errors, interval, order)
        return columns

    def _predict(
        self,
        crystals: Any,
        properties: str | Sequence[str] | None,
        temperatures: Array,
        errors: Literal["raise", "nan"],
        interval: float | None,
        order: int,
    ) -> list[dict[str, NDArray[Any]]]:
        """The columns of `predict` at each temperature."""
        names = self._names(properties)
        if type(order) is not int or order < 0:
            raise ArgumentError(f"order {order!r}", "it is no number of cells", "Use 10, or 0 for none.")
        good, failures = self._read_in_order(all_crystals(crystals), errors, order)
        total = len(good) + len(failures)
        cells = [cell for group in good.values() for cell in group]
        found = self._outputs(cells)
        tables: list[dict[str, NDArray[Any]]] = []
        reasons = np.full(total, None)
        reasons[list(failures)] = [str(failure) for failure in failures.values()]
        strings = np.full(total, None)
        for i, group in good.items():
            if len(group) > 1 or group[0].is_ordered:
                strings[i] = [cell.text for cell in group]
        extra = {"ordered_cells": strings} if order else {}
        for temperature in temperatures.tolist():
            columns: dict[str, NDArray[Any]] = self._columns(cells, found, names, temperature, interval)
            if order:
                columns = _mean_over_cells(columns, [len(group) for group in good.values()])
            if failures:
                place = np.full(total, -1)
                place[list(good)] = np.arange(len(good))
                columns = {name: np.append(values, np.nan)[place] for name, values in columns.items()}
            tables.append(columns | extra | {"error": reasons})
        return tables

    def embed(
        self, crystals: Any, pooling: Pooling = "layers", errors: Literal["raise", "nan"] = "raise"
    ) -> NDArray[np.float32]:
        """Embed crystals as vectors.

        Parameters
        ----------
        crystals : crystal or sequence of crystals
            As in `predict`.
        pooling : {'layers', 'mean', 'atoms', 'cls'}
            Mean and standard deviation over the atoms of what enters the first layer, and their mean hidden state in
            the last; or the mean of the hidden states of all tokens, of the atoms, or the hidden state of ``[CLS]``.
        errors : {'raise', 'nan'}
            How unreadable crystals are handled: an error for the batch, or rows of NaN and a
            warning.

        Returns
        -------
        ndarray of float32
            Shape (n, `embedding_width`); the networks of an ensemble side by side.

        Raises
        ------
        CloudError
            If a single crystal cannot be read.
        BatchError
            If crystals of a collection cannot be read and `errors` is ``'raise'``; its ``failures`` names
            each.
        """
        if not isinstance(pooling, str) or pooling not in _POOLING:
            raise ArgumentError(f"pooling {pooling!r}", "is unknown", f"Choose one of {', '.join(_POOLING)}.")
        good, failures = self._read(all_crystals(crystals), errors)
        width = self.embedding_width(pooling)
        embeddings = np.full((len(good) + len(failures), width), np.nan, dtype=np.float32)
        if good:
            pool = partial(self._pool, pooling=pooling)
            embeddings[list(good)] = self._rows(pooling, list(good.values()), pool, width)
        return embeddings

    def thermodynamics(self, crystal: Any, temperatures: ArrayLike, pressure: float = 0.0) -> Thermodynamics:
        """Give the functions of the harmonic crystal, from one partition function, and those at constant pressure.

        Parameters
        ----------
        crystal : crystal
            As in `predict`.
        temperatures : array_like
            K, shape (nT,).
        pressure : float
            GPa, at most 30, of the functions at constant pressure; the harmonic ones do not depend on it.

        Raises
        ------
        CloudError
            If the crystal cannot be read, or the model has no thermodynamics.
        ArgumentError
            If temperatures are not finite numbers >= 0, or the pressure is not between 0 and 30 GPa.
        """
        self._require_thermodynamics()
        grid, pressure = _temperature_grid(temperatures), _checked_pressure(pressure)
        if is_collection(crystal):
            raise ArgumentError("crystal", "is a collection", "Give one crystal.")
        good, _ = self._read(crystal, "raise")
        found = self._outputs([good[0]])
        theta, weights, spread, floor = (part[0].numpy() for part in _spectra(found))
        expansion = _expansion(found) if self.checkpoint.config.expansion else None
        n_atoms = None if good[0].n_atoms is None else int(good[0].n_atoms)
        return Thermodynamics(grid, theta, weights, n_atoms, float(spread), float(floor), expansion, pressure)

    def spectra(self, crystals: Any) -> Spectra:
        """Predict the mixture of Debye spectra of each crystal, all that `thermodynamics` is made of.

        Parameters
        ----------
        crystals : crystal or collection of crystals
            As in `predict`.

        Returns
        -------
        Spectra
            float64; the networks of an ensemble side by side.

        Raises
        ------
        CloudError
            If a crystal cannot be read, or the model has no thermodynamics.
        """
        self._require_thermodynamics()
        good, _ = self._read(crystals, "raise")
        return self._spectra(list(good.values()))

    def _require_thermodynamics(self) -> None:
        if not self.checkpoint.config.spectra:
            raise PropertyError(
                "thermodynamics", f"is not among the properties of {self.name!r}", "Use another checkpoint."
            )

    def _names(self, properties: str | Sequence[str] | None) -> list[str]:
        known = self.properties
        if properties is None:
            return list(known)
        names = [properties] if isinstance(properties, str) else properties
        if not (isinstance(names, Collection) and all(isinstance(name, str) for name in names)):
            raise ArgumentError(f"properties {properties!r}", "are not names", "Give a list of names.")
        for name in names:
            if name not in known:
                raise PropertyError(
                    f"property {name!r}",
                    f"is unknown to {self.name!r}",
                    f"It has: {', '.join(known) or 'none'}.",
                )
        return list(names)

    def _read(
        self, crystals: Any, errors: Literal["raise", "nan"]
    ) -> tuple[dict[int, _Described], dict[int, CloudError]]:
        """Good crystals as the network reads them and errors of bad ones, by their position."""
        good, failures = self._read_in_order(crystals, errors, 0)
        return {i: crystal for i, (crystal,) in good.items()}, failures

    def _read_in_order(
        self, crystals: Any, errors: Literal["raise", "nan"], order: int
    ) -> tuple[dict[int, list[_Described]], dict[int, CloudError]]:
        """Do the same, with up to `order` cells in place of each disordered crystal."""
        if errors not in ("raise", "nan"):
            raise ArgumentError(f"errors {errors!r}", "is unknown", "Choose 'raise' or 'nan'.")
        batch = crystal_list(crystals) if is_collection(crystals) else [crystals]
        good: dict[int, list[_Described]] = {}
        failures: dict[int, CloudError] = {}
        for i, scope in enumerate(self.scopes(batch)):
            try:
                if isinstance(scope, CloudError):
                    good[i] = self._ordered(scope, order)
                else:
                    good[i] = [self._described(scope, scope.n_atoms)]
            except CloudError as error:
                failures[i] = error
        if failures and not is_collection(crystals):
            raise failures[0]
        if failures and errors == "raise":
            raise BatchError(failures, len(batch))
        if failures:
            warn_user(str(BatchError(failures, len(batch))))
        return good, failures

    def _described(self, scope: Scope, n_atoms: float | None, is_ordered: bool = False) -> _Described:
        text = str(scope)
        return _Described(text, self.checkpoint.tokenizer.encode(text), n_atoms, is_ordered)

    def _ordered(self, error: CloudError, order: int) -> list[_Described]:
        """Cells of a crystal that is refused as disordered; other errors are raised."""
        sites = getattr(error, "sites", None)
        if not order or not isinstance(sites, DisorderedSites):
            raise error
        n_atoms = sum(sum(site.values()) for site in sites.shares)
        found = self.scopes(ordered_cells(sites, order, error.subject))
        for scope in found:
            if isinstance(scope, CloudError):
                raise scope
        return [self._described(scope, n_atoms, True) for scope in found if isinstance(scope, Scope)]

    @torch.inference_mode()
    def _columns(
        self,
        crystals: Sequence[_Described],
        found: _Outputs,
        names: Sequence[str],
        temperature: float,
        interval: float | None,
    ) -> dict[str, Array]:
        """Values of the named properties, standard errors or bounds, and the domain, one number a crystal."""
        n_atoms = np.array([np.nan if crystal.n_atoms is None else crystal.n_atoms for crystal in crystals])
        scalars = list(self.checkpoint.config.targets)
        curves = _thermodynamics(found, names, temperature)
        columns: dict[str, Array] = {}
        for name in names:
            if name in curves:
                value, error = curves[name]
                factor = n_atoms if THERMODYNAMICS[name].basis == "cell" else 1.0
                value, error = factor * value, factor * error
            else:
                i = scalars.index(name)
                value, error = found.values[:, i], found.errors[:, i]
            columns[name] = value
            if interval is None:
                columns[f"{name}_std"] = error
            else:
                columns[f"{name}_low"], columns[f"{name}_high"] = self._bounds(name, value, error, interval)
        if self.checkpoint.config.domain:
            columns["out_of_domain"] = (found.distance[:, 0] > 1).astype(float)
        return columns

    def _bounds(self, name: str, value: Array, error: Array, interval: float) -> tuple[Array, Array]:
        """Bounds of the interval that holds this share of the crystals."""
        config = self.checkpoint.config
        both = config.intervals.get(_calibrated(name), {})
        below, above = (
            interval_factor(config.intervals.get(f"{name}_{end}", both), interval) for end in ("low", "high")
        )
        if name in config.targets:
            return config.targets[name].interval(value, error, below, above)
        low = value - below * error
        if "heat_capacity" in name or "entropy" in name:
            low = np.maximum(low, 0.0)
        return low, value + above * error

    def _spectra(self, crystals: Sequence[_Described]) -> Spectra:
        return _spectra(self._outputs(crystals))

    def _outputs(self, crystals: Sequence[_Described]) -> _Outputs:
        scalars = len(self.checkpoint.config.targets)
        spectra = self.checkpoint.config.spectra * len(self.checkpoint.members)
        expansion = len(Expansion._fields) if self.checkpoint.config.expansion else 0
        ends = np.cumsum([scalars, scalars, spectra, spectra, 1, 1, expansion, expansion, 1])
        rows = self._rows("heads", crystals, self._run_heads, width=ends[-1])
        return _Outputs(*np.split(rows, ends[:-1], axis=1))

    def _rows(
        self,
        kind: str,
        crystals: Sequence[_Described],
        compute: Callable[[Sequence[Tokens]], NDArray[Any]],
        width: int,
    ) -> NDArray[Any]:
        """One row a crystal; each distinct one goes through the network once and is remembered."""
        keys = [(kind, self.dtype, crystal.text) for crystal in crystals]
        rows = {key: row for key in keys if (row := self.checkpoint.cache.get(key)) is not None}
        new = {key: crystal.tokens for key, crystal in zip(keys, crystals, strict=True) if key not in rows}
        if new:
            with encoding_in(self.dtype):
                computed = compute(list(new.values()))
            if not np.isfinite(computed).all():
                raise CheckpointError(
                    self.name, "gives numbers that are not finite", "Use another checkpoint."
                )
            rows |= zip(new, map(np.copy, computed), strict=True)
            self.checkpoint.cache.update({key: rows[key] for key in new})
        return np.array([rows[key] for key in keys]).reshape(len(keys), width)

    def _run_heads(self, tokens: Sequence[Tokens]) -> Array:
        """The columns of `_Outputs`, side by side."""
        config = self.checkpoint.config
        outputs = [run_heads(member, tokens) for member in self.checkpoint.members]
        distances = [output.distance.double().numpy() for output in outputs if output.distance is not None]
        distance = np.mean(distances, axis=0) if distances else np.zeros(len(tokens))
        values = errors = np.empty((len(tokens), 0))
        scalars = [output.scalars for output in outputs if output.scalars is not None]
        if scalars:
            means = np.stack([part.value.double().numpy() for part in scalars])
            scales = np.stack([part.scale.double().numpy() for part in scalars])
            mean, scale = means.mean(0), np.sqrt((scales**2).mean(0) + means.var(0))
            pairs = [
                target.physical(mean[:, i], scale[:, i], distance)
                for i, target in enumerate(config.targets.values())
            ]
            values, errors = (np.stack(part, axis=1) for part in zip(*pairs, strict=True))
        parts = [output.spectra.each(Tensor.double) for output in outputs if output.spectra is not None]
        theta = weights = np.empty((len(tokens), 0))
        spread = floor = np.zeros(len(tokens))
        if parts:
            spectra = Spectra.together(parts).calibrated(config.spread_calibration)
            theta, weights, spread, floor = (part.numpy() for part in spectra)
        expansion = expansion_errors = np.empty((len(tokens), 0))
        if expansions := [output.expansion for output in outputs if output.expansion is not None]:
            logarithms = torch.stack([part.value.double() for part in expansions])
            scales_of = torch.stack([part.scale.double() for part in expansions])
            expansion = logarithms.mean(0).numpy()
            expansion_errors = torch.sqrt((scales_of**2).mean(0) + logarithms.var(0, correction=0)).numpy()
        return np.column_stack(
            [values, errors, theta, weights, spread, floor, expansion, expansion_errors, distance]
        )

    def _pool(self, tokens: Sequence[Tokens], pooling: Pooling) -> NDArray[np.float32]:
        """Pooled hidden states of the networks, side by side."""

        def function(batch: TokenBatch) -> list[Tensor]:
            return [_POOLING[pooling](member, batch) for member in self.checkpoint.members]

        return torch.cat(run_batched(function, tokens), dim=1).numpy()


def _mean_over_cells(columns: dict[str, NDArray[Any]], sizes: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Average rows of the cells of one crystal, and add their variance to the squared errors."""
    if not len(sizes):
        return columns
    starts = np.cumsum([0, *sizes[:-1]])
    counts = np.array(sizes)

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.add.reduceat(values, starts) / counts)

    means = {name: mean(values) for name, values in columns.items()}
    for name, values in columns.items():
        base, _, kind = name.rpartition("_")
        if kind == "std" and base in columns:
            variance = mean(columns[base] ** 2) - means[base] ** 2
            means[name] = np.sqrt(mean(values**2) + np.maximum(variance, 0.0))
        elif kind in ("low", "high") and base in columns:
            variance = mean(columns[base] ** 2) - means[base] ** 2
            width = np.sqrt(mean((values - columns[base]) ** 2) + np.maximum(variance, 0.0))
            means[name] = means[base] + (width if kind == "high" else -width)
    if "out_of_domain" in columns:
        means["out_of_domain"] = np.maximum.reduceat(columns["out_of_domain"], starts)
    return means


def _calibrated(name: str) -> str:
    """Property whose interval was measured, for one whose interval is taken from it."""
    if name in ISOBARIC_QUANTITIES:
        return "isobaric_heat_capacity_per_atom"
    return "heat_capacity_per_atom" if name in QUANTITIES else name


def _spectra(found: _Outputs) -> Spectra:
    parts = found.debye_temperatures, found.weights, found.spread[:, 0], found.floor[:, 0]
    return Spectra(*map(torch.from_numpy, parts))


def _thermodynamics(
    found: _Outputs, names: Sequence[str], temperature: float
) -> dict[str, tuple[Array, Array]]:
    """Values and standard errors of those names that depend on the temperature, per mole of atoms."""
    spectra = _spectra(found)
    curves: dict[str, tuple[Array, Array]] = {}
    mixture = DebyeMixture(spectra, temperature)
    for name, harmonic in QUANTITIES.items():
        if name in names:
            error = mixture.standard_error(harmonic.function)
            curves[name] = getattr(mixture, harmonic.function).numpy(), error.numpy()
    if not ISOBARIC_QUANTITIES.keys().isdisjoint(names):
        expanded = IsobaricCrystals(
            spectra, _expansion(found), torch.tensor([temperature], dtype=torch.float64)
        )
        for name, isobaric in ISOBARIC_QUANTITIES.items():
            if name in names:
                values, errors = expanded(isobaric.function)
                curves[name] = values[:, 0].numpy(), errors[:, 0].numpy()
    return curves


def _expansion(found: _Outputs) -> UncertainExpansion:
    return UncertainExpansion(torch.from_numpy(found.expansion), torch.from_numpy(found.expansion_errors))


def _temperature_grid(values: ArrayLike) -> Array:
    try:
        grid = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        grid = np.array([np.nan])
    if grid.ndim != 1 or not (np.isfinite(grid) & (grid >= 0)).all():
        raise ArgumentError(
            "temperatures", "are not finite numbers >= 0 in one dimension", "Give temperatures in K."
        )
    return grid


def _checked_pressure(value: Any) -> float:
    try:
        pressure = float(value)
    except (TypeError, ValueError):
        pressure = np.nan
    if not 0 <= pressure <= MAX_PRESSURE:
        raise ArgumentError(
            f"pressure {value!r}", f"is not between 0 and {MAX_PRESSURE:g}", "Give a pressure in GPa."
        )
    return pressure


def checked_temperature(value: Any) -> float:
    """Temperature in K, or an `ArgumentError`."""
    try:
        temperature = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"temperature {value!r}",
            "is not a number",
            "Give a temperature in K.",
        ) from None
    if not 0 <= temperature < np.inf:
        raise ArgumentError(
            f"temperature {value!r}", "is not a finite number >= 0", "Give a temperature in K."
        )
    return temperature
