"""Hypothesis strategies: crystals of every shape, SCOPE strings, and what damage does to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from hypothesis import strategies as st

from cloud_model import Scope
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.scope.space_groups import space_group

NUMBERS = st.one_of(
    st.floats(-20, 20),
    st.sampled_from([0.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), 1e-8, 1e8]),
)


@st.composite
def crystals(draw: st.DrawFn) -> Atoms:
    """Up to five atoms of any atomic number anywhere in any cell; ASE cannot even print some."""
    n = draw(st.integers(0, 5))
    numbers = draw(st.lists(st.integers(-1, 119), min_size=n, max_size=n))
    positions = draw(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=n, max_size=n))
    cell = draw(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=3, max_size=3))
    return Atoms(numbers=numbers, positions=np.reshape(positions, (n, 3)), cell=cell, pbc=draw(st.booleans()))


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Orbits of any space group, in the dialect ``sites`` or ``canonical``."""
    number = draw(st.integers(1, 230))
    symbols = [f"{size}{letter}" for letter, size in space_group(number).multiplicities.items()]
    orbit = st.tuples(st.sampled_from(symbols), st.sampled_from(SYMBOLS))
    return Scope.from_orbits(
        number, draw(st.lists(orbit, min_size=1, max_size=8)), draw(st.sampled_from(["sites", "canonical"]))
    )


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[Any], junk: st.SearchStrategy[str]) -> str:
    """Replace a part of a text by something else."""
    text = str(draw(texts))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 30)))
    return text[:start] + draw(junk) + text[end:]
