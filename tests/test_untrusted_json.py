from __future__ import annotations

import sys

import pytest

from cloud_model.untrusted_json import parse_json


@pytest.mark.parametrize("limit", [1000, 100_000])  # symfc sets the larger one
def test_nesting_without_end_is_an_error_whatever_the_limit_of_recursion(limit):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json("[" * 100_000)
        assert sys.getrecursionlimit() == limit
    finally:
        sys.setrecursionlimit(before)


def test_json_is_parsed():
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}
    with pytest.raises(ValueError, match="Expecting"):
        parse_json("{")
