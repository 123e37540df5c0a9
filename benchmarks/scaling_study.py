"""How the masked-language loss falls with parameters and training tokens: three sizes by three budgets.

    python benchmarks/scaling_study.py --data DIR

Every run has a schedule of its own, so that each is trained to the end. To the nine validation losses
L(N, D) = E + A / N^alpha + B / D^beta is fitted (Hoffmann et al., arXiv 2203.15556), with N the parameters that are
not embeddings and D the tokens. For a fixed amount of computation ~ N D the best sizes then grow as C^a and C^b with
a = beta / (alpha + beta) and b = alpha / (alpha + beta). Writes ``scaling_study.json``, ``.md`` and ``.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from cloud_model import Scope
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.display.tables import markdown_table
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
from cloud_model.training.loop import METRICS, Schedule
from cloud_model.training.pretraining.pretrain import MaskedLanguageModel, pretrain

RESULTS = Path(__file__).parent / "results"
PUBLISHED = {"a": 0.45, "b": 0.55}  # of the CLOUD paper
SIZES = ((16, 1, 4e-3), (32, 2, 3e-3), (64, 2, 2e-3))  # width, layers, learning rate
BUDGETS = (200_000, 600_000, 1_800_000)  # tokens
LENGTH = 128
VALIDATION = 2000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    arguments = parser.parse_args()
    tokenizer = Tokenizer(build_vocabulary(SYMBOLS[:94]), LENGTH)
    texts = corpus(arguments.data, tokenizer)
    runs = pd.DataFrame(
        [measure(texts, tokenizer, size, budget) for size in SIZES for budget in BUDGETS],
        columns=["parameters", "tokens", "loss"],
    )
    write(runs, fit(runs))


def corpus(data: Path, tokenizer: Tokenizer) -> list[tuple[str, int]]:
    """Strings in random order, and their lengths."""
    rows = pd.read_csv(data / "pretrain_mp.csv.gz", keep_default_na=False)
    rows = rows[(rows.orbits != "") & (rows.orbits.str.count(";") < 40)].sample(frac=1, random_state=0)
    texts = [str(Scope.from_orbits(int(n), orbits)) for n, orbits in zip(rows.spg, rows.orbits, strict=True)]
    return [(text, len(tokenizer.encode(text).ids)) for text in texts]


def measure(
    texts: list[tuple[str, int]], tokenizer: Tokenizer, size: tuple[int, int, float], budget: int
) -> tuple[int, int, float]:
    width, layers, rate = size
    config = EncoderConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=4 * width,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    training = texts[VALIDATION:]
    seen = np.cumsum([length for _, length in training])
    strings = int(np.searchsorted(seen, budget))
    with TemporaryDirectory() as folder:
        pretrain(
            [text for text, _ in training[:strings]],
            tokenizer,
            config,
            Schedule(epochs=1, learning_rate=rate),
            Path(folder),
            validation=[text for text, _ in texts[:VALIDATION]],
            tokens_per_batch=2048,
        )
        metrics = json.loads((Path(folder) / METRICS).read_text())
    parameters = sum(
        parameter.numel() for parameter in MaskedLanguageModel(config).encoder.encoder.parameters()
    )
    return parameters, int(seen[strings - 1]), metrics["validation_loss"]


def fit(runs: pd.DataFrame) -> dict[str, float]:
    size, tokens, loss = (runs[name].to_numpy(float) for name in ("parameters", "tokens", "loss"))

    def residual(x: np.ndarray) -> np.ndarray:
        floor, a, alpha, b, beta = x
        return np.log(
            np.exp(floor) + np.exp(a - alpha * np.log(size)) + np.exp(b - beta * np.log(tokens))
        ) - np.log(loss)

    starts = [
        (f, 2.0, alpha, 5.0, beta) for f in (-3, 0) for alpha in (0.2, 0.5, 1.0) for beta in (0.2, 0.5, 1.0)
    ]
    bounds = ([-5, -10, 0.01, -10, 0.01], [2, 30, 3, 40, 3])
    best = min(
        (least_squares(residual, start, bounds=bounds) for start in starts), key=lambda result: result.cost
    )
    floor, _, alpha, _, beta = best.x
    return {
        "floor": float(np.exp(floor)),
        "alpha": float(alpha),
        "beta": float(beta),
        "a": float(beta / (alpha + beta)),
        "b": float(alpha / (alpha + beta)),
        "largest_relative_residual": float(np.abs(best.fun).max()),
    }


def write(runs: pd.DataFrame, fitted: dict[str, float]) -> None:
    from matplotlib.figure import Figure

    from cloud_model.display.plots import style

    RESULTS.mkdir(exist_ok=True)
    content = {"runs": runs.to_dict("records"), "fit": fitted, "published": PUBLISHED}
    (RESULTS / "scaling_study.json").write_text(json.dumps(content, indent=1) + "\n")
    measured = ([f"{row.parameters:,}", f"{row.tokens:,}", f"{row.loss:.3f}"] for row in runs.itertuples())
    exponents = ([name, f"{fitted[name]:.2f}", f"{PUBLISHED[name]:.2f}"] for name in PUBLISHED)
    tables = [
        markdown_table(["parameters", "tokens", "validation loss (nats)"], measured),
        markdown_table(["exponent", "here", "published"], exponents),
    ]
    (RESULTS / "scaling_study.md").write_text("\n\n".join(tables) + "\n")
    with style():
        figure = Figure(figsize=(4.8, 3.2))
        axes = figure.subplots()
        for parameters, rows in runs.groupby("parameters"):
            axes.loglog(rows.tokens, rows.loss, "o-", label=f"{parameters:,} parameters")
        axes.set(xlabel="Training tokens", ylabel="Validation loss (nats)")
        axes.set_xticks(tokens := sorted(set(runs.tokens)), [f"{number:,}" for number in tokens])
        axes.set_yticks(losses := [2.5, 3, 3.5, 4, 4.5, 5], [f"{loss:g}" for loss in losses])
        axes.minorticks_off()
        axes.legend()
        figure.savefig(RESULTS / "scaling_study.svg", metadata={"Date": None})
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
