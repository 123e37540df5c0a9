"""Make a checkpoint of fine-tuned runs: join them, calibrate their error bars, measure, write the model card.

    python -m recipes.export DATA PRETRAINED OUTPUT RUN [RUN ...]

The compositions of the validation crystals occur nowhere in training. They calibrate the error bars and intervals and
give every figure of the card; the coverage of an error bar is that of each half when the other half, chosen by
composition, calibrates it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from cloud_model import CloudModel, Scope
from cloud_model.checkpoints.checkpoint import Checkpoint, CheckpointConfig
from cloud_model.network.predictor import Predictor, run_heads
from cloud_model.properties.catalogue import HARMONIC, SCALARS, PropertyInfo
from cloud_model.properties.intervals import growth_factor, interval_factors
from cloud_model.training.baselines import CRYSTAL_SYSTEMS
from cloud_model.training.metrics import ONE_SIGMA, scores
from recipes.average import MEAN_OF
from recipes.baselines import (
    CURVE,
    MP20_GAP,
    PUBLISHED_LABEL,
    TEMPERATURES,
    curve_at,
    of_mp20,
    with_curves,
)
from recipes.finetune import PROBABILITIES, SPECTRA, build_predictor, load, scalar_targets
from recipes.model_card import model_card
from recipes.stability import energy_errors, near_hull

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"

ENERGIES = "MP-20, Materials Project 2018 and later, WBM (consensus of seven models), brought to one scale"
SOURCES = {
    "formation_energy_per_atom": ENERGIES,
    "formation_energy_per_atom_2018": ENERGIES,
    "band_gap": "Materials Project, MP-20, WBM",
    "bulk_modulus": "AFLOW AEL",
    "shear_modulus": "AFLOW AEL",
    "refractive_index": "MatBench dielectric",
    "debye_temperature": "AFLOW AGL",
    "max_phonon_frequency": "MatBench phonons",
    "thermal_conductivity": "AFLOW AGL",
    "thermal_expansion": "AFLOW AGL",
    "volume_per_atom": "Materials Project",
    "dynamic_stability": "DFPT phonons of Petretto et al. (2018)",
}
PHONONS = (
    "DFPT phonons of Petretto et al. (2018), for metals AFLOW's Debye temperatures and JARVIS-DFT at 300 K"
)
RISKY_ABOVE = ("formation_energy_per_atom", "formation_energy_per_atom_2018")
BELOW, ABOVE = (
    0.6,
    0.2,
)  # shares of the misses beyond the bounds of those: the unstable, that look stable, lie above
MANY = 20_000  # training crystals that tell the domain
FEW = 150  # labels from which the growth of an error bar cannot be told
GROWTHS = np.linspace(0, 2, 41)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument(
        "output", type=Path, help="checkpoint directory; its name is the name of the checkpoint"
    )
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()

    table = pd.read_parquet(arguments.data / "labels.parquet")
    training, validation = table[table.split == "train"], table[table.split == "validation"]
    validation = validation.reset_index(drop=True)
    published = pd.read_parquet(arguments.data / "cloud_label.parquet")
    energies = pd.read_parquet(arguments.data / "energies.parquet")
    baselines = json.loads((arguments.data / "baselines.json").read_text())

    checkpoint = join(arguments.pretrained, arguments.runs, training, arguments.output.name)
    fit_domains(checkpoint, training, validation)
    held_out = HeldOut.of(checkpoint, validation)
    checkpoint = dataclasses.replace(checkpoint, config=held_out.calibrated(checkpoint.config))
    model = CloudModel(checkpoint)
    measured = measure(model, held_out, training, published, energies, baselines)
    results = pd.DataFrame(measured).set_index("property")
    checkpoint = with_errors(checkpoint, training, results)
    corpus = pd.read_parquet(arguments.data / "corpus.parquet").scope
    provenance = {
        "corpus": f"{len(corpus):,}",
        "overlap": f"{int(validation.scope.isin(corpus).sum())}",
        "held_in": f"{len(training):,}",
        "held_out": f"{len(validation):,}",
        "pretraining": passes(arguments.pretrained),
        "finetuning": "\n".join(f"  - {passes(run)}" for run in arguments.runs),
    }
    kinds = errors_by_kind(held_out)
    domain = errors_by_domain(held_out)
    heights = energy_errors(model, energies)
    near = near_hull(model, energies)
    card = model_card(checkpoint, results, kinds, domain, heights, near, provenance)
    checkpoint.save(arguments.output, card, torch.float16)
    print(card)
    record = RESULTS / f"accuracy_{checkpoint.config.name}.json"
    record.write_text(results.to_json(orient="index", indent=1) + "\n")


def passes(run: Path) -> str:
    """How long a run trained, who taught it, and the runs that it started from or is the mean of."""
    if (averaged := run / MEAN_OF).exists():
        first, *others = (passes(Path(part)) for part in averaged.read_text().split())
        more = (text.removeprefix(f"{first}, then ") for text in others)
        return f"{first}; the mean of these weights and of those after {' and after '.join(more)}"
    training = run / "training" if (run / "training").exists() else run
    history = [json.loads(line) for line in (training / "metrics.jsonl").read_text().splitlines()]
    start = run / "start.txt"
    before = f"{passes(Path(start.read_text()))}, then " if start.exists() else ""
    teachers = run / "teachers.txt"
    taught = f" taught by {len(teachers.read_text().split())} networks" if teachers.exists() else ""
    count = f"{history[-1]['epoch']:.3g}"
    return f"{before}{count} pass{'es' * (count != '1')}{taught}, {history[-1]['step']:,} steps"


def join(pretrained: Path, runs: list[Path], training: pd.DataFrame, name: str) -> Checkpoint:
    """The networks of all runs, without the heads that only helped to train."""
    base = Checkpoint.load(pretrained)
    targets = scalar_targets(training)
    members = [shipped(load(run, len(targets))) for run in runs]
    config = CheckpointConfig(
        name=name,
        dialect=base.config.dialect,
        symprec=base.config.symprec,
        encoder=members[0].encoder.config,
        targets={name: targets[name] for name in SCALARS},
        properties=SCALARS | HARMONIC,
        spectra=SPECTRA,
        domain=True,
    )
    return Checkpoint(config, base.tokenizer, members)


def shipped(trained: Predictor) -> Predictor:
    """Keep the first heads, those of `SCALARS`, and the precision of float16."""
    state = {name: tensor.half().float() for name, tensor in trained.state_dict().items()}
    for name in [name for name in state if name.startswith("scalars.")]:
        heads = state[name].unflatten(0, (len(trained.scalars.value), -1))[: len(SCALARS)]
        state[name] = heads.flatten(0, 1)
    predictor = build_predictor(trained.encoder.config, len(SCALARS))
    predictor.load_state_dict(state)
    return predictor.eval().requires_grad_(False)


def fit_domains(checkpoint: Checkpoint, training: pd.DataFrame, validation: pd.DataFrame) -> None:
    """Tell the networks how far held-out crystals are from the training crystals, of which many are enough."""
    training = training.sample(min(MANY, len(training)), random_state=0)
    seen, unseen = (
        [checkpoint.tokenizer.encode(text) for text in rows.scope] for rows in (training, validation)
    )
    for member in checkpoint.members:
        member.fit_domain(seen, member.features(seen), member.features(unseen))
        member.requires_grad_(False)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Validation crystals and what uncalibrated networks say of them.

    Attributes
    ----------
    rows : DataFrame
        Their labels.
    predicted : DataFrame
        Values and standard errors of the scalar properties.
    distance : ndarray, shape (n,)
        From the training crystals.
    curves : DataFrame
        Label, value and standard error of the heat capacity, J/(mol-atom K), of the rows and temperatures that have it.
    """

    rows: pd.DataFrame
    predicted: pd.DataFrame
    distance: NDArray
    curves: pd.DataFrame

    @classmethod
    def of(cls, checkpoint: Checkpoint, rows: pd.DataFrame) -> HeldOut:
        """Predict for validation crystals, whose index is their place."""
        model = CloudModel(checkpoint)
        tokens = [checkpoint.tokenizer.encode(text) for text in rows.scope]
        distances = [run_heads(member, tokens).distance.numpy() for member in checkpoint.members]
        known = with_curves(rows)
        curves = [curve(model, known, temperature) for temperature in TEMPERATURES]
        predicted = model.predict(rows.scope.tolist(), list(SCALARS))
        return cls(rows, predicted, np.mean(distances, axis=0), pd.concat(curves))

    def first_half(self) -> NDArray:
        """Whether each crystal is in the first of two halves that share no composition."""
        compositions = [text.rsplit(" | ", 1)[1].encode() for text in self.rows.scope]
        return np.array([sha256(composition).digest()[0] % 2 == 0 for composition in compositions])

    def ratios(self, config: CheckpointConfig, name: str) -> NDArray:
        """Residuals in units of the uncalibrated standard errors, positive where the label is above the value."""
        label, value, error = (
            x.to_numpy(float) for x in (self.rows[name], self.predicted[name], self.predicted[f"{name}_std"])
        )
        return config.targets[name].standardised(label, value, error)

    def calibrated(self, config: CheckpointConfig, chosen: NDArray | None = None) -> CheckpointConfig:
        """The configuration whose error bars and intervals fit these crystals, or those chosen of them.

        Error bars grow with the distance as the likelihood of the residuals asks for, where there are labels
        enough to tell, and elsewhere as in the median of those.
        """
        everything = np.ones(len(self.rows), dtype=bool) if chosen is None else chosen
        distance = self.distance[everything]
        ratios = {
            name: self.ratios(config, name)[everything] for name in SCALARS if name not in PROBABILITIES
        }
        enough = {name: growth(r, distance) for name, r in ratios.items() if (~np.isnan(r)).sum() >= FEW}
        usual = float(np.median(list(enough.values())))
        targets, intervals = dict(config.targets), {}
        for name, ratio in ratios.items():
            rate = enough.get(name, usual)
            scaled = ratio / growth_factor(rate, distance)
            factor = float(np.nanquantile(np.abs(scaled), ONE_SIGMA))
            targets[name] = dataclasses.replace(targets[name], calibration=factor, growth=rate)
            intervals[name] = interval_factors(np.abs(scaled) / factor)
            if name in RISKY_ABOVE:
                intervals[f"{name}_low"] = interval_factors(-scaled / factor, BELOW)
                intervals[f"{name}_high"] = interval_factors(scaled / factor, ABOVE)
        intervals |= {
            name: interval_factors(np.abs(self.ratios(config, name)[everything])) for name in PROBABILITIES
        }
        curves = self.curves[everything[self.curves.index]]
        scaled = (curves.label - curves.value).abs() / curves.error
        spread = float(scaled.quantile(ONE_SIGMA))
        intervals[CURVE] = interval_factors(scaled.to_numpy() / spread)
        return dataclasses.replace(config, targets=targets, spread_calibration=spread, intervals=intervals)

    def coverage(self, config: CheckpointConfig) -> dict[str, dict[str, float]]:
        """Shares of the labels of each half within error bars and intervals that the other half calibrates."""
        first = self.first_half()
        found: dict[str, dict[str, list[NDArray]]] = {}
        for half in (first, ~first):
            tuned = self.calibrated(config, ~half)
            for name in SCALARS:
                target = tuned.targets[name]
                ratio = self.ratios(config, name)[half]
                grown = target.calibration * growth_factor(target.growth, self.distance[half])
                found.setdefault(name, {"68": [], "95": []})
                known = ~np.isnan(ratio)
                scaled = (ratio / grown)[known]
                below, above = (
                    wide(tuned.intervals.get(f"{name}_{end}", tuned.intervals[name]))
                    for end in ("low", "high")
                )
                found[name]["68"].append(np.abs(scaled) <= 1)
                found[name]["95"].append((-below <= scaled) & (scaled <= above))
            curves = self.curves[half[self.curves.index]]
            for temperature, rows in curves.groupby("temperature"):
                name = f"{CURVE} at {temperature:g} K"
                found.setdefault(name, {"68": [], "95": []})
                scaled = ((rows.label - rows.value).abs() / rows.error).to_numpy() / tuned.spread_calibration
                found[name]["68"].append(scaled <= 1)
                found[name]["95"].append(scaled <= wide(tuned.intervals[CURVE]))
        return {
            name: {
                f"coverage_{share}": float(np.concatenate(parts).mean()) for share, parts in shares.items()
            }
            for name, shares in found.items()
        }


