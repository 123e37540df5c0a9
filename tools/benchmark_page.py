"""The tables and figures of ``benchmarks/results``, as one page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from cloud_model.checkpoints.registry import DEFAULT
from cloud_model.display.plots import CLOUD_COLOUR, EXPERIMENT_COLOUR, FLOOR_COLOUR, style
from cloud_model.display.tables import markdown_table
from cloud_model.training.finetuning.table import MODEL

INTRODUCTION = """\
`tools/make_pages.py` writes this page from the files in `benchmarks/results`, which the scripts in `benchmarks` and
`recipes` write, so every number can be measured again."""
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BASELINES = ["ridge on composition", "extra trees on composition + symmetry"]
ARTICLE = "CLOUD as published (arXiv 2506.17345)"


@dataclass(frozen=True)
class Published:
    """A result of the article and of others on the same kind of label.

    Attributes
    ----------
    quantity : str
        With its unit.
    article : float
        Mean absolute error of the article; for heat capacities over the mean absolute deviation.
    others : dict of str to float
        The same of models of MatBench's leaderboard and of its random forest.
    ours : tuple of str
        Row and column of our own validation that show the same.
    """

    quantity: str
    article: float
    others: dict[str, float]
    ours: tuple[str, str]


PUBLISHED = {
    "matbench_mp_e_form": Published(
        "formation energy, eV/atom",
        0.054,
        {"coGN": 0.017, "MODNet": 0.045, "random forest": 0.117},
        ("formation_energy_per_atom_2018", "mae"),
    ),
    "matbench_mp_gap": Published(
        "band gap, eV", 0.21, {"coGN": 0.156, "MODNet": 0.220, "random forest": 0.345}, ("band_gap", "mae")
    ),
    "matbench_log_kvrh": Published(
        "log10 of the bulk modulus in GPa",
        0.067,
        {"coNGN": 0.049, "MODNet": 0.0548, "random forest": 0.082},
        ("bulk_modulus", "mae_log10"),
    ),
    "matbench_log_gvrh": Published(
        "log10 of the shear modulus in GPa",
        0.0865,
        {"coNGN": 0.067, "MODNet": 0.0731, "random forest": 0.104},
        ("shear_modulus", "mae_log10"),
    ),
    "matbench_dielectric": Published(
        "refractive index", 0.300, {"MODNet": 0.271}, ("refractive_index", "mae")
    ),
    "matbench_phonons": Published(
        "last phonon peak, cm^-1",
        40.5,
        {"coNGN": 28.9, "MODNet": 34.3, "random forest": 67.6},
        ("max_phonon_frequency", "mae"),
    ),
    "matbench_jdft2d": Published(
        "exfoliation energy, meV/atom", 34.8, {"MODNet": 33.2, "coNGN": 36.2, "random forest": 50.0}, ("", "")
    ),
    "matbench_perovskites": Published(
        "heat of formation of perovskites, eV/cell",
        0.095,
        {"coGN": 0.027, "MODNet": 0.091, "random forest": 0.24},
        ("", ""),
    ),
    "": Published(
        "heat capacity at 300 K, MAE:MAD",
        0.057,
        {},
        ("heat_capacity at 300 K, published label", "mae_over_mad"),
    ),
}
"""By the task of MatBench; the last is no task of it, but a split of the article's own."""


def draw() -> None:
    """Draw the figures of the page that no benchmark draws."""
    save(accuracy_figure(load(f"accuracy_{DEFAULT}")), RESULTS / "accuracy.svg")
    save(matbench_figure(matbench()), RESULTS / "matbench.svg")


def benchmark_page() -> str:
    """Markdown of the page."""
    sections = {
        "Accuracy of the checkpoints": accuracy(),
        "MatBench": matbench_tables(),
        "Invariance of SCOPE": invariance(),
        "A corrupted batch": corrupted_batch(),
    }
    sections |= dict(report(path) for path in sorted(RESULTS.glob("*.md")))
    parts = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join([INTRODUCTION, *parts]) + "\n"


