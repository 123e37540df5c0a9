"""What each idea behind the shipped checkpoint is worth: one change at a time, three seeds, own validation crystals.

    python -m recipes.prepare DATA PREPARED
    python -m benchmarks.ablations PREPARED --data DATA --runs FOLDER

Small networks on a sample of the training crystals, so that all runs together take about an hour on one core: what
counts is the difference from the base. The compositions of the validation crystals occur in no training or
pretraining string. Finished runs in FOLDER are not repeated. Writes ``ablations.json`` and ``ablations.md``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.accuracy import SHOWN, output_errors, scalar_errors
from cloud_model import Scope
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.display.tables import markdown_table
from cloud_model.network.batches import run_batched
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.heads import property_features
from cloud_model.network.predictor import Output, Predictor, run_heads
from cloud_model.network.tokenizer import Tokenizer, Tokens, build_vocabulary
from cloud_model.physics.mixture import Spectra
from cloud_model.properties.catalogue import SCALARS
from cloud_model.properties.targets import ScalarTarget
from cloud_model.scope.space_groups import letter_rank, space_group, space_groups
from cloud_model.training.baselines import composition_features, symmetry_features
from cloud_model.training.finetuning.labels import LabelledTokens
from cloud_model.training.finetuning.network import NetworkSettings, finetune_network
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.initialise import initialise_tokens
from cloud_model.training.pretraining.pretrain import pretrain
from cloud_model.training.state import remove_states
from recipes import finetune as recipe
from recipes import prepare
from recipes.teachers import with_taught

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SEEDS = (0, 1, 2)
OTHERS = 8_000  # training crystals without scarce labels
CORPUS = 60_000  # pretraining strings
UNLABELLED = 20_000  # strings that teachers label
EPOCHS = 3
SCARCE = ("debye_temperature", "refractive_index", "bulk_modulus_mp", "max_phonon_frequency")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train; what differs from the defaults is the question."""

    question: str
    dialect: str = "sites"
    width: int = 96
    pretrained: bool = True
    periodic_table: bool = True
    spectra: int = 4
    only: tuple[str, ...] = ()  # scalar targets; all if empty
    thermodynamics: bool = True
    precise: bool = True
    dropout: float = 0.0
    counted: bool = True
    labellings: int = 1


VARIANTS = {
    "base": Variant(question="Everything as in the shipped checkpoint, but smaller"),
    "canonical": Variant(question="No element on its orbit", dialect="canonical"),
    "reference": Variant(question="Published strings, in the order of the file", dialect="reference"),
    "scratch": Variant(question="No pretraining", pretrained=False),
    "random elements": Variant(
        question="No pretraining, and no periodic table in the tokens", pretrained=False, periodic_table=False
    ),
    "width 48": Variant(question="A quarter of the parameters", width=48),
    "width 192": Variant(question="Four times the parameters", width=192),
    "K = 1": Variant(question="One Debye spectrum: CLOUD-DEBYE", spectra=1),
    "K = 2": Variant(question="Two spectra", spectra=2),
    "K = 8": Variant(question="Eight spectra", spectra=8),
    "no auxiliary": Variant(question="Only the properties that ship", only=tuple(SCALARS)),
    "Debye alone": Variant(
        question="One property at a time", only=("debye_temperature",), thermodynamics=False
    ),
    "n alone": Variant(question="One property at a time", only=("refractive_index",), thermodynamics=False),
    "phonons alone": Variant(question="Phonons alone", only=("max_phonon_frequency",)),
    "even weights": Variant(question="Energies weigh as other properties do", precise=False),
    "dropout": Variant(question="Dropout of a tenth", dropout=0.1),
    "uncounted": Variant(question="Pooling that does not count atoms", counted=False),
    "labellings": Variant(question="Mean over equivalent labellings, trained on them too", labellings=4),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("CLOUD_DATA"))
    parser.add_argument("--runs", type=Path, required=True)
    arguments = parser.parse_args()
    study = Study(arguments.prepared, arguments.data, arguments.runs)
    for seed in SEEDS:
        for name in VARIANTS:
            study.run(name, seed)
            study.write()
        study.other_heads(seed)
    study.ensemble()
    for seed in SEEDS:
        study.train_again("again", seed, 0, 2 * EPOCHS)  # no fewer steps than the next
        study.train_again("again, taught", seed, UNLABELLED, EPOCHS)
    study.write()


