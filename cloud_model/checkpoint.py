"""Checkpoint directories: what they hold, how they are written, and what is checked when they are read.

Two layouts are read. Ours holds

- ``config.json``: format, dialect, symprec, shape of the network, properties, and the SHA-256 of the other files;
- ``model.safetensors``: the weights of one or several predictors, ``<member>.<parameter>``;
- ``vocab.txt``: one token a line, in the order of their ids;
- ``README.md``: the model card.

The published layout is that of a Hugging Face BERT: ``config.json``, ``model.safetensors`` or ``pytorch_model.bin``,
``vocab.txt`` and the added tokens. It has an encoder and no properties, and reads the dialect ``reference``.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cloud_model.encoder import EncoderConfig
from cloud_model.errors import CheckpointError
from cloud_model.predictor import Predictor
from cloud_model.properties import PropertyInfo, ScalarTarget
from cloud_model.scope import Dialect
from cloud_model.tokenizer import Tokenizer

FORMAT = 1
CONFIG, WEIGHTS, VOCABULARY, CARD = "config.json", "model.safetensors", "vocab.txt", "README.md"
PUBLISHED_SYMPREC = 0.01  # pymatgen's default, which the published code uses


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Everything about a checkpoint but its weights and its vocabulary.

    Attributes
    ----------
    name : str
        Of the checkpoint.
    dialect : {'reference', 'canonical', 'sites'}
        Of the SCOPE strings that it was trained on; it reads no other.
    symprec : float
        Tolerance of the symmetry search, Angstrom.
    encoder : EncoderConfig
        Shape of each encoder.
    targets : dict of str to ScalarTarget
        Scalar properties, in the order of the heads.
    properties : dict of str to PropertyInfo
        What is known of each property, scalar and thermodynamic.
    spectra : int
        Debye spectra of each thermodynamics head; 0 for none.
    spread_calibration : float
        Factor on the predicted relative error of the Debye temperatures.
    domain : bool
        Whether the networks know how far a crystal is from their training crystals.
    """

    name: str
    dialect: Dialect
    symprec: float
    encoder: EncoderConfig
    targets: Mapping[str, ScalarTarget] = field(default_factory=dict)
    properties: Mapping[str, PropertyInfo] = field(default_factory=dict)
    spectra: int = 0
    spread_calibration: float = 1.0
    domain: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """A trained model as it lies on disk.

    Attributes
    ----------
    config : CheckpointConfig
        What it is.
    tokenizer : Tokenizer
        Its vocabulary.
    members : sequence of Predictor
        One network, or several whose predictions are averaged.
    """

    config: CheckpointConfig
    tokenizer: Tokenizer
    members: Sequence[Predictor]

    def save(self, directory: Path, card: str, dtype: torch.dtype = torch.float32) -> None:
        """Write the checkpoint.

        Parameters
        ----------
        directory : Path
            Made if it does not exist.
        card : str
            The model card, Markdown.
        dtype : torch.dtype
            Of the stored weights.
        """
        directory.mkdir(parents=True, exist_ok=True)
        weights = {
            f"{i}.{name}": tensor.to(dtype).contiguous()
            for i, member in enumerate(self.members)
            for name, tensor in member.state_dict().items()
        }
        _replace(directory / WEIGHTS, lambda path: save_file(weights, path))
        vocabulary = "\n".join(self.tokenizer.vocabulary) + "\n"
        _replace(directory / VOCABULARY, lambda path: path.write_text(vocabulary))
        _replace(directory / CARD, lambda path: path.write_text(card))
        config = asdict(self.config) | {
            "format": FORMAT,
            "members": len(self.members),
            "sha256": {name: _sha256(directory / name) for name in (WEIGHTS, VOCABULARY)},
        }
        _replace(directory / CONFIG, lambda path: path.write_text(json.dumps(config, indent=1) + "\n"))

    @classmethod
    def load(cls, directory: Path) -> Checkpoint:
        """Read a checkpoint of either layout.

        Parameters
        ----------
        directory : Path
            Holds the files.

        Raises
        ------
        CheckpointError
            If files are missing, damaged, unsafe or of a format that this version does not know.
        """
        config = _read_config(directory)
        if "format" in config:
            return _load_own(directory, config)
        if config.get("model_type") == "bert":
            return _load_published(directory, config)
        raise CheckpointError(
            str(directory / CONFIG),
            "is neither a CLOUD checkpoint nor a BERT model",
            "Give a directory written by this package, or one with the published layout.",
        )


