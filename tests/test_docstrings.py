"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import cloud_model
import cloud_plugins

MODULES = [
    module.name
    for package in (cloud_model, cloud_plugins)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if ">>>" in Path(find_spec(module.name).origin).read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    results = doctest.testmod(
        import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert results.attempted
    assert not results.failed
