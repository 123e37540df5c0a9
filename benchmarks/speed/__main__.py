"""Every speed that we claim, side by side with what it is compared with.

    python benchmarks/speed --data DIR
    python benchmarks/speed --data DIR --only calculator --only import

Ways that are compared take turns in one process, or in processes that take turns; ratios are medians. Times are CPU
times, so that other work on the machine counts little; two processes, and the loops of training, are timed by the clock
on the wall. Torch has one thread. ``--only`` measures some rows anew and keeps the others. Writes
``results/speed.json``, ``.md`` and ``.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cloud_model.display.tables import markdown_table
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.precision import product_seconds

RESULTS = Path(__file__).parents[1] / "results"
ROWS = {
    "scope": "symmetry.in_memory",
    "processes": "symmetry.processes",
    "cif": "symmetry.cif_text",
    "embeddings": "network.embeddings",
    "precision": "network.lower_precision",
    "featurizers": "hosts.featurizers",
    "repeated": "hosts.repeated",
    "default model": "hosts.default_model",
    "calculator": "hosts.calculator",
    "predict": "startup.cold_predict",
    "import": "startup.imports",
    "pretraining": "training.pretraining",
    "streaming": "streaming.growth",
}
CHILDREN = {"predict_stream": "streaming.predict_stream", "make_batches": "training.make_batches"}
PACKAGES = ("ase", "moyopy", "numpy", "pymatgen", "spglib", "torch", "transformers")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--crystals", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.child:
        name, *rest = arguments.child
        function(CHILDREN[name])(*rest)
        return
    warnings.simplefilter("ignore")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "speed.json"
    for name in arguments.only or ROWS:
        conditions = machine()
        rows = function(ROWS[name])(arguments.data, arguments.crystals, arguments.rounds)
        results = json.loads(path.read_text()) if path.exists() else {}
        results[name] = {"conditions": conditions, "rows": rows}
        print(table({name: results[name]}), flush=True)
        ordered = {name: results[name] for name in ROWS if name in results}
        path.write_text(json.dumps(ordered, indent=1) + "\n")
    ordered = json.loads(path.read_text())
    (RESULTS / "speed.md").write_text(f"{table(ordered)}\n\n{notes(ordered)}\n")
    draw(ordered)


def function(path: str) -> Any:
    """Find a function by ``module.name``."""
    module, name = path.split(".")
    return getattr(import_module(module), name)


def machine() -> dict[str, Any]:
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_over_float32": speedup(),
        "load_average": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: version(name) for name in PACKAGES},
    }


def speedup() -> float:
    """How many times as fast a product of matrices is in bfloat16 as in float32."""
    seconds = product_seconds(EncoderConfig.hidden_size)
    return seconds["float32"] / seconds["bfloat16"]


def lines(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [line for part in results.values() for line in part["rows"]]


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rows = (
        [
            line["what"],
            line["against"],
            line["target"],
            f"{line['ratio']:.2f}",
            "yes" if line["met"] else "no",
        ]
        for line in lines(results)
    )
    return markdown_table(["what", "against", "target", "measured", "met"], rows, numbers=False)


def notes(results: dict[str, Any]) -> str:
    """What bounds the rows, in numbers that were measured with them."""
    found = []
    for line in lines(results):
        details = line["details"]
        if "gflops" in details:
            found.append(
                f"- {line['what']}: {details['per_second']['ours']:.0f}/s. Without padding there are "
                f"{details['fewer_tokens']:.2f} times fewer tokens; the rest is how close each comes to the "
                f"{details['gflops_of_matrix_multiplication']:.0f} GFLOP/s of a matrix multiplication: "
                f"{details['gflops']['ours']:.0f} and {details['gflops']['BertModel']:.0f}."
            )
        if "bound" in details:
            found.append(
                f"- {line['what']}: of {details['ms_per_row']['ours']:.2f} ms a row, the description of the "
                f"crystal takes {details['ms_symmetry']:.2f} ms and matrix multiplications at the peak rate would "
                f"take {details['ms_multiplications_at_peak']:.2f} ms. A featurizer that did nothing else would be "
                f"{details['bound']:.1f} times faster than the stock one."
            )
        if "no memory" in line["against"]:
            times = details["ms_per_crystal"]
            found.append(
                f"- {line['what']}: {times['with']:.2f} ms a crystal with memory, {times['without']:.2f} ms "
                f"without; finding the symmetry alone takes {times['symmetry']:.2f} ms."
            )
    conditions = [part["conditions"] for part in results.values()]
    processors = sorted({f"{c['processor']} with {c['cores']} cores" for c in conditions})
    loads = [c["load_average"] for c in conditions]
    found.append(
        f"- Measured on {', '.join(processors)}, one thread, at a load of {min(loads):.1f} to {max(loads):.1f}; "
        "times are CPU times but for two processes and for training."
    )
    return "\n".join(found)


def draw(results: dict[str, Any]) -> None:
    """Each ratio over its target; a bar that passes 1 is met."""
    from matplotlib.figure import Figure

    from cloud_model.display.plots import CLOUD_COLOUR, FLOOR_COLOUR, style

    rows = lines(results)[::-1]
    margins = []
    for line in rows:
        sign, limit = line["target"].split()
        margins.append(line["ratio"] / float(limit) if sign == ">=" else float(limit) / line["ratio"])
    with style():
        figure = Figure(figsize=(7.2, 0.24 * len(rows) + 0.8), layout="constrained")
        axes = figure.subplots()
        colours = [CLOUD_COLOUR if line["met"] else FLOOR_COLOUR for line in rows]
        axes.barh([line["what"].replace("`", "") for line in rows], margins, color=colours)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlabel("measured over target (target over measured where less is better)")
        axes.tick_params(axis="y", labelsize=6)
        figure.savefig(RESULTS / "speed.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
