"""Crystals as a checkpoint reads them: their SCOPE, their tokens, and errors in place of bad ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.crystal.occupancies import DisorderedSites
from cloud_model.crystal.ordering import ordered_cells
from cloud_model.errors import BatchError, CloudError, warn_user
from cloud_model.network.tokenizer import Tokens
from cloud_model.scope.batches import describe
from cloud_model.scope.string import Scope

Errors = Literal["raise", "nan"]


class ReadCrystal(NamedTuple):
    """A crystal as the networks read it.

    Attributes
    ----------
    scope : Scope
    tokens : Tokens
    n_atoms : float or None
        Atoms in the cell that was passed in, if there was one.
    is_ordered : bool
        Whether it is one of the ordered cells of a disordered crystal.
    """

    scope: Scope
    tokens: Tokens
    n_atoms: float | None
    is_ordered: bool = False


@dataclass(frozen=True)
class ReadBatch:
    """The crystals of a batch.

    Attributes
    ----------
    good : dict of int to list of ReadCrystal
        Place in the batch -> a crystal, or the ordered cells of a disordered one.
    failures : dict of int to CloudError
        Place -> what is wrong with any other crystal.
    """

    good: dict[int, list[ReadCrystal]]
    failures: dict[int, CloudError]

    def __len__(self) -> int:
        return len(self.good) + len(self.failures)

    @property
    def crystals(self) -> list[ReadCrystal]:
        """All good crystals and cells, in order."""
        return [crystal for group in self.good.values() for crystal in group]

    @property
    def tokens(self) -> list[Tokens]:
        """What the networks read of them."""
        return [crystal.tokens for crystal in self.crystals]

    @property
    def reasons(self) -> NDArray[np.object_]:
        """Text of the error in each place, or None."""
        reasons = np.full(len(self), None)
        reasons[list(self.failures)] = [str(failure) for failure in self.failures.values()]
        return reasons

    @property
    def ordered_cells(self) -> NDArray[np.object_]:
        """SCOPE strings of the cells in each place of a disordered crystal, or None."""
        cells = np.full(len(self), None)
        for i, group in self.good.items():
            if group[0].is_ordered:
                cells[i] = [str(cell.scope) for cell in group]
        return cells

    @classmethod
    def together(cls, parts: Iterable[ReadBatch]) -> ReadBatch:
        """One batch of several that follow one another."""
        good: dict[int, list[ReadCrystal]] = {}
        failures: dict[int, CloudError] = {}
        for part in parts:
            start = len(good) + len(failures)
            good |= {start + i: group for i, group in part.good.items()}
            failures |= {start + i: failure for i, failure in part.failures.items()}
        return cls(good, failures)

    def in_place(self, rows: NDArray[np.floating]) -> NDArray[np.floating]:
        """Put rows of the good crystals in their places, and NaN in the others."""
        if not self.failures:
            return rows
        placed = np.full((len(self), *rows.shape[1:]), np.nan, dtype=rows.dtype)
        placed[list(self.good)] = rows
        return placed


def read(checkpoint: Checkpoint, crystals: Any, errors: Errors, order: int = 0) -> ReadBatch:
    """Read a crystal or a collection for a checkpoint, with up to `order` cells in place of each disordered crystal.

    Raises
    ------
    CloudError
        If a single crystal cannot be read.
    BatchError
        If crystals of a collection cannot be read and `errors` is ``'raise'``; otherwise there is a warning.
    """
    if is_collection(crystals):
        return report(read_all(checkpoint, crystal_list(crystals), order), errors)
    batch = read_all(checkpoint, [crystals], order)
    for failure in batch.failures.values():
        raise failure
    return batch


def read_all(checkpoint: Checkpoint, crystals: Sequence[Any], order: int) -> ReadBatch:
    """Read crystals, and keep the errors of bad ones."""
    good: dict[int, list[ReadCrystal]] = {}
    failures: dict[int, CloudError] = {}
    for i, scope in enumerate(describe(checkpoint.describer, crystals)):
        try:
            if isinstance(scope, CloudError):
                good[i] = _ordered(checkpoint, scope, order)
            else:
                good[i] = [ReadCrystal(scope, checkpoint.tokenizer.encode(scope), scope.n_atoms)]
        except CloudError as error:
            failures[i] = error
    return ReadBatch(good, failures)


def report(batch: ReadBatch, errors: Errors) -> ReadBatch:
    """Give a batch back, with a warning or a `BatchError` if there are bad crystals in it."""
    if batch.failures:
        failed = BatchError(batch.failures, len(batch))
        if errors == "raise":
            raise failed
        warn_user(str(failed))
    return batch


def _ordered(checkpoint: Checkpoint, error: CloudError, order: int) -> list[ReadCrystal]:
    """Cells of a crystal that is refused as disordered; other errors are raised."""
    sites = getattr(error, "sites", None)
    if not order or not isinstance(sites, DisorderedSites):
        raise error
    n_atoms = sum(sum(site.values()) for site in sites.shares)
    cells = []
    for scope in describe(checkpoint.describer, ordered_cells(sites, order, error.subject)):
        if isinstance(scope, CloudError):
            raise scope
        cells.append(ReadCrystal(scope, checkpoint.tokenizer.encode(scope), n_atoms, is_ordered=True))
    return cells
