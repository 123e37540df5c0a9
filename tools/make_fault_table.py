"""Write ``docs/faults.md`` from the faults that ``tests/faults`` runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "faults"))

from fault import Fault  # noqa: E402
from hostile_checkpoints import CHECKPOINTS  # noqa: E402
from hostile_crystals import CRYSTALS  # noqa: E402
from hostile_files import FILES  # noqa: E402

from cloud_model.display.tables import markdown_table  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"

INTRODUCTION = """\
# Faults

How bad input is handled. Every error is a `cloud_model.errors.CloudError` that names the input, the reason and the
remedy. This page is written by `tools/make_fault_table.py` from the cases that `tests/faults` runs.

The same outcome has a form at each entry point:
"""

ENTRY_POINTS = [
    ("`Scope.from_crystal`", "raises", "`scopes` has the error in its place"),
    (
        "`CloudModel.predict`",
        "raises",
        'row of NaN, reason in `error`, one `CloudWarning`; `errors="raise"`: `BatchError`',
    ),
    (
        "`CloudModel.embed`",
        "raises",
        '`BatchError` with `.failures`; `errors="nan"`: row of NaN and a `CloudWarning`',
    ),
    ("`CloudModel.thermodynamics`", "raises", "takes one crystal"),
    ("`CloudCalculator`", "raises", "`predict_many`: row of NaN, reason in `error`"),
    ("`CloudFeaturizer`", "raises", "raises; `ignore_errors=True`: row of NaN"),
    ("`CloudEmbedder`, `CloudRegressor`", "`BatchError`", "`BatchError` with `.failures`"),
    (
        "`cloud predict`, `scope`, `embed`",
        "named on standard error, exit code 1",
        "the others' results, exit code 1",
    ),
    ("`cloud ingest`", "listed in `_unreadable.csv`; a damaged source: `DataError`", "the others are kept"),
    ("`cloud finetune`", "`DataError` if no row is left", "left out, with a `CloudWarning` that names rows"),
]

EVENTS = [
    ("SIGINT in a command", "exit code 130, no traceback; complete lines so far"),
    ("SIGKILL in `cloud embed`", "the file of before, or none"),
    (
        "SIGINT, SIGTERM, SIGKILL in `cloud pretrain`, `cloud finetune`",
        "resumed by the same command, to the same weights",
    ),
    (
        "SIGKILL or full disk in `cloud ingest`",
        "whole shards; resumed by the same command, no gap and no duplicate",
    ),
    ("full disk while a checkpoint is saved", "the checkpoint of before"),
    ("reader of standard output leaves (`\\| head`)", "ends, no traceback"),
    ("worker process dies", "`DataError`: ended before its crystals were described"),
    ("warnings in worker processes", "shown by the parent"),
    ("more processes than rows", "as many as needed"),
    ("fork after torch has run; spawn", "works"),
    ("threads that share a model or a calculator", "same results as one thread"),
    ("two processes that download one checkpoint", "both have it"),
    (
        "Hugging Face id without network, or with a cache that cannot be written",
        "`CheckpointError`: cannot be downloaded",
    ),
    ("installed package without the checkpoint that it promises", "`CloudWarning`; the others are listed"),
    (
        "reader of ASE or pymatgen that takes longer than 30 s",
        "`CrystalError` (in the main thread, under Unix)",
    ),
    ("YAML tag in a phonopy file, which phonopy's loader would run", "`PhononError`: holds a YAML tag"),
    ("temperature 0, 1e-6, 1e6", "finite; heat capacity and entropy are zero at 0 only"),
    (
        "temperature negative, NaN, infinite, text or array",
        "`ArgumentError`; on the command line exit code 2",
    ),
]


def table(title: str, faults: Iterable[Fault]) -> str:
    """Section with a table of faults and outcomes."""
    rows = ([escaped(fault.name), outcome(fault)] for fault in faults)
    return f"## {title}\n\n{markdown_table(['input', 'outcome'], rows, numbers=False)}\n"


def outcome(fault: Fault) -> str:
    """Class and words of an error or warning."""
    if fault.outcome is None:
        return "result"
    words = re.sub(r"\\(.)", r"\1", fault.words).replace(".*", "...").replace("10*4", "1000000004")
    result = "" if fault.fails else "result and "
    return f"{result}`{fault.outcome.__name__}`: {escaped(words)}"


def escaped(text: str) -> str:
    """Text of a cell."""
    return re.sub(r"([|\\<>*_`\[\]])", r"\\\1", text.replace("\n", "\\n"))


def page() -> str:
    """The whole page."""
    heads = ["entry point", "one bad crystal", "a bad one among others"]
    return "\n".join(
        [
            INTRODUCTION,
            markdown_table(heads, ENTRY_POINTS, numbers=False) + "\n",
            table("Crystals", CRYSTALS),
            table("Files", FILES),
            table("Checkpoints", CHECKPOINTS),
            "## Events\n",
            markdown_table(["event", "outcome"], EVENTS, numbers=False) + "\n",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page())
