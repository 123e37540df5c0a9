"""Average the weights of networks that differ by little training, into a run (Izmailov et al., arXiv:1803.05407).

python -m recipes.average OUTPUT RUN RUN ...
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

MEAN_OF = "mean_of.txt"  # names the runs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    average(arguments.output, arguments.runs)


def average(output: Path, runs: list[Path]) -> None:
    """Write the mean of the weights of runs as a run of its own."""
    weights = [torch.load(run / "predictor.pt", weights_only=True, map_location="cpu") for run in runs]
    mean = {name: torch.stack([parts[name] for parts in weights]).mean(0) for name in weights[0]}
    output.mkdir(parents=True, exist_ok=True)
    torch.save(mean, output / "predictor.pt")
    for name in ("encoder.json", "targets.json"):
        shutil.copy(runs[0] / name, output / name)
    (output / MEAN_OF).write_text("\n".join(str(run.resolve()) for run in runs))


if __name__ == "__main__":
    main()
