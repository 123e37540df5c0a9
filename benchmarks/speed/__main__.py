"""Every speed that we claim, side by side with what it is compared with.

    python benchmarks/speed --data DIR
    python benchmarks/speed --data DIR --only calculator --only import

Ways that are compared take turns in one process, or in processes that take turns; ratios are medians. Times are CPU
times, so that other work on the machine counts little; two processes, the loops of training and work beside a busy
neighbour are timed by the clock on the wall. Torch has one thread, beside the neighbour one per core. ``--only``
measures some rows anew and keeps the others. Each kind of machine has a record of its own in ``results/speed.json``;
``.md`` and ``.svg`` are made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from measure import kind_of_machine

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
    "frame": "hosts.frame",
    "repeated": "hosts.repeated",
    "default model": "hosts.default_model",
    "calculator": "hosts.calculator",
    "predict": "startup.cold_predict",
    "import": "startup.imports",
    "pretraining": "training.pretraining",
    "finetuning": "training.finetuning",
    "streaming": "streaming.growth",
    "neighbour": "neighbour.slowdown",
}
CHILDREN = {
    "beside_a_neighbour": "neighbour.beside_a_neighbour",
    "predict_stream": "streaming.predict_stream",
    "make_batches": "training.make_batches",
}
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
        records = json.loads(path.read_text()) if path.exists() else {}
        results = records.get(kind_of_machine(), {}) | {name: {"conditions": conditions, "rows": rows}}
        print(table({name: results[name]}), flush=True)
        records[kind_of_machine()] = {name: results[name] for name in ROWS if name in results}
        path.write_text(json.dumps(records, indent=1) + "\n")
    write_report(json.loads(path.read_text()))


def write_report(records: dict[str, Any]) -> None:
    """A table for each kind of machine, and a figure of all."""
    parts = (f"**{kind}**\n\n{table(results)}\n\n{notes(results)}\n" for kind, results in records.items())
    (RESULTS / "speed.md").write_text("\n".join(parts))
    draw(records)


def function(path: str) -> Any:
    """Find a function by ``module.name``."""
    module, name = path.split(".")
    return getattr(import_module(module), name)


def machine() -> dict[str, Any]:
    return {
        "processor": kind_of_machine(),
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
    loads = [c["load_average"] for c in conditions]
    found.append(
        f"- {conditions[0]['cores']} cores, one thread, at a load of {min(loads):.1f} to {max(loads):.1f}; times are "
        "CPU times but for two processes, for pretraining, and beside a busy neighbour with a thread per core."
    )
    return "\n".join(found)


def draw(records: dict[str, Any]) -> None:
    """Each ratio over its target; a mark beyond 1 is met."""
    from matplotlib.figure import Figure

    from cloud_model.display.plots import style

    names = list(dict.fromkeys(line["what"] for results in records.values() for line in lines(results)))[::-1]
    with style():
        figure = Figure(figsize=(7.2, 0.24 * len(names) + 1.0), layout="constrained")
        axes = figure.subplots()
        for kind, results in records.items():
            axes.plot(
                [margin(line) for line in lines(results)],
                [names.index(line["what"]) for line in lines(results)],
                "o",
                label=kind,
            )
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlabel("measured over target (target over measured where less is better)")
        axes.set_yticks(range(len(names)), [name.replace("`", "") for name in names], fontsize=6)
        axes.legend(fontsize=6)
        figure.savefig(RESULTS / "speed.svg", metadata={"Date": None})


def margin(line: dict[str, Any]) -> float:
    sign, limit = line["target"].split()
    return float(line["ratio"] / float(limit) if sign == ">=" else float(limit) / line["ratio"])


if __name__ == "__main__":
    main()
