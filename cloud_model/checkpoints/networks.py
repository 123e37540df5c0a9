"""The content of files becomes tokenizers and networks, if it fits the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cloud_model.checkpoints.config import CheckpointConfig
from cloud_model.checkpoints.files import CONFIG, VOCABULARY, WEIGHTS, damaged
from cloud_model.errors import VocabularyError
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.heads import HEAD_SIZE
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import Tokenizer


def build_tokenizer(directory: Path, vocabulary: Sequence[str], encoder: EncoderConfig) -> Tokenizer:
    """Make a tokenizer of the vocabulary of a file, or raise a `CheckpointError`."""
    if len(vocabulary) > encoder.vocab_size:
        raise damaged(
            directory / VOCABULARY, f"holds {len(vocabulary)} tokens where {CONFIG} has {encoder.vocab_size}"
        )
    try:
        return Tokenizer(vocabulary, encoder.max_position_embeddings)
    except VocabularyError as error:
        raise damaged(directory / VOCABULARY, error.reason) from error


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


def build_network(directory: Path, config: CheckpointConfig, state: dict[str, Tensor]) -> Predictor:
    """Make a network of the weights of a file, or raise a `CheckpointError`."""
    _check_shapes(directory, config, state)
    if not all(value.is_floating_point() for value in state.values()):
        raise damaged(directory / WEIGHTS, "holds weights that are not floating-point numbers")
    weights = {key: value.float() for key, value in state.items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise damaged(directory / WEIGHTS, "holds weights that are not finite")
    try:
        with torch.random.fork_rng(devices=()), _Uninitialised():
            member = Predictor(
                config.encoder, len(config.targets), config.spectra, config.domain, config.expansion
            )
    except (TypeError, ValueError, RuntimeError) as error:
        raise damaged(directory / CONFIG, f"describes no network ({error})") from error
    try:
        member.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise damaged(
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
            raise damaged(
                directory / WEIGHTS, f"does not fit the configuration ({name} is not of shape {size})"
            )
