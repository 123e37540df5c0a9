"""Screening: decorate the known prototypes with elements, and rank the resulting crystals by stability.

Candidates are SCOPE strings; nothing has coordinates or is relaxed. They are described by one process, and predicted
in blocks, by several if you like, in a fixed order; an interrupted run resumes after its last whole block.
"""

from __future__ import annotations

import csv
import heapq
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_model.arguments import checked_integer, checked_path
from cloud_model.atomic import locked, output_error, write_atomically
from cloud_model.display.progress import ProgressReport
from cloud_model.errors import ArgumentError, CloudError, DataError, shortly
from cloud_model.model import CloudModel
from cloud_model.parallel import number_of_processes
from cloud_model.physics.conditions import checked_temperature
from cloud_model.scope.string import Scope
from cloud_model.stability.distances import competing_phases, distances, energy_column
from cloud_model.stability.references import References
from cloud_plugins.pymatgen.entries import ReferenceSource, references_from
from cloud_plugins.pymatgen.prototypes import (
    Prototype,
    checked_elements,
    decorations,
    expects_balance,
    prototypes,
)

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 512  # candidates that are predicted together
CANDIDATES, SETTINGS = "candidates.csv", "settings.json"
Row = dict[str, Any]


def screen(
    elements: str | Iterable[str],
    *,
    references: ReferenceSource | None = None,
    known_prototypes: References | None = None,
    n_sites: int | None = None,
    space_groups: Collection[int] | None = None,
    charge_balance: bool | None = None,
    temperature: float | None = None,
    top: int | None = None,
    output: str | os.PathLike[str] | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    model: str | os.PathLike[str] | CloudModel | None = None,
) -> pd.DataFrame:
    """Rank all decorations of the known prototypes with some elements by the probability that they are stable.

    Parameters
    ----------
    elements : str or iterable of str
        Every candidate holds all of them: ``"Li-Mn-O"`` or ``["Li", "Mn", "O"]``.
    references : PhaseDiagram, list of entries, References, str or path-like, optional
        What candidates may decompose into, as for `stability`.
    known_prototypes : References, optional
        Phases whose structures are decorated; those that ship if left out.
    n_sites : int, optional
        Largest number of atoms in the conventional cell; any if left out.
    space_groups : collection of int, optional
        Numbers of the space groups; all if left out.
    charge_balance : bool, optional
        Keep only formulas whose oxidation states can balance. By default for nitrides, oxides, sulfides, selenides and
        halides.
    temperature : float, optional
        Add the vibrations of all phases at this temperature, K.
    top : int, optional
        Number of candidates to return; all if left out.
    output : str or path-like, optional
        Folder. All candidates go into its file ``candidates.csv`` block by block, so that memory grows
        with `top` only; an interrupted run resumes from it.
    n_jobs : int
        Processes that predict, as in joblib; the backend is that of ``joblib.parallel_config``.
    progress : bool
        Show on standard error how far it is.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.

    Returns
    -------
    DataFrame
        One row a candidate, best first: the columns of `stability` but for ``error``, and ``orbits``, ``prototype`` (a
        known phase with the same occupied positions) and ``scope``. ``known`` names the reference that a candidate is.

    Raises
    ------
    ArgumentError
        If an element is unknown or repeated, there are none, or the folder was begun with other settings.
    DataError
        If an element has no reference, or nothing is left to screen.
    VocabularyError
        If the model does not know an element.

    Notes
    -----
    Candidates are compared with the known phases, not with one another. Crystals with other free coordinates share a
    string and so a row.
    """
    import pandas as pd

    names = checked_elements(elements)
    number_of_processes(n_jobs)
    n_sites, top = (
        None if number is None else checked_integer(name, number, 1, "Give one, or None for all.")
        for name, number in (("n_sites", n_sites), ("top", top))
    )
    if not (
        space_groups is None
        or (isinstance(space_groups, Collection) and not isinstance(space_groups, str | bytes))
    ):
        raise ArgumentError(
            f"space_groups {shortly(space_groups)}", "are not numbers", "Give a list, such as [62]."
        )
    if not (charge_balance is None or isinstance(charge_balance, bool)):
        raise ArgumentError(
            f"charge_balance {shortly(charge_balance)}",
            "is neither true nor false",
            "Give True, False or None.",
        )
    if temperature is not None:
        temperature = checked_temperature(temperature)
    file_name = None if output is None else checked_path("output", output)
    loaded = CloudModel.from_pretrained(model)
    loaded_name = loaded if isinstance(model, CloudModel) else model
    given = None if references is None else references_from(references)
    (given or References.load()).check(names)
    _check_vocabulary(loaded, names)
    found = prototypes(known_prototypes or References.load(), len(names), n_sites, space_groups)
    balance = expects_balance(names) if charge_balance is None else charge_balance
    competing = competing_phases([_any_scope(names)], given, temperature, loaded)
    settings = {
        "elements": sorted(names),
        "references": competing.source,
        "phases": len(competing),
        "prototypes": len(found),
        "charge_balance": balance,
        "temperature": temperature,
        "model": loaded.name,
        "energy": energy_column(competing, temperature, loaded),
    }
    candidates = _readable(decorations(found, sorted(names), balance), loaded)
    first = next(candidates, None)
    if first is None:
        raise DataError(
            "-".join(names), "no prototype is left to decorate", "Allow more sites, space groups or charges."
        )
    best = _Best(top)
    with ExitStack() as stack:
        file: _CandidateFile | None = None
        if file_name is not None:
            stack.enter_context(locked(file_name, "a screening"))
            file = stack.enter_context(closing(_CandidateFile(file_name, settings)))
        done = 0
        for row in file.rows() if file else ():
            best.add(row)
            done += 1
        blocks = _blocks(chain([first], candidates), done)
        report = ProgressReport("Screening", None, "candidates", done, silent=not progress)
        stack.callback(report.close)
        for rows in _predicted(blocks, competing, temperature, loaded_name, n_jobs, report):
            if file:
                file.append(rows)
            for row in rows:
                best.add(row)
    return pd.DataFrame(best.ranked())


