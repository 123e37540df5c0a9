"""Many crystals in several processes, on one machine or a cluster: a file of results for each shard of inputs."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from cloud_model.atomic import write_atomically
from cloud_model.cli.inputs import CHUNK, File, Report, Source, batched, listed, read
from cloud_model.cli.options import folder, processes
from cloud_model.display.progress import ProgressReport
from cloud_model.errors import ArgumentError, DataError
from cloud_model.parallel import results_of

Backend = Literal["loky", "dask", "ray"]
Work = Callable[[Iterator[list[Source]], Path, Report], None]
"""Writes the results of portions of crystals to a file, and reports those that failed."""

TRIES = 3  # without a single shard finished, after which the work is given up


@dataclass(frozen=True)
class Sharding:
    """Where results go and who computes them.

    Attributes
    ----------
    folder : Path
        Receives ``part-<number>-<digest of inputs and options>``; those that are there are not computed again. What
        is to be said about one, such as which crystals failed, is in a file of this name with ``_`` before it.
    jobs : int
        Processes of this machine, -1 for one per core.
    backend : {'loky', 'dask', 'ray'}
        What runs them, as in joblib.
    scheduler : str, optional
        Address of a running Dask cluster.
    """

    folder: Path
    jobs: int
    backend: Backend
    scheduler: str | None

    def __post_init__(self) -> None:
        if self.scheduler and self.backend != "dask":
            raise click.UsageError("--scheduler is the address of a Dask cluster: add --backend dask.")

    @property
    def in_this_process(self) -> bool:
        """Whether no other process takes part."""
        return self.backend == "loky" and self.jobs == 1


def options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of `Sharding`, which the command receives as ``sharding``, None without ``--shards``."""

    def run(
        shards: Path | None, jobs: int | None, backend: Backend, scheduler: str | None, **others: Any
    ) -> int:
        if shards is None and (jobs is not None or backend != "loky" or scheduler):
            raise click.UsageError(
                "--jobs, --backend and --scheduler need --shards, a folder for the results."
            )
        sharding = (
            None if shards is None else Sharding(shards, 1 if jobs is None else jobs, backend, scheduler)
        )
        return command(sharding=sharding, **others)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Running Dask cluster; default: a new one.",
        ),
        click.option(
            "--backend",
            type=click.Choice(["loky", "dask", "ray"]),
            default="loky",
            show_default=True,
            help="What runs the processes.",
        ),
        click.option("--jobs", type=processes, help="Processes; -1 for one per core; default 1."),
        click.option(
            "--shards",
            type=folder,
            help="Folder for results, a file per 512 inputs; existing files are kept.",
        ),
    ):
        run = option(run)
    return run


def write_shards(sharding: Sharding, inputs: Sequence[str], suffix: str, work: Work) -> int:
    """Divide crystals into shards, and write the results of those that are not there yet.

    Neither crystals nor results pass through this process. A process that dies costs the shards it worked on,
    which are computed again.

    Parameters
    ----------
    sharding : Sharding
        Where to, and by whom.
    inputs : sequence of str
        Arguments of the command.
    suffix : str
        Suffix of the files.
    work : partial
        Partial application of a module's function; its arguments distinguish these results from others.

    Returns
    -------
    int
        The exit code: 1 if crystals failed, of earlier runs too.

    Raises
    ------
    ArgumentError
        If the folder holds results of other inputs or options.
    DataError
        If processes die again and again.
    """
    if "-" in inputs:
        raise click.UsageError("--shards reads files, not standard input.")
    portions = list(batched(listed(inputs), CHUNK))
    sharding.folder.mkdir(parents=True, exist_ok=True)
    report = Report()
    failed_tries = 0
    paths = _paths(sharding, portions, suffix, work)
    reported: set[Path] = set()
    with ExitStack() as stack:
        parallel, lost = _parallel(sharding, stack)
        while failed_tries < TRIES:
            tasks = _tasks(sharding, portions, paths, work)
            finished, known = 0, len(portions) - len(tasks)
            try:
                with closing(ProgressReport("Done", len(portions), "shards", known)) as progress:
                    for path, shard in parallel(iter(tasks)):
                        finished += 1
                        reported.add(path)
                        report.merge(shard)
                        progress.update(1)
                # written by an earlier run, or by a try that did not come to its end
                for path in (path for path in paths if path not in reported):
                    report.merge(_kept_report(path))
                return report.exit_code
            except lost:
                failed_tries = 0 if finished else failed_tries + 1
    raise DataError(
        "a process",
        f"ended {TRIES} times before its crystals were done, for lack of memory or by a signal",
        "Use fewer processes; what is done is kept.",
    )


