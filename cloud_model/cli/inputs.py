"""Read the crystals named on the command line, and report those that fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from glob import glob, has_magic
from itertools import islice, starmap
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from cloud_model.atomic import LOCK
from cloud_model.display.progress import ProgressReport

if TYPE_CHECKING:
    from cloud_model.crystal.crystal import Crystal
    from cloud_model.crystal.files import Selection
    from cloud_model.errors import CloudError
    from cloud_model.scope.string import Scope

CHUNK = 512  # crystals read, predicted and printed at a time
_T = TypeVar("_T")


class Source(NamedTuple):
    """A crystal as given by the user.

    Attributes
    ----------
    name : str
        For people.
    crystal : Crystal, str or CloudError
        A crystal, a SCOPE string, or why it cannot be read.
    """

    name: str
    crystal: Crystal | CloudError | str


class File(NamedTuple):
    """A file of crystals that is not read yet, and which of them are asked for."""

    path: Path
    selection: Selection


class Report:
    """Names each failed input on standard error, and knows the exit code.

    Parameters
    ----------
    silent : bool
        Keep the lines for `merge` instead.
    """

    def __init__(self, silent: bool = False) -> None:
        self.exit_code = 0
        self.lines: list[str] = []
        self._silent = silent

    def failed(self, source: Source, reason: object) -> None:
        """Report one input."""
        text = str(reason)
        self.say(text if text.startswith(source.name) else f"{source.name}: {text}")
        self.exit_code = 1

    def doubt(self, source: Source) -> None:
        """Say that the predictions for one input are not to be trusted."""
        self.say(
            f"{source.name}: unlike the training crystals (out of domain), so do not trust its predictions"
        )

    def say(self, line: str) -> None:
        """Print a line on standard error."""
        if self._silent:
            self.lines.append(line)
        else:
            click.echo(line, err=True)

    def merge(self, other: Report) -> None:
        """Report what another one kept."""
        for line in other.lines:
            self.say(line)
        self.exit_code = max(self.exit_code, other.exit_code)


def fields_of(scope: Scope | None) -> dict[str, Any]:
    """What was read of a crystal, for its record; None in all fields if it could not be."""
    return {name: getattr(scope, name, None) for name in ("formula", "space_group", "n_atoms")}


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def chunks(arguments: Sequence[str], prints: bool = True) -> Iterator[list[Source]]:
    """Crystals of the arguments in portions; an error at once if there is no file.

    Progress shows on standard error, unless results are printed on a terminal.
    """
    return _portions(listed(arguments), silent=prints and sys.stdout.isatty())


def listed(arguments: Iterable[str]) -> list[Source | File]:
    """All that `unread` gives; an error if that is nothing."""
    items = list(unread(arguments))
    if not items:
        raise click.UsageError("no files found")
    return items


def _portions(items: Sequence[Source | File], silent: bool) -> Iterator[list[Source]]:
    several = len(items) > 1
    total, unit = (len(items), "inputs") if several else (None, "crystals")
    iterator, done = iter(items), 0
    with closing(ProgressReport("Done", total, unit, silent=silent)) as report:
        for portion in batched(read(iterator), CHUNK):
            yield portion
            begun = len(items) - length_hint(iterator)
            report.update(begun - done if several else len(portion))
            done = begun


def unread(arguments: Iterable[str]) -> Iterator[Source | File]:
    """Resolve the arguments, without reading files of crystals."""
    from cloud_model.crystal.files import is_scope_string, read_bytes, split_selection
    from cloud_model.errors import CrystalError

    for argument in arguments:
        if argument == "-":
            yield from _standard_input()
            continue
        if is_scope_string(argument) and not os.path.lexists(argument):
            yield Source(argument, argument)
            continue
        name, selection = split_selection(argument)
        for path in _paths(name):
            shown = click.format_filename(path)
            try:
                text = read_bytes(path, shown).decode(errors="replace") if path.suffix == ".scope" else None
            except CrystalError:  # which reading it as a crystal reports
                text = None
            if text is None:
                yield File(path, selection)
            else:
                yield from _lines(shown, text)


def read(items: Iterable[Source | File]) -> Iterator[Source]:
    """Crystals of what `unread` gives."""
    from cloud_model.crystal.files import read_crystals

    for item in items:
        if isinstance(item, Source):
            yield item
        else:
            name = click.format_filename(item.path)
            yield from starmap(Source, read_crystals(item.path, name, item.selection))


def _paths(argument: str) -> list[Path]:
    """Files of a pattern or folder, sorted, hidden ones and locks left out; the argument itself if it is neither."""
    path = Path(argument)
    if has_magic(argument) and not os.path.lexists(argument):
        found = sorted(glob(argument, recursive=True))  # noqa: PTH207
        return [Path(name) for name in found] or [path]
    if not os.path.isdir(argument):  # noqa: PTH112 (which is False where there can be no such name)
        return [path]
    try:
        return sorted(
            entry
            for entry in path.iterdir()
            if not (entry.name.startswith(".") or entry.name == LOCK or os.path.isdir(entry))  # noqa: PTH112
        )
    except OSError:  # which reading it reports
        return [path]


def _standard_input() -> Iterator[Source]:
    """SCOPE strings, one per line, or the crystals of one file."""
    from cloud_model.crystal.files import MAX_BYTES, is_scope_string, read_crystals

    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    beginning = content[:CHUNK].decode(errors="replace").partition("\n")[0]
    if is_scope_string(beginning):
        yield from _lines("stdin", content.decode(errors="replace"))
    else:
        yield from starmap(Source, read_crystals(content, "stdin"))


def _lines(name: str, text: str) -> Iterator[Source]:
    """SCOPE strings, one per line."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield Source(f"{name}:{number}", line)
