"""Initial token embeddings from prior knowledge: periodic table, multiplicities, numbers.

Tokens that are alike begin alike: the features of a token, standardised over its kind, are projected to the
embedding by one fixed random matrix for each kind, and noise keeps apart what the features do not tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cloud_model.crystal.element_data import element_features
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.network.tokenizer import Tokenizer

FEATURE_SHARE = 0.8  # of the variance of an embedding that comes from the features
STANDARD_DEVIATION = 0.02  # of BERT's embeddings


def initialise_tokens(embedding: nn.Embedding, tokenizer: Tokenizer) -> None:
    """Set the rows of an embedding from the features of the tokens, in place.

    Parameters
    ----------
    embedding : nn.Embedding
        One row for each token; its present values serve as the noise.
    tokenizer : Tokenizer
        Says which token a row belongs to.
    """
    kinds = [_kind(token) for token in tokenizer.vocabulary]
    for kind, rows in groupby(sorted(range(len(kinds)), key=kinds.__getitem__), key=kinds.__getitem__):
        ids = list(rows)
        if kind not in _FEATURES:
            continue
        features = torch.from_numpy(
            _standardise([_FEATURES[kind](tokenizer.vocabulary[i]) for i in ids])
        ).float()
        projection = torch.randn(features.shape[1], embedding.embedding_dim) / math.sqrt(features.shape[1])
        with torch.no_grad():
            noise = embedding.weight[ids]
            known = features @ projection * STANDARD_DEVIATION
            embedding.weight[ids] = math.sqrt(FEATURE_SHARE) * known + math.sqrt(1 - FEATURE_SHARE) * noise


def _kind(token: str) -> str:
    if token in SYMBOLS:
        return "element"
    if token[0] == "x" and token[1:].isdigit():
        return "count"
    if token[:-1].isdigit() and token[-1].isalpha():
        return "position"
    if "." in token:
        return "fraction"
    return "generators" if token.isalnum() and len(token) > 1 else "other"


def _position(symbol: str) -> list[float]:
    letter = ord(symbol[-1].lower()) - ord("a") + 26 * symbol[-1].isupper()
    return [math.log2(int(symbol[:-1])), float(letter), float(letter == 0)]


def _count(token: str) -> list[float]:
    number = int(token[1:])
    return [math.log(number), float(number), float(number % 2 == 0)]


def _fraction(token: str) -> list[float]:
    value = float(token)
    return [
        value,
        *(math.sin(math.pi * k * value) for k in (1, 2, 4)),
        *(math.cos(math.pi * k * value) for k in (1, 2, 4)),
    ]


def _generators(token: str) -> list[float]:
    """How often each character of de Graef's encoding occurs, and the number of generators."""
    return [
        *(float(token.count(character)) for character in "abcdefghijklmnABCDEFGOXYZ"),
        float(token[0]),
        float(token[1]),
    ]


_FEATURES = {
    "element": element_features,
    "position": _position,
    "count": _count,
    "fraction": _fraction,
    "generators": _generators,
}


def _standardise(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Zero mean and unit variance; what is unknown becomes the mean."""
    table = np.array(rows, dtype=float)
    deviation = np.nanstd(table, axis=0)
    standard = (table - np.nanmean(table, axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return np.nan_to_num(standard, nan=0.0)
