"""Shared by file readers: how a crystal is handed on, and checks of stated counts against actual lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.errors import CrystalError, first_line, warn_user

Reading = Callable[[str], Crystal]
"""Reads one crystal of a file; takes what to call it in errors."""

_LONGEST = 18  # digits of a count that are read
_TAIL = 2**12  # bytes that hold the last two lines
_DECIMALS = 6  # from which numbers of the same length are those of a program
_NUMBER = re.compile(rb"-?\d*\.?(\d*)")
_FORTRAN_EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[-+]?\d)")


@contextmanager
def malformed(label: str, reason: str, remedy: str) -> Iterator[None]:
    """Name what an input lacks or garbles, which its reader runs into; errors of ours pass."""
    try:
        yield
    except CrystalError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        cause = f"{type(error).__name__}: {first_line(error)}"
        raise CrystalError(label, f"{reason} ({cause})", remedy) from None


def integers(lines: Iterable[str]) -> list[int]:
    """Counts of lines that hold nothing else; none if they hold anything else."""
    words = " ".join(lines).split()
    if not all(word.isascii() and word.isdecimal() for word in words):
        return []
    return [int(word[:_LONGEST]) for word in words]


def without_fortran(line: str) -> str:
    """A line of numbers with e for the exponents of Fortran, as in 0.5d0."""
    return _FORTRAN_EXPONENT.sub("e", line)


def is_position(line: str) -> bool:
    """Whether a line begins with three numbers, perhaps those of Fortran."""
    try:
        return len([float(without_fortran(word)) for word in line.split()[:3]]) == 3
    except ValueError:
        return False


def check_position(words: Sequence[str], label: str) -> None:
    """Raise a `CrystalError` unless three numbers come first."""
    if not is_position(" ".join(words)):
        raise malformed_position(words, label)


def malformed_position(words: Sequence[str], label: str) -> CrystalError:
    """Return the error about coordinates that are not numbers."""
    return CrystalError(
        label, f"its coordinates {' '.join(words[:3])[:60]!r} are not three numbers", "Correct them."
    )


def wrong_count(label: str, atoms: int, lines: int) -> CrystalError:
    """Return the error about a file that counts more atoms than it has lines."""
    return CrystalError(label, f"it counts {atoms} atoms in {lines} lines", "Check that it is complete.")


def ends_inside_number(content: bytes) -> bool:
    """Whether a text breaks off inside a number: in one with fewer decimals than all of its line and the line before.

    Only a text without a line feed at its end can, whose numbers otherwise have the same number of decimals, at least
    six.
    """
    if content[-1:] in (b"\n", b"\r", b""):
        return False
    words = [word for line in content[-_TAIL:].splitlines()[-2:] for word in line.split()]
    decimals = [len(match[1]) for word in words if b"." in word and (match := _NUMBER.fullmatch(word))]
    last = _NUMBER.fullmatch(words[-1]) if words else None
    if last is None:
        return False
    whole = decimals[:-1] if b"." in words[-1] else decimals
    return len(whole) > 2 and max(whole) == min(whole) >= _DECIMALS and len(last[1]) < whole[0]


def lines_of(content: bytes) -> list[str]:
    """Lines of a text."""
    return content.decode("utf-8-sig", errors="replace").splitlines()


def check_lines(lines: Sequence[str], start: int, atoms: int, label: str) -> None:
    """Check that as many lines as atoms follow, and no further atom."""
    if start + atoms > len(lines):
        raise wrong_count(label, atoms, len(lines))
    check_number_of_atoms(atoms, label)
    following = "".join(lines[start + atoms : start + atoms + 1]).split()
    if len(following) > 3 and is_position(" ".join(following[1:])):
        raise CrystalError(label, f"it counts {atoms} atoms and lists more", "Correct its number of atoms.")


def states_symmetry(label: str, group: str) -> CrystalError:
    """Return the error about a space group that is stated beside the sites."""
    return CrystalError(
        label,
        f"it states the space group {group[:40]!r}, which no reader of this format applies",
        "Convert it to a CIF with the program that wrote it.",
    )


def floats(rows: Iterable[Sequence[str]]) -> list[list[float]]:
    """Numbers of rows of words, perhaps those of Fortran."""
    return [[float(without_fortran(word)) for word in row] for row in rows]


def warn_of_no_symmetry(label: str) -> None:
    """Warn that P 1 is assumed."""
    warn_user(f"{label}: it states no symmetry; its sites are taken for all atoms of the cell, as in P 1.")
