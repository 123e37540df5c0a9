"""Make `cloud-base`, `cloud-mini` and `cloud-small` on one GPU, within the minutes that it is lent.

    python -m recipes.gpu DATA OUTPUT

Two encoders are pretrained, wide networks are fine-tuned from the wide one, each from a seed of its own, and teach a
small and a wide network what they say of crystals without labels (``recipes.substitutes``); both then see the labels
once more. What is done stays in OUTPUT: the same command goes on. ``recipes.base`` and ``recipes.export`` make
checkpoints of it.

The stages are those of ``recipes.finetune`` and of ``cloud pretrain``, several at a time: one network leaves most of a
GPU idle.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from cloud_model.network import batches
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.run import CorpusSettings, EncoderSettings, PretrainingRun
from recipes.finetune import finetune, teach

SMALL, WIDE = (4, 256), (6, 384)  # layers and width
TEACHERS = 5
PRETRAINING = 4  # passes
TEACHER_PASS, TAUGHT_PASS = 2.2, 12.0  # seconds on an H200
POLISH = 100.0  # seconds for the last passes, and to start and to save each stage
TEACHING = 0.62  # share of what is left after pretraining
DROPOUT = 0.1  # of every other teacher
TOKENS_PER_BATCH = 16384


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0, help="time that there is")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(
        TEACHERS + 1, multiprocessing.get_context("spawn"), initializer=prepare_process
    ) as pool:
        Stages(pool, arguments.data, arguments.output, time.monotonic() + 60 * arguments.minutes).run()


@dataclasses.dataclass(frozen=True)
class Stages:
    """What is trained, and until when, in seconds of the monotonic clock."""

    pool: ProcessPoolExecutor
    data: Path
    output: Path
    end: float

    def run(self) -> None:
        """Train everything that is not there yet."""
        encoders = {
            name: self.pool.submit(pretrained, self.data, self.output / name, shape)
            for name, shape in {"wide": WIDE, "base": SMALL}.items()
        }
        encoders["wide"].result()
        passes = max(1, int(TEACHING * (self.left() - POLISH) / TEACHERS / TEACHER_PASS))
        self.report(f"wide is pretrained; {passes} passes of each teacher")
        teachers = {f"teacher-{seed}": DROPOUT * (seed % 2) for seed in range(TEACHERS)}
        teaching = [
            self.tune(name, "wide", epochs=passes, learning_rate=6e-4, dropout=dropout, seed=seed)
            for seed, (name, dropout) in enumerate(teachers.items())
        ]
        for future in [encoders["base"], *teaching]:
            future.result()
        paths = [self.output / name for name in teachers]
        for outputs in [self.pool.submit(teach, self.data, self.output / "wide", path) for path in paths]:
            outputs.result()
        passes = max(1, int((self.left() - POLISH) / TAUGHT_PASS))
        self.report(f"the teachers are done; {passes} passes of each pupil")
        learning = [
            self.tune("mini-taught", "base", learning_rate=1e-3, epochs=round(1.5 * passes), teachers=paths),
            self.tune(
                "small-taught", "wide", learning_rate=4e-4, epochs=passes, teachers=paths, start=paths[0]
            ),
        ]
        for future in learning:
            future.result()
        polish = [
            self.tune(name, encoder, epochs=2, learning_rate=1e-4, start=self.output / f"{name}-taught")
            for name, encoder in {"mini": "base", "small": "wide"}.items()
        ]
        for future in polish:
            future.result()

    def tune(self, name: str, encoder: str, **settings: Any) -> Future[None]:
        """Fine-tune a network unless it is there."""
        run = self.output / name
        if (run / "predictor.pt").exists():
            return self.pool.submit(time.sleep, 0)
        future = self.pool.submit(
            finetune, self.data, self.output / encoder, run, tokens_per_batch=TOKENS_PER_BATCH, **settings
        )
        future.add_done_callback(lambda _: self.report(f"{name} is done"))
        return future

    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def report(self, text: str) -> None:
        """Say what is done, and how long there is."""
        print(f"{self.left():6.1f} s left: {text}", flush=True)


def prepare_process() -> None:
    """Large batches for a GPU."""
    torch.set_num_threads(4)
    batches.TOKENS_PER_BATCH = 2**16


def pretrained(data: Path, output: Path, shape: tuple[int, int]) -> None:
    """Pretrain an encoder of so many layers and units; one that is finished is left as it is."""
    layers, width = shape
    PretrainingRun(
        output=str(output),
        corpus=CorpusSettings(
            shards=[str(data / "corpus.parquet")], validation=[str(data / "validation.parquet")]
        ),
        encoder=EncoderSettings(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            intermediate_size=4 * width,
        ),
        schedule=Schedule(epochs=PRETRAINING, learning_rate=8e-4),
        tokens_per_batch=TOKENS_PER_BATCH,
    ).execute()


if __name__ == "__main__":
    main()