def _load_own(directory: Path, config: dict[str, Any]) -> Checkpoint:
    if config["format"] != FORMAT:
        raise CheckpointError(
            str(directory),
            f"has format {config['format']!r} where this version reads {FORMAT}",
            "Update cloud-plugins, or use a checkpoint made for this version.",
        )
    for name, expected in config.get("sha256", {}).items():
        if name not in (WEIGHTS, VOCABULARY):
            raise _damaged(directory / CONFIG, f"names an unexpected file, {name!r}")
        if _sha256(directory / name) != expected:
            raise _damaged(directory / name, "does not have the content that was saved (SHA-256 differs)")
    try:
        parsed = CheckpointConfig(
            **{f.name: config[f.name] for f in fields(CheckpointConfig) if f.name in config}
            | {
                "encoder": EncoderConfig(**config["encoder"]),
                "targets": {name: ScalarTarget(**target) for name, target in config["targets"].items()},
                "properties": {name: PropertyInfo(**info) for name, info in config["properties"].items()},
            }
        )
        count = int(config["members"])
        if parsed.dialect not in get_args(Dialect) or count < 1:
            raise ValueError(f"dialect {parsed.dialect!r}, {count} members")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(directory / CONFIG, f"lacks or garbles an entry ({error})") from error
    tokenizer = Tokenizer(_read_lines(directory / VOCABULARY), parsed.encoder.max_position_embeddings)
    weights = _read_safetensors(directory / WEIGHTS)
    members = []
    for i in range(count):
        prefix = f"{i}."
        state = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        members.append(_build(directory, parsed, state))
    return Checkpoint(parsed, tokenizer, members)


def _load_published(directory: Path, config: dict[str, Any]) -> Checkpoint:
    try:
        encoder = EncoderConfig(**{f.name: config[f.name] for f in fields(EncoderConfig)})
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(directory / CONFIG, f"lacks {error}") from error
    parsed = CheckpointConfig(
        name=directory.name, dialect="reference", symprec=PUBLISHED_SYMPREC, encoder=encoder
    )
    tokenizer = Tokenizer(_published_vocabulary(directory), encoder.max_position_embeddings)
    weights = (
        _read_safetensors(directory / WEIGHTS) if (directory / WEIGHTS).exists() else _read_torch(directory)
    )
    names = {key.removeprefix("bert."): value for key, value in weights.items()}
    wanted = ("embeddings.", "encoder.")
    state = {f"encoder.{key}": value for key, value in names.items() if key.startswith(wanted)}
    state.pop("encoder.embeddings.position_ids", None)
    return Checkpoint(parsed, tokenizer, [_build(directory, parsed, state)])


def _published_vocabulary(directory: Path) -> list[str]:
    tokens = dict(enumerate(_read_lines(directory / VOCABULARY)))
    if (directory / "added_tokens.json").exists():
        tokens |= {i: token for token, i in _read_json(directory / "added_tokens.json").items()}
    elif (directory / "tokenizer_config.json").exists():
        added = _read_json(directory / "tokenizer_config.json").get("added_tokens_decoder", {})
        tokens |= {int(i): token["content"] for i, token in added.items()}
    if sorted(tokens) != list(range(len(tokens))):
        raise _damaged(directory, "has gaps in the ids of its added tokens")
    return [tokens[i] for i in range(len(tokens))]


class _Uninitialised(TorchFunctionMode):
    """Leave new parameters without values, since drawing them is lost work.

    (The device ``meta`` would do the same, but its Python arithmetic imports all of TorchDynamo, which takes
    longer than importing torch.)
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _build(directory: Path, config: CheckpointConfig, state: dict[str, Tensor]) -> Predictor:
    try:
        with torch.random.fork_rng(devices=()), _Uninitialised():
            member = Predictor(config.encoder, len(config.targets), config.spectra, config.domain)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise _damaged(directory / CONFIG, f"describes no network ({error})") from error
    try:
        member.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    except RuntimeError as error:
        raise _damaged(
            directory / WEIGHTS, f"does not fit the configuration ({str(error).splitlines()[-1].strip()})"
        ) from error
    return member.eval().requires_grad_(False)


def _read_config(directory: Path) -> dict[str, Any]:
    config = _read_json(directory / CONFIG)
    if not isinstance(config, dict):
        raise _damaged(directory / CONFIG, "is not a JSON object")
    return config


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise _damaged(path, f"is not JSON ({error})") from error


def _read_lines(path: Path) -> list[str]:
    return _read_text(path).splitlines()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            str(path), f"cannot be read ({error.strerror})", "Give a complete checkpoint directory."
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "is not text") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, struct.error) as error:
        raise _damaged(path, f"is not a readable safetensors file ({error})") from error


def _read_torch(directory: Path) -> dict[str, Tensor]:
    path = directory / "pytorch_model.bin"
    if not path.exists():
        raise CheckpointError(
            str(directory), f"holds neither {WEIGHTS} nor {path.name}", "Download the weights."
        )
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            str(path),
            "does not hold plain tensors, and nothing else is ever unpickled",
            f"Convert it to {WEIGHTS}.",
        ) from error
    return dict(weights)


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(str(path), reason, "Download or write the checkpoint again.")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            str(path), f"cannot be read ({error.strerror})", "Give a complete checkpoint directory."
        ) from error


def _replace(path: Path, write: Any) -> None:
    """Write a file so that it is there completely or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary)
    temporary.replace(path)
