"""Pretraining speed beside a plain ``transformers`` loop, and memory over the size of the corpus.

    python benchmarks/training_speed.py --data DIR

The plain loop is that of the published code: ``BertForMaskedLM`` with AdamW and the data collator of ``transformers``,
batches of 64 strings padded to 64 tokens, float32. Both train the same architecture on the same strings, of at most 64
tokens, one after the other, several times. Memory is the peak of a process that makes the masked batches of
100,000 and of 1,000,000 strings (50,000 repeated) from Parquet shards.

Writes ``training_speed.json``, ``.md`` and ``.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from itertools import chain, islice, repeat
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from cloud_model import Scope
from cloud_model.elements import SYMBOLS
from cloud_model.encoder import EncoderConfig
from cloud_model.tokenizer import Tokenizer, build_vocabulary
from cloud_model.training.corpus import ParquetCorpus
from cloud_model.training.loop import METRICS, Schedule
from cloud_model.training.masking import Masking
from cloud_model.training.pretrain import _Pretraining, pretrain

RESULTS = Path(__file__).parent / "results"
LENGTH = 64
TOKENIZER = Tokenizer(build_vocabulary(SYMBOLS[:94]), LENGTH)
STRINGS = 50_000
SHARD = 8192


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--strings", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--memory", nargs=2, metavar=("SHARDS", "STRINGS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        stream(Path(arguments.memory[0]))
        return
    texts = corpus(arguments.data)
    speed = compare_speed(texts[: arguments.strings], arguments.repetitions)
    memory = {str(number): peak_memory(texts, number) for number in (100_000, 1_000_000)}
    write({"machine": machine(), "strings_per_second": speed, "peak_memory_mib": memory})


def corpus(data: Path) -> list[str]:
    rows = pd.read_csv(data / "pretrain_mp.csv.gz", keep_default_na=False)
    rows = rows[rows.orbits.str.count(":").between(1, 14)].sample(STRINGS, random_state=0)
    return [str(Scope.from_orbits(int(n), orbits)) for n, orbits in zip(rows.spg, rows.orbits, strict=True)]


def compare_speed(texts: list[str], repetitions: int) -> dict[str, float]:
    contenders = {
        "transformers, padded": plain_loop,
        "this package, float32": lambda strings: our_loop(strings, bfloat16=False),
        "this package, bfloat16": lambda strings: our_loop(strings, bfloat16=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, loop in contenders.items():
            rates[name].append(len(texts) / loop(texts))
    return {name: median(values) for name, values in rates.items()}


def our_loop(texts: list[str], *, bfloat16: bool) -> float:
    config = EncoderConfig(vocab_size=len(TOKENIZER), max_position_embeddings=LENGTH)
    schedule = Schedule(epochs=1, learning_rate=6e-4, bfloat16=bfloat16)
    with TemporaryDirectory() as folder:
        pretrain(texts, TOKENIZER, config, schedule, Path(folder))
        return float(json.loads((Path(folder) / METRICS).read_text())["seconds"])


def plain_loop(texts: list[str]) -> float:
    from tokenizers import Tokenizer as HubTokenizer
    from tokenizers.models import WordLevel
    from torch.utils.data import DataLoader
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        PreTrainedTokenizerFast,
    )

    vocabulary = {token: i for i, token in enumerate(TOKENIZER.vocabulary)}
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "mask", "cls", "sep", "unk")}
    words = PreTrainedTokenizerFast(tokenizer_object=HubTokenizer(WordLevel(vocabulary, "[UNK]")), **special)
    ours = EncoderConfig(vocab_size=len(TOKENIZER))
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    shape = {name: getattr(ours, name) for name in names}
    model = BertForMaskedLM(
        BertConfig(vocab_size=len(TOKENIZER), max_position_embeddings=LENGTH, **shape)
    ).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-4)
    rows = [padded(text) for text in texts]
    loader = DataLoader(
        rows, 64, shuffle=True, collate_fn=DataCollatorForLanguageModeling(words, mlm_probability=0.15)
    )
    started = time.perf_counter()
    for batch in loader:
        model(**batch).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return time.perf_counter() - started


def padded(text: str) -> dict[str, list[int]]:
    ids = list(TOKENIZER.encode(text).ids)
    blank = LENGTH - len(ids)
    return {"input_ids": ids + [1] * blank, "attention_mask": [1] * len(ids) + [0] * blank}


def peak_memory(texts: list[str], number: int) -> float:
    """MiB, of a process that makes all batches of an epoch of so many strings."""
    with TemporaryDirectory() as folder:
        stream_of_texts = islice(chain.from_iterable(repeat(texts)), number)
        for shard in range(-(-number // SHARD)):
            rows = list(islice(stream_of_texts, SHARD))
            pq.write_table(pa.table({"scope": rows}), Path(folder) / f"part-{shard:05d}.parquet")
        command = [sys.executable, __file__, "--memory", folder, str(number)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def stream(shards: Path) -> None:
    """Read, tokenise, bucket and mask all batches of an epoch."""
    task = _Pretraining(
        corpus=ParquetCorpus([shards]),
        tokenizer=TOKENIZER,
        masking=Masking(TOKENIZER),
        validation=[],
        tokens_per_batch=4096,
        seed=0,
        unreadable=Counter(),
    )
    for _ in task.steps(0, (0, 0)):
        pass
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)  # ru_maxrss would be that of the parent


def machine() -> dict[str, object]:
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def write(results: dict) -> None:
    from matplotlib.figure import Figure

    from cloud_model.plotting import CLOUD_COLOUR, style

    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "training_speed.json").write_text(json.dumps(results, indent=1) + "\n")
    speed, memory = results["strings_per_second"], results["peak_memory_mib"]
    plain = speed["transformers, padded"]
    lines = ["| loop | strings/s | ratio |", "|---|---|---|"]
    lines += [f"| {name} | {rate:.0f} | {rate / plain:.2f} |" for name, rate in speed.items()]
    lines += ["", "| strings | peak memory (MiB) |", "|---|---|"]
    lines += [f"| {int(number):,} | {peak:.0f} |" for number, peak in memory.items()]
    (RESULTS / "training_speed.md").write_text("\n".join(lines) + "\n")
    with style():
        figure = Figure(figsize=(6.4, 2.2))
        axes = figure.subplots()
        axes.barh([*speed][::-1], [*speed.values()][::-1], color=CLOUD_COLOUR)
        axes.set_xlabel("strings per second")
        figure.savefig(RESULTS / "training_speed.svg")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