def _parallel(
    sharding: Sharding, stack: ExitStack
) -> tuple[Callable[[Iterator[Any]], Iterator[tuple[Path, Report]]], tuple[type[Exception], ...]]:
    """What runs tasks and yields their results as they come, and the errors that mean that a process was lost."""
    import joblib

    lost: tuple[type[Exception], ...] = (BrokenExecutor,)
    jobs: int | None = sharding.jobs
    if sharding.backend == "dask":
        try:
            from distributed import Client, KilledWorker
        except ImportError:
            raise _missing("dask", "distributed") from None
        lost += (KilledWorker,)
        workers = os.cpu_count() if sharding.jobs < 0 else sharding.jobs
        local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        stack.enter_context(Client(sharding.scheduler, **({} if sharding.scheduler else local)))
        jobs = -1
    elif sharding.backend == "ray":
        try:
            from ray.exceptions import RayError
            from ray.util.joblib import register_ray
        except ImportError:
            raise _missing("ray", "ray") from None
        lost += (RayError,)
        register_ray()
    stack.enter_context(joblib.parallel_config(backend=sharding.backend, n_jobs=jobs))

    return partial(results_of, ordered=False, batch_size=1), lost


def _paths(
    sharding: Sharding, portions: Sequence[Sequence[Source | File]], suffix: str, work: Work
) -> list[Path]:
    """File of the results of each portion."""
    options = repr(work.keywords) if isinstance(work, partial) else ""
    paths = []
    for number, items in enumerate(portions):
        digest = hashlib.sha256(repr((options, items)).encode()).hexdigest()
        path = sharding.folder / f"part-{number:05d}-{digest[:8]}{suffix}"
        others = [found for found in sharding.folder.glob(f"part-{number:05d}-*") if found != path]
        if others:
            raise ArgumentError(
                str(sharding.folder),
                f"holds results of other crystals or options ({others[0].name})",
                "Give another folder.",
            )
        paths.append(path)
    return paths


def _tasks(
    sharding: Sharding, portions: Sequence[Sequence[Source | File]], paths: Sequence[Path], work: Work
) -> list[Any]:
    """Portions whose results are not there yet."""
    from joblib import delayed

    return [
        delayed(_write_shard)(work, items, path, not sharding.in_this_process)
        for items, path in zip(portions, paths, strict=True)
        if not path.exists()
    ]


def _write_shard(
    work: Work, items: Sequence[Source | File], path: Path, one_thread: bool
) -> tuple[Path, Report]:
    """Write a shard. Processes side by side have a thread each."""
    if one_thread:
        os.environ["OMP_NUM_THREADS"] = "1"  # which torch reads when it is imported
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
    report = Report(silent=True)

    def write(unfinished: Path) -> None:
        work(batched(read(items), CHUNK), unfinished, report)
        _keep_report(report, path)  # before the shard is in its place

    write_atomically(path, write)
    return path, report


def _keep_report(report: Report, shard: Path) -> None:
    """Keep what is to be said about a shard beside it, for when the process that asked for it is not told."""
    kept = _report_file(shard)
    if report.lines:
        write_atomically(kept, json.dumps({"exit_code": report.exit_code, "lines": report.lines}))
    else:
        kept.unlink(missing_ok=True)


def _kept_report(shard: Path) -> Report:
    report, kept = Report(silent=True), _report_file(shard)
    if kept.exists():
        content = json.loads(kept.read_text())
        report.exit_code, report.lines = content["exit_code"], content["lines"]
    return report


def _report_file(shard: Path) -> Path:
    """A file that readers of Parquet folders pass over."""
    return shard.with_name(f"_{shard.stem}.json")


def _missing(backend: str, package: str) -> ArgumentError:
    return ArgumentError(
        f"backend {backend!r}", f"needs the package {package!r}", f"Install it: pip install {package}"
    )
