"""SCOPE text to ids: the published word split, the two shorthands, and what is refused."""

from __future__ import annotations

import pytest

from cloud_model import Scope
from cloud_model.errors import ScopeError, VocabularyError
from cloud_model.network.tokenizer import (
    CLS,
    FRACTIONS,
    SEP,
    SPECIAL_TOKENS,
    TokenBatch,
    Tokenizer,
    build_vocabulary,
)

SALT = Scope.from_orbits(225, "Na:4a;Cl:4b")
SPINEL = Scope.from_orbits(227, "Mg:8a;Al:16d;O:32e")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(build_vocabulary(["Na", "Cl", "Mg", "Al", "O"]), max_length=32)


def words(tokenizer, tokens):
    return [tokenizer.vocabulary[i] for i in tokens.ids]


def test_generators_are_one_token(tokenizer):
    tokens = words(tokenizer, tokenizer.encode(str(SALT)))
    assert tokens[0] == "[CLS]"
    assert tokens[1] == "16aODDaDODbOOOcOOOdOOOeOOO0"
    assert tokens[2:] == ["|", "4a", "Na", "4b", "Cl", "|", "Na", "0.5", "Cl", "0.5", "[SEP]"]


def test_without_the_shorthands_a_token_is_a_word():
    vocabulary = [*SPECIAL_TOKENS, *dict.fromkeys(str(SALT).split())]
    tokenizer = Tokenizer(vocabulary, max_length=64)
    assert words(tokenizer, tokenizer.encode(str(SALT))) == ["[CLS]", *str(SALT).split(), "[SEP]"]


def test_repeated_orbits_are_counted(tokenizer):
    triclinic = Scope.from_orbits(1, [("1a", "O")] * 240 + [("1a", "Mg")])
    tokens = words(tokenizer, tokenizer.encode(str(triclinic)))
    assert tokens[3:-6] == ["1a", "Mg", "1a", "O", "x99", "1a", "O", "x99", "1a", "O", "x42"]


@pytest.mark.parametrize(
    "scope",
    [
        SALT,
        SPINEL,
        SALT.to("canonical"),
        Scope.from_orbits(1, [("1a", "O")] * 120 + [("1a", "Mg")]),
        Scope.from_orbits(213, "Na:4a;Cl:4b"),  # the second of a pair of mirror images
        Scope(39, ("4a",), (("O", 0.33), ("Na", 0.67)), None, "reference"),  # with generators of its own
    ],
    ids=str,
)
def test_a_scope_has_the_tokens_of_its_text(scope):
    tokenizer = Tokenizer(build_vocabulary(["Na", "Cl", "Mg", "Al", "O"]), max_length=300)
    words_alone = Tokenizer([*SPECIAL_TOKENS, *dict.fromkeys(str(scope).split())], max_length=1000)
    for each in (words_alone,) if scope.dialect == "reference" else (tokenizer, words_alone):
        assert each.encode(scope) == each.encode(str(scope))


@pytest.mark.parametrize("scope", [SALT, SPINEL, SALT.to("canonical"), SPINEL.to("canonical")], ids=str)
def test_shares_are_the_composition(tokenizer, scope):
    tokens = tokenizer.encode(str(scope))
    shares = dict.fromkeys(dict(scope.composition), 0.0)
    for word, share in zip(words(tokenizer, tokens), tokens.shares, strict=True):
        if share:
            shares[word] += share
    assert shares == pytest.approx(dict(scope.composition), abs=0.006)
    assert sum(tokens.shares) == pytest.approx(1)


def test_types_count_the_sections(tokenizer):
    tokens = tokenizer.encode(str(SALT))
    assert tokens.types == (0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2)


def test_every_fraction_of_numpy_round_is_a_word():
    import numpy as np

    assert {str(np.round(i / 997, 2)) for i in range(998)} <= set(FRACTIONS)


def test_unknown_elements_are_named(tokenizer):
    with pytest.raises(VocabularyError, match="K"):
        tokenizer.encode(str(Scope.from_orbits(225, "K:4a;Cl:4b")))


def test_long_strings_are_refused_not_cut(tokenizer):
    long = Scope.from_orbits(
        47, [(f"1{letter}", element) for letter in "abcdefgh" for element in ("Mg", "O")]
    )
    with pytest.raises(VocabularyError, match="tokens where this checkpoint reads 32"):
        tokenizer.encode(str(long))


def test_text_that_is_not_scope_is_refused(tokenizer):
    with pytest.raises(ScopeError, match="sections"):
        tokenizer.encode("NaCl")


@pytest.mark.parametrize("change", [("4b Cl", "4b"), ("4a", "a"), ("4a", "0a"), ("Na 0.5", "Na x")])
def test_malformed_text_is_refused(tokenizer, change):
    with pytest.raises(ScopeError, match="malformed"):
        tokenizer.encode(str(SALT).replace(*change))


def test_vocabularies_without_the_special_tokens_are_refused():
    with pytest.raises(VocabularyError, match="begins with"):
        Tokenizer(["Na", "Cl"], max_length=8)


def test_batches_are_padded(tokenizer):
    batch = TokenBatch.collate([tokenizer.encode(str(SALT)), tokenizer.encode(str(SPINEL))])
    assert batch.ids.shape == batch.mask.shape == batch.shares.shape == (2, 17)
    assert batch.mask.sum(1).tolist() == [13, 17]
    assert (batch.ids[:, 0] == CLS).all()
    assert batch.ids[0, 12] == batch.ids[1, 16] == SEP
