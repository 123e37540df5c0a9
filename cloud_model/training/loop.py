"""One training loop: AdamW, warm-up and cosine decay, gradient clipping, bfloat16, on any number of processes.

Started by ``torchrun`` or ``accelerate launch`` it runs on all their processes (DDP, FSDP); every process sees the
same batches and takes its share of the rows, so that one process and many minimise the same loss.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from cloud_model.errors import DataError

if TYPE_CHECKING:
    from accelerate import Accelerator

METRICS, BEST = "metrics.jsonl", "best.safetensors"
SAVE_EVERY = 60.0  # seconds
ASK_EVERY = 10  # steps, between processes, whether one of them was interrupted

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
        Share of the training over which the learning rate rises from zero.
    weight_decay : float
        Of AdamW, on matrices; vectors and embeddings are not decayed.
    gradient_norm : float
        Gradients are clipped to this norm.
    bfloat16 : bool
        Multiply matrices in bfloat16; weights and everything else stay float32. ``accelerate launch
        --mixed_precision`` has precedence.
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


class Step(NamedTuple):
    """A batch, and where the data go on after it.

    Attributes
    ----------
    batch : Any
        What the loss of the task takes.
    rows : int
        Crystals in it.
    after : tuple of int
        Pool and batch with which the data go on.
    """

    batch: Any
    rows: int
    after: tuple[int, int]


class Task(Protocol):
    """What is to be learned, from which data."""

    @property
    def rows(self) -> int:
        """Crystals of one epoch."""

    @property
    def identity(self) -> str:
        """Tells these data from others, so that no run resumes on the wrong ones."""

    @property
    def uses_all(self) -> bool:
        """Whether every batch gives every parameter a gradient."""

    def steps(self, epoch: int, start: tuple[int, int]) -> Iterator[Step]:
        """Batches of an epoch from a place on, the same at every call."""

    def loss(self, model: nn.Module, batch: Any, part: slice) -> tuple[Tensor, int]:
        """What some rows of a batch add to its loss, and the number of their tokens."""

    def validate(self, model: nn.Module) -> Metrics:
        """Metrics after an epoch, such as ``validation_error``; may be empty."""


@dataclass
class Progress:
    """Where a run is."""

    identity: str
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


def train(
    model: nn.Module,
    task: Task,
    schedule: Schedule,
    directory: Path,
    *,
    groups: list[dict[str, Any]] | None = None,
    patience: int | None = None,
    tensorboard: bool = False,
) -> list[Metrics]:
    """Train a model in place, resuming from `directory` if training began there.

    SIGINT and SIGTERM end it after the running step, with everything saved.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    task : Task
        Data, loss and validation.
    schedule : Schedule
        How long and how fast.
    directory : Path
        Receives the resumable state and ``metrics.jsonl``, one line an epoch.
    groups : list of dict, optional
        Parameter groups of the optimiser, if the model's are not to be treated alike.
    patience : int, optional
        Stop after this many epochs without a lower ``validation_error``, and return to the best weights.
    tensorboard : bool
        Write the metrics for TensorBoard too.

    Returns
    -------
    list of dict
        The metrics of each epoch.

    Raises
    ------
    KeyboardInterrupt
        If it was interrupted; the state is saved and the model holds the weights so far.
    DataError
        If the directory belongs to another run, or the loss is no longer finite.
    """
    training = _Training(model, task, schedule, directory, groups, patience)
    try:
        return training.run(tensorboard)
    finally:
        training.close()


def learning_rate_factor(done: float, warmup: float) -> float:
    """Linear rise, then a half cosine to zero; `done` is the share of the training that is over."""
    if done < warmup:
        return done / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay the weight matrices of linear maps, and nothing else."""
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    decayed = [p for p in model.parameters() if id(p) in matrices]
    others = [p for p in model.parameters() if id(p) not in matrices]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


