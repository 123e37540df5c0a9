"""Checkpoints that are damaged, of another version, or made to do harm."""
# ruff: noqa: E501

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fault import Fault
from hostile_files import Payload
from safetensors.torch import load_file, save_file
from torch import Tensor

from cloud_model.checkpoints.files import CONFIG, VOCABULARY, WEIGHTS
from cloud_model.errors import CheckpointError

EMBEDDINGS = "0.encoder.embeddings.word_embeddings.weight"
PUBLISHED = "pytorch_model.bin"

Change = Callable[[Path], Any]


def fault(what: str, change: Change, words: str) -> Fault:
    """A checkpoint that cannot be loaded; `change` is made to a copy of a good one."""
    return Fault(what, change, CheckpointError, words)


def entries(**values: Any) -> Change:
    """Replace entries of the configuration."""

    def change(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def inner(table: str, **values: Any) -> Change:
    """Replace entries of a table of the configuration."""
    return lambda folder: entries(**{table: json.loads((folder / CONFIG).read_text())[table] | values})(
        folder
    )


def target(**values: Any) -> Change:
    """Replace entries of a target."""
    return lambda folder: inner(
        "targets", band_gap=json.loads((folder / CONFIG).read_text())["targets"]["band_gap"] | values
    )(folder)


def info(**values: Any) -> Change:
    """Replace what is known of a property."""
    return lambda folder: inner(
        "properties", band_gap=json.loads((folder / CONFIG).read_text())["properties"]["band_gap"] | values
    )(folder)


def content(name: str, data: bytes | Callable[[bytes], bytes], rehash: bool = True) -> Change:
    """Replace a file, and its hash too."""

    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(data(path.read_bytes()) if callable(data) else data)
        if rehash:
            inner("sha256", **{name: hashlib.sha256(path.read_bytes()).hexdigest()})(folder)

    return change


def weights(edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Change:
    """Replace tensors, and the hash too."""

    def change(folder: Path) -> None:
        save_file(edit(load_file(folder / WEIGHTS)), folder / "other")
        content(WEIGHTS, (folder / "other").read_bytes())(folder)

    return change


def instead(name: str, make: Callable[[Path], Any]) -> Change:
    """Put something that is no file in place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def text(name: str, value: str) -> Change:
    """Replace a file by text."""
    return lambda folder: (folder / name).write_text(value)


def published(stored: Any = None, raw: bytes | None = None, added: Any = None, **values: Any) -> Change:
    """A checkpoint of the published layout that holds this pickle."""

    def change(folder: Path) -> None:
        encoder = json.loads((folder / CONFIG).read_text())["encoder"]
        (folder / CONFIG).write_text(json.dumps({"model_type": "bert"} | encoder | values))
        (folder / WEIGHTS).unlink()
        if raw is None:
            torch.save(stored, folder / PUBLISHED)
        else:
            (folder / PUBLISHED).write_bytes(raw)
        if added is not None:
            (folder / "added_tokens.json").write_text(json.dumps(added))

    return change


def header(size: int, rest: bytes = b"{}") -> bytes:
    """Beginning of a safetensors file."""
    return struct.pack("<Q", size) + rest


def first(value: float) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """Set one weight."""

    def edit(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors[EMBEDDINGS][0, 0] = value
        return tensors

    return edit


NOT_READ, GARBLED, NO_FIT = "cannot be read", "lacks or garbles an entry", "does not fit the configuration"
HUGE = 10**9

CHECKPOINTS = [
    *(fault(f"no {name}", lambda folder, name=name: (folder / name).unlink(), f"{name} {NOT_READ}")
      for name in (CONFIG, WEIGHTS, VOCABULARY)),
    *(fault(f"{what} in place of {name}", instead(name, make), f"{name} {words}")
      for name in (CONFIG, WEIGHTS, VOCABULARY)
      for what, make, words in (("named pipe", os.mkfifo, "is not a regular file"),
                                ("endless device", lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
                                ("link to itself", lambda path: path.symlink_to(path), NOT_READ),
                                ("a terabyte", lambda path: path.touch() or os.truncate(path, 10**12), "is larger than"))),
    # weights
    fault("changed weights", content(WEIGHTS, lambda data: data[:-1] + b"?", rehash=False), "SHA-256 differs"),
    fault("truncated weights", content(WEIGHTS, lambda data: data[: len(data) // 2]), "not a readable safetensors"),
    fault("empty weights", content(WEIGHTS, b""), "not a readable safetensors"),
    *(fault(f"safetensors with {what}", content(WEIGHTS, data), "not a readable safetensors")
      for what, data in (("a header of 10^12 bytes", header(10**12)), ("a header of 2^63 bytes", header(2**63)),
                         ("a header beyond its end", header(10**7)), ("a nested header", header(10**5, b"[" * 10**5)))),
    fault("pickle in place of safetensors", content(WEIGHTS, pickle.dumps(Payload())), "not a readable safetensors"),
    fault("weights that are NaN", weights(first(float("nan"))), "not finite"),
    fault("weights that are infinite", weights(first(float("inf"))), "not finite"),
    fault("weights that are integers", weights(lambda t: {k: v.int() for k, v in t.items()}), "not floating-point"),
    fault("weights of the wrong shape", weights(lambda t: t | {EMBEDDINGS: t[EMBEDDINGS][:-1].contiguous()}), NO_FIT),
    fault("missing weights", weights(lambda t: {k: v for k, v in t.items() if k != EMBEDDINGS}), NO_FIT),
    fault("superfluous weights", weights(lambda t: t | {"0.more": torch.zeros(2)}), NO_FIT),
    fault("weights of another member", weights(lambda t: t | {"9.more": torch.zeros(2)}), "of no member"),
    # configuration
    *(fault(f"configuration {what}", text(CONFIG, value), words)
      for what, value, words in (("empty", "", "not JSON"), ("of nested lists", "[" * 100_000, "not JSON"),
                                 ("with 5,000 digits", '{"format": ' + "9" * 5000 + "}", "not JSON"),
                                 ("that is a list", "[1]", "not a JSON object"), ("of nothing", "{}", "neither a CLOUD"),
                                 ("of another model", '{"model_type": "gpt2"}', "neither a CLOUD"),
                                 ("of a format alone", '{"format": 1}', GARBLED))),
    fault("newer format", entries(format=2), "has format 2 where this version reads 1. Update"),
    fault("format that is not a number", entries(format="1"), "has format '1'"),
    fault("no hashes", entries(sha256={}), "has no SHA-256"),
    fault("path traversal", entries(sha256={"../../../etc/passwd": "0"}), "has no SHA-256"),
    *(fault(f"{name} {value!r}", entries(**{name: value}), GARBLED)
      for name, value in (("dialect", "klingon"), ("dialect", ["sites"]), ("members", 0), ("members", 10**12), ("members", 2.0),
                          ("symprec", -1), ("symprec", "0.01"), ("symprec", float("nan")), ("spectra", -1), ("spectra", None),
                          ("name", "a\nb"), ("name", 5), ("targets", []), ("properties", {}), ("sha256", "x"), ("encoder", None))),
    *(fault(f"{name} {value!r}", inner("encoder", **{name: value}), words)
      for name, value, words in (("hidden_size", HUGE, NO_FIT), ("vocab_size", HUGE, NO_FIT), ("num_hidden_layers", HUGE, NO_FIT),
                                 ("intermediate_size", HUGE, NO_FIT), ("max_position_embeddings", HUGE, NO_FIT),
                                 ("hidden_size", 0, GARBLED), ("hidden_size", "32", GARBLED), ("num_attention_heads", 3, GARBLED),
                                 ("layer_norm_eps", float("nan"), GARBLED), ("hidden_dropout_prob", 5, GARBLED))),
    *(fault(f"terminal escape in {what}", change, GARBLED)
      for what, change in (("a unit", info(unit="\x1b[2JeV")), ("a description", info(description="\x1b]0;owned\x07")),
                           ("the name of a target", inner("targets", **{"\x1b[2J": {}})))),
    fault("10^9 spectra", entries(spectra=HUGE), NO_FIT),
    fault("unknown transform", target(transform="exec"), GARBLED),
    fault("scale 0", target(scale=0), GARBLED),
    # vocabulary
    fault("tampered vocabulary", content(VOCABULARY, lambda v: v.replace(b"\nNa\n", b"\nQq\n"), rehash=False), "SHA-256 differs"),
    fault("token twice in the vocabulary", content(VOCABULARY, lambda v: v.replace(b"\nNa\n", b"\nMg\n")), "a token twice"),
    fault("vocabulary that is too long", content(VOCABULARY, lambda v: v + b"more\n"), "tokens where config.json has"),
    fault("vocabulary without special tokens", content(VOCABULARY, lambda v: v.replace(b"[CLS]", b"[X]")), "begins with"),
    fault("vocabulary that is not text", content(VOCABULARY, b"\xff\xfe"), "not text"),
    # published layout
    fault("published layout without weights", published(raw=b"") , "does not hold plain tensors"),
    fault("published layout with a command", published({"weight": Payload()}), "nothing else is ever unpickled"),
    fault("published layout with a bare pickle", published(raw=pickle.dumps(Payload(), 0)), "nothing else is ever unpickled"),
    fault("published layout with a list", published([1, 2]), "does not hold plain tensors"),
    fault("published layout of 10^9 units", published({}, hidden_size=HUGE), NO_FIT),
    fault("published layout of another activation", published({}, hidden_act="relu"), "hidden_act 'relu' where the encoder"),
    fault("published layout of other positions", published({}, position_embedding_type="relative_key"),
          "position_embedding_type 'relative_key' where"),
    fault("added tokens that are a list", published({}, added=[1]), "added tokens"),
    fault("added tokens with gaps", published({}, added={"more": 10**12}), "added tokens"),
]  # fmt: skip