def errors() -> str:
    """Markdown table of the mean absolute errors of each checkpoint, beside those of the baselines."""
    ours = shipped()
    rows = [
        [
            f"`{name}`",
            row["unit"],
            *(f"{results[name]['mae']:.3g}" for results in ours.values()),
            *(f"{row[f'{baseline}_mae']:.3g}" for baseline in BASELINES),
            str(row["count"]),
        ]
        for name, row in ours[DEFAULT].items()
    ]
    return markdown_table(["property", "unit", *ours, *BASELINES, "crystals"], rows)


def peers() -> str:
    """Markdown table of our errors beside those of the article and of others."""
    ours, folds = shipped(), matbench()
    rows = []
    for task, published in PUBLISHED.items():
        row, column = published.ours
        rows.append(
            [
                published.quantity,
                *(f"{results[row][column]:.3g}" if row else "" for results in ours.values()),
                f"{folds[task]['scores'][MODEL]['mae']:.3g}" if task in folds else "",
                f"{published.article:g}",
                ", ".join(f"{name} {mae:g}" for name, mae in published.others.items()),
            ]
        )
    heads = [
        "mean absolute error",
        *(f"{name}, own validation" for name in ours),
        "from cloud-base, MatBench's folds",
        "CLOUD as published",
        "others",
    ]
    return markdown_table(heads, rows)


def shipped() -> dict[str, Any]:
    """Errors of each checkpoint that predicts, the default first."""
    names = sorted(path.stem for path in RESULTS.glob("accuracy_*.json"))
    return {name.removeprefix("accuracy_"): load(name) for name in names}


def load(name: str) -> Any:
    """Results of one benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def save(figure: Figure, path: Path) -> None:
    """Write a figure whose file depends on nothing but what it shows."""
    with rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})


def image(name: str, text: str) -> str:
    """Markdown of a figure."""
    return f"![{text}](../benchmarks/results/{name}.svg)"


def report(path: Path) -> tuple[str, str]:
    """What a benchmark wrote in words, its headings one level lower, and its figure on top."""
    text = path.read_text().strip()
    title = path.stem.replace("_", " ").capitalize()
    if text.startswith("# "):
        title, _, text = text.removeprefix("# ").partition("\n")
    figure = f"{image(path.stem, title)}\n\n" if path.with_suffix(".svg").exists() else ""
    return title, figure + re.sub(r"^#", "##", text.strip(), flags=re.MULTILINE)


def accuracy() -> str:
    """Errors of the properties, beside those of baselines."""
    return (
        "Mean absolute errors on crystals whose composition occurs nowhere in training or in the pretraining corpus. "
        "The baselines are fitted to the same labels of the same crystals.\n\n"
        f"{errors()}\n\n"
        f"{image('accuracy', 'errors of the properties over those of the median')}\n\n"
        "Error of the default over that of always predicting the median of the training labels. Errors by crystal "
        "system and chemistry, within and out of the domain, are on the [model cards](models/index.md)."
    )


def accuracy_figure(results: dict[str, dict[str, Any]]) -> Figure:
    """Errors over those of the median, a line a property."""
    series = {"CLOUD": ("mae", CLOUD_COLOUR, "o")}
    series |= {
        name: (f"{name}_mae", colour, marker)
        for name, colour, marker in zip(BASELINES, (FLOOR_COLOUR, EXPERIMENT_COLOUR), "sD", strict=True)
    }
    names = list(results)[::-1]
    with style():
        figure = Figure(figsize=(7.2, 0.9 + 0.32 * len(names)))
        axes = figure.subplots()
        for label, (column, colour, marker) in series.items():
            ratios = [results[name][column] / results[name]["dummy_mae"] for name in names]
            axes.plot(ratios, names, marker, color=colour, label=label)
        axes.set(xlabel="Mean absolute error over that of the median", xlim=(0, None))
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def matbench() -> dict[str, Any]:
    """Results of MatBench's tasks."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("matbench_*.json"))}


