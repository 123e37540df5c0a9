"""Tables of crystals and labels: reading them, describing their crystals, splitting them by formula."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.files import is_scope_string, is_text, open_crystals
from cloud_model.errors import CloudError, CloudWarning, CrystalError, DataError, warn_user
from cloud_model.scope.batches import scopes
from cloud_model.scope.description import Dialect
from cloud_model.scope.string import Scope
from cloud_model.untrusted_json import parse_json

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV (compressed or not), Parquet or JSON-lines table.

    Parameters
    ----------
    path : Path
        Its ending tells the format: ``.parquet``, ``.jsonl``, ``.jsonl.gz``, anything else is CSV.

    Raises
    ------
    DataError
        If the file cannot be read as such a table.
    """
    import pandas as pd

    if not path.is_file():  # opening a pipe would wait for its writer
        raise DataError(str(path), "is not a file", "Give CSV, Parquet or JSON lines.")
    endings = path.suffixes
    try:
        if ".parquet" in endings:
            return pd.read_parquet(path)
        if ".jsonl" in endings:
            return pd.read_json(path, lines=True)
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise DataError(
            str(path), f"cannot be read as a table ({error})", "Give CSV, Parquet or JSON lines."
        ) from error


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """Pick a column, or raise a `DataError` that lists the columns there are."""
    if name not in table:
        known = ", ".join(map(str, table.columns)) or "none"
        raise DataError(f"column {name!r}", "is not in the table", f"It has: {known}.")
    if list(table.columns).count(name) > 1:
        raise DataError(f"column {name!r}", "is in the table more than once", "Rename one of them.")
    return table[name]


def numbers(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Pick a column of labels: numbers, and NaN where a cell is empty.

    Raises
    ------
    DataError
        If there is no such column, a cell is not a finite number, or none is.
    """
    import pandas as pd

    cells = column(table, name)
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    wrong = np.flatnonzero(~np.isfinite(values) & cells.notna().to_numpy())
    if len(wrong):
        raise DataError(
            f"row {wrong[0]} of column {name!r}",
            f"{cells.iloc[wrong[0]]!r} is not a finite number",
            "Repair it, or leave it empty.",
        )
    if np.isnan(values).all():
        raise DataError(f"column {name!r}", "holds no number", "Give at least a few labels.")
    return values


def curves(table: pd.DataFrame, name: str, points: int | None = None) -> NDArray[np.float64]:
    """Pick a column of lists of numbers (JSON or Parquet lists, or single numbers), padded with NaN.

    Raises
    ------
    DataError
        If there is no such column, or a cell is not a list of numbers.
    """
    rows = []
    for i, cell in enumerate(column(table, name)):
        try:
            parsed = parse_json(cell) if isinstance(cell, str) else cell
            row = np.atleast_1d(np.asarray([] if parsed is None else parsed, dtype=float))
            if row.ndim > 1 or (points is not None and len(row) > points):
                raise ValueError(f"its shape is {row.shape}")
            rows.append(row)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"row {i} of column {name!r}",
                f"is not a list of numbers ({error})",
                "Write it as JSON: [50, 100].",
            ) from error
    padded = np.full((len(rows), points or max((len(row) for row in rows), default=0)), np.nan)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded


def describe(
    cells: Iterable[Any], folder: Path, dialect: Dialect, symprec: float
) -> list[Scope | CloudError]:
    """SCOPE of each cell of a structure column; in place of one that cannot be read, its error.

    Parameters
    ----------
    cells : iterable
        Each is a path, the text of a file such as a CIF, a SCOPE string, a pymatgen structure as dict, or a crystal.
    folder : Path
        Where relative paths begin.
    dialect, symprec
        As in `Scope.from_crystal`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CloudWarning)
        crystals = [_crystal(cell, folder, f"row {row}") for row, cell in enumerate(cells)]
        good = [crystal for crystal in crystals if not isinstance(crystal, CloudError)]
        described = iter(scopes(good, dialect, symprec, progress=sys.stderr.isatty()))
    if caught:
        more = f" ({len(caught) - 1} more warnings)" if len(caught) > 1 else ""
        warn_user(f"{caught[0].message}{more}")
    return [crystal if isinstance(crystal, CloudError) else next(described) for crystal in crystals]


def _crystal(cell: Any, folder: Path, label: str) -> Any:
    """Input of `scopes` from a cell of the table; an error if the cell holds none."""
    if (
        cell is None
        or (isinstance(cell, float) and np.isnan(cell))
        or (isinstance(cell, str) and not cell.strip())
    ):
        return CrystalError("the cell", "is empty", "Give the name or the text of a file, or a SCOPE string.")
    if not isinstance(cell, str) or is_scope_string(cell):
        return cell
    if not is_text(cell):
        return folder / cell
    try:
        return open_crystals(cell, label).only()
    except CloudError as error:
        return error


def formula_groups(described: Sequence[Scope]) -> NDArray[np.int64]:
    """Number of the composition of each crystal; crystals of equal composition have equal numbers."""
    formulas = [str(sorted(scope.composition)) for scope in described]
    return np.unique(formulas, return_inverse=True)[1].astype(np.int64)


def grouped_folds(groups: NDArray[np.int64], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Row numbers of folds of about equal size, no group in two of them.

    Raises
    ------
    DataError
        If there are fewer groups than folds.
    """
    from sklearn.model_selection import GroupKFold

    if len(np.unique(groups)) < folds:
        raise DataError(
            f"{len(np.unique(groups))} different formulas",
            f"cannot be split into {folds} folds",
            "Give more data.",
        )
    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    return [test for _, test in splitter.split(groups, groups=groups)]
