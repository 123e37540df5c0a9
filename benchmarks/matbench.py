"""MatBench's tasks of which only some rows can be had as orbits, in MatBench's own folds.

    python -m benchmarks.matbench log_kvrh --data DIR --runs RUNS

Networks start from ``cloud-base``, which has seen no label. A row keeps its place in the official table and so its
fold; rows without known orbits are left out of training and of testing, which the record says. Writes
``matbench_TASK.json``. The complete task, ``jdft2d``, takes `cloud evaluate` alone (see ``recipes/README.md``).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cloud_model import Scope
from cloud_model.scope.space_groups import space_group
from cloud_model.training.evaluation import cross_validate
from cloud_model.training.finetuning.ensemble import EnsembleSettings
from cloud_model.training.finetuning.labelled_crystals import Columns

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Task:
    """A task of MatBench.

    Attributes
    ----------
    rows : int
        Crystals of the official table.
    label : str
        Column of the labels.
    name, unit : str
        What they are.
    """

    rows: int
    label: str
    name: str
    unit: str


TASKS = {
    "log_kvrh": Task(10_987, "target", "log10 of the bulk modulus", "log10(GPa)"),
    "log_gvrh": Task(10_987, "target", "log10 of the shear modulus", "log10(GPa)"),
    "perovskites": Task(18_928, "e_form", "heat of formation", "eV/cell"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="Receives the states of training.")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()

    task = TASKS[arguments.task]
    known = orbits(pd.read_csv(arguments.data / f"matbench_{arguments.task}.csv.gz", keep_default_na=False))
    evaluation = cross_validate(
        official_table(known, task),
        Columns(structure="scope", units={task.name: task.unit}),
        arguments.runs / arguments.task,
        protocol="matbench",
        settings=EnsembleSettings(members=arguments.members, epochs=arguments.epochs),
    )
    count = len(evaluation.predictions)
    record = evaluation.to_dict() | {
        "split": f"{evaluation.split}, {count:,} of {task.rows:,} rows",
        "networks in each fold": arguments.members,
        "passes": arguments.epochs,
    }
    del record["skipped"]
    path = RESULTS / f"matbench_{arguments.task}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(evaluation.to_markdown())


def orbits(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows whose elements are known to sit on which letters, with Wyckoff symbols in ``orbits``."""
    if "orbits" in rows:
        return rows[rows.orbits != ""]
    rows = rows[rows.how.isin(["value", "elimination"])]
    return rows.assign(
        orbits=[with_multiplicities(*row) for row in zip(rows.spg, rows.orbits_letters, strict=True)]
    )


def with_multiplicities(number: int, letters: str) -> str:
    """``"Ba:a;O:c"`` in group 221 as ``"Ba:1a;O:3c"``."""
    multiplicities = space_group(number).multiplicities
    pairs = (pair.split(":") for pair in letters.split(";"))
    return ";".join(f"{element}:{multiplicities[letter]}{letter}" for element, letter in pairs)


def official_table(known: pd.DataFrame, task: Task) -> pd.DataFrame:
    """A table with a row for each of MatBench's; rows that are not known have no crystal."""
    places = known.id.str.rsplit("-", n=1).str[1].astype(int) - 1
    table = pd.DataFrame({"scope": "", task.name: 0.0}, index=range(task.rows))
    table.loc[places, "scope"] = [
        str(Scope.from_orbits(int(number), text))
        for number, text in zip(known.spg, known.orbits, strict=True)
    ]
    table.loc[places, task.name] = known[task.label].astype(float).to_numpy()
    return table


if __name__ == "__main__":
    main()
