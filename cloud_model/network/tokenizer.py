"""SCOPE strings to token ids.

A token is a word of the string. Two shorthands apply where the vocabulary holds their tokens; neither loses
anything: the generators of a space group are one token instead of up to 26, and equal orbits that follow each
other are written once, with a count (``4e O 4e O 4e O`` becomes ``4e O x3``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import ScopeError, VocabularyError
from cloud_model.scope.space_groups import space_groups

CLS, PAD, SEP, UNK, MASK = range(5)
SPECIAL_TOKENS = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
SEPARATOR = "|"
FRACTIONS = tuple(str(round(0.01 * i, 2)) for i in range(101))
LARGEST_COUNT = 99


class Tokens(NamedTuple):
    """One tokenised SCOPE string.

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
    """Tokenised strings of a batch, padded to the longest.

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
        """Pad tokenised strings to the longest of them, or to the next multiple of a number."""
        length = -(-max(len(tokens.ids) for tokens in batch) // multiple) * multiple

        def padded(rows: Iterable[tuple[float, ...]], fill: int, dtype: torch.dtype) -> Tensor:
            return torch.tensor([(*row, *(fill,) * (length - len(row))) for row in rows], dtype=dtype)

        ids = padded((tokens.ids for tokens in batch), PAD, torch.int64)
        types = padded((tokens.types for tokens in batch), 0, torch.int64)
        shares = padded((tokens.shares for tokens in batch), 0, torch.float32)
        return cls(ids, types, shares, ids != PAD)

    def to(self, device: torch.device) -> TokenBatch:
        """Move the batch."""
        return TokenBatch(*(part.to(device) for part in (self.ids, self.types, self.shares, self.mask)))


class Tokenizer:
    """Splits SCOPE strings into tokens and looks them up.

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

    def encode(self, text: str) -> Tokens:
        """Tokens of one SCOPE string.

        Parameters
        ----------
        text : str
            In the dialect that the checkpoint was trained on.

        Raises
        ------
        ScopeError
            If the string does not have the three sections of SCOPE.
        VocabularyError
            If a token is unknown, or there are more tokens than the encoder reads.
        """
        return self._encode(text)

    def _tokenize(self, text: str) -> Tokens:
        sections = text.split(f" {SEPARATOR} ")
        if len(sections) != 3:
            raise ScopeError(
                text, f"has {len(sections)} sections", "SCOPE is 'generators | positions | composition'."
            )
        try:
            words = self._words(*(section.split() for section in sections))
        except (ValueError, ZeroDivisionError) as error:
            raise ScopeError(text, f"is malformed ({error})", "Check it with Scope.parse.") from None
        return self._look_up(text, words)

    def _words(
        self, generators: list[str], positions: list[str], composition: list[str]
    ) -> list[tuple[str, float]]:
        """Tokens and their shares of the atoms."""
        merged = "".join(generators)
        words: list[tuple[str, float]] = [("[CLS]", 0.0)]
        words += [(merged, 0.0)] if merged in self._ids else [(word, 0.0) for word in generators]
        words.append((SEPARATOR, 0.0))
        has_sites = any(word[0].isalpha() for word in positions)
        words += self._sites(positions) if has_sites else [(word, 0.0) for word in positions]
        words.append((SEPARATOR, 0.0))
        words += [(word, 0.0) for word in composition] if has_sites else _weighted(composition)
        words.append(("[SEP]", 0.0))
        return words

    def _sites(self, positions: list[str]) -> Iterator[tuple[str, float]]:
        orbits = list(zip(positions[::2], positions[1::2], strict=True))
        atoms = sum(_multiplicity(symbol) for symbol, _ in orbits)
        for (symbol, element), group in groupby(orbits):
            for count in self._split_count(len(list(group))):
                yield symbol, 0.0
                yield element, count * _multiplicity(symbol) / atoms
                if count > 1:
                    yield f"x{count}", 0.0

    def _split_count(self, count: int) -> list[int]:
        largest = LARGEST_COUNT if self._counts else 1
        whole, rest = divmod(count, largest)
        return [largest] * whole + [rest] * bool(rest)

    def _look_up(self, text: str, words: list[tuple[str, float]]) -> Tokens:
        unknown = [word for word, _ in words if word not in self._ids]
        if unknown:
            raise VocabularyError(
                text,
                f"holds {', '.join(sorted(set(unknown)))}, unknown to this checkpoint",
                "Use another checkpoint.",
            )
        if len(words) > self.max_length:
            raise VocabularyError(
                text if len(text) < 80 else f"{text[:80]}...",
                f"has {len(words)} tokens where this checkpoint reads {self.max_length}",
                "Use a smaller or more symmetric cell, or a checkpoint with a longer context.",
            )
        types, section = [], 0
        for word, _ in words:
            section += word == SEPARATOR
            types.append(section)
        return Tokens(
            tuple(self._ids[word] for word, _ in words), tuple(types), tuple(share for _, share in words)
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
        *sorted(symbols, key=lambda symbol: (_multiplicity(symbol), symbol[-1])),
        *(f"x{count}" for count in range(2, LARGEST_COUNT + 1)),
        *(symbol for symbol in SYMBOLS if symbol in present),
        *FRACTIONS,
    )


def _multiplicity(symbol: str) -> int:
    return int(symbol[:-1])


def _weighted(composition: list[str]) -> list[tuple[str, float]]:
    fractions = [float(word) for word in composition[1::2]]
    total = sum(fractions) or 1.0
    shares = [share for fraction in fractions for share in (fraction / total, 0.0)]
    return list(zip(composition, shares, strict=True))
