"""Predictions for a batch as a table: rows of bad crystals, means over ordered cells, several temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cloud_model.checkpoints.config import CheckpointConfig
from cloud_model.inference.columns import Columns, column_names, property_columns
from cloud_model.inference.crystals import ReadBatch
from cloud_model.network.predictor import Output

if TYPE_CHECKING:
    import pandas as pd


def property_table(
    config: CheckpointConfig,
    batch: ReadBatch,
    output: Output | None,
    names: Sequence[str],
    temperature: float,
    interval: float | None = None,
) -> Columns:
    """Columns of `cloud_model.CloudModel.predict` at one temperature.

    Parameters
    ----------
    config : CheckpointConfig
    batch : ReadBatch
    output : Output or None
        For the good crystals of the batch, in physical units; None if there are none.
    names, temperature, interval
        As in `property_columns`.
    """
    if output is None:
        columns: Columns = {
            name: np.empty(0) for name in column_names(config, names, interval=interval is not None)
        }
    else:
        n_atoms = np.array([np.nan if c.n_atoms is None else c.n_atoms for c in batch.crystals])
        columns = property_columns(config, output, n_atoms, names, temperature, interval)
    if len(batch.crystals) > len(batch.good):
        columns = _mean_over_cells(columns, [len(group) for group in batch.good.values()])
    return {name: batch.in_place(rows) for name, rows in columns.items()}


def to_frame(
    tables: Sequence[Columns], temperatures: Sequence[float] | None, index: pd.Index | None
) -> pd.DataFrame:
    """One frame of tables, in which each crystal has a row for each of them.

    Parameters
    ----------
    tables : sequence of dict
        The columns at each temperature.
    temperatures : sequence of float, optional
        K. Left out, there is one table, and no level of the index for the temperature.
    index : Index, optional
        Index of the crystals.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        name: np.stack([table[name] for table in tables], axis=1).ravel() for name in tables[0]
    }
    if "out_of_domain" in columns:
        columns["out_of_domain"] = pd.array(columns["out_of_domain"], dtype="boolean")
    frame = pd.DataFrame(columns)
    if temperatures is not None:
        index = pd.RangeIndex(len(frame) // len(tables)) if index is None else index
        levels = [index.get_level_values(i).repeat(len(tables)) for i in range(index.nlevels)]
        names = ["crystal" if name is None and index.nlevels == 1 else name for name in index.names]
        levels.append(np.tile(temperatures, len(index)))
        index = pd.MultiIndex.from_arrays(levels, names=[*names, "temperature"])
    return frame if index is None else frame.set_axis(index)


def _mean_over_cells(columns: Columns, sizes: Sequence[int]) -> Columns:
    """Average rows of the cells of one crystal, and add their variance to the squared errors."""
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
