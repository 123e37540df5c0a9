"""What users of a host wait for: tables, single crystals, crystals seen before."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import moyopy
import numpy as np
import pandas as pd
import torch
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from crystals import sample, stream, structures
from matminer.featurizers.base import BaseFeaturizer
from measure import Row, in_turn, milliseconds, ratio, row
from network import model, peak

from cloud_model import CloudModel
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import CloudError, CloudWarning
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.tokenizer import TokenBatch, Tokenizer, build_vocabulary
from cloud_model.scope.symmetry import FOUND
from cloud_plugins import CloudCalculator, CloudFeaturizer, CloudPropertyFeaturizer

SEEN = "crystals that were embedded before"


def forget(model: CloudModel) -> CloudModel:
    """Give a model that has seen nothing."""
    FOUND.clear()
    model.checkpoint.tokenizer._encode.cache_clear()
    model.checkpoint.cache.clear()
    return CloudModel(model.checkpoint)


class StockFeaturizer(BaseFeaturizer):
    """What `BaseFeaturizer` makes of a function: one row after the other, in one process."""

    def __init__(self, function: Callable[[Any], list[float]], labels: list[str]) -> None:
        self.function = function
        self.labels = labels
        self.set_n_jobs(1)

    def featurize(self, crystal: Any) -> list[float]:
        """Call the model."""
        return self.function(crystal)

    def feature_labels(self) -> list[str]:
        """Labels as given."""
        return list(self.labels)

    def citations(self) -> list[str]:
        """None."""
        return []

    def implementors(self) -> list[str]:
        """None."""
        return []


def featurizers(data: Path, rows: int, rounds: int) -> list[Row]:
    warnings.simplefilter("ignore", CloudWarning)
    frame = pd.DataFrame({"structure": structures(data, rows)})
    shipped = CloudModel.from_pretrained()
    names = [name for name, info in shipped.properties.items() if info.basis != "cell"]
    return [
        featurizer_row(
            "embeddings", frame, CloudFeaturizer, lambda m, crystal: m.embed(crystal)[0].tolist(), rounds
        ),
        featurizer_row(
            "properties",
            frame,
            CloudPropertyFeaturizer,
            lambda m, crystal: m.predict(crystal, names)[names].iloc[0].tolist(),
            rounds,
        ),
    ]


def featurizer_row(
    what: str, frame: pd.DataFrame, ours: Any, by_row: Callable[[CloudModel, Any], list[float]], rounds: int
) -> Row:
    shipped = CloudModel.from_pretrained()
    labels = ours(shipped).feature_labels()
    features = {}

    def run(name: str) -> None:
        fresh = forget(shipped)
        featurizer = (
            ours(fresh) if name == "ours" else StockFeaturizer(lambda crystal: by_row(fresh, crystal), labels)
        )
        done = featurizer.featurize_dataframe(frame, "structure", ignore_errors=True, pbar=False)
        features[name] = done[labels].to_numpy(float)

    seconds = in_turn({name: lambda name=name: run(name) for name in ("ours", "stock")}, rounds)
    scale = np.abs(features["stock"]).max(axis=0)
    difference = float((np.abs(features["ours"] - features["stock"]) / scale).max())
    assert difference < 1e-5  # of float32 networks; free energies pass through zero
    return row(
        f"featurize_dataframe, {what}, {len(frame):,} rows",
        "stock per-row featurizer on the same model",
        ">= 10",
        ratio(seconds, "stock", "ours"),
        ms_per_row=milliseconds(seconds, len(frame)),
        largest_difference=difference,
        **bound(frame, shipped, median(seconds["stock"])),
    )


def bound(frame: pd.DataFrame, shipped: CloudModel, stock: float) -> dict[str, float]:
    """What batches could gain at most: no time but for symmetry and matrix multiplications at the peak rate."""
    crystals = frame["structure"].tolist()
    described: list[Any] = []

    def describe() -> None:
        FOUND.clear()
        described[:] = shipped.scopes(crystals)

    symmetry = in_turn({"scopes": describe}, 1)["scopes"][0]
    texts = {str(scope) for scope in described if not isinstance(scope, CloudError)}
    members = shipped.checkpoint.members
    layers = sum(p.numel() for member in members for p in member.encoder.encoder.parameters())
    tokens = sum(len(found.ids) for found in map(shipped.checkpoint.tokenizer.encode, texts))
    multiplications = 2e-9 * layers * tokens / peak(members[0].encoder.config)
    return {
        "ms_symmetry": 1e3 * symmetry / len(frame),
        "ms_multiplications_at_peak": 1e3 * multiplications / len(frame),
        "bound": stock / (symmetry + multiplications),
    }


def frame(data: Path, rows: int, rounds: int) -> list[Row]:
    """SCOPE and network for a frame of different crystals, in one process and two."""
    warnings.simplefilter("ignore", CloudWarning)
    crystals = pd.Series(list(stream(data, 5 * rows)))
    model = CloudModel.from_pretrained()
    model.embed(crystals[:600], errors="nan", n_jobs=2)  # starts the processes
    seconds: dict[int, list[float]] = {1: [], 2: []}
    found = {}
    for _ in range(rounds):
        for n_jobs, times in seconds.items():
            fresh = forget(model)
            start = time.perf_counter()
            found[n_jobs] = fresh.embed(crystals, errors="nan", n_jobs=n_jobs)
            times.append(time.perf_counter() - start)
    assert np.array_equal(found[1], found[2], equal_nan=True)
    return [
        row(
            f"embeddings of a frame of {len(crystals):,} structures, 2 processes",
            "1 process",
            ">= 1.8",
            median(a / b for a, b in zip(seconds[1], seconds[2], strict=True)),
            clock="wall",
            seconds=seconds,
        )
    ]


def calculator(data: Path, rows: int, rounds: int) -> list[Row]:
    """`CloudCalculator` on a cell of 8 atoms, with nothing remembered but the weights."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    shipped = CloudModel.from_pretrained()
    cell = (atoms.cell.array.tolist(), atoms.get_scaled_positions().tolist(), atoms.numbers.tolist())
    batch = TokenBatch.collate(shipped.tokens(atoms))
    calculator = CloudCalculator(shipped)

    def calculate() -> None:
        calculator.reset()
        calculator.model = forget(shipped)
        calculator.get_property("energy", atoms)

    @torch.inference_mode()
    def encode() -> None:
        for member in shipped.checkpoint.members:
            member.encoder(batch.ids, None, batch.types)

    seconds = in_turn(
        {
            "CloudCalculator": calculate,
            "moyopy alone": lambda: moyopy.MoyoDataset(moyopy.Cell(*cell), symprec=0.01),
            "encoder alone": encode,
        },
        40 * rounds,
    )
    parts = median(seconds["moyopy alone"]) + median(seconds["encoder alone"])
    return [
        row(
            "CloudCalculator on one 8-atom cell, warm",
            "the bare symmetry call and the bare encoder forward",
            "<= 1.5",
            median(seconds["CloudCalculator"]) / parts,
            ms=milliseconds(seconds),
        )
    ]


