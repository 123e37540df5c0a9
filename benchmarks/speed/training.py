"""Pretraining beside a plain ``transformers`` loop, its memory over the size of the corpus, and small fine-tunings.

The plain loop is that of the published code: ``BertForMaskedLM`` with AdamW and the data collator of ``transformers``,
batches of 64 strings padded to 64 tokens, float32. Both train the same architecture on the same strings, of at most 64
tokens, one after the other. Memory is the peak of a process that makes the masked batches of 100,000 and of 1,000,000
strings (50,000 repeated) from Parquet shards.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain, islice, repeat
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measure import Row, Seconds, child, in_turn, peak_memory, ratio, row

from cloud_model import Scope
from cloud_model.checkpoints.loaded import load_checkpoint
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.precision import Choice, choose_precision
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
from cloud_model.properties.catalogue import PropertyInfo
from cloud_model.training.finetuning.ensemble import EnsembleSettings, finetune_ensemble
from cloud_model.training.finetuning.labels import LabelledTokens, Labels
from cloud_model.training.loop import METRICS, Schedule
from cloud_model.training.pretraining.masking import Masking
from cloud_model.training.pretraining.pretrain import _Pretraining, pretrain
from cloud_model.training.pretraining.strings import ParquetCorpus

LENGTH = 64
TOKENIZER = Tokenizer(build_vocabulary(SYMBOLS[:94]), LENGTH)
STRINGS = 50_000
EPOCHS = 15  # of fine-tuning
SHARD = 8192


def pretraining(data: Path, rows: int, rounds: int) -> list[Row]:
    texts = corpus(data)
    few = texts[: rows // 4]
    loops: dict[str, Callable[[], float]] = {
        "transformers": lambda: plain_loop(few),
        "float32": lambda: our_loop(few, "float32"),
        "bfloat16": lambda: our_loop(few, "bfloat16"),
        "chosen": lambda: our_loop(few, "auto"),
    }
    seconds: Seconds = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            seconds[name].append(loop())
    memory = {number: peak_of_batches(texts, number) for number in (100_000, 1_000_000)}
    return [
        row(
            "pretraining, strings/s",
            f"a loop of transformers, batches of 64 padded to {LENGTH}",
            ">= 2",
            ratio(seconds, "transformers", "float32"),
            bfloat16=ratio(seconds, "transformers", "bfloat16"),
            clock="wall",
            strings_per_second={name: len(few) / median(values) for name, values in seconds.items()},
        ),
        row(
            "pretraining in the precision that is chosen",
            "the faster of float32 and bfloat16",
            "<= 1.1",
            median(
                chosen / min(others)
                for chosen, *others in zip(
                    seconds["chosen"], seconds["float32"], seconds["bfloat16"], strict=True
                )
            ),
            chosen=choose_precision("auto", EncoderConfig.hidden_size, torch.device("cpu")),
            clock="wall",
            strings_per_second={name: len(few) / median(values) for name, values in seconds.items()},
        ),
        row(
            "pretraining from shards of 1,000,000 strings: peak memory",
            "the same of 100,000",
            "<= 1.1",
            memory[1_000_000] / memory[100_000],
            mib=memory,
        ),
    ]


def finetuning(data: Path, rows: int, rounds: int) -> list[Row]:
    """240 rows, 15 epochs and the default members, in the precision that is chosen."""
    base, settings, tokens = load_checkpoint(), EnsembleSettings(), [row.ids for row in few_rows(data).tokens]
    precision = choose_precision("auto", base.config.encoder.hidden_size, torch.device("cpu"))
    weights = [m.weight for m in base.members[0].encoder.modules() if isinstance(m, torch.nn.Linear)]
    count = settings.members * EPOCHS * sum(map(len, tokens)) * (1 - 1 / settings.folds)
    batch = settings.tokens_per_batch
    dtype = getattr(torch, precision)
    operands = [
        tuple(
            torch.randn(shape).to(dtype) for shape in ((batch, inputs), (outputs, inputs), (batch, outputs))
        )
        for outputs, inputs in (weight.shape for weight in weights)
    ]

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(round(count / batch)):
            for states, matrix, gradient in operands:
                torch.nn.functional.linear(states, matrix)
                gradient @ matrix
                gradient.mT @ states

    seconds = in_turn({"whole": small_finetuning(data, EPOCHS), "bare": bare}, rounds)
    return [
        row(
            f"fine-tuning, {len(tokens)} rows, {EPOCHS} epochs, {settings.members} networks",
            "bare forward and backward matrix products of its tokens",
            "<= 3",
            ratio(seconds, "whole", "bare"),
            seconds={name: median(values) for name, values in seconds.items()},
            precision=precision,
        )
    ]


def few_rows(data: Path) -> LabelledTokens:
    """240 crystals and their refractive indices."""
    tokenizer = load_checkpoint().tokenizer
    table = pd.read_csv(data / "dielectric_train.csv.gz", keep_default_na=False)
    table = table[table.orbits.str.count(":").between(1, 14)].sample(240, random_state=0)
    tokens = [
        tokenizer.encode(Scope.from_orbits(int(number), orbits))
        for number, orbits in zip(table.spg, table.orbits, strict=True)
    ]
    return LabelledTokens(tokens, Labels.of_scalars(table[["n"]].to_numpy(float)))


def small_finetuning(data: Path, epochs: int) -> Callable[[], None]:
    """Fine-tuning with the default members on `few_rows`."""
    base, labels, settings = load_checkpoint(), few_rows(data), EnsembleSettings(epochs=epochs)
    info = PropertyInfo(unit="", basis="crystal", description="", training_set="")
    folds = np.array_split(np.random.default_rng(0).permutation(len(labels.tokens)), settings.folds)

    def run() -> None:
        with TemporaryDirectory() as folder:
            arguments = labels, {"n": info}, {"n": "log10"}, folds, settings, Path(folder)
            finetune_ensemble(base, "benchmark", *arguments)

    return run


def corpus(data: Path) -> list[str]:
    rows = pd.read_csv(data / "pretrain_mp.csv.gz", keep_default_na=False)
    rows = rows[rows.orbits.str.count(":").between(1, 14)].sample(STRINGS, random_state=0)
    return [str(Scope.from_orbits(int(n), orbits)) for n, orbits in zip(rows.spg, rows.orbits, strict=True)]


def our_loop(texts: list[str], precision: Choice) -> float:
    config = EncoderConfig(vocab_size=len(TOKENIZER), max_position_embeddings=LENGTH)
    schedule = Schedule(epochs=1, learning_rate=6e-4, precision=precision)
    with TemporaryDirectory() as folder:
        pretrain(texts, TOKENIZER, config, schedule, Path(folder))
        return float(json.loads((Path(folder) / METRICS).read_text())["seconds"])  # of the loop alone


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


def peak_of_batches(texts: list[str], number: int) -> float:
    """MiB, of a process that makes all batches of an epoch of so many strings."""
    with TemporaryDirectory() as folder:
        stream_of_texts = islice(chain.from_iterable(repeat(texts)), number)
        for shard in range(-(-number // SHARD)):
            rows = list(islice(stream_of_texts, SHARD))
            pq.write_table(pa.table({"scope": rows}), Path(folder) / f"part-{shard:05d}.parquet")
        return float(child("make_batches", folder))


def make_batches(shards: str) -> None:
    """Read, tokenise, bucket and mask all batches of an epoch."""
    task = _Pretraining(
        corpus=ParquetCorpus([Path(shards)]),
        tokenizer=TOKENIZER,
        masking=Masking(TOKENIZER),
        validation=[],
        tokens_per_batch=4096,
        seed=0,
        unreadable=Counter(),
    )
    for _ in task.steps(0, (0, 0)):
        pass
    print(peak_memory())
