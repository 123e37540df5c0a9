"""What a SCOPE string says of its composition, and which compositions are held out for validation."""

from __future__ import annotations

import zlib


def shares_of(scope: str) -> dict[str, float]:
    """Elements and their exact shares of the atoms, of a `sites` string."""
    words = scope.split(" | ")[1].split()
    counts: dict[str, float] = {}
    for symbol, element in zip(words[::2], words[1::2], strict=True):
        counts[element] = counts.get(element, 0) + int(symbol[:-1])
    total = sum(counts.values())
    return {element: count / total for element, count in counts.items()}


def elements_of(scope: str) -> set[str]:
    return set(scope.rsplit(" | ", 1)[1].split()[::2])


def is_validation(scope: str) -> bool:
    """Whether the composition hashes into the validation twentieth; elements never do, energies begin with them."""
    composition = scope.rsplit(" | ", 1)[1]
    return len(elements_of(scope)) > 1 and zlib.crc32(composition.encode()) % 20 == 0
