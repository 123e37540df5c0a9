"""Saved state from which a training run resumes, in a directory of its own."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cloud_model.atomic import write_atomically
from cloud_model.errors import DataError
from cloud_model.network.precision import Precision

if TYPE_CHECKING:
    from accelerate import Accelerator

BEST = "best.safetensors"

Metrics = dict[str, Any]
"""Name -> number, or the name of the precision."""


@dataclass
class Progress:
    """Where a run is."""

    identity: str
    precision: Precision
    epoch: int = 0
    place: tuple[int, int] = (0, 0)
    step: int = 0
    rows: int = 0  # over all epochs
    saves: int = 0
    tokens: int = 0  # of the epoch, as all that follows
    seconds: float = 0.0
    loss: float = 0.0  # summed
    losses: int = 0
    waited: int = 0  # epochs since the lowest validation error
    lowest: float = math.inf
    history: list[Metrics] = field(default_factory=list)

    def next_epoch(self) -> None:
        """Begin a new epoch."""
        self.epoch, self.place = self.epoch + 1, (0, 0)
        self.tokens, self.seconds, self.loss, self.losses = 0, 0.0, 0.0, 0


class StateDirectory:
    """The resumable state of a run: ``state-<n>``, written under another name first; the newest counts.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    accelerator : Accelerator
        Saves and loads model, optimiser and random states, on all processes.
    """

    def __init__(self, path: Path, accelerator: Accelerator) -> None:
        self.path, self.accelerator = path, accelerator
        self._best: dict[str, Tensor] = {}  # not on disk yet
        path.mkdir(parents=True, exist_ok=True)

    def read(self, identity: str) -> Progress | None:
        """Where the run of this identity was, None if it has not begun.

        Raises
        ------
        DataError
            If the directory belongs to another run.
        """
        states = _states(self.path)
        if not states:
            return None
        content = json.loads((states[-1] / "progress.json").read_text())
        if content["identity"] != identity:
            raise DataError(
                str(self.path),
                "holds a training run on other data or with another schedule",
                "Give another directory, or delete this one.",
            )
        self.accelerator.load_state(str(states[-1]))
        return Progress(**content | {"place": tuple(content["place"])})

    def save(self, progress: Progress) -> None:
        """Replace the state by that of now."""
        progress.saves += 1
        if self._best and self.accelerator.is_main_process:
            write_atomically(self.path / BEST, partial(save_file, self._best))
        self._best = {}
        unfinished = self.path / "unfinished"
        self.accelerator.save_state(str(unfinished))
        self.accelerator.wait_for_everyone()  # each process has put its random state there
        if self.accelerator.is_main_process:
            older = _states(self.path)
            (unfinished / "progress.json").write_text(json.dumps(asdict(progress)))
            unfinished.rename(self.path / f"state-{progress.saves}")
            for state in older:
                shutil.rmtree(state)
        self.accelerator.wait_for_everyone()

    def keep_best(self, model: nn.Module) -> None:
        """Remember the present weights as the best; they are written with the state."""
        weights: dict[str, Tensor] = self.accelerator.get_state_dict(model)
        self._best = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}

    def load_best(self, model: nn.Module) -> None:
        """Give a model the best weights that were written."""
        model.load_state_dict(load_file(self.path / BEST))


def remove_states(directory: Path) -> None:
    """Remove what a finished run would resume from; its metrics stay."""
    for state in _states(directory):
        shutil.rmtree(state)
    (directory / BEST).unlink(missing_ok=True)


def _states(directory: Path) -> list[Path]:
    return sorted(directory.glob("state-*"), key=lambda path: int(path.name.removeprefix("state-")))
