"""From a table of crystals and labels to a checkpoint: the implementation of ``cloud finetune``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from cloud_model.arguments import check_type, checked_path, checked_settings
from cloud_model.atomic import output_error, write_atomically
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.errors import DataError
from cloud_model.model import CloudModel
from cloud_model.properties.catalogue import PropertyInfo
from cloud_model.scope.string import Scope
from cloud_model.training.baselines import baseline_predictions
from cloud_model.training.finetuning.ensemble import (
    HEAT_CAPACITY,
    EnsembleSettings,
    HeldOut,
    choose_transform,
    finetune_ensemble,
)
from cloud_model.training.finetuning.labelled_crystals import Columns, LabelledCrystals, check_table
from cloud_model.training.finetuning.labels import LabelledTokens, Labels
from cloud_model.training.finetuning.reading import (
    column,
    grouped_folds,
)
from cloud_model.training.metrics import LEGEND, score_table, scores
from cloud_model.training.state import remove_states

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Scores = dict[str, dict[str, float]]
MODEL = "this checkpoint"


def finetune_table(
    table: pd.DataFrame,
    columns: Columns,
    output: Path,
    *,
    model: str | Path | CloudModel | None = None,
    folder: Path = Path(),
    settings: EnsembleSettings | None = None,
) -> dict[str, Any]:
    """Fine-tune a checkpoint on a table, and write the new checkpoint with its model card.

    Parameters
    ----------
    table : DataFrame
        One row per crystal; labels may be missing.
    columns : Columns
        Where it holds what.
    output : Path
        The checkpoint directory, which `CloudModel.from_pretrained` reads. Besides it holds ``evaluation.json``,
        ``finetune.toml`` with every setting, and ``training/`` with the metrics of each member.
    model : str, Path or CloudModel, optional
        The checkpoint to start from, as in `CloudModel.from_pretrained`.
    folder : Path
        Where relative paths of structures begin.
    settings : EnsembleSettings, optional
        How to train.

    Returns
    -------
    dict
        The content of ``evaluation.json``.

    Raises
    ------
    DataError
        If the table cannot be used.
    CheckpointError
        If the checkpoint to start from cannot be read.
    ArgumentError
        If another argument is of a wrong type.
    """
    check_table(table)
    check_type("columns", columns, Columns, "Give Columns(structure=..., units={...}).")
    output, folder = checked_path("output", output), checked_path("folder", folder)
    settings = checked_settings(settings, EnsembleSettings)
    base = CloudModel.from_pretrained(model).checkpoint
    crystals = LabelledCrystals.read(table, folder, columns, base)
    training, folds, test = _split(table, columns, crystals, settings)
    labels = crystals.labels[training]
    transforms = {
        name: columns.transforms.get(name, choose_transform(labels.scalars[:, i]))
        for i, name in enumerate(columns.units)
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(output, error) from error
    _write_settings(output, columns, transforms, settings, base)
    checkpoint, held_out = finetune_ensemble(
        base,
        output.resolve().name,
        LabelledTokens(crystals.tokens, crystals.labels)[training],
        {name: _info(name, unit, len(training)) for name, unit in columns.units.items()},
        transforms,
        folds,
        settings,
        output / "training",
    )
    results = _judge([crystals.scopes[row] for row in training], labels, held_out, folds, list(columns.units))
    report: dict[str, Any] = {
        "base": base.config.name,
        "rows": {"training": len(training), "test": len(test), "skipped": len(crystals.skipped)},
        "seeds": [settings.seed + i for i in range(settings.members)],
        "transforms": transforms,
        "split": "given" if columns.split else "formulas at random",
        "held_out": results,
        "skipped": {str(row): reason for row, reason in crystals.skipped.items()},
    }
    if len(test):
        report["test"] = judge_test(checkpoint, crystals, training, test)
    errors = report.get("test", results)
    checkpoint = _with_errors(checkpoint, {name: errors[name][MODEL]["mae"] for name in errors})
    checkpoint.save(output, _card(checkpoint, report))
    write_atomically(output / "evaluation.json", json.dumps(report, indent=1) + "\n")
    for member in (output / "training").iterdir():
        remove_states(member)
    return report


def judge_test(
    checkpoint: Checkpoint, crystals: LabelledCrystals, training: NDArray[np.int64], test: NDArray[np.int64]
) -> dict[str, Scores]:
    """Scores of a checkpoint and the baselines on test rows, of baselines fitted to training rows."""
    names = list(checkpoint.config.targets)
    predicted = CloudModel(checkpoint).predict([crystals.scopes[row] for row in test], names)
    results = {}
    for i, name in enumerate(names):
        label = crystals.labels.scalars[:, i]
        fit = training[~np.isnan(label[training])]
        rows = {MODEL: scores(label[test], predicted[name].to_numpy(), predicted[f"{name}_std"].to_numpy())}
        baselines = baseline_predictions(
            [crystals.scopes[r] for r in fit], label[fit], [crystals.scopes[r] for r in test]
        )
        results[name] = rows | {key: scores(label[test], value) for key, value in baselines.items()}
    return results


def _split(
    table: pd.DataFrame, columns: Columns, crystals: LabelledCrystals, settings: EnsembleSettings
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]], NDArray[np.int64]]:
    """Numbers of the crystals to train on; validation folds among these, as positions; numbers of test crystals."""
    everything = np.arange(len(crystals.rows))
    if columns.split is None:
        return everything, grouped_folds(crystals.groups, settings.folds, settings.seed), everything[:0]
    given = (
        column(table, columns.split)
        .astype(str)
        .str.lower()
        .replace("val", "validation")
        .to_numpy()[crystals.rows]
    )
    unknown = set(given) - {"train", "validation", "test"}
    if unknown:
        raise DataError(
            f"column {columns.split!r}", f"holds {min(unknown)!r}", "Write train, validation or test."
        )
    training, test = everything[given != "test"], everything[given == "test"]
    validation = np.flatnonzero(given[training] == "validation")
    folds = (
        [validation]
        if len(validation)
        else grouped_folds(crystals.groups[training], settings.folds, settings.seed)
    )
    return training, folds, test


def _judge(
    described: Sequence[Scope],
    labels: Labels[Array],
    held_out: HeldOut,
    folds: Sequence[NDArray[np.int64]],
    names: list[str],
) -> dict[str, Scores]:
    """Scores of the members on their validation folds, and of baselines fitted to the rest."""
    columns = {name: labels.scalars[:, i] for i, name in enumerate(names)}
    if HEAT_CAPACITY in held_out.values:
        columns[HEAT_CAPACITY] = labels.heat_capacities
    judged = [fold for fold in folds if np.isin(fold, held_out.rows).any()]
    rows = np.concatenate(judged)
    results = {}
    for name, label in columns.items():
        model = scores(label[held_out.rows], held_out.values[name], held_out.errors[name])
        predictions = [_baselines(described, label, fold) for fold in judged]
        results[name] = {MODEL: model} | {
            key: scores(label[rows], np.concatenate([part[key] for part in predictions]))
            for key in predictions[0]
        }
    return results


def _baselines(described: Sequence[Scope], label: Array, fold: NDArray[np.int64]) -> dict[str, Array]:
    known = ~np.isnan(label).reshape(len(label), -1).any(1)
    rest = np.setdiff1d(np.flatnonzero(known), fold)
    return baseline_predictions(
        [described[row] for row in rest], label[rest], [described[row] for row in fold]
    )


def _info(name: str, unit: str, rows: int) -> PropertyInfo:
    return PropertyInfo(
        unit=unit,
        basis="atom" if name.endswith("_per_atom") else "crystal",
        description=f"{name.replace('_', ' ').capitalize()}, fine-tuned.",
        training_set=f"{rows} crystals of the user's table",
    )


def _with_errors(checkpoint: Checkpoint, errors: Mapping[str, float]) -> Checkpoint:
    properties = dict(checkpoint.config.properties)
    for name, error in errors.items():
        properties[name] = replace(properties[name], test_error=error)
    return replace(checkpoint, config=replace(checkpoint.config, properties=properties))


def _write_settings(
    output: Path,
    columns: Columns,
    transforms: Mapping[str, str],
    settings: EnsembleSettings,
    base: Checkpoint,
) -> None:
    chosen = {key: value for key, value in asdict(columns).items() if value is not None} | {
        "transforms": dict(transforms)
    }
    document = {"base": base.config.name, "columns": chosen, "settings": asdict(settings)}
    write_atomically(output / "finetune.toml", tomli_w.dumps(document))


def _card(checkpoint: Checkpoint, report: Mapping[str, Any]) -> str:
    rows = report["rows"]
    parts = [
        f"# {checkpoint.config.name}",
        f"Fine-tuned from `{report['base']}` on {rows['training']} crystals ({rows['skipped']} rows of the table left "
        f"out). {len(checkpoint.members)} members with the seeds {', '.join(map(str, report['seeds']))}; "
        f"split: {report['split']}.",
    ]
    for split, title in (
        ("test", "Test rows, used for nothing else"),
        (
            "held_out",
            "Held-out formulas, each judged by a single member not trained on it; they chose its last epoch",
        ),
    ):
        for name, result in report.get(split, {}).items():
            unit = checkpoint.config.properties[name].unit
            parts += [f"## {name}: {title.lower()} ({result[MODEL]['count']})", score_table(result, unit)]
    return "\n\n".join([*parts, LEGEND]) + "\n"
