"""A checkpoint in memory, and how it is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from cloud_model.atomic import write_together
from cloud_model.bounded_cache import BoundedCache
from cloud_model.checkpoints.config import CheckpointConfig as CheckpointConfig
from cloud_model.checkpoints.files import CARD, CONFIG, VOCABULARY, WEIGHTS, damaged, read_json
from cloud_model.checkpoints.layouts import FORMAT, load_own, load_published
from cloud_model.errors import CheckpointError
from cloud_model.network.predictor import Predictor
from cloud_model.network.tokenizer import Tokenizer
from cloud_model.scope.description import Describer
from cloud_model.untrusted_json import from_record

REMEMBERED = 16384  # predictions and embeddings that are kept


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
    cache : BoundedCache
        What they predicted last, which all models of this checkpoint share.
    """

    config: CheckpointConfig
    tokenizer: Tokenizer
    members: Sequence[Predictor]
    cache: BoundedCache[Any, Any] = field(
        default_factory=lambda: BoundedCache(REMEMBERED), init=False, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[type[Checkpoint], tuple[Any, ...]]:
        return type(self), (self.config, self.tokenizer, self.members)

    @cached_property
    def describer(self) -> Describer:
        """Describes crystals as its networks were trained to read them."""
        return Describer(self.config.dialect, self.config.symprec, engine=None, remember=True)

    def save(self, directory: Path, card: str, dtype: torch.dtype = torch.float32) -> None:
        """Write the checkpoint.

        Parameters
        ----------
        directory : Path
            Made if it does not exist.
        card : str
            The model card, Markdown.
        dtype : torch.dtype
            Data type of the stored weights.

        Raises
        ------
        CheckpointError
            If its configuration could not be read again, as with control characters in a name.
        OutputError
            If it cannot be written; a checkpoint that was there is left as it was.
        """
        values = asdict(self.config)
        try:
            from_record(CheckpointConfig, values)
        except ValueError as error:
            raise CheckpointError(str(directory), f"is not written, since {error}", "Correct that.") from None
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
        config = values | {
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
        config = read_json(directory / CONFIG)
        if not isinstance(config, dict):
            raise damaged(directory / CONFIG, "is not a JSON object")
        if "format" in config:
            return cls(*load_own(directory, config))
        if config.get("model_type") == "bert":
            return cls(*load_published(directory, config))
        raise CheckpointError(
            str(directory / CONFIG),
            "is neither a CLOUD checkpoint nor a BERT model",
            "Give a directory written by this package, or one with the published layout.",
        )
