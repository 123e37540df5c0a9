"""One training loop: AdamW, warm-up and cosine decay, gradient clipping, on any number of processes.

Started by ``torchrun`` or ``accelerate launch`` it runs on all their processes (DDP, FSDP); every process sees the
same batches and takes its share of the rows, so that one process and many minimise the same loss.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cloud_model.display.progress import ProgressReport
from cloud_model.errors import DataError
from cloud_model.network.encoder import Encoder
from cloud_model.network.precision import (
    Choice,
    Precision,
    autocast,
    check_precision,
    choose_precision,
    kernels,
)
from cloud_model.process import interruptible
from cloud_model.training.state import Metrics, Progress, StateDirectory

if TYPE_CHECKING:
    from accelerate import Accelerator

METRICS = "metrics.jsonl"
SAVE_EVERY = 60.0  # seconds
ASK_EVERY = 10  # steps, after which processes ask one another whether to stop or to save
ACCELERATE_PRECISIONS: dict[str, Precision] = {"bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    epochs : int
        Passes over the data.
    learning_rate : float
        Peak learning rate of AdamW.
    warmup : float
        Share of the training over which the learning rate rises from zero.
    weight_decay : float
        Weight decay of AdamW on matrices; vectors and embeddings are not decayed.
    gradient_norm : float
        Gradients are clipped to this norm.
    precision : {'auto', 'float32', 'bfloat16'}
        Precision of matrix products; weights and everything else stay float32. ``auto`` is the faster of both,
        and for a run that resumes the one that it began with. ``accelerate launch --mixed_precision`` has
        precedence.
    seed : int
        Random seed of initialisation, order, masking and dropout.
    """

    epochs: int
    learning_rate: float
    warmup: float = 0.05
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    precision: Choice = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_precision(self.precision)


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
    """A task to be learned, and its data."""

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
        """Contribution of some rows of a batch to its loss, and the number of their tokens."""

    def validate(self, model: nn.Module) -> Metrics:
        """Metrics after an epoch, such as ``validation_error``; may be empty."""


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


class _Agreed(NamedTuple):
    """Action of all processes after a step."""

    stop: bool
    save: bool


class _Training:
    """A run in memory."""

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
        # torch.manual_seed takes a stack trace for each device that it might find later
        self.random: Any = torch.default_generator if self.accelerator.device.type == "cpu" else torch
        self.device = next(model.parameters()).device  # to which the model returns
        groups = groups or parameter_groups(model, schedule.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)
        self.rates = [group["lr"] for group in optimiser.param_groups]
        self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        self.rows = schedule.epochs * task.rows
        self.state = StateDirectory(directory, self.accelerator)
        begun = self.state.read(self._identity())
        precision = self._precision(begun)
        self.progress = begun or Progress(self._identity(), precision)
        self.progress.precision = precision
        self.saved = time.monotonic()
        self.report = ProgressReport(
            f"{directory.name} in {precision}",
            self.rows,
            "crystals",
            self.progress.rows,
            silent=not self.accelerator.is_main_process,
        )

    @property
    def plain_model(self) -> nn.Module:
        """The model as the caller knows it."""
        unwrapped: nn.Module = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        return unwrapped

    def run(self, tensorboard: bool) -> list[Metrics]:
        progress = self.progress
        with (
            interruptible() as caught,
            kernels(progress.precision, self.accelerator.device),
        ):
            while progress.epoch < self.schedule.epochs and not self._out_of_patience():
                self._epoch(caught)
                self.model.eval()
                metrics = self._metrics() | self.task.validate(self.plain_model)
                progress.history.append(metrics)
                progress.next_epoch()
                if self.patience is not None:
                    self._keep_best(metrics["validation_error"])
                finished = progress.epoch == self.schedule.epochs or self._out_of_patience()
                if finished or self._agreed(caught).save:
                    self._save()
                if self.accelerator.is_main_process:
                    _write_metrics(self.directory, progress.history, tensorboard)
        if self.patience is not None:
            self.state.load_best(self.plain_model)
        return progress.history

    def close(self) -> None:
        self.report.close()
        self.plain_model.to(self.device).eval()
        self.accelerator.free_memory()

    def _epoch(self, caught: Sequence[int]) -> None:
        progress = self.progress
        self.model.train()
        losses: list[Tensor] = []
        started = time.monotonic()
        for batch, rows, after in self.task.steps(progress.epoch, progress.place):
            loss, tokens = self._step(batch, rows)
            losses.append(loss)
            progress.place, progress.step, progress.rows = after, progress.step + 1, progress.rows + rows
            progress.tokens += tokens
            figures = f"step {progress.step:,}, loss {float(loss):.4f}" if self.report.is_due else ""
            self.report.update(rows, figures)
            if self.accelerator.num_processes > 1 and progress.step % ASK_EVERY:
                continue
            agreed = self._agreed(caught)
            if agreed.stop or agreed.save:
                started = self._account(losses, started)
                self._save()
            if agreed.stop:
                raise KeyboardInterrupt
        self._account(losses, started)

    def _step(self, batch: Any, rows: int) -> tuple[Tensor, int]:
        accelerator, progress = self.accelerator, self.progress
        self.random.manual_seed(_mixed(self.schedule.seed, progress.step, accelerator.process_index))
        factor = learning_rate_factor((progress.rows + rows) / self.rows, self.schedule.warmup)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = factor * rate
        part = slice(accelerator.process_index, None, accelerator.num_processes)
        with nullcontext() if self._launched_precision else autocast(progress.precision, accelerator.device):
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
            "precision": progress.precision,
        }

    def _out_of_patience(self) -> bool:
        return self.patience is not None and self.progress.waited >= self.patience

    def _keep_best(self, error: float) -> None:
        self.progress.waited += 1
        if error < self.progress.lowest:
            self.progress.lowest, self.progress.waited = error, 0
            self.state.keep_best(self.model)

    def _agreed(self, caught: Sequence[int]) -> _Agreed:
        """What to do now: stop if a signal came to any process, save if the first one says that it is time."""
        due = time.monotonic() - self.saved > SAVE_EVERY and self.accelerator.is_main_process
        votes = (_over_processes(self.accelerator, torch.tensor(float(vote))) for vote in (len(caught), due))
        return _Agreed(*(vote > 0 for vote in votes))

    def _save(self) -> None:
        self.state.save(self.progress)
        self.saved = time.monotonic()

    def _identity(self) -> str:
        schedule = {name: value for name, value in asdict(self.schedule).items() if name != "precision"}
        return f"{self.task.identity} {json.dumps(schedule)}"

    @property
    def _launched_precision(self) -> Precision | None:
        """That of ``accelerate launch``, which then wraps the model itself."""
        return ACCELERATE_PRECISIONS.get(self.accelerator.mixed_precision)

    def _precision(self, begun: Progress | None) -> Precision:
        """The precision of accelerate, of the schedule, of an earlier start, or the faster one, in this order."""
        from accelerate.utils import broadcast_object_list

        if self._launched_precision:
            return self._launched_precision
        if self.schedule.precision == "auto" and begun is not None:
            return begun.precision
        widths = [m.config.hidden_size for m in self.plain_model.modules() if isinstance(m, Encoder)]
        if not widths:  # heads alone
            return "float32"
        chosen = [choose_precision(self.schedule.precision, widths[0], self.accelerator.device)]
        broadcast_object_list(chosen)  # processes must not differ
        return chosen[0]


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
                if not isinstance(value, str):
                    writer.add_scalar(name, value, int(history[-1]["step"]))