def wide(factors: Mapping[str, float]) -> float:
    """Factor of the interval of 95%, or of the widest that half of the crystals could calibrate."""
    return factors.get("0.95", max(factors.values()))


def growth(ratios: NDArray, distance: NDArray) -> float:
    """Growth of error bars with the distance of largest likelihood, for residuals of a Laplace distribution."""
    known = ~np.isnan(ratios)
    losses = []
    for rate in GROWTHS:
        factor = growth_factor(float(rate), distance[known])
        losses.append(np.log(np.mean(np.abs(ratios[known]) / factor)) + np.log(factor).mean())
    return float(GROWTHS[int(np.argmin(losses))])


def curve(model: CloudModel, rows: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """Labels, predictions and standard errors of the heat capacity, J/(mol-atom K)."""
    predicted = model.predict(rows.scope.tolist(), CURVE, temperature)
    return pd.DataFrame(
        {
            "temperature": temperature,
            "label": curve_at(rows, temperature),
            "value": predicted[CURVE].to_numpy(),
            "error": predicted[f"{CURVE}_std"].to_numpy(),
        },
        index=rows.index,
    )


def measure(
    model: CloudModel,
    held_out: HeldOut,
    training: pd.DataFrame,
    published: pd.DataFrame,
    energies: pd.DataFrame,
    baselines: dict[str, dict[str, float]],
) -> Iterator[dict[str, object]]:
    """One row of results a property."""
    rows, predicted = held_out.rows, held_out.predicted
    coverage = held_out.coverage(model.checkpoint.config)
    for name, info in SCALARS.items():
        label, value = rows[name].to_numpy(float), predicted[name].to_numpy(float)
        seen = {"unit": info.unit, "training": int(training[name].notna().sum())}
        own = scores(label, value) | coverage[name]
        if name in PROBABILITIES:
            known = ~np.isnan(label)
            own["auc"] = float(roc_auc_score(label[known], value[known]))
        if model.checkpoint.config.targets[name].transform == "log10":
            own["mae_log10"] = scores(np.log10(label), np.log10(value))["mae"]
            own["median_relative_error"] = float(np.nanmedian(np.abs(value / label - 1)))
        yield {"property": name, **seen, **own, **baselines[name]}
        if name == "band_gap":
            near = of_mp20(rows, energies)
            yield {"property": MP20_GAP, **seen, **scores(label[near], value[near]), **baselines[MP20_GAP]}
    seen = {
        "unit": HARMONIC[CURVE].unit,
        "training": int(training.heat_capacities.notna().sum()),
    }
    for temperature, part in held_out.curves.groupby("temperature"):
        name = f"{CURVE} at {temperature:g} K"
        own = scores(part.label.to_numpy(), part.value.to_numpy()) | coverage[name]
        yield {"property": name, **seen, **own, **baselines[name]}
    asked = published[published.split == "validation"]
    own = scores(
        asked.heat_capacity.to_numpy(float),
        published_label(model, asked, lost_share(model, published[published.split == "train"])),
    )
    yield {"property": PUBLISHED_LABEL, **seen, "unit": "J/(mol K)", **own, **baselines[PUBLISHED_LABEL]}


def published_label(model: CloudModel, rows: pd.DataFrame, lost: float) -> NDArray:
    """Heat capacity of the cell at 300 K, J/(mol K), of which imaginary modes, if there are any, lose a share."""
    frame = model.predict(rows.scope.tolist(), [CURVE, "dynamic_stability"], 300.0)
    imaginary = 1 - frame.dynamic_stability.to_numpy(float)
    return frame[CURVE].to_numpy(float) * rows.n_atoms.to_numpy() * (1 - lost * imaginary)


def lost_share(model: CloudModel, rows: pd.DataFrame) -> float:
    """Share of the heat capacity that crystals with imaginary modes lose in the median where these count as zero."""
    unstable = rows[~rows.stable]
    return float(np.median(1 - unstable.heat_capacity / published_label(model, unstable, 0.0)))


KINDS = ("formation_energy_per_atom", "band_gap", "bulk_modulus", "debye_temperature", "refractive_index")
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
ANIONS = {
    "oxides": {"O"},
    "halides": {"F", "Cl", "Br", "I"},
    "chalcogenides": {"S", "Se", "Te"},
    "pnictides": {"N", "P", "As", "Sb", "Bi"},
    "hydrides": {"H"},
    "borides, carbides, silicides, germanides": {"B", "C", "Si", "Ge"},
}
"""The first kind of which a crystal holds an element is its chemistry; all others are intermetallics."""


def errors_by_kind(held_out: HeldOut) -> pd.DataFrame:
    """Mean absolute errors by crystal system and by chemistry, and the number of crystals behind each."""
    scopes = [Scope.parse(text) for text in held_out.rows.scope]
    systems = [SYSTEMS[np.searchsorted(CRYSTAL_SYSTEMS, scope.space_group)] for scope in scopes]
    chemistries = [chemistry({element for element, _ in scope.composition}) for scope in scopes]
    return grouped_errors(held_out, [(systems, SYSTEMS), (chemistries, (*ANIONS, "intermetallics"))])


def chemistry(elements: set[str]) -> str:
    return next((name for name, anions in ANIONS.items() if elements & anions), "intermetallics")


def errors_by_domain(held_out: HeldOut) -> pd.DataFrame:
    """Mean absolute errors of crystals within and out of the domain of training."""
    labels = np.where(held_out.distance > 1, "out of the domain", "within the domain").tolist()
    return grouped_errors(held_out, [(labels, ("within the domain", "out of the domain"))])


def grouped_errors(held_out: HeldOut, groupings: list[tuple[list[str], tuple[str, ...]]]) -> pd.DataFrame:
    """One row a group, in the given order: error and count of each property of `KINDS`."""
    errors = (held_out.predicted[list(KINDS)] - held_out.rows[list(KINDS)]).abs()
    parts = []
    for labels, order in groupings:
        groups = errors.groupby(labels)
        parts.append(groups.mean().join(groups.count().add_suffix("_count")).reindex(order).dropna(how="all"))
    return pd.concat(parts)


def with_errors(checkpoint: Checkpoint, training: pd.DataFrame, results: pd.DataFrame) -> Checkpoint:
    """The checkpoint with training set and test error of each property."""
    curves = int(training.heat_capacities.notna().sum())

    def described(name: str, info: PropertyInfo) -> PropertyInfo:
        if name in SCALARS:
            source = f"{SOURCES[name]}, {results.training[name]} crystals"
            return dataclasses.replace(
                info, training_set=source, test_error=round(float(results.mae[name]), 8)
            )
        error = round(float(results.mae[f"{CURVE} at 300 K"]), 4) if name == CURVE else None
        return dataclasses.replace(info, training_set=f"{PHONONS}, {curves} crystals", test_error=error)

    properties = {name: described(name, info) for name, info in checkpoint.config.properties.items()}
    return dataclasses.replace(
        checkpoint, config=dataclasses.replace(checkpoint.config, properties=properties)
    )


if __name__ == "__main__":
    main()
