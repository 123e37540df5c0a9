"""One training loop: AdamW, warm-up and cosine decay, gradient clipping, bfloat16, resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

STATE = "training_state.pt"
METRICS = "metrics.jsonl"
SAVE_EVERY = 60.0  # seconds

Metrics = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    epochs : int
        Passes over the data.
    learning_rate : float
        Of AdamW, at its peak.
    warmup : float
        Share of the steps over which the learning rate rises from zero.
    weight_decay : float
        Of AdamW, on matrices; vectors and embeddings are not decayed.
    gradient_norm : float
        Gradients are clipped to this norm.
    bfloat16 : bool
        Multiply matrices in bfloat16; weights and everything else stay float32.
    seed : int
        Of initialisation, order, masking and dropout.
    """

    epochs: int
    learning_rate: float
    warmup: float = 0.05
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    bfloat16: bool = True
    seed: int = 0


def train(
    model: nn.Module,
    epoch_batches: Callable[[int], Sequence[Any]],
    loss: Callable[[nn.Module, Any], tuple[Tensor, int]],
    schedule: Schedule,
    directory: Path,
    *,
    groups: list[dict[str, Any]] | None = None,
    validate: Callable[[nn.Module], Metrics] | None = None,
    patience: int | None = None,
) -> list[Metrics]:
    """Train a model in place, resuming from `directory` if training began there.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    epoch_batches : callable
        Number of the epoch -> its batches, the same at every call.
    loss : callable
        Model and batch -> loss and number of tokens.
    schedule : Schedule
        How long and how fast.
    directory : Path
        Receives the resumable state and ``metrics.jsonl``, one line an epoch.
    groups : list of dict, optional
        Parameter groups of the optimiser, if the model's are not to be treated alike.
    validate : callable, optional
        Model -> metrics, called after each epoch.
    patience : int, optional
        Stop after this many epochs without a lower ``validation_error``, and return to the best weights.

    Returns
    -------
    list of dict
        The metrics of each epoch.
    """
    directory.mkdir(parents=True, exist_ok=True)
    steps_per_epoch = len(epoch_batches(0))
    total = steps_per_epoch * schedule.epochs
    optimiser = torch.optim.AdamW(
        groups or parameter_groups(model, schedule.weight_decay), lr=schedule.learning_rate, fused=True
    )
    rates = LambdaLR(optimiser, lambda step: learning_rate_factor(step, total, schedule.warmup))
    best = _Best(model, patience)
    state = _Resumable(directory, model, optimiser, rates, best)
    history = state.load()
    torch.manual_seed(schedule.seed + 1_000_003 * state.step)

    progress = tqdm(total=total, initial=state.step, unit="step", disable=None, mininterval=1)
    for epoch, batches in _remaining_epochs(epoch_batches, schedule.epochs, state.step, steps_per_epoch):
        if best.is_over:
            break
        model.train()
        started, tokens, losses = time.monotonic(), 0, []
        for batch in batches:
            with torch.autocast(
                next(model.parameters()).device.type, torch.bfloat16, enabled=schedule.bfloat16
            ):
                value, count = loss(model, batch)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), schedule.gradient_norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            rates.step()
            losses.append(value.item())
            tokens += count
            state.advance(history)
            progress.update()
        seconds = time.monotonic() - started
        metrics: Metrics = {
            "epoch": epoch + 1,
            "step": state.step,
            "loss": math.fsum(losses) / max(len(losses), 1),
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
        }
        if validate is not None:
            model.eval()
            metrics |= validate(model)
        history.append(metrics)
        (directory / METRICS).write_text("".join(json.dumps(line) + "\n" for line in history))
        progress.set_postfix(loss=f"{metrics['loss']:.4f}")
        best.update(metrics)
        state.save(history)
        if best.is_over:
            break
    progress.close()
    best.restore()
    model.eval()
    return history


def learning_rate_factor(step: int, total: int, warmup: float) -> float:
    """Linear rise, then a half cosine to zero."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay the weight matrices of linear maps, and nothing else."""
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    decayed = [p for p in model.parameters() if id(p) in matrices]
    others = [p for p in model.parameters() if id(p) not in matrices]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _remaining_epochs(
    epoch_batches: Callable[[int], Sequence[Any]], epochs: int, step: int, steps_per_epoch: int
) -> Iterator[tuple[int, Sequence[Any]]]:
    first, skipped = divmod(step, steps_per_epoch)
    for epoch in range(first, epochs):
        yield epoch, epoch_batches(epoch)[skipped:]
        skipped = 0


class _Best:
    """The weights of the epoch with the lowest ``validation_error``, kept if there is a patience."""

    def __init__(self, model: nn.Module, patience: int | None) -> None:
        self.model = model
        self.patience = patience
        self.error = math.inf
        self.waited = 0
        self.weights: dict[str, Tensor] = {}

    @property
    def is_over(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def update(self, metrics: Metrics) -> None:
        if self.patience is None:
            return
        self.waited += 1
        if metrics["validation_error"] < self.error:
            self.error, self.waited = metrics["validation_error"], 0
            self.weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def restore(self) -> None:
        if self.weights:
            self.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"error": self.error, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.error, self.waited, self.weights = state["error"], state["waited"], state["weights"]


class _Resumable:
    """The state of a training run on disk, written atomically and not more often than needed."""

    def __init__(self, directory: Path, *parts: Any) -> None:
        self.path = directory / STATE
        self.parts = parts
        self.step = 0
        self.saved = time.monotonic()

    def load(self) -> list[Metrics]:
        if not self.path.exists():
            return []
        saved = torch.load(self.path, weights_only=True)
        for part, state in zip(self.parts, saved["parts"], strict=True):
            part.load_state_dict(state)
        self.step = saved["step"]
        return list(saved["history"])

    def advance(self, history: list[Metrics]) -> None:
        self.step += 1
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save(history)

    def save(self, history: list[Metrics]) -> None:
        state = {"step": self.step, "history": history, "parts": [part.state_dict() for part in self.parts]}
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.path)
        self.saved = time.monotonic()