def predict_block(
    block: Sequence[tuple[str, str]],
    competing: References,
    temperature: float | None,
    model: str | os.PathLike[str] | CloudModel | None,
) -> list[Row]:
    """Rows of candidates, which are SCOPE strings and the examples of their prototypes."""
    loaded = CloudModel.from_pretrained(model)
    described = [Scope.parse(text) for text, _ in block]
    rows = distances(described, competing, temperature, loaded)
    return [
        row
        | {
            "orbits": ";".join(f"{element}:{symbol}" for symbol, element in scope.orbits or ()),
            "prototype": example,
            "scope": text,
        }
        for row, scope, (text, example) in zip(rows, described, block, strict=True)
    ]


def _predicted(
    blocks: Iterable[list[tuple[str, str]]],
    competing: References,
    temperature: float | None,
    model: str | os.PathLike[str] | CloudModel | None,
    n_jobs: int,
    report: ProgressReport,
) -> Iterator[list[Row]]:
    """Rows of each block, in their order."""
    from joblib import Parallel, delayed

    if n_jobs == 1:
        results: Iterable[list[Row]] = (predict_block(b, competing, temperature, model) for b in blocks)
    else:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch="2*n_jobs")
        results = parallel(delayed(predict_block)(block, competing, temperature, model) for block in blocks)
    for rows in results:
        yield rows
        report.update(len(rows))


def _readable(candidates: Iterable[tuple[Scope, Prototype]], model: CloudModel) -> Iterator[tuple[str, str]]:
    """Strings that are not too long for the model, and the examples of their prototypes."""
    for scope, prototype in candidates:
        try:
            model.checkpoint.tokenizer.encode(scope.to(model.dialect))
        except CloudError:
            continue
        yield str(scope), prototype.example


def _blocks(candidates: Iterable[tuple[str, str]], done: int) -> Iterator[list[tuple[str, str]]]:
    remaining = islice(candidates, done, None)
    while block := list(islice(remaining, BLOCK)):
        yield block


def _any_scope(elements: Sequence[str]) -> Scope:
    """A string that holds these elements."""
    return Scope.from_orbits(1, [("1a", element) for element in elements])


def _check_vocabulary(model: CloudModel, elements: Sequence[str]) -> None:
    unknown = sorted(set(elements) - model.elements)
    if unknown:
        raise ArgumentError(
            ", ".join(unknown), f"is unknown to {model.name!r}", "Leave it out, or use another checkpoint."
        )


class _Best:
    """The rows of highest rank."""

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._added = 0
        self.rows: list[tuple[float, float, int, Row]] = []

    def add(self, row: Row) -> None:
        self._added += 1
        item = (row["probability_stable"], -row["energy_above_hull"], -self._added, row)
        if self._size is None:
            self.rows.append(item)
        elif len(self.rows) < self._size:
            heapq.heappush(self.rows, item)
        else:
            heapq.heappushpop(self.rows, item)

    def ranked(self) -> list[Row]:
        return [row for *_, row in sorted(self.rows, key=lambda item: item[:3], reverse=True)]


class _CandidateFile:
    """``candidates.csv`` in a folder, and the settings that it was begun with."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._path = folder / CANDIDATES
        kept = folder / SETTINGS
        if self._path.exists() and kept.exists() and json.loads(kept.read_text()) != settings:
            raise ArgumentError(
                str(folder), f"was begun with {kept.read_text()}", "Use the same, or another folder."
            )
        write_atomically(kept, json.dumps(settings))
        self._path.touch()
        self._drop_unfinished()
        self._file = self._path.open("a", newline="", encoding="utf-8")

    def _drop_unfinished(self) -> None:
        """Cut off a last line without an end."""
        content = self._path.read_bytes()[-(2**16) :]
        unfinished = len(content) - (content.rfind(b"\n") + 1)
        if unfinished:
            os.truncate(self._path, self._path.stat().st_size - unfinished)

    def rows(self) -> Iterator[Row]:
        with self._path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield {name: _read_cell(name, value) for name, value in row.items()}

    def append(self, rows: Sequence[Row]) -> None:
        writer = csv.DictWriter(self._file, list(rows[0]), lineterminator="\n")
        try:
            if self._path.stat().st_size == 0:
                writer.writeheader()
            for row in rows:
                writer.writerow(row | {"decomposition": json.dumps(row["decomposition"])})
            self._file.flush()
        except OSError as error:
            raise output_error(self._path, error) from error

    def close(self) -> None:
        self._file.close()


_TEXT = {"formula", "orbits", "prototype", "scope"}


def _read_cell(name: str, value: str) -> Any:
    if name in _TEXT:
        return value
    if name == "known":
        return value or None
    if name == "out_of_domain":
        return value == "True"
    return json.loads(value)
