"""Evaluate a checkpoint, or fine-tuning it, against baselines on the same rows: ``cloud evaluate``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cloud_model.arguments import check_column, check_type, checked_integer, checked_path, checked_settings
from cloud_model.atomic import write_together
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.registry import BASE
from cloud_model.errors import ArgumentError, DataError, PropertyError, check_choice, shortly
from cloud_model.model import CloudModel
from cloud_model.properties.catalogue import PropertyInfo
from cloud_model.training.baselines import baseline_predictions
from cloud_model.training.finetuning.ensemble import (
    EnsembleSettings,
    choose_transform,
    finetune_ensemble,
)
from cloud_model.training.finetuning.labelled_crystals import Columns, LabelledCrystals, check_table
from cloud_model.training.finetuning.labels import LabelledTokens
from cloud_model.training.finetuning.reading import column, grouped_folds
from cloud_model.training.finetuning.table import MODEL
from cloud_model.training.metrics import LEGEND, score_table, scores
from cloud_model.training.state import remove_states

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Protocol = Literal["formula", "matbench"]
MATBENCH_SEED = 18012019  # of its five folds of regression tasks


@dataclass(frozen=True)
class Evaluation:
    """Predictions of a property for rows of a table, and how good they are.

    Attributes
    ----------
    name, unit : str
        The property.
    split : str
        How training and test rows were told apart.
    predictions : DataFrame
        Indexed by the row number in the table: ``fold``, ``label``, ``value``, ``std`` and a column for each
        baseline.
    skipped : dict of int to str
        Row number -> why it was left out.
    """

    name: str
    unit: str
    split: str
    predictions: pd.DataFrame
    skipped: dict[int, str]

    def scores(self) -> dict[str, dict[str, float]]:
        """Scores of the checkpoint and of each baseline, as `cloud_model.training.metrics.scores`."""
        return _scores(self.predictions)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the predictions, fit for JSON; ``folds`` holds the scores of each fold."""
        return {
            "property": self.name,
            "unit": self.unit,
            "split": self.split,
            "scores": self.scores(),
            "folds": [_scores(part) for _, part in self.predictions.groupby("fold")],
            "skipped": {str(row): reason for row, reason in self.skipped.items()},
        }

    def to_markdown(self) -> str:
        """Give the scores as a table, and what its columns mean."""
        return f"{score_table(self.scores(), self.unit)}\n\n{LEGEND}"

    def parity_figure(self) -> Figure:
        """Predictions over labels, with their error bars."""
        from matplotlib.figure import Figure

        from cloud_model.display.plots import CLOUD_COLOUR, style

        with style():
            figure = Figure(figsize=(4.2, 4.2))
            axes = figure.subplots()
            rows = self.predictions
            axes.axline((rows.label.mean(), rows.label.mean()), slope=1, color="0.6", linewidth=1)
            axes.errorbar(
                rows.label,
                rows.value,
                rows["std"],
                fmt=".",
                color=CLOUD_COLOUR,
                ecolor="0.8",
                markersize=3,
                elinewidth=0.6,
            )
            unit = f" ({self.unit})" if self.unit else ""
            mae = self.scores()[MODEL]["mae"]
            axes.set(
                xlabel=f"label{unit}", ylabel=f"prediction{unit}", title=f"{self.name}: MAE {mae:.3g}{unit}"
            )
        return figure

    def save(self, directory: Path) -> None:
        """Write ``evaluation.json``, ``predictions.csv`` and ``parity.png``."""
        directory.mkdir(parents=True, exist_ok=True)
        write_together(
            {
                directory / "evaluation.json": json.dumps(self.to_dict(), indent=1) + "\n",
                directory / "predictions.csv": partial(self.predictions.to_csv, index_label="row"),
                directory / "parity.png": self.parity_figure().savefig,
            }
        )


