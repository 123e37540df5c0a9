"""The rows of a table that a checkpoint can learn from: their crystals and labels, by the names of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from cloud_model.arguments import check_column, check_type
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import ArgumentError, CloudError, DataError, check_choice, shortly, warn_user
from cloud_model.network.tokenizer import Tokens
from cloud_model.properties.catalogue import THERMODYNAMICS
from cloud_model.properties.targets import Transform
from cloud_model.scope.string import Scope
from cloud_model.training.finetuning.labels import Labels
from cloud_model.training.finetuning.reading import column, curves, describe, formula_groups, numbers

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a table holds what.

    Attributes
    ----------
    structure : str
        Crystals: CIF text, paths, SCOPE strings, or pymatgen structures as JSON.
    units : mapping of str to str
        Scalar properties, each in a column of its name -> unit.
    transforms : mapping of str to str
        Their transforms, where they are not to be chosen by `choose_transform`.
    temperatures : str or None
        Temperatures in K, a list in each cell.
    heat_capacities : str or None
        J/(mol-atom K), at the temperatures.
    internal_energies : str or None
        J/mol-atom with the zero-point energy, at the temperatures.
    split : str or None
        ``train``, ``validation`` (or ``val``) and ``test``; without it formulas are split at random.

    Raises
    ------
    ArgumentError
        If these are not names of columns, none has labels, or a transform is unknown.
    """

    structure: str
    units: Mapping[str, str] = field(default_factory=dict)
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    temperatures: str | None = None
    heat_capacities: str | None = None
    internal_energies: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        check_column("structure", self.structure)
        for name in ("temperatures", "heat_capacities", "internal_energies", "split"):
            if getattr(self, name) is not None:
                check_column(name, getattr(self, name))
        for name in ("units", "transforms"):
            texts = getattr(self, name)
            if not (
                isinstance(texts, Mapping)
                and all(isinstance(text, str) for text in (*texts, *texts.values()))
            ):
                raise ArgumentError(
                    f"{name} {shortly(texts)}", "is not a dict of strings", "Give {'gap': ...}."
                )
        for name, transform in self.transforms.items():
            check_choice("transform", transform, get_args(Transform))
            if name not in self.units:
                raise ArgumentError(f"transform of {name!r}", "has no unit", "Give each property a unit.")
        if not self.units and self.heat_capacities is None:
            raise ArgumentError("columns", "hold no labels", "Give units, or heat_capacities.")


@dataclass(frozen=True)
class LabelledCrystals:
    """The rows of a table that a checkpoint can read.

    Attributes
    ----------
    rows : ndarray of int
        Their row numbers in the table.
    scopes, tokens : sequence
        Their crystals.
    labels : Labels
        Their labels.
    skipped : dict of int to str
        Row number of each other row -> why it was left out.
    """

    rows: NDArray[np.int64]
    scopes: Sequence[Scope]
    tokens: Sequence[Tokens]
    labels: Labels[Array]
    skipped: Mapping[int, str]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of the formula of each crystal."""
        return formula_groups(self.scopes)

    @classmethod
    def read(
        cls, table: pd.DataFrame, folder: Path, columns: Columns, checkpoint: Checkpoint
    ) -> LabelledCrystals:
        """Describe the crystals of a table and collect their labels.

        Raises
        ------
        DataError
            If a column is missing or holds no numbers, or no row is left.
        """
        labels = _labels(table, columns)
        known = (~np.isnan(np.hstack([labels.scalars, labels.heat_capacities]))).sum(1)
        config = checkpoint.config
        described = describe(column(table, columns.structure), folder, config.dialect, config.symprec)
        good: dict[int, tuple[Scope, Tokens]] = {}
        skipped: dict[int, str] = {}
        for row, scope in enumerate(described):
            try:
                if isinstance(scope, CloudError):
                    raise scope
                tokens = checkpoint.tokenizer.encode(scope)
            except CloudError as error:
                skipped[row] = str(error)
                continue
            if known[row]:
                good[row] = scope, tokens
            else:
                skipped[row] = "has no label"
        if not good:
            reasons = "; ".join(list(skipped.values())[:3])
            raise DataError(
                "the table", f"has no row that can be used ({reasons})", "Repair the column of structures."
            )
        if skipped:
            first = "; ".join(f"row {row}: {reason}" for row, reason in list(skipped.items())[:3])
            warn_user(f"{len(skipped)} of {len(table)} rows are left out: {first}")
        rows = np.array(list(good))
        found = good.values()
        return cls(
            rows, [scope for scope, _ in found], [tokens for _, tokens in found], labels[rows], skipped
        )


def check_table(table: object) -> None:
    """Raise an `ArgumentError` unless this is a DataFrame."""
    import pandas as pd

    check_type("table", table, pd.DataFrame, "Read it with pandas.")


def _labels(table: pd.DataFrame, columns: Columns) -> Labels[Array]:
    clash = columns.units.keys() & THERMODYNAMICS.keys()
    if clash:
        raise ArgumentError(
            f"target {min(clash)!r}",
            "is a thermodynamic property",
            "Give columns of temperatures and heat capacities.",
        )
    for name, unit in columns.units.items():
        if not (name.isprintable() and unit.isprintable()):
            raise ArgumentError(
                f"target {name!r} in {unit!r}",
                "has control characters",
                "Rename the column, or give another unit.",
            )
    scalars = (
        np.array([numbers(table, name) for name in columns.units]).reshape(len(columns.units), len(table)).T
    )
    if columns.heat_capacities is None:
        return Labels.of_scalars(scalars)
    if columns.temperatures is None:
        raise ArgumentError("heat capacities", "have no temperatures", "Name the column of temperatures.")
    heat_capacities = curves(table, columns.heat_capacities)
    points = heat_capacities.shape[1]
    energies = columns.internal_energies
    return Labels(
        scalars,
        curves(table, columns.temperatures, points),
        heat_capacities,
        None if energies is None else curves(table, energies, points),
    )