def default_model(data: Path, rows: int, rounds: int) -> list[Row]:
    """A featurizer that looks its model up by name, on a crystal that was embedded before."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    featurizers = {"by name": CloudFeaturizer(), "loaded": CloudFeaturizer(CloudModel.from_pretrained())}

    def featurize(name: str) -> None:
        featurizers[name].featurize(atoms)

    seconds = in_turn({name: lambda name=name: featurize(name) for name in featurizers}, 100 * rounds)
    return [
        row(
            "CloudFeaturizer() on a crystal seen before",
            "the same with a loaded model",
            "<= 1.5",
            median(seconds["by name"]) / median(seconds["loaded"]),
            ms=milliseconds(seconds),
        )
    ]


def repeated(data: Path, rows: int, rounds: int) -> list[Row]:
    """Embed crystals one by one, as a host does, with memory and without."""
    tokenizer = Tokenizer(build_vocabulary(SYMBOLS[:94]), 64)
    large = EncoderConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=64,
    )
    models = {
        "shipped weights": CloudModel.from_pretrained(),
        "768 x 12": model(large, tokenizer, "sites"),
    }
    series = {
        "relaxation of rutile, 100 steps": relaxation(100),
        "substitution of 3 of 8 cations, 56 ways": substitutions(3),
        SEEN: sample(data, rows)[:40],
    }
    return [
        repeated_row(f"{what}, {size}", crystals, network, rounds)
        for size, network in models.items()
        for what, crystals in series.items()
    ]


def relaxation(steps: int) -> list[Atoms]:
    return [
        crystal(
            ["Ti", "O"],
            [(0, 0, 0), (0.300 + 0.005 * np.exp(-i / 9), 0.300 + 0.005 * np.exp(-i / 9), 0)],
            spacegroup=136,
            cellpar=[4.59 + 0.2 * np.exp(-i / 10), 4.59 + 0.2 * np.exp(-i / 10), 2.96, 90, 90, 90],
        )
        for i in range(steps)
    ]


def substitutions(number: int) -> list[Atoms]:
    ideal = bulk("MgO", "rocksalt", a=4.21) * (2, 2, 2)
    magnesium = np.flatnonzero(ideal.symbols == "Mg")
    scan = []
    for chosen in combinations(magnesium, number):
        atoms = ideal.copy()
        atoms.symbols[list(chosen)] = "Ca"
        scan.append(atoms)
    return scan


def repeated_row(what: str, crystals: list[Atoms], network: CloudModel, rounds: int) -> Row:
    found = {}
    remembering = forget(network)

    def with_memory() -> None:
        found["with"] = [remembering.embed(atoms)[0] for atoms in crystals]

    def without() -> None:
        found["without"] = [forget(network).embed(atoms)[0] for atoms in crystals]

    def from_the_start() -> None:
        nonlocal remembering
        remembering = forget(network)
        with_memory()

    def searching() -> None:
        for atoms in crystals:
            FOUND.clear()
            network.scopes([atoms])

    seen = in_turn({"with": with_memory}, rounds) if what.startswith(SEEN) else {}
    seconds = in_turn({"with": from_the_start, "without": without, "symmetry": searching}, rounds) | seen
    difference = float(np.abs(np.array(found["with"]) - np.array(found["without"])).max())
    assert difference < 1e-6
    return row(
        f"repeated crystals: {what}",
        "no memory",
        ">= 20",
        ratio(seconds, "without", "with"),
        ms_per_crystal=milliseconds(seconds, len(crystals)),
        largest_difference=difference,
    )
