"""`CloudModel`, the one way in: crystals to properties, embeddings and thermodynamics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cloud_model.arguments import checked_integer, checked_path
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.loaded import load_checkpoint
from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.files import all_crystals
from cloud_model.errors import ArgumentError, CloudError, PropertyError, check_choice
from cloud_model.inference.columns import Columns, property_names
from cloud_model.inference.crystals import Errors, ReadBatch, read
from cloud_model.inference.outputs import embeddings_of, outputs_of
from cloud_model.inference.processes import read_and_run
from cloud_model.inference.strange_cells import warn_of_strange_cells
from cloud_model.inference.tables import property_table, to_frame
from cloud_model.network.ensemble import Pooling
from cloud_model.network.precision import Choice, Precision, choose_precision
from cloud_model.network.predictor import Output
from cloud_model.network.tokenizer import Tokens
from cloud_model.physics.conditions import checked_pressure, checked_temperature, checked_temperatures
from cloud_model.physics.isobaric import UncertainExpansion
from cloud_model.physics.mixture import Spectra
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_model.process import after_fork
from cloud_model.properties.catalogue import PropertyInfo
from cloud_model.scope.batches import describe
from cloud_model.scope.string import Scope

if TYPE_CHECKING:
    import pandas as pd

# The threads of torch do not survive a fork; a child that waited for them would wait forever.
after_fork(lambda: torch.set_num_threads(1))

Array = NDArray[np.float64]


class CloudModel:
    """A trained model, which predicts properties, embeddings and thermodynamics of crystals.

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
        Name of the checkpoint.
    dialect : {'reference', 'canonical', 'sites'}
        Dialect of the SCOPE strings that it reads.
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
            Precision of the matrix products of the encoder; ``auto`` is the faster of float32 and bfloat16 on this
            machine. Weights and everything else are float32. Only in float32 are predictions the same to the last
            bit whatever else is in the batch.

        Returns
        -------
        CloudModel
            In evaluation mode, on the CPU.

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

        Raises
        ------
        OutputError
            If the directory cannot be written.
        """
        rows = "".join(
            f"- {name} ({info.unit or 'no unit'}): {info.description}\n"
            for name, info in self.properties.items()
        )
        self.checkpoint.save(checked_path("directory", directory), card or f"# {self.name}\n\n{rows}")

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
        check_choice("pooling", pooling, get_args(Pooling))
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

        Returns
        -------
        list of Scope or CloudError
            One item per crystal, in their order.
        """
        return describe(self.checkpoint.describer, crystal_list(crystals))

    def tokens(self, crystals: Any) -> list[Tokens]:
        """Token ids of each crystal, what the network is trained on.

        Parameters
        ----------
        crystals : crystal or collection of crystals
            As in `predict`.

        Returns
        -------
        list of Tokens
            One item per crystal, in their order; a single one for a single crystal.

        Raises
        ------
        CloudError
            If a single crystal cannot be read; for a collection a `BatchError`, whose ``failures`` names
            each.
        """
        return read(self.checkpoint, crystals, "raise").tokens

    def predict(
        self,
        crystals: Any,
        properties: str | Sequence[str] | None = None,
        temperature: float | Sequence[float] | Array = 300.0,
        errors: Errors = "nan",
        interval: float | None = None,
        order: int = 0,
        n_jobs: int | None = None,
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
        n_jobs : int, optional
            Number of processes, as in joblib: -1 for one per core; left out, one, or what ``joblib.parallel_config``
            says. Starting them takes as long as some thousand crystals.

        Returns
        -------
        DataFrame
            One row per crystal, with the index of `crystals` if it comes from pandas. For several temperatures
            one row per crystal and temperature, in this order; the index of the crystals, called ``crystal`` if it
            has no name, gets a level ``temperature``: ``frame.xs(300, level="temperature")``. For each property a
            column ``<name>`` in the unit of ``properties[name]`` and a column ``<name>_std``, its standard
            error, or the two bounds. Column ``out_of_domain`` is true where a crystal is less like the training
            crystals than 99% of held-out ones are, so that neither prediction nor standard error can be trusted;
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
            If a temperature is not a number from 0 to 1,000,000 K, there is none, or no interval holds such a share.
        """
        crystals = all_crystals(crystals)
        is_list = np.ndim(temperature) == 1
        values: Any = temperature if is_list else [temperature]
        grid = [checked_temperature(value) for value in values]
        if not grid:
            raise ArgumentError("temperature", "is an empty list", "Give temperatures in K.")
        tables = self._tables(crystals, properties, grid, errors, interval, order, n_jobs)
        index = crystals.index if hasattr(crystals, "to_numpy") else None
        return to_frame(tables, grid if is_list else None, index)

    def predict_arrays(
        self,
        crystals: Any,
        properties: str | Sequence[str] | None = None,
        temperature: float = 300.0,
        errors: Errors = "nan",
        interval: float | None = None,
        order: int = 0,
    ) -> dict[str, NDArray[Any]]:
        """Predict properties without pandas, which takes longer than the network for a single crystal.

        Parameters and exceptions are those of `predict`; there is one temperature, and one process.

        Returns
        -------
        dict of str to ndarray
            The columns of `predict`, each of shape (n,); ``error`` of objects, all others of floats, with
            NaN in the rows of bad crystals.
        """
        grid = [checked_temperature(temperature)]
        (table,) = self._tables(all_crystals(crystals), properties, grid, errors, interval, order, 1)
        return table

    def embed(
        self,
        crystals: Any,
        pooling: Pooling = "layers",
        errors: Errors = "raise",
        n_jobs: int | None = None,
    ) -> NDArray[np.float32]:
        """Embed crystals as vectors.

        Parameters
        ----------
        crystals : crystal or sequence of crystals
            As in `predict`.
        pooling : {'layers', 'mean', 'atoms', 'cls'}
            What becomes one vector. ``layers``: mean and standard deviation over the atoms of the vectors of their
            elements, and their mean hidden state in the last layer; the others are of the last layer alone. ``mean``:
            the mean over all tokens; ``atoms``: the mean over the atoms; ``cls``: the hidden state of ``[CLS]``.
        errors : {'raise', 'nan'}
            How unreadable crystals are handled: an error for the batch, or rows of NaN and a
            warning.
        n_jobs : int, optional
            As in `predict`.

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
        width = self.embedding_width(pooling)
        run = partial(embeddings_of, pooling=pooling, precision=self.dtype)
        batch, embeddings = read_and_run(self.checkpoint, all_crystals(crystals), run, errors, n_jobs=n_jobs)
        if embeddings is None:
            return np.full((len(batch), width), np.nan, dtype=np.float32)
        return batch.in_place(embeddings.numpy())

    def thermodynamics(self, crystal: Any, temperatures: ArrayLike, pressure: float = 0.0) -> Thermodynamics:
        """Predict thermodynamic functions over temperature: harmonic ones, and those at constant pressure.

        Parameters
        ----------
        crystal : crystal
            As in `predict`.
        temperatures : array_like
            K, shape (nT,).
        pressure : float
            Pressure of the functions at constant pressure, GPa, at most 30; the harmonic ones do not depend on it.

        Returns
        -------
        Thermodynamics
            Arrays of shape (nT,), each with its standard error.

        Raises
        ------
        CloudError
            If the crystal cannot be read; a `PropertyError` if the model has no thermodynamics.
        ArgumentError
            If temperatures are not numbers from 0 to 1,000,000 K, or the pressure is not between 0 and 30 GPa.
        """
        grid, pressure = checked_temperatures(temperatures), checked_pressure(pressure)
        if is_collection(crystal):
            raise ArgumentError("crystal", "is a collection", "Give one crystal.")
        batch = read(self.checkpoint, crystal, "raise")
        spectra, expansion = self._vibrations(batch)
        theta, weights, spread, floor = (part[0].numpy() for part in spectra)
        n_atoms = batch.crystals[0].n_atoms
        return Thermodynamics(
            grid,
            theta,
            weights,
            None if n_atoms is None else int(n_atoms),
            float(spread),
            float(floor),
            expansion,
            pressure,
        )

    def spectra(self, crystals: Any) -> Spectra:
        """Predict the mixture of Debye spectra of each crystal, all that `thermodynamics` is made of.

        Parameters
        ----------
        crystals : crystal or collection of crystals
            As in `predict`.

        Returns
        -------
        Spectra
            Tensors of float64 with a row per crystal; the networks of an ensemble side by side.

        Raises
        ------
        CloudError
            If a crystal cannot be read, or the model has no thermodynamics.
        """
        return self._vibrations(read(self.checkpoint, crystals, "raise"))[0]

    def _vibrations(self, batch: ReadBatch) -> tuple[Spectra, UncertainExpansion | None]:
        output = self._outputs(batch)
        if output.spectra is None:
            raise PropertyError(
                "thermodynamics", f"is not among the properties of {self.name!r}", "Use another checkpoint."
            )
        return output.spectra, output.expansion

    def _tables(
        self,
        crystals: Any,
        properties: str | Sequence[str] | None,
        temperatures: Sequence[float],
        errors: Errors,
        interval: float | None,
        order: int,
        n_jobs: int | None,
    ) -> list[Columns]:
        """The columns of `predict` at each temperature."""
        config = self.checkpoint.config
        names = property_names(config, properties)
        order = checked_integer("order", order, 0, "Use 10, or 0 for none.")
        run = partial(outputs_of, precision=self.dtype)
        batch, output = read_and_run(self.checkpoint, crystals, run, errors, order, n_jobs)
        if output is not None:
            warn_of_strange_cells(config, batch.crystals, output)
        more: Columns = {"ordered_cells": batch.ordered_cells} if order else {}
        more["error"] = batch.reasons
        return [
            property_table(config, batch, output, names, temperature, interval) | more
            for temperature in temperatures
        ]

    def _outputs(self, batch: ReadBatch) -> Output:
        if not batch.good:
            raise ArgumentError("crystals", "is an empty collection", "Give at least one.")
        output = outputs_of(self.checkpoint, batch.tokens, self.dtype)
        warn_of_strange_cells(self.checkpoint.config, batch.crystals, output)
        return output
