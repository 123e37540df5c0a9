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
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cloud_model.atomic import write_together
from cloud_model.checkpoints.records import from_record
from cloud_model.errors import CheckpointError, VocabularyError
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.heads import HEAD_SIZE
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import Tokenizer
from cloud_model.properties.catalogue import HARMONIC, ISOBARIC, PropertyInfo, ScalarTarget
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.description import Dialect
from cloud_model.untrusted_json import parse_json

FORMAT = 1
CONFIG, WEIGHTS, VOCABULARY, CARD = "config.json", "model.safetensors", "vocab.txt", "README.md"
MAX_TEXT, MAX_WEIGHTS = 2**24, 2**33  # bytes of a file
MAX_MEMBERS = 100
MAX_NAME = 200  # characters


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
    intervals : dict of str to dict
        Property -> coverage -> half-width of the prediction interval in standard errors; that of
        ``heat_capacity_per_atom`` is for all of the harmonic crystal, that of ``isobaric_heat_capacity_per_atom`` for
        all at constant pressure.
    expansion : bool
        Whether the networks know how a crystal expands, so that it has properties at constant pressure.
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
    intervals: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    expansion: bool = False

    def __post_init__(self) -> None:
        thermodynamics = {**(HARMONIC if self.spectra else {}), **(ISOBARIC if self.expansion else {})}.keys()
        if not (self.name.isprintable() and len(self.name) <= MAX_NAME):
            raise ValueError(f"name is {self.name[:MAX_NAME]!r}")
        if not (0 < self.symprec < inf and self.spectra >= 0 and self.spread_calibration >= 0):
            raise ValueError("symprec is not positive, or spectra or spread_calibration is negative")
        if self.expansion and not self.spectra:
            raise ValueError("it has an expansion, but no spectra")
        if not self.targets.keys() <= self.properties.keys() <= self.targets.keys() | thermodynamics:
            raise ValueError("its properties are not those of its targets and spectra")


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

        Raises
        ------
        OutputError
            If it cannot be written; a checkpoint that was there is left as it was.
        """
        directory.mkdir(parents=True, exist_ok=True)
        weights = {
            f"{i}.{name}": tensor.to(dtype).contiguous()
            for i, member in enumerate(self.members)
            for name, tensor in member.state_dict().items()
        }
        files = {
            WEIGHTS: save(weights),
            VOCABULARY: ("\n".join(self.tokenizer.vocabulary) + "\n").encode(),
            CARD: card.encode(),
        }
        config = asdict(self.config) | {
            "format": FORMAT,
            "members": len(self.members),
            "sha256": {name: hashlib.sha256(files[name]).hexdigest() for name in (WEIGHTS, VOCABULARY)},
        }
        files[CONFIG] = (json.dumps(config, indent=1) + "\n").encode()
        write_together({directory / name: content for name, content in files.items()})

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
        raise _damaged(directory / CONFIG, f"lacks or garbles an entry ({error})") from error
    if contents.sha256.keys() != {WEIGHTS, VOCABULARY}:
        raise _damaged(directory / CONFIG, f"has no SHA-256 of {WEIGHTS} and {VOCABULARY} alone")
    for name, expected in contents.sha256.items():
        if _sha256(directory / name) != expected:
            raise _damaged(directory / name, "does not have the content that was saved (SHA-256 differs)")
    tokenizer = _tokenizer(directory, _read_text(directory / VOCABULARY).splitlines(), parsed.encoder)
    members: list[dict[str, Tensor]] = [{} for _ in range(min(contents.members, MAX_MEMBERS))]
    for key, value in _read_safetensors(directory / WEIGHTS).items():
        member, _, name = key.partition(".")
        if not (member.isdecimal() and int(member[:9]) < len(members)):
            raise _damaged(directory / WEIGHTS, f"holds {key!r:.80}, which is of no member")
        members[int(member)][name] = value
    return Checkpoint(parsed, tokenizer, [_build(directory, parsed, state) for state in members])


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """Digests of the other files, as the configuration records them."""

    members: int
    sha256: Mapping[str, str]

    def __post_init__(self) -> None:
        if not 1 <= self.members <= MAX_MEMBERS:
            raise ValueError(f"members is {self.members}")


def _load_published(directory: Path, config: dict[str, Any]) -> Checkpoint:
    try:
        encoder = from_record(EncoderConfig, config)
        parsed = CheckpointConfig(
            name=_published_name(directory),
            dialect="reference",
            symprec=DEFAULT_SYMPREC,
            encoder=encoder,
        )
    except ValueError as error:
        raise _damaged(directory / CONFIG, f"lacks or garbles an entry ({error})") from error
    tokenizer = _tokenizer(directory, _published_vocabulary(directory), encoder)
    weights = (
        _read_safetensors(directory / WEIGHTS) if (directory / WEIGHTS).exists() else _read_torch(directory)
    )
    names = {key.removeprefix("bert."): value for key, value in weights.items()}
    wanted = ("embeddings.", "encoder.")
    state = {f"encoder.{key}": value for key, value in names.items() if key.startswith(wanted)}
    state.pop("encoder.embeddings.position_ids", None)
    return Checkpoint(parsed, tokenizer, [_build(directory, parsed, state)])


def _published_name(directory: Path) -> str:
    """Name of the directory, or of the repository whose snapshot in the cache of Hugging Face it is."""
    snapshots = directory.parent  # of models--OWNER--NAME
    if snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--"):
        return snapshots.parent.name.removeprefix("models--").replace("--", "/")
    return directory.name


def _published_vocabulary(directory: Path) -> list[str]:
    tokens = dict(enumerate(_read_text(directory / VOCABULARY).splitlines()))
    try:
        if (directory / "added_tokens.json").exists():
            tokens |= {i: token for token, i in _read_json(directory / "added_tokens.json").items()}
        elif (directory / "tokenizer_config.json").exists():
            added = _read_json(directory / "tokenizer_config.json").get("added_tokens_decoder", {})
            tokens |= {int(i): str(token["content"]) for i, token in added.items()}
        vocabulary = [tokens[i] for i in range(len(tokens))]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(
            directory, f"has added tokens without names, or gaps in their ids ({error})"
        ) from error
    return vocabulary


def _tokenizer(directory: Path, vocabulary: Sequence[str], encoder: EncoderConfig) -> Tokenizer:
    if len(vocabulary) > encoder.vocab_size:
        raise _damaged(
            directory / VOCABULARY, f"holds {len(vocabulary)} tokens where {CONFIG} has {encoder.vocab_size}"
        )
    try:
        return Tokenizer(vocabulary, encoder.max_position_embeddings)
    except VocabularyError as error:
        raise _damaged(directory / VOCABULARY, error.reason) from error


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
    _check_shapes(directory, config, state)
    if not all(value.is_floating_point() for value in state.values()):
        raise _damaged(directory / WEIGHTS, "holds weights that are no floating-point numbers")
    weights = {key: value.float() for key, value in state.items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise _damaged(directory / WEIGHTS, "holds weights that are not finite")
    try:
        with torch.random.fork_rng(devices=()), _Uninitialised():
            member = Predictor(
                config.encoder, len(config.targets), config.spectra, config.domain, config.expansion
            )
    except (TypeError, ValueError, RuntimeError) as error:
        raise _damaged(directory / CONFIG, f"describes no network ({error})") from error
    try:
        member.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise _damaged(
            directory / WEIGHTS, f"does not fit the configuration ({str(error).splitlines()[-1].strip()})"
        ) from error
    return member.eval().requires_grad_(False)


def _check_shapes(directory: Path, config: CheckpointConfig, state: Mapping[str, Tensor]) -> None:
    """Compare the sizes that a configuration states with the weights, before memory is taken for them."""
    shape = config.encoder
    layer = "encoder.encoder.layer.0"
    expected = {
        "encoder.embeddings.word_embeddings.weight": (shape.vocab_size, shape.hidden_size),
        "encoder.embeddings.position_embeddings.weight": (shape.max_position_embeddings, shape.hidden_size),
        "encoder.embeddings.token_type_embeddings.weight": (shape.type_vocab_size, shape.hidden_size),
        f"{layer}.attention.self.query.weight": (shape.hidden_size, shape.hidden_size),
        f"{layer}.intermediate.dense.weight": (shape.intermediate_size, shape.hidden_size),
        f"encoder.encoder.layer.{shape.num_hidden_layers - 1}.output.LayerNorm.weight": (shape.hidden_size,),
    }
    if config.targets:
        expected["scalars.value"] = (len(config.targets), HEAD_SIZE)
    if config.spectra:
        expected["thermodynamics.offsets"] = (config.spectra,)
    for name, size in expected.items():
        if name not in state or state[name].shape != size:
            raise _damaged(
                directory / WEIGHTS, f"does not fit the configuration ({name} is not of shape {size})"
            )


def _read_config(directory: Path) -> dict[str, Any]:
    config = _read_json(directory / CONFIG)
    if not isinstance(config, dict):
        raise _damaged(directory / CONFIG, "is not a JSON object")
    return config


def _read_json(path: Path) -> Any:
    text = _read_text(path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise _damaged(path, f"is not JSON ({error})") from error


def _read_text(path: Path) -> str:
    _check_file(path, MAX_TEXT)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "is not text") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    _check_file(path, MAX_WEIGHTS)
    try:
        return load_file(path)
    except (SafetensorError, OSError, MemoryError, struct.error) as error:
        raise _damaged(path, f"is not a readable safetensors file ({error})") from error


def _read_torch(directory: Path) -> dict[str, Tensor]:
    path = directory / "pytorch_model.bin"
    if not path.exists():
        raise CheckpointError(
            str(directory), f"holds neither {WEIGHTS} nor {path.name}", "Download the weights."
        )
    _check_file(path, MAX_WEIGHTS)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its unpickler raises whatever a malformed file runs into
        raise _no_tensors(path) from error
    if not isinstance(weights, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise _no_tensors(path)
    return weights


def _no_tensors(path: Path) -> CheckpointError:
    return CheckpointError(
        str(path),
        "does not hold plain tensors, and nothing else is ever unpickled",
        f"Convert it to {WEIGHTS}.",
    )


def _check_file(path: Path, limit: int) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
        raise _damaged(path, "is not a regular file")
    if status.st_size > limit:
        raise _damaged(path, f"is larger than {limit // 2**20} MiB")


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        str(path), f"cannot be read ({error.strerror})", "Give a complete checkpoint directory."
    )


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(str(path), reason, "Download or write the checkpoint again.")


def _sha256(path: Path) -> str:
    _check_file(path, MAX_WEIGHTS)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