class _Training:
    """A run: its state in memory and on disk.

    On disk it is ``state-<n>``, written under another name first; the newest counts.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        schedule: Schedule,
        directory: Path,
        groups: list[dict[str, Any]] | None,
        patience: int | None,
    ) -> None:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs

        self.task, self.schedule, self.directory, self.patience = task, schedule, directory, patience
        self.accelerator = Accelerator(
            cpu=not (
                torch.cuda.is_available() or torch.xpu.is_available() or torch.backends.mps.is_available()
            ),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=not task.uses_all)],
        )
        self.device = next(model.parameters()).device  # to which the model returns
        groups = groups or parameter_groups(model, schedule.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)
        self.rates = [group["lr"] for group in optimiser.param_groups]
        self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        self.bfloat16 = schedule.bfloat16 and self.accelerator.mixed_precision == "no"
        self.rows = schedule.epochs * task.rows
        directory.mkdir(parents=True, exist_ok=True)
        self.progress = self._load()
        self.saved = time.monotonic()
        is_main = self.accelerator.is_main_process
        self.bar = tqdm(
            total=self.rows, initial=self.progress.rows, unit="crystal", disable=None if is_main else True
        )

    @property
    def plain_model(self) -> nn.Module:
        """The model as the caller knows it."""
        unwrapped: nn.Module = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        return unwrapped

    def run(self, tensorboard: bool) -> list[Metrics]:
        progress = self.progress
        with _interruptible(self.accelerator) as interrupted:
            while progress.epoch < self.schedule.epochs and not self._out_of_patience():
                self._epoch(interrupted)
                self.model.eval()
                metrics = self._metrics() | self.task.validate(self.plain_model)
                progress.history.append(metrics)
                progress.next_epoch()
                if self.patience is not None:
                    self._keep_best(metrics["validation_error"])
                self._save()
                if self.accelerator.is_main_process:
                    _write_metrics(self.directory, progress.history, tensorboard)
                self.bar.set_postfix(loss=f"{metrics['loss']:.4f}")
        if self.patience is not None:
            self.plain_model.load_state_dict(load_file(self.directory / BEST))
        return progress.history

    def close(self) -> None:
        self.bar.close()
        self.plain_model.to(self.device).eval()
        self.accelerator.free_memory()

    def _epoch(self, interrupted: Callable[[int], bool]) -> None:
        progress = self.progress
        self.model.train()
        losses: list[Tensor] = []
        started = time.monotonic()
        for batch, rows, after in self.task.steps(progress.epoch, progress.place):
            loss, tokens = self._step(batch, rows)
            losses.append(loss)
            progress.place, progress.step, progress.rows = after, progress.step + 1, progress.rows + rows
            progress.tokens += tokens
            self.bar.update(rows)
            stop = interrupted(progress.step)
            if stop or time.monotonic() - self.saved > SAVE_EVERY:
                started = self._account(losses, started)
                self._save()
            if stop:
                raise KeyboardInterrupt
        self._account(losses, started)

    def _step(self, batch: Any, rows: int) -> tuple[Tensor, int]:
        accelerator, progress = self.accelerator, self.progress
        torch.manual_seed(_mixed(self.schedule.seed, progress.step, accelerator.process_index))
        factor = learning_rate_factor((progress.rows + rows) / self.rows, self.schedule.warmup)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = factor * rate
        part = slice(accelerator.process_index, None, accelerator.num_processes)
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss, tokens = self.task.loss(self.model, batch, part)
        accelerator.backward(loss * accelerator.num_processes)  # gradients are averaged over processes
        accelerator.clip_grad_norm_(self.model.parameters(), self.schedule.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.detach(), tokens

    def _account(self, losses: list[Tensor], started: float) -> float:
        """Add what happened since `started` to the progress; return the time."""
        now = time.monotonic()
        self.progress.seconds += now - started
        if losses:
            self.progress.losses += len(losses)
            self.progress.loss += _over_processes(self.accelerator, torch.stack(losses).cpu().double().sum())
            losses.clear()
        if not math.isfinite(self.progress.loss):
            raise DataError("training", "the loss is no longer finite", "Lower the learning rate.")
        return now

    def _metrics(self) -> Metrics:
        progress = self.progress
        tokens = _over_processes(self.accelerator, torch.tensor(float(progress.tokens)))
        return {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "loss": progress.loss / max(progress.losses, 1),
            "tokens_per_second": tokens / max(progress.seconds, 1e-9),
            "seconds": progress.seconds,
        }

    def _out_of_patience(self) -> bool:
        return self.patience is not None and self.progress.waited >= self.patience

    def _keep_best(self, error: float) -> None:
        self.progress.waited += 1
        if error < self.progress.lowest:
            self.progress.lowest, self.progress.waited = error, 0
            weights = self.accelerator.get_state_dict(self.model)
            if self.accelerator.is_main_process:
                unfinished = self.directory / f"{BEST}.unfinished"
                save_file({name: tensor.contiguous() for name, tensor in weights.items()}, unfinished)
                unfinished.replace(self.directory / BEST)

    def _identity(self) -> str:
        return f"{self.task.identity} {json.dumps(asdict(self.schedule))}"

    def _states(self) -> list[Path]:
        return sorted(self.directory.glob("state-*"), key=lambda path: int(path.name.removeprefix("state-")))

    def _load(self) -> Progress:
        states = self._states()
        if not states:
            return Progress(self._identity())
        content = json.loads((states[-1] / "progress.json").read_text())
        if content["identity"] != self._identity():
            raise DataError(
                str(self.directory),
                "holds a training run on other data or with another schedule",
                "Give another directory, or delete this one.",
            )
        self.accelerator.load_state(str(states[-1]))
        return Progress(**content | {"place": tuple(content["place"])})

    def _save(self) -> None:
        self.progress.saves += 1
        unfinished = self.directory / "unfinished"
        self.accelerator.save_state(str(unfinished))
        self.accelerator.wait_for_everyone()  # each process has put its random state there
        if self.accelerator.is_main_process:
            older = self._states()
            (unfinished / "progress.json").write_text(json.dumps(asdict(self.progress)))
            unfinished.rename(self.directory / f"state-{self.progress.saves}")
            for state in older:
                shutil.rmtree(state)
        self.accelerator.wait_for_everyone()
        self.saved = time.monotonic()


def remove_states(directory: Path) -> None:
    """Remove what a finished run would resume from; its metrics stay."""
    for state in directory.glob("state-*"):
        shutil.rmtree(state)
    (directory / BEST).unlink(missing_ok=True)


@contextmanager
def _interruptible(accelerator: Accelerator) -> Iterator[Callable[[int], bool]]:
    """Catch SIGINT and SIGTERM; the function that is yielded says at a step whether one came, to any process."""
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    def interrupted(step: int) -> bool:
        if accelerator.num_processes == 1:
            return bool(caught)
        return step % ASK_EVERY == 0 and _over_processes(accelerator, torch.tensor(float(len(caught)))) > 0

    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, note) for number in signals}
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _over_processes(accelerator: Accelerator, value: Tensor) -> float:
    """Sum of a number over all processes."""
    if accelerator.num_processes == 1:
        return float(value)
    return float(accelerator.reduce(value.float().to(accelerator.device), reduction="sum"))


def _mixed(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _write_metrics(directory: Path, history: list[Metrics], tensorboard: bool) -> None:
    (directory / METRICS).write_text("".join(json.dumps(line) + "\n" for line in history))
    if tensorboard:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(directory / "tensorboard")) as writer:
            for name, value in history[-1].items():
                writer.add_scalar(name, value, int(history[-1]["step"]))
