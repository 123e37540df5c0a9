"""Any input ends in a result or in an error of ours.

The inputs below `FOUND` are what coverage-guided fuzzing found (``tools/fuzz.py``), kept after they were repaired.
"""

from __future__ import annotations

import json
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hostile_files import cif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import crystals, damaged, scopes

from cloud_model import Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.checkpoints.files import CONFIG
from cloud_model.crystal.cif import read_cif
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import CloudError, CloudWarning
from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
from cloud_model.untrusted_json import from_record

TOKENIZER = Tokenizer(build_vocabulary(SYMBOLS[:83]), 96)
JUNK = (
    st.sampled_from(
        ["", "|", " | ", "0", "4a", "Na", "0.5", "nan", "1e400", "é", "\0", "x2", "-1", "9" * 400]
    )
    | st.text()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
bounded = settings(max_examples=100, deadline=10_000, suppress_health_check=[HealthCheck.too_slow])

FOUND = [
    "0 1 n O O C 0 | 3a | O 0.0 O C 0 *| 3a } O 0.",
    "1 | 0a Na | Na 1.0",
    "1 | a Na | Na 1.0",
    "1 | Na 4a Cl | Na 1.0",
]


@bounded
@given(crystals())
@pytest.mark.filterwarnings("ignore::cloud_model.errors.CloudWarning")
def test_crystals(atoms):
    try:
        scope = Scope.from_crystal(atoms, "sites")
    except CloudError:
        return
    assert Scope.parse(str(scope)) == scope
    assert scope.n_atoms == len(atoms)


@bounded
@given(scopes())
def test_strings(scope):
    assert Scope.parse(str(scope)) == scope
    try:
        tokens = TOKENIZER.encode(str(scope))
    except CloudError:
        return
    assert sum(tokens.shares) == pytest.approx(1, abs=1e-6)


@bounded
@given(damaged(scopes(), JUNK) | st.text())
def test_damaged_strings(text):
    for read in (Scope.parse, TOKENIZER.encode):
        with suppress(CloudError):
            read(text)


@pytest.mark.parametrize("text", FOUND)
def test_strings_found_by_fuzzing(text):
    for read in (Scope.parse, TOKENIZER.encode):
        with pytest.raises(CloudError):
            read(text)


@bounded
@given(
    damaged(
        st.just(cif().decode()), JUNK | st.sampled_from(["loop_", "'", ";", "_cell_length_a 1", "data_b"])
    )
)
@pytest.mark.filterwarnings("ignore::cloud_model.errors.CloudWarning")
def test_damaged_cifs(text):
    try:
        crystal = read_cif(text)
    except CloudError:
        return
    assert np.isfinite(crystal.positions).all()


@pytest.mark.parametrize(
    "text", ["data_x\n_atom_site_fract_x\n" + cif().decode().partition("loop_\n_atom_site")[0]]
)
def test_cifs_found_by_fuzzing(text):
    with pytest.raises(CloudError, match="no atom sites"):
        read_cif(text)


@bounded
@given(
    entry=st.sampled_from(
        [
            "name",
            "dialect",
            "symprec",
            "encoder",
            "targets",
            "properties",
            "spectra",
            "members",
            "sha256",
            "format",
        ]
    ),
    value=VALUES,
)
def test_configurations(tiny_checkpoint, tmp_path_factory, entry, value):
    folder = Path(tmp_path_factory.getbasetemp(), "fuzzed")
    if not folder.exists():
        shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((tiny_checkpoint / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {entry: value}))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CloudWarning)
        with suppress(CloudError):
            Checkpoint.load(folder)


@given(VALUES)
def test_records(value):
    from cloud_model.network.encoder import EncoderConfig

    with pytest.raises(ValueError, match=r"is missing|is not a JSON object"):
        from_record(EncoderConfig, value)
