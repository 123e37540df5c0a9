"""The two layouts of a checkpoint directory.

Ours holds

- ``config.json``: format, dialect, symprec, shape of the network, properties, and the SHA-256 of the other files;
- ``model.safetensors``: the weights of one or several predictors, ``<member>.<parameter>``;
- ``vocab.txt``: one token a line, in the order of their ids;
- ``README.md``: the model card.

The published layout is that of a Hugging Face BERT: ``config.json``, ``model.safetensors`` or ``pytorch_model.bin``,
``vocab.txt`` and the added tokens. It has an encoder and no properties, and reads the dialect ``reference``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cloud_model.checkpoints.config import CheckpointConfig
from cloud_model.checkpoints.files import (
    CONFIG,
    MAX_WEIGHTS,
    PICKLE,
    VOCABULARY,
    WEIGHTS,
    damaged,
    read_bytes,
    read_json,
    tensors_of,
    text_of,
    unpickled_tensors,
)
from cloud_model.checkpoints.networks import build_network, build_tokenizer
from cloud_model.errors import CheckpointError
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import Tokenizer
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.untrusted_json import from_record

FORMAT = 1
MAX_MEMBERS = 100

_COMPUTED = {"hidden_act": "gelu", "position_embedding_type": "absolute"}
"""Entries of a published configuration that have only this value here."""

Parts = tuple[CheckpointConfig, Tokenizer, Sequence[Predictor]]


def load_own(directory: Path, config: dict[str, Any]) -> Parts:
    """Read a checkpoint of this package whose configuration is read already."""
    if type(config["format"]) is not int or config["format"] != FORMAT:
        raise CheckpointError(
            str(directory),
            f"has format {config['format']!r:.40} where this version reads {FORMAT}",
            "Update cloud-plugins, or use a checkpoint made for this version.",
        )
    try:
        contents = from_record(_Contents, config)
        parsed = from_record(CheckpointConfig, config)
    except ValueError as error:
        raise damaged(directory / CONFIG, f"lacks or garbles an entry ({error})") from error
    if contents.sha256.keys() != {WEIGHTS, VOCABULARY}:
        raise damaged(directory / CONFIG, f"has no SHA-256 of {WEIGHTS} and {VOCABULARY} alone")
    files = {
        VOCABULARY: read_bytes(directory / VOCABULARY),
        WEIGHTS: read_bytes(directory / WEIGHTS, MAX_WEIGHTS),
    }
    for name, expected in contents.sha256.items():
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise damaged(directory / name, "does not have the content that was saved (SHA-256 differs)")
    tokenizer = build_tokenizer(
        directory, text_of(directory / VOCABULARY, files[VOCABULARY]).splitlines(), parsed.encoder
    )
    members: list[dict[str, Tensor]] = [{} for _ in range(min(contents.members, MAX_MEMBERS))]
    for key, value in tensors_of(directory / WEIGHTS, files[WEIGHTS]).items():
        member, _, name = key.partition(".")
        if not (member.isdecimal() and int(member[:9]) < len(members)):
            raise damaged(directory / WEIGHTS, f"holds {key!r:.80}, which is of no member")
        members[int(member)][name] = value
    return parsed, tokenizer, [build_network(directory, parsed, state) for state in members]


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """Digests of the other files, as the configuration records them."""

    members: int
    sha256: Mapping[str, str]

    def __post_init__(self) -> None:
        if not 1 <= self.members <= MAX_MEMBERS:
            raise ValueError(f"members is {self.members}")


def load_published(directory: Path, config: dict[str, Any]) -> Parts:
    """Read a checkpoint of the published layout whose configuration is read already."""
    for name, known in _COMPUTED.items():
        if (value := config.get(name, known)) != known:
            raise CheckpointError(
                str(directory / CONFIG),
                f"has {name} {value!r:.40} where the encoder computes {known!r}",
                "Use a checkpoint of that kind.",
            )
    try:
        encoder = from_record(EncoderConfig, config)
        parsed = CheckpointConfig(
            name=_published_name(directory),
            dialect="reference",
            symprec=DEFAULT_SYMPREC,
            encoder=encoder,
        )
    except ValueError as error:
        raise damaged(directory / CONFIG, f"lacks or garbles an entry ({error})") from error
    tokenizer = build_tokenizer(directory, _published_vocabulary(directory), encoder)
    weights = _published_weights(directory)
    names = {key.removeprefix("bert."): value for key, value in weights.items()}
    wanted = ("embeddings.", "encoder.")
    state = {f"encoder.{key}": value for key, value in names.items() if key.startswith(wanted)}
    state.pop("encoder.embeddings.position_ids", None)
    return parsed, tokenizer, [build_network(directory, parsed, state)]


def _published_name(directory: Path) -> str:
    """Name of the directory, or of the repository whose snapshot in the cache of Hugging Face it is."""
    snapshots = directory.parent  # of models--OWNER--NAME
    if snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--"):
        return snapshots.parent.name.removeprefix("models--").replace("--", "/")
    return directory.name


def _published_vocabulary(directory: Path) -> list[str]:
    tokens = dict(enumerate(text_of(directory / VOCABULARY, read_bytes(directory / VOCABULARY)).splitlines()))
    try:
        if (directory / "added_tokens.json").exists():
            tokens |= {i: token for token, i in read_json(directory / "added_tokens.json").items()}
        elif (directory / "tokenizer_config.json").exists():
            added = read_json(directory / "tokenizer_config.json").get("added_tokens_decoder", {})
            tokens |= {int(i): str(token["content"]) for i, token in added.items()}
        vocabulary = [tokens[i] for i in range(len(tokens))]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(directory, f"has added tokens without names, or gaps in their ids ({error})") from error
    return vocabulary


def _published_weights(directory: Path) -> dict[str, Tensor]:
    if (path := directory / WEIGHTS).exists():
        return tensors_of(path, read_bytes(path, MAX_WEIGHTS))
    if (path := directory / PICKLE).exists():
        return unpickled_tensors(path, read_bytes(path, MAX_WEIGHTS))
    raise CheckpointError(str(directory), f"holds neither {WEIGHTS} nor {PICKLE}", "Download the weights.")
