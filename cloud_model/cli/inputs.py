"""Arguments of the command line to crystals, and the report on those that failed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

import click

CHUNK = 512  # crystals read, predicted and printed at a time
_T = TypeVar("_T")


class Source(NamedTuple):
    """A crystal as given by the user.

    Attributes
    ----------
    name : str
        For people.
    crystal : str
        A path or a SCOPE string.
    """

    name: str
    crystal: str


class Report:
    """Names each failed input on standard error, and knows the exit code."""

    def __init__(self) -> None:
        self.exit_code = 0

    def failed(self, source: Source, reason: object) -> None:
        """Report one input."""
        text = str(reason)
        click.echo(text if text.startswith(source.name) else f"{source.name}: {text}", err=True)
        self.exit_code = 1


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def chunks(arguments: Sequence[str]) -> Iterator[list[Source]]:
    """Crystals of the arguments in portions, behind a progress bar if it takes long and somebody looks."""
    from tqdm import tqdm

    empty = True
    with tqdm(unit=" crystals", disable=None, leave=False, delay=2) as bar:  # None: only on a terminal
        for chunk in batched(_sources(arguments), CHUNK):
            empty = False
            yield chunk
            bar.update(len(chunk))
            bar.clear()
    if empty:
        raise click.UsageError("no files found")


def _sources(arguments: Iterable[str]) -> Iterator[Source]:
    for argument in arguments:
        if argument == "-":
            yield from _standard_input()
        elif "|" in argument:
            yield Source(argument, argument)
        elif has_magic(argument) and not Path(argument).exists():
            yield from map(_file, sorted(glob(argument, recursive=True)) or [argument])  # noqa: PTH207
        elif Path(argument).is_dir():
            yield from map(_file, sorted(str(path) for path in Path(argument).iterdir() if path.is_file()))
        else:
            yield _file(argument)


def _file(path: str) -> Source:
    return Source(click.format_filename(path), path)


def _standard_input() -> Iterator[Source]:
    """SCOPE strings, one a line, or the content of one file of crystals."""
    text = sys.stdin.buffer.read().decode(errors="replace")
    if "|" in text.partition("\n")[0]:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield Source(f"stdin:{number}", line)
        return
    folder = click.get_current_context().with_resource(TemporaryDirectory())
    path = Path(folder, f"stdin{_suffix(text)}")
    path.write_text(text)
    yield Source("stdin", str(path))


def _suffix(text: str) -> str:
    """Guess the format of a file of crystals by its content."""
    if "_cell_length_a" in text:
        return ".cif"
    if "Lattice=" in text:
        return ".extxyz"
    if text.lstrip().startswith("{"):
        return ".json"
    return ".vasp"
