"""Exceptions and warnings of the public API.

Every error names the input it is about, the reason it was refused and what to do about it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence

_OURS = ("cloud_model", "cloud_plugins")
_VERBS = {
    *(
        "are",
        "begins",
        "cannot",
        "could",
        "did",
        "do",
        "does",
        "ended",
        "ends",
        "failed",
        "gives",
        "had",
        "has",
        "have",
    ),
    *("hold", "holds", "is", "knows", "lacks", "marks", "mix", "needs", "was", "were"),
}
"""First words of reasons that go on with the subject; any other reason is a sentence of its own."""


class CloudError(Exception):
    """Base class of all errors raised on purpose by this project.

    Parameters
    ----------
    subject : str
        The input at fault, in the user's terms: a file name, a row, a property name.
    reason : str
        Why it cannot be used; a verb such as "is" at its beginning goes on with the subject.
    remedy : str
        What the user can do about it.

    Notes
    -----
    Reason and remedy may be left out only because hosts raise errors again as ``type(error)(message)``.
    """

    def __init__(self, subject: str, reason: str = "", remedy: str = "") -> None:
        super().__init__(subject, reason, remedy)
        self.subject = subject
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        if not self.reason:
            return self.subject
        joint = " " if self.reason.partition(" ")[0] in _VERBS else ": "
        return f"{self.subject}{joint}{self.reason.rstrip('.')}. {self.remedy}"


class CrystalError(CloudError, ValueError):
    """A crystal cannot be read, or is not one that SCOPE can describe."""


class DisorderedCrystalError(CrystalError):
    """A crystal has partial occupancies or vacancies.

    Attributes
    ----------
    sites : object
        The sites, a `cloud_model.crystal.occupancies.DisorderedSites`, if they can be ordered; or None.
    """

    sites: object = None


class SymmetryError(CrystalError):
    """The symmetry search failed."""


class ScopeError(CloudError, ValueError):
    """A SCOPE string is malformed, or is of the wrong dialect."""


class VocabularyError(CloudError, ValueError):
    """A SCOPE string holds tokens that a checkpoint does not know, or too many of them."""


class CheckpointError(CloudError, ValueError):
    """A checkpoint is missing, damaged, unsafe or incompatible."""


class PropertyError(CloudError, ValueError):
    """A property is unknown to a checkpoint, or cannot be given for this input."""


class ArgumentError(CloudError, ValueError):
    """An argument is out of its range, or of a wrong type."""


class DataError(CloudError, ValueError):
    """A table or corpus cannot be used as it is."""


class OutputError(CloudError):
    """A file cannot be written."""


class PhononError(CloudError, ValueError):
    """A phonon reference cannot be used: unstable, incomplete or of unknown basis."""


class BatchError(CloudError, ValueError):
    """Some crystals of a batch failed.

    Parameters
    ----------
    failures : Mapping[int, CloudError]
        Position in the batch -> what was wrong with that crystal.
    total : int
        Size of the batch.
    """

    def __init__(self, failures: Mapping[int, CloudError], total: int) -> None:
        shown = "; ".join(f"[{i}] {error}" for i, error in list(failures.items())[:3])
        more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
        super().__init__(
            f"{len(failures)} of {total} crystals failed", f"{shown}{more}", "Remove or repair these rows."
        )
        self.failures = dict(failures)
        self.total = total

    def __reduce__(self) -> tuple[type[BatchError], tuple[dict[int, CloudError], int]]:
        return type(self), (self.failures, self.total)


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise an `ArgumentError` unless an argument is one of its choices."""
    if not (isinstance(value, str) and value in choices):
        raise ArgumentError(f"{name} {shortly(value)}", "is unknown", f"Choose one of {', '.join(choices)}.")


def shortly(value: object) -> str:
    """A value as errors show it, in one line; an object by its type."""
    plain = isinstance(value, str | int | float | bytes) or value is None
    return f"{value!r:.40}" if plain else f"of type {type(value).__name__}"


class CloudWarning(UserWarning):
    """A result was given, but the user should know something about it."""


def warn_user(message: str) -> None:
    """Give a `CloudWarning` that points to the line outside of this project from which it was called."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, CloudWarning, stacklevel=level)


def first_line(error: Exception) -> str:
    """Message of another library's error, in one line of at most 120 characters; its class name if it has none."""
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__