def matbench_tables() -> str:
    """Scores in MatBench's own folds, a table a task."""
    parts = [
        "Fine-tuned from `cloud-base`, which has seen no label, in each fold of MatBench and evaluated on what the "
        "fold leaves out; the commands are in `recipes/README.md`. Where only part of the task's crystals could be "
        "had as orbits, the table says so, and figures of others, which are of all rows, are for orientation.",
        image("matbench", "errors"),
    ]
    for task, result in matbench().items():
        unit = f" ({result['unit']})" if result["unit"] else ""
        rows = [
            [
                name.replace(MODEL, "CLOUD"),
                *(f"{score[key]:.4g}" for key in ("mae", "rmse", "r2")),
            ]
            for name, score in result["scores"].items()
        ]
        known = {ARTICLE: PUBLISHED[task].article} | PUBLISHED[task].others
        rows += [[name, f"{mae:g}", "", ""] for name, mae in known.items()]
        members, passes = result["networks in each fold"], result["passes"]
        parts.append(
            f"**{task}**, {result['property'].replace('_', ' ')}{unit}, {result['split']}, "
            f"{members} {'network' if members == 1 else 'networks'} a fold, {passes} passes:"
        )
        parts.append(markdown_table(["", "MAE", "RMSE", "R²"], rows))
    return "\n\n".join(parts)


def matbench_figure(tasks: dict[str, Any]) -> Figure:
    """Errors over the mean absolute deviation of the labels, a group of bars a task."""
    colours = {
        MODEL: CLOUD_COLOUR,
        "extra trees on composition + symmetry": EXPERIMENT_COLOUR,
        "ridge on composition": FLOOR_COLOUR,
    }
    heights = np.arange(len(tasks))
    with style():
        figure = Figure(figsize=(7.2, 1.2 + 0.8 * len(tasks)))
        axes = figure.subplots()
        for i, (name, colour) in enumerate(colours.items()):
            ratios = [task["scores"][name]["mae_over_mad"] for task in tasks.values()]
            label = name.replace(MODEL, "CLOUD")
            axes.barh(heights - 0.27 * (i - 1), ratios, 0.25, color=colour, label=label)
        axes.set_yticks(heights, tasks)
        axes.set(xlabel="Mean absolute error over mean absolute deviation")
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def invariance() -> str:
    """Share of crystals whose string does not change with how the crystal is written."""
    result, published = load("scope_invariance"), load("scope_reference")
    dialects = list(result["invariance"])
    rows = [
        [change, *(f"{result['invariance'][d][change]['equal'] / result['rows']:.2%}" for d in dialects)]
        for change in result["invariance"]["canonical"]
    ]
    engines = result["engines"]["canonical"]
    explained = sum(reason.startswith("borderline") for reason in engines["exceptions"].values())
    return (
        f"Share of {result['rows']:,} crystals of the Materials Project whose string stays the same:\n\n"
        f"{markdown_table(['', *(f'`{d}`' for d in dialects)], rows)}\n\n"
        f"moyopy and spglib give the same canonical string for {engines['equal']:,} of them; {explained} of the "
        f"{len(engines['exceptions'])} others agree at another tolerance. The dialect `reference` equals the "
        f"published strings for {published['equal']} of {published['rows']} crystals."
    )


def corrupted_batch() -> str:
    """What became of a batch with corrupted crystals."""
    result = load("robust_batch")
    return (
        f"{result['structures']:,} crystals of the Materials Project in one batch, {result['corrupted']} of them "
        f"corrupted at random: {result['crashes']} crashes, {result['corrupted_not_reported']} corrupted crystals not "
        f"reported, {result['intact_but_reported']} intact ones reported."
    )
