"""A small untrained model, enough for every contract that does not depend on its numbers."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

os.environ.pop("COLUMNS", None)  # tables are as wide as in a file, whatever terminal the tests run in
os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks of tests are too small for threads; subprocesses too

import torch  # (reads it)

# recipes and benchmarks are not installed; last, so that an installed cloud_model is the one that is tested
sys.path.append(str(Path(__file__).parents[1]))

# jobs that a shell starts in the background inherit that interrupts are ignored
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """Directory of an untrained checkpoint of the ``sites`` dialect with every property that ships."""
    from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
    from cloud_model.crystal.elements import SYMBOLS
    from cloud_model.network.encoder import EncoderConfig
    from cloud_model.network.predictor import Predictor
    from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
    from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS
    from cloud_model.properties.targets import ScalarTarget

    torch.manual_seed(0)
    tokenizer = Tokenizer(build_vocabulary(SYMBOLS[:83]), max_length=96)
    encoder = EncoderConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=96,
    )
    targets = {
        name: ScalarTarget(
            transform="identity" if name in ("formation_energy_per_atom", "band_gap") else "log10",
            location=0.5,
            scale=0.3,
        )
        for name in SCALARS
    }
    config = CheckpointConfig(
        name="tiny",
        dialect="sites",
        symprec=0.01,
        encoder=encoder,
        targets=targets,
        properties=SCALARS | THERMODYNAMICS,
        spectra=3,
        expansion=True,
    )
    directory = tmp_path_factory.mktemp("checkpoints") / "tiny"
    members = [Predictor(encoder, len(targets), 3, expansion=True) for _ in range(2)]
    Checkpoint(config, tokenizer, members).save(directory, "# Untrained\n")
    return directory


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint):
    """The model of `tiny_checkpoint`."""
    from cloud_model import CloudModel

    return CloudModel.from_pretrained(tiny_checkpoint)


@pytest.fixture(scope="session")
def rock_salts() -> list:
    """Rock salts as pymatgen Structures, to be left as they are."""
    from pymatgen.core import Lattice, Structure

    return [
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), [metal, other], [[0, 0, 0], [0.5, 0.5, 0.5]])
        for metal in ("Mg", "Ca", "Sr", "Ba", "Mn", "Ni")
        for other in ("O", "S")
    ]
