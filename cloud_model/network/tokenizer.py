"""SCOPE to token ids.

A token is a word of the string. Two shorthands apply where the vocabulary holds their tokens; neither loses
anything: the generators of a space group are one token instead of up to 26, and equal orbits that follow each
other are written once, with a count (``4e O 4e O 4e O`` becomes ``4e O x3``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import ScopeError, VocabularyError
from cloud_model.scope.description import Composition, Orbits
from cloud_model.scope.space_groups import space_groups
from cloud_model.scope.string import Scope

CLS, PAD, SEP, UNK, MASK = range(5)
SPECIAL_TOKENS = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
SEPARATOR = "|"
FRACTIONS = tuple(str(round(0.01 * i, 2)) for i in range(101))
LARGEST_COUNT = 99


class Tokens(NamedTuple):
    """One tokenised crystal.

    Attributes
    ----------
    ids : tuple of int
        Token ids, ``[CLS]`` and ``[SEP]`` included.
    types : tuple of int
        0 in the generators, 1 in the Wyckoff positions, 2 in the composition.
    shares : tuple of float
        The share of the crystal's atoms that a token stands for: non-zero on the elements, where they sum to 1.
    """

    ids: tuple[int, ...]
    types: tuple[int, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class TokenBatch:
    """Tokenised crystals of a batch, padded to the longest.

    Attributes
    ----------
    ids, types : Tensor
        int64, shape (batch, length).
    shares : Tensor
        float32, shape (batch, length).
    mask : Tensor
        True for tokens, False for padding, shape (batch, length).
    """

    ids: Tensor
    types: Tensor
    shares: Tensor
    mask: Tensor

    @classmethod
    def collate(cls, batch: Sequence[Tokens], multiple: int = 1) -> TokenBatch:
        """Pad tokenised crystals to the longest of them, or to the next multiple of a number."""
        lengths = np.array([len(tokens.ids) for tokens in batch])
        length = -(-int(lengths.max()) // multiple) * multiple

        def padded(rows: Iterable[tuple[float, ...]], fill: int, dtype: type) -> Tensor:
            return torch.from_numpy(np.array([row + (fill,) * (length - len(row)) for row in rows], dtype))

        return cls(
            padded((tokens.ids for tokens in batch), PAD, np.int64),
            padded((tokens.types for tokens in batch), 0, np.int64),
            padded((tokens.shares for tokens in batch), 0, np.float32),
            torch.from_numpy(np.arange(length) < lengths[:, None]),
        )

    def to(self, device: torch.device) -> TokenBatch:
        """Move the batch."""
        return TokenBatch(*(part.to(device) for part in (self.ids, self.types, self.shares, self.mask)))


@dataclass(frozen=True)
class TokenTable:
    """Tokenised strings one after the other, from which batches are picked without a loop.

    Attributes
    ----------
    ids, types, shares : ndarray
        Values for all tokens, as in `Tokens`.
    starts : ndarray of int, shape (n + 1,)
        Where each string begins, and where the last one ends.
    """

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    shares: NDArray[np.float32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Sequence[Tokens]) -> TokenTable:
        """The table of some tokenised strings."""
        starts = np.cumsum([0, *(len(tokens.ids) for tokens in strings)])
        return cls(
            np.fromiter(chain.from_iterable(tokens.ids for tokens in strings), np.int32, starts[-1]),
            np.fromiter(chain.from_iterable(tokens.types for tokens in strings), np.uint8, starts[-1]),
            np.fromiter(chain.from_iterable(tokens.shares for tokens in strings), np.float32, starts[-1]),
            starts,
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each string."""
        return np.diff(self.starts)

    def batch(self, rows: NDArray[np.int64], multiple: int = 1) -> TokenBatch:
        """Some strings, padded to the longest of them, or to the next multiple of a number."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        place = np.arange(-(-int(lengths.max()) // multiple) * multiple)
        inside = place < lengths[:, None]
        chosen = np.where(inside, self.starts[rows, None] + place, 0)
        mask = torch.from_numpy(inside)

        def padded(flat: NDArray[Any], fill: int, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(flat[chosen]).to(dtype).masked_fill_(~mask, fill)

        return TokenBatch(
            padded(self.ids, PAD, torch.int64),
            padded(self.types, 0, torch.int64),
            padded(self.shares, 0, torch.float32),
            mask,
        )


class Tokenizer:
    """Looks up the words of SCOPE.

    Parameters
    ----------
    vocabulary : Sequence[str]
        The tokens in the order of their ids, beginning with the special tokens of BERT.
    max_length : int
        The most tokens that the encoder reads.

    Raises
    ------
    VocabularyError
        If the special tokens are not where the published CLOUD tokenizer has them, or a token stands twice.
    """

    def __init__(self, vocabulary: Sequence[str], max_length: int) -> None:
        if tuple(vocabulary[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise VocabularyError(
                "vocabulary",
                f"begins with {list(vocabulary[:5])}",
                f"A CLOUD vocabulary begins with {list(SPECIAL_TOKENS)}.",
            )
        self.vocabulary = tuple(vocabulary)
        self.max_length = max_length
        self._ids = {token: i for i, token in enumerate(self.vocabulary)}
        if len(self._ids) != len(self.vocabulary):
            raise VocabularyError(
                "vocabulary", "holds a token twice", "Use the vocabulary of the checkpoint."
            )
        self._counts = "x2" in self._ids
        self._encode = lru_cache(maxsize=8192)(self._tokenize)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[tuple[str, ...], int]]:
        return type(self), (self.vocabulary, self.max_length)

    def encode(self, crystal: Scope | str) -> Tokens:
        """Tokens of one crystal.

        Parameters
        ----------
        crystal : Scope or str
            In the dialect that the checkpoint was trained on; the words of a SCOPE string are taken as they stand.

        Raises
        ------
        ScopeError
            If the string does not have the three sections of SCOPE.
        VocabularyError
            If a token is unknown, or there are more tokens than the encoder reads.
        """
        if isinstance(crystal, str):
            return self._encode(*_parts(crystal))
        return self._encode(crystal.generators, crystal.wyckoff, crystal.orbits, crystal.composition)

    def _tokenize(
        self, generators: str, wyckoff: tuple[str, ...], orbits: Orbits | None, composition: Composition
    ) -> Tokens:
        """Tokens of the parts of a `Scope`."""
        merged = generators.replace(" ", "")
        symmetry = [merged] if merged in self._ids else generators.split()
        total = 0.0 if orbits else sum(fraction for _, fraction in composition)
        shares = [
            word
            for element, fraction in composition
            for word in ((element, fraction / total if total else 0.0), (str(fraction), 0.0))
        ]
        sections: list[list[tuple[str, float]]] = [
            [("[CLS]", 0.0), *((word, 0.0) for word in symmetry)],
            [(SEPARATOR, 0.0), *(self._sites(orbits) if orbits else ((symbol, 0.0) for symbol in wyckoff))],
            [(SEPARATOR, 0.0), *shares, ("[SEP]", 0.0)],
        ]
        words = [word for section in sections for word, _ in section]
        if len(words) > self.max_length or not self._ids.keys() >= set(words):
            raise self._refusal(words)
        return Tokens(
            tuple([self._ids[word] for word in words]),
            tuple([i for i, section in enumerate(sections) for _ in section]),
            tuple([share for section in sections for _, share in section]),
        )

    def _sites(self, orbits: Orbits) -> Iterator[tuple[str, float]]:
        """Words of orbits and their shares of the atoms."""
        atoms = sum(int(symbol[:-1]) for symbol, _ in orbits)
        largest = LARGEST_COUNT if self._counts else 1
        for (symbol, element), group in groupby(orbits):
            left = len(list(group))
            while left:
                count = min(left, largest)
                left -= count
                yield symbol, 0.0
                yield element, count * int(symbol[:-1]) / atoms
                if count > 1:
                    yield f"x{count}", 0.0

    def _refusal(self, words: Sequence[str]) -> VocabularyError:
        unknown = sorted(set(words) - self._ids.keys())
        text = " ".join(words[1:-1])
        shown = text if len(text) < 120 else f"{text[:120]}..."
        if unknown:
            return VocabularyError(
                shown, f"holds {', '.join(unknown)}, unknown to this checkpoint", "Use another checkpoint."
            )
        return VocabularyError(
            shown,
            f"has {len(words)} tokens where this checkpoint reads {self.max_length}",
            "Use a smaller or more symmetric cell, or a checkpoint with a longer context.",
        )


def build_vocabulary(elements: Iterable[str]) -> tuple[str, ...]:
    """Vocabulary for SCOPE strings of any dialect, with both shorthands.

    Parameters
    ----------
    elements : Iterable[str]
        The elements that the training corpus holds.
    """
    present = set(elements)
    groups = space_groups()
    symbols = {f"{count}{letter}" for group in groups for letter, count in group.multiplicities.items()}
    return (
        *SPECIAL_TOKENS,
        SEPARATOR,
        *dict.fromkeys(group.generators.replace(" ", "") for group in groups),
        *sorted(symbols, key=lambda symbol: (int(symbol[:-1]), symbol[-1])),
        *(f"x{count}" for count in range(2, LARGEST_COUNT + 1)),
        *(symbol for symbol in SYMBOLS if symbol in present),
        *FRACTIONS,
    )


def _parts(text: str) -> tuple[str, tuple[str, ...], Orbits | None, Composition]:
    """Cut a SCOPE string into what `Scope` holds, without a look at what it says."""
    sections = text.split(f" {SEPARATOR} ")
    if len(sections) != 3:
        raise ScopeError(
            text, f"has {len(sections)} sections", "SCOPE is 'generators | positions | composition'."
        )
    generators, positions, composition = sections[0], sections[1].split(), sections[2].split()
    try:
        shares = zip(composition[::2], map(float, composition[1::2]), strict=True)
        if any(word[0].isalpha() for word in positions):
            orbits = tuple(zip(positions[::2], positions[1::2], strict=True))
            if not all(int(symbol[:-1]) > 0 for symbol, _ in orbits):
                raise ValueError("a position has no sites")
            return generators, (), orbits, tuple(shares)
        return generators, tuple(positions), None, tuple(shares)
    except ValueError as error:
        raise ScopeError(text, f"is malformed ({error})", "Check it with Scope.parse.") from None