def evaluate(
    table: pd.DataFrame,
    structure: str,
    target: str,
    *,
    name: str | None = None,
    model: str | Path | CloudModel | None = None,
    split: str | None = None,
    folder: Path = Path(),
    folds: int = 5,
    seed: int = 0,
) -> Evaluation:
    """Compare what a checkpoint predicts with a table.

    Parameters
    ----------
    table : DataFrame
        One row per crystal.
    structure, target : str
        Columns of crystals and of labels in the unit of the property.
    name : str, optional
        The property; `target` if left out.
    model : str, Path or CloudModel, optional
        The checkpoint, as in `CloudModel.from_pretrained`.
    split : str, optional
        Column whose rows ``test`` are judged, with baselines fitted to all others. Without it every row is judged,
        with baselines fitted to the other folds of the formulas.
    folder : Path
        Where relative paths of structures begin.
    folds : int
        Folds of the baselines.
    seed : int
        Random seed of the folds.

    Returns
    -------
    Evaluation
        Labels, predictions and those of the baselines, and their scores.

    Raises
    ------
    PropertyError
        If the checkpoint does not have the property.
    DataError
        If the table cannot be used.
    ArgumentError
        If another argument is out of its range, or of a wrong type.
    """
    check_table(table)
    check_column("target", target)
    columns = Columns(structure=structure, units={target: ""}, split=split)
    folder = checked_path("folder", folder)
    folds = checked_integer("folds", folds, 2)
    seed = checked_integer("seed", seed, 0)
    if name is None:
        name = target
    if not isinstance(name, str):
        raise ArgumentError(f"name {shortly(name)}", "is not the name of a property", "Give one name.")
    checkpoint = CloudModel.from_pretrained(model).checkpoint
    if name not in checkpoint.config.targets:
        raise PropertyError(
            f"property {name!r}",
            f"is not a scalar property of {checkpoint.config.name!r}",
            f"It has: {', '.join(checkpoint.config.targets) or 'none'}.",
        )
    if split is not None:
        column(table, split)
    crystals = LabelledCrystals.read(table, folder, columns, checkpoint)
    tests = (
        [_test_rows(table, split, crystals)]
        if split is not None
        else grouped_folds(crystals.groups, folds, seed)
    )
    parts = [
        _predicted(checkpoint, name, crystals, test).assign(fold=fold, **_baselines(crystals, test, seed))
        for fold, test in enumerate(tests)
    ]
    how = (
        f"column {split}"
        if split is not None
        else f"every row, even if the checkpoint was trained on it; baselines by {folds} folds of formulas"
    )
    return _evaluation(name, checkpoint.config.properties[name].unit, how, parts, crystals)


