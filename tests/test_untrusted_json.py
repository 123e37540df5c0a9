"""JSON and TOML of unknown origin: what is refused, and that errors name the entry."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from cloud_model.untrusted_json import from_record, parse_json


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


@dataclass(frozen=True)
class Inner:
    rate: float
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    kind: Literal["a", "b"] = "a"
    more: Mapping[str, Inner] = field(default_factory=dict)


def test_records_are_made_of_tables():
    values = {"inner": {"rate": 1, "names": ["x"]}, "more": {"one": {"rate": 0.5}}, "other": 0}
    assert from_record(Outer, values) == Outer(Inner(1.0, ["x"]), more={"one": Inner(0.5)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {}}, "^inner.rate is missing"),
        ({"inner": {"rate": True}}, "^inner.rate is True, not float"),
        ({"inner": {"rate": float("nan")}}, "^inner.rate is nan"),
        ({"inner": {"rate": 1, "names": ["x", "\x1b[2J"]}}, "^inner.names is '.x1b"),
        ({"kind": "c"}, "^kind is 'c', not one of a, b"),
        ({"more": {"one": {"rate": "fast"}}}, "^more 'one'.rate is 'fast', not float"),
        ({"inner": {"rate": 1, "speed": 2}}, "^inner.speed is unknown; known are rate, names"),
        ({"inner": [1]}, "^inner is not a JSON object"),
    ],
)
def test_wrong_entries_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_record(Outer, {"inner": {"rate": 1}} | change, only_known=True)