class Study:
    """The crystals, and the errors of every run so far."""

    def __init__(self, prepared: Path, data: Path, runs: Path) -> None:
        table = pd.read_parquet(prepared / "labels.parquet")
        training, self.validation = table[table.split == "train"], table[table.split == "validation"]
        scarce = training[list(SCARCE)].notna().any(axis=1) | training.heat_capacities.notna()
        others = training[~scarce].sample(OTHERS, random_state=0)
        self.training = pd.concat([training[scarce], others])
        self.corpus = pd.read_parquet(prepared / "corpus.parquet").scope
        self.data, self.runs = data, runs
        words = build_vocabulary(SYMBOLS[:94])
        single = {word for group in space_groups() for word in group.generators.split()}
        # for the three groups whose published generators differ from ours
        self.tokenizer = Tokenizer([*words, *sorted(single.difference(words))], 256)
        self.targets = recipe.scalar_targets(training)

    @cache  # noqa: B019 (one study a process)
    def published(self) -> dict[str, str]:
        """`sites` string -> published string of the same crystal."""
        names = {*(name for name, _ in prepare.TABLES), "pretrain_mp", "pretrain_extra"}
        frames = [pd.read_csv(self.data / f"{n}.csv.gz", keep_default_na=False) for n in names]
        rows = pd.concat([frame[["spg", "orbits", "scope"]] for frame in frames])
        rows = rows[rows.orbits != ""]
        phonons = pd.DataFrame(prepare.read_jsonl(self.data / "phonon_train.jsonl.gz"))
        rows = pd.concat([rows, phonons[["spg", "orbits", "scope"]]])
        strings = (
            str(Scope.from_orbits(int(n), orbits)) for n, orbits in zip(rows.spg, rows.orbits, strict=True)
        )
        return dict(zip(strings, rows.scope, strict=True))

    def written(self, texts: Sequence[str], dialect: str) -> list[str]:
        """`sites` strings in a dialect."""
        if dialect == "sites":
            return list(texts)
        if dialect == "canonical":
            return [str(Scope.parse(text).to("canonical")) for text in texts]
        return [self.published()[text] for text in texts]

    def pretrained(self, dialect: str, width: int, periodic_table: bool, pretrain_it: bool) -> dict:
        """Weights of an encoder, pretrained or not."""
        config = self.encoder(width, 0.0)
        folder = self.runs / f"encoder {dialect} {width}"
        if not pretrain_it:
            torch.manual_seed(0)
            predictor = Predictor(config, 0, 0)
            if periodic_table:
                initialise_tokens(predictor.encoder.embeddings.word_embeddings, self.tokenizer)
            return predictor.encoder.state_dict()
        if not (folder / "encoder.pt").exists():
            sample = self.corpus.sample(CORPUS, random_state=0)
            if dialect == "reference":
                sample = sample[sample.isin(self.published().keys())]
            encoder = pretrain(
                self.written(sample.tolist(), dialect),
                self.tokenizer,
                config,
                Schedule(epochs=1, learning_rate=1e-3),
                folder,
                tokens_per_batch=2048,
            )
            torch.save(encoder.state_dict(), folder / "encoder.pt")
            remove_states(folder)
        return torch.load(folder / "encoder.pt", weights_only=True)

    def encoder(self, width: int, dropout: float) -> EncoderConfig:
        """Configuration of an encoder of two layers."""
        return EncoderConfig(
            vocab_size=len(self.tokenizer),
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=4 * width,
            max_position_embeddings=256,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=0.0,
        )

    def run(self, name: str, seed: int) -> None:
        """Train a variant, unless that was done, and keep its outputs for the validation crystals."""
        folder = self.runs / f"{name} {seed}"
        if (folder / "errors.json").exists():
            return
        variant = VARIANTS[name]
        targets = {key: self.targets[key] for key in variant.only or self.targets}
        rows = self._rows_with(targets, variant.thermodynamics)
        torch.manual_seed(seed)
        predictor = Predictor(
            self.encoder(variant.width, variant.dropout),
            len(targets),
            variant.spectra if variant.thermodynamics else 0,
        )
        predictor.encoder.load_state_dict(
            self.pretrained(variant.dialect, variant.width, variant.periodic_table, variant.pretrained)
        )
        rng = np.random.default_rng(seed)
        repeats: NDArray | None = recipe.repeats(rows)
        tokens = self._tokens(self.written(rows.scope.tolist(), variant.dialect), variant)
        labels = recipe.labels_of(rows, list(targets))
        if variant.labellings > 1:
            numbers = np.repeat(np.arange(len(rows)), recipe.repeats(rows))
            texts = [equivalent(text, rng) for text in rows.scope.iloc[numbers]]
            tokens, labels, repeats = self._tokens(texts, variant), labels[numbers], None
        weights = dict(zip(self.targets, recipe.task_weights(self.training, list(self.targets)), strict=True))
        if not variant.precise:
            weights |= {key: 0.5 + 0.5 * (key in SCALARS) for key in recipe.WEIGHTS}
        schedule = Schedule(epochs=EPOCHS, learning_rate=1e-3, seed=seed)
        crystals = LabelledTokens(tokens, labels)
        train(predictor, targets, crystals, repeats, schedule, [weights[key] for key in targets], folder)
        texts = self.written(self.validation.scope.tolist(), variant.dialect)
        outputs = [run_heads(predictor, self._tokens(texts, variant))]
        for _ in range(variant.labellings - 1):
            outputs.append(run_heads(predictor, self._tokens([equivalent(t, rng) for t in texts], variant)))
        torch.save((list(targets), mean_output(outputs)), folder / "outputs.pt")
        torch.save(predictor.state_dict(), folder / "predictor.pt")
        self.judge(folder, targets, mean_output(outputs))

    def _rows_with(self, targets: dict[str, ScalarTarget], thermodynamics: bool) -> pd.DataFrame:
        known = self.training[list(targets)].notna().any(axis=1)
        if thermodynamics:
            known |= self.training.heat_capacities.notna()
        return self.training[known]

    def _tokens(self, texts: Sequence[str], variant: Variant) -> list[Tokens]:
        encoded = [self.tokenizer.encode(text) for text in texts]
        return encoded if variant.counted else [uncounted(tokens) for tokens in encoded]

    def judge(self, folder: Path, targets: dict[str, ScalarTarget], output: Output) -> None:
        """Write the mean absolute errors of outputs for the validation crystals."""
        found = output_errors(output, targets, self.validation)
        (folder / "errors.json").write_text(json.dumps(found, indent=1))

    def _base(self, seed: int) -> Predictor:
        predictor = Predictor(self.encoder(VARIANTS["base"].width, 0.0), len(self.targets), 4)
        state = torch.load(self.runs / f"base {seed}" / "predictor.pt", weights_only=True)
        predictor.load_state_dict(state)
        return predictor.eval()

    def other_heads(self, seed: int) -> None:
        """Other heads on what those of the base see, alone and beside descriptors."""
        predictor = self._base(seed)
        trees = partial(HistGradientBoostingRegressor, max_iter=300)
        for name, described, head in (
            ("trees", False, trees),
            ("trees + descriptors", True, trees),
            ("perceptron + descriptors", True, perceptron),
        ):
            folder = self.runs / f"{name} {seed}"
            if (folder / "errors.json").exists():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            seen, asked = (
                self._features(predictor, rows.scope.tolist(), described)
                for rows in (self.training, self.validation)
            )
            found: dict[str, float] = {}
            for key in ("formation_energy_per_atom", "band_gap", "bulk_modulus", *SCARCE):
                known = self.training[key].notna().to_numpy()
                target = self.targets[key]
                label = target.normalise(self.training[key].to_numpy(float)[known])
                value = head(random_state=seed).fit(seen[known], label).predict(asked)
                found |= scalar_errors(key, target, value, self.validation[key].to_numpy(float))
            (folder / "errors.json").write_text(json.dumps(found, indent=1))

    def _features(self, predictor: Predictor, texts: Sequence[str], described: bool) -> NDArray:
        (pooled,) = run_batched(
            lambda batch: [property_features(predictor.hidden_states(batch), batch)],
            [self.tokenizer.encode(text) for text in texts],
        )
        if not described:
            return pooled.numpy()
        scopes = [Scope.parse(text) for text in texts]
        known = [np.concatenate([composition_features(s), symmetry_features(s)]) for s in scopes]
        return np.hstack([pooled.numpy(), known])

    def ensemble(self) -> None:
        """The bases of all seeds together."""
        saved = [torch.load(self.runs / f"base {seed}" / "outputs.pt", weights_only=False) for seed in SEEDS]
        folder = self.runs / "three seeds 0"
        folder.mkdir(parents=True, exist_ok=True)
        self.judge(folder, self.targets, mean_output([output for _, output in saved]))

    def train_again(self, name: str, seed: int, unlabelled: int, epochs: int) -> None:
        """A base once more, from where it ended, with crystals that the three bases label."""
        folder = self.runs / f"{name} {seed}"
        if (folder / "errors.json").exists():
            return
        tokens = self._tokens(self.training.scope.tolist(), VARIANTS["base"])
        crystals = LabelledTokens(tokens, recipe.labels_of(self.training, list(self.targets)))
        repeats = recipe.repeats(self.training)
        if unlabelled:
            texts = self.corpus.sample(unlabelled, random_state=seed)
            more = [self.tokenizer.encode(text) for text in texts]
            outputs = [run_heads(self._base(teacher), more) for teacher in SEEDS]
            crystals, repeats = with_taught(crystals, repeats, more, outputs, self.targets)
        predictor = self._base(seed)
        schedule = Schedule(epochs=epochs, learning_rate=5e-4, seed=seed + len(SEEDS))
        weights = recipe.task_weights(self.training, list(self.targets))
        train(predictor, self.targets, crystals, repeats, schedule, weights, folder)
        asked = self._tokens(self.validation.scope.tolist(), VARIANTS["base"])
        self.judge(folder, self.targets, run_heads(predictor, asked))

    def write(self) -> None:
        """Mean and standard deviation over the seeds that are done."""
        questions = {name: variant.question for name, variant in VARIANTS.items()} | {
            "trees": "Gradient-boosted trees on what the heads see",
            "trees + descriptors": "The same beside descriptors of composition and symmetry",
            "perceptron + descriptors": "A perceptron on the same",
            "three seeds": "Ensemble of the three bases",
            "again": "The bases trained once more, on the labels alone",
            "again, taught": "The same number of steps, half of them on strings labelled by the three bases",
        }
        results = {}
        for name, question in questions.items():
            if result := over_seeds(self.runs, name, question, SHOWN):
                results[name] = result
        (RESULTS / "ablations.json").write_text(json.dumps(results, indent=1) + "\n")
        (RESULTS / "ablations.md").write_text(markdown(results, SHOWN) + "\n")