def cross_validate(
    table: pd.DataFrame,
    columns: Columns,
    directory: Path,
    *,
    model: str | Path | CloudModel | None = None,
    folder: Path = Path(),
    protocol: Protocol = "formula",
    folds: int = 5,
    settings: EnsembleSettings | None = None,
) -> Evaluation:
    """Fine-tune a checkpoint on all but one fold, judge it on that fold, and so on.

    Parameters
    ----------
    table : DataFrame
        One row per crystal.
    columns : Columns
        With one scalar property.
    directory : Path
        Receives the training state of each fold.
    model : str, Path or CloudModel, optional
        The checkpoint to start from. By default it is that of `CloudModel.from_pretrained`, for MatBench
        ``cloud-base``.
    folder : Path
        Where relative paths of structures begin.
    protocol : {'formula', 'matbench'}
        Folds of formulas, or the five folds of MatBench for a complete table in its order.
    folds : int
        Folds of formulas.
    settings : EnsembleSettings, optional
        How to train.

    Returns
    -------
    Evaluation
        Labels, predictions of each fold's ensemble and those of the baselines, and their scores.

    Raises
    ------
    ArgumentError
        If a benchmark would start from a checkpoint that was trained on labels, or an argument is out of its range
        or of a wrong type.
    """
    check_table(table)
    check_type("columns", columns, Columns, "Give Columns(structure=..., units={...}).")
    if len(columns.units) != 1:
        raise ArgumentError("columns", f"have {len(columns.units)} scalar properties", "Give one.")
    directory, folder = checked_path("directory", directory), checked_path("folder", folder)
    check_choice("protocol", protocol, get_args(Protocol))
    folds = checked_integer("folds", folds, 2)
    settings = checked_settings(settings, EnsembleSettings)
    base = CloudModel.from_pretrained(BASE if model is None and protocol == "matbench" else model).checkpoint
    if protocol == "matbench" and base.config.properties:
        raise ArgumentError(
            f"model {base.config.name!r}",
            "was trained on labels, and those of MatBench may be among them",
            f"Start from {BASE!r}, which has seen none, or use the protocol 'formula'.",
        )
    ((name, unit),) = columns.units.items()
    crystals = LabelledCrystals.read(table, folder, columns, base)
    tests = (
        _matbench_folds(len(table), crystals)
        if protocol == "matbench"
        else grouped_folds(crystals.groups, folds, settings.seed)
    )
    parts = []
    for fold, test in enumerate(tests):
        training = np.setdiff1d(np.arange(len(crystals.rows)), test)
        labels = crystals.labels[training]
        checkpoint, _ = finetune_ensemble(
            base,
            name,
            LabelledTokens(crystals.tokens, crystals.labels)[training],
            {name: PropertyInfo(unit=unit, basis="crystal", description="")},
            {name: columns.transforms.get(name, choose_transform(labels.scalars[:, 0]))},
            grouped_folds(crystals.groups[training], settings.folds, settings.seed),
            settings,
            directory / f"fold-{fold}",
        )
        predicted = _predicted(checkpoint, name, crystals, test)
        parts.append(predicted.assign(fold=fold, **_baselines(crystals, test, settings.seed)))
    for member in directory.glob("fold-*/member-*"):
        remove_states(member)
    how = f"{len(tests)} folds of {'MatBench' if protocol == 'matbench' else 'formulas'}"
    return _evaluation(name, unit, how, parts, crystals)


def _predicted(
    checkpoint: Checkpoint, name: str, crystals: LabelledCrystals, test: NDArray[np.int64]
) -> pd.DataFrame:
    predicted = CloudModel(checkpoint).predict([crystals.scopes[row] for row in test], [name])
    predicted = predicted.rename(columns={name: "value", f"{name}_std": "std"})[["value", "std"]]
    predicted.insert(0, "label", crystals.labels.scalars[test, 0])
    return predicted.set_index(crystals.rows[test])


def _baselines(crystals: LabelledCrystals, test: NDArray[np.int64], seed: int) -> dict[str, Array]:
    training = np.setdiff1d(np.arange(len(crystals.rows)), test)
    if not len(training):
        raise DataError("the table", "has no training row for the baselines", "Mark some rows 'train'.")
    fitted, asked = ([crystals.scopes[row] for row in part] for part in (training, test))
    return baseline_predictions(fitted, crystals.labels.scalars[training, 0], asked, seed)


def _test_rows(table: pd.DataFrame, split: str, crystals: LabelledCrystals) -> NDArray[np.int64]:
    test = np.flatnonzero(column(table, split).astype(str).str.lower().to_numpy()[crystals.rows] == "test")
    if not len(test):
        raise DataError(
            f"column {split!r}", "marks no row that can be read as 'test'", "Mark rows train and test."
        )
    return test


def _matbench_folds(rows: int, crystals: LabelledCrystals) -> list[NDArray[np.int64]]:
    from sklearn.model_selection import KFold

    splitter = KFold(5, shuffle=True, random_state=MATBENCH_SEED)
    return [np.flatnonzero(np.isin(crystals.rows, test)) for _, test in splitter.split(np.arange(rows))]


def _evaluation(
    name: str, unit: str, split: str, parts: Sequence[pd.DataFrame], crystals: LabelledCrystals
) -> Evaluation:
    import pandas as pd

    return Evaluation(name, unit, split, pd.concat(parts).sort_index(), dict(crystals.skipped))


def _scores(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    label = rows.label.to_numpy()
    baselines = {
        key: scores(label, rows[key].to_numpy())
        for key in rows.columns.drop(["fold", "label", "value", "std"])
    }
    return {MODEL: scores(label, rows["value"].to_numpy(), rows["std"].to_numpy())} | baselines
