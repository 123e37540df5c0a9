"""Labels of atoms, such as Na1 or OW2, and the elements they stand for."""

from __future__ import annotations

import re
from functools import lru_cache

from cloud_model.crystal.elements import ATOMIC_NUMBERS

_LABEL = re.compile(r"([A-Za-z]+)[^,/&]*", re.ASCII)
_SYMBOL = re.compile(
    r"[A-Z](?:[a-z](?![a-z])|[A-Z]?(?![A-Za-z]))", re.ASCII
)  # at the beginning, and no longer word

_SITES = frozenset("ABDMTVWXYZ")


@lru_cache(maxsize=4096)
def elements_of_label(label: str) -> frozenset[int]:
    """Atomic numbers that a label may mean: of 'Na1', 'SiT1' and 'OW' one, of 'HO1' two, H and Ho."""
    match = _LABEL.fullmatch(label)
    letters = match[1] if match else ""
    pair = letters[:2].capitalize()
    if letters[:1].isupper() and letters[1:2].islower():
        readings = {pair} if not letters[2:3].islower() else set()
    else:
        readings = {letters[:1].upper(), pair}
    return frozenset(ATOMIC_NUMBERS[symbol] for symbol in readings if symbol in ATOMIC_NUMBERS)


@lru_cache(maxsize=4096)
def is_of_another_element(label: str, number: int) -> bool:
    """Whether a label names an element, and not this one; 'Ca1' of a carbon atom may be its alpha carbon."""
    match = _SYMBOL.match(label)
    named = elements_of_label(match[0]) if match else frozenset()
    return bool(named) and number not in named | elements_of_label(label[0])


def label_against(label: str, number: int) -> bool:
    """Whether a label that the format leaves free names another element; 'T1', 'B' and 'W2' name kinds of sites."""
    return label.rstrip("0123456789") not in _SITES and is_of_another_element(label, number)