def train(
    predictor: Predictor,
    targets: dict[str, ScalarTarget],
    crystals: LabelledTokens,
    repeats: NDArray | None,
    schedule: Schedule,
    weights: list[float],
    folder: Path,
) -> None:
    """Fine-tune a network as the recipe does, in smaller batches."""
    settings = NetworkSettings(task_weights=weights, heat_capacity_weight=6.0, tokens_per_batch=2048)
    finetune_network(predictor, targets, crystals, schedule, folder, settings, repeats=repeats)
    remove_states(folder)
    predictor.eval()


def perceptron(random_state: int) -> Pipeline:
    network = MLPRegressor(hidden_layer_sizes=(256, 128), early_stopping=True, random_state=random_state)
    return make_pipeline(StandardScaler(), network)


def mean_output(outputs: Sequence[Output]) -> Output:
    """The mean of scalar outputs; spectra side by side, which averages heat capacities."""
    scalars = [output.scalars for output in outputs if output.scalars is not None]
    spectra = [output.spectra for output in outputs if output.spectra is not None]
    mean = type(scalars[0])(*(torch.stack(parts).mean(0) for parts in zip(*scalars, strict=True)))
    if not spectra:
        return Output(mean, None)
    return Output(mean, Spectra.together(spectra))


def uncounted(tokens: Tokens) -> Tokens:
    """Each element token counts the same, however many atoms it stands for."""
    present = np.array(tokens.shares) > 0
    return tokens._replace(shares=tuple((present / present.sum()).tolist()))


def equivalent(text: str, rng: np.random.Generator) -> str:
    """The same crystal under a random relabelling by the affine normalizer of its space group."""
    generators, orbits, composition = (part.split() for part in text.split("|"))
    number = Scope.parse(text).space_group
    group = space_group(number)
    image = dict(zip(group.letters, group.relabellings[rng.integers(len(group.relabellings))], strict=True))
    pairs = [
        (symbol[:-1] + image[symbol[-1]], element)
        for symbol, element in zip(orbits[::2], orbits[1::2], strict=True)
    ]
    pairs.sort(key=lambda pair: letter_rank(pair[0][-1]))
    words = [word for pair in pairs for word in pair]
    return " ".join([*generators, "|", *words, "|", *composition])


def over_seeds(runs: Path, name: str, question: str, columns: Iterable[str]) -> dict[str, Any]:
    """Mean and standard deviation of a variant over the seeds that are done; nothing if none is."""
    files = [runs / f"{name} {seed}" / "errors.json" for seed in SEEDS]
    found = pd.DataFrame([json.loads(file.read_text()) for file in files if file.exists()])
    known = [column for column in columns if column in found]
    if found.empty:
        return {}
    return {
        "question": question,
        "seeds": len(found),
        "mae": found[known].mean().to_dict(),
        "deviation": found[known].std(ddof=0).to_dict(),
    }


def markdown(results: dict[str, Any], columns: Mapping[str, str]) -> str:
    """Table of the results of `over_seeds`, a row a variant."""
    rows = []
    for name, result in results.items():
        cells = [
            f"{result['mae'][key]:.3g} ± {result['deviation'][key]:.1g}"
            if result["seeds"] > 1 and key in result["mae"]
            else f"{result['mae'][key]:.3g}"
            if key in result["mae"]
            else ""
            for key in columns
        ]
        rows.append([name, *cells, result["question"]])
    return markdown_table(["variant", *columns.values(), "question"], rows, numbers=False)


if __name__ == "__main__":
    main()
