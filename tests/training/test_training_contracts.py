"""What fine-tuning owes: rows that it must not see, rates that it must keep, labels that it must use."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cloud_model import CloudModel, Scope
from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.network.encoder import EncoderConfig
from cloud_model.network.heads import Prediction
from cloud_model.network.predictor import Output, Predictor
from cloud_model.network.tokenizer import TokenBatch, Tokenizer, build_vocabulary
from cloud_model.physics.debye import DebyeSolid
from cloud_model.physics.mixture import DebyeMixture, Spectra
from cloud_model.properties.catalogue import PropertyInfo
from cloud_model.properties.targets import ScalarTarget
from cloud_model.training import evaluation
from cloud_model.training.finetuning import network, table
from cloud_model.training.finetuning.ensemble import EnsembleSettings, finetune_ensemble
from cloud_model.training.finetuning.labelled_crystals import Columns
from cloud_model.training.finetuning.labels import LabelledTokens, Labels, normalised
from cloud_model.training.finetuning.loss import COLDEST, MultiTaskLoss, curve_loss
from cloud_model.training.finetuning.network import NetworkSettings, finetune_network, layer_groups
from cloud_model.training.finetuning.table import finetune_table
from cloud_model.training.loop import Schedule
from cloud_model.training.pretraining.initialise import initialise_tokens
from cloud_model.training.state import StateDirectory

METALS = (
    "Li",
    "Na",
    "K",
    "Rb",
    "Cs",
    "Ag",
    "Cu",
    "Tl",
    "Mg",
    "Ca",
    "Sr",
    "Ba",
    "Zn",
    "Cd",
    "Mn",
    "Fe",
    "Co",
    "Ni",
)
SCOPES = [Scope.from_orbits(225, [("4a", a), ("4b", b)]) for a, b in combinations(METALS, 2)]
SCHEDULE = Schedule(epochs=1, learning_rate=1e-2, precision="float32")
ONE = EnsembleSettings(members=1, epochs=1, tokens_per_batch=64, precision="float32")
TARGETS = {"x": ScalarTarget(transform="identity", location=0.0, scale=1.0)}
INFO = {"x": PropertyInfo(unit="", basis="crystal", description="")}


@pytest.fixture(scope="module")
def base(tiny_checkpoint) -> Checkpoint:
    return Checkpoint.load(tiny_checkpoint)


def crystals(base: Checkpoint, labels: np.ndarray, weights: np.ndarray | None = None) -> LabelledTokens:
    tokens = [base.tokenizer.encode(str(scope)) for scope in SCOPES[: len(labels)]]
    return LabelledTokens(tokens, replace(Labels.of_scalars(labels[:, None]), weights=weights))


def weights_of(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    (member,) = checkpoint.members
    return {name: tensor for name, tensor in member.state_dict().items() if "domain" not in name}


def close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)


def test_other_labels_in_a_fold_do_not_change_the_weights_of_its_member(base, tmp_path):
    """Labels of the fold are exchanged, so that their mean and deviation stay; one epoch, so none is chosen by them."""
    labels = np.random.default_rng(0).normal(size=40)
    fold = np.arange(8)
    outcomes = {}
    for name, rows in {"as they are": fold, "fold": fold[::-1], "others": np.arange(8, 16)[::-1]}.items():
        changed = labels.copy()
        changed[np.sort(rows)] = labels[rows]
        outcomes[name], _ = finetune_ensemble(
            base, "x", crystals(base, changed), INFO, {"x": "identity"}, [fold], ONE, tmp_path / name
        )
    first, exchanged, trained = (weights_of(checkpoint) for checkpoint in outcomes.values())
    assert not close(trained, first)
    assert close(exchanged, first)


@pytest.mark.parametrize("kind", ["weights", "repeats"])
def test_a_crystal_of_no_weight_or_no_repeats_teaches_nothing(base, tmp_path, kind):
    without = np.ones(20, dtype=int)
    without[3] = 0
    outcomes = []
    for name, label, ones in (("a", 0.0, without), ("b", 50.0, without), ("c", 50.0, None)):
        labels = np.linspace(-1, 1, 20)
        labels[3] = label
        torch.manual_seed(0)
        predictor = Predictor(base.config.encoder, 1, 0)
        finetune_network(
            predictor,
            TARGETS,
            crystals(base, labels, ones if kind == "weights" else None),
            replace(SCHEDULE, epochs=2),  # the last step has no learning rate
            tmp_path / name,
            NetworkSettings(tokens_per_batch=64),
            repeats=ones if kind == "repeats" else None,
        )
        outcomes.append(predictor.state_dict())
    assert close(outcomes[0], outcomes[1])
    assert not close(outcomes[0], outcomes[2])


@pytest.mark.parametrize("weights", [{"task_weights": [1.0, 0.0]}, {"heat_capacity_weight": 0.0}])
def test_a_property_of_no_weight_teaches_nothing(base, tmp_path, weights):
    targets = TARGETS | {"y": TARGETS["x"]}
    tokens = [base.tokenizer.encode(scope) for scope in SCOPES[:20]]
    signs = np.resize([1.0, -1.0], 20)
    outcomes = []
    for name, size, chosen in (("a", 1.0, weights), ("b", -3.0, weights), ("c", -3.0, {})):
        ignored, known = size * signs, np.linspace(-1, 1, 20)
        second, curves = (ignored, 15 + known) if "task_weights" in weights else (known, 15 + ignored)
        labels = Labels(np.stack([known, second], 1), np.full((20, 1), 300.0), curves[:, None])
        torch.manual_seed(0)
        predictor = Predictor(base.config.encoder, 2, 2)
        finetune_network(
            predictor,
            targets,
            LabelledTokens(tokens, labels),
            replace(SCHEDULE, epochs=2),
            tmp_path / name,
            NetworkSettings(tokens_per_batch=64, **chosen),
        )
        outcomes.append(predictor.encoder.state_dict())
    assert close(outcomes[0], outcomes[1])
    assert not close(outcomes[0], outcomes[2])


def test_error_bars_hold_on_fresh_rows(base, tmp_path):
    """Labels that no string determines, so that fresh rows have the errors of those that calibrated."""
    labels = np.random.default_rng(1).normal(10.0, 3.0, size=len(SCOPES))
    old = 110
    folds = np.array_split(np.arange(old), 3)
    settings = replace(ONE, members=3, epochs=2)
    checkpoint, held_out = finetune_ensemble(
        base, "x", crystals(base, labels[:old]), INFO, {"x": "identity"}, folds, settings, tmp_path
    )
    stated = np.abs(held_out.values["x"] - labels[held_out.rows]) <= held_out.errors["x"]
    predicted = CloudModel(checkpoint).predict(SCOPES[old:], "x")
    covered = np.abs(predicted["x"] - labels[old:]) <= predicted["x_std"]
    assert stated.mean() == pytest.approx(0.68, abs=0.02)
    assert covered.mean() == pytest.approx(0.68, abs=0.15)


def test_members_take_the_encoders_in_turn_and_begin_with_heads_of_their_own(base, tmp_path):
    settings = replace(ONE, members=3, encoder_rate=0.0)
    checkpoint, held_out = finetune_ensemble(
        base,
        "x",
        crystals(base, np.linspace(-1, 1, 20)),
        INFO,
        {"x": "identity"},
        [np.arange(4)],
        settings,
        tmp_path,
    )
    first, second, third = checkpoint.members
    assert len(base.members) == 2
    for member, parent in ((first, 0), (second, 1), (third, 0)):
        assert close(member.encoder.state_dict(), base.members[parent].encoder.state_dict())
    assert not close(first.encoder.state_dict(), second.encoder.state_dict())
    assert not close(first.scalars.state_dict(), third.scalars.state_dict())
    assert held_out.rows.tolist() == 3 * [0, 1, 2, 3]


@pytest.mark.parametrize(("patience", "epochs"), [(2, 3), (None, 6)])
def test_training_ends_when_it_no_longer_improves(base, tmp_path, patience, epochs):
    some = crystals(base, np.linspace(-1, 1, 20))
    metrics = finetune_network(
        Predictor(base.config.encoder, 1, 0),
        TARGETS,
        some[np.arange(16)],
        replace(SCHEDULE, epochs=6, learning_rate=1e-30),  # the first epoch stays the best
        tmp_path,
        NetworkSettings(encoder_rate=0.0, patience=patience),
        validation=some[np.arange(16, 20)],
    )
    assert len(metrics) == epochs


def test_members_drop_hidden_states_as_they_are_told(base, tmp_path):
    some = crystals(base, np.linspace(-1, 1, 20))
    batch = TokenBatch.collate(some.tokens)
    noise = []
    for dropout in (0.0, 0.5):
        settings = replace(ONE, encoder_rate=0.0, dropout=dropout)
        checkpoint, _ = finetune_ensemble(
            base, "x", some, INFO, {"x": "identity"}, [np.arange(4)], settings, tmp_path / str(dropout)
        )
        (member,) = checkpoint.members
        once, again = (member.train()(batch).scalars.value for _ in range(2))
        noise.append(float((once - again).abs().mean()))
    assert noise[1] > 10 * noise[0]  # the weights of attention are dropped in both


@pytest.mark.parametrize(("lowest", "minimum"), [(0.0, 0.0), (-1.0, None)])
def test_a_property_without_negative_labels_is_predicted_without(base, tmp_path, lowest, minimum):
    labels = np.linspace(lowest, 5.0, 20)
    checkpoint, _ = finetune_ensemble(
        base, "x", crystals(base, labels), INFO, {"x": "identity"}, [np.arange(4)], ONE, tmp_path
    )
    assert checkpoint.config.targets["x"].minimum == minimum


@pytest.fixture
def fitted(monkeypatch) -> list[tuple[list[str], list[str]]]:
    """What baselines were fitted to and asked for."""
    seen = []

    def spy(training, labels, test, seed=0):
        assert len(training) == len(labels)
        seen.append(([str(scope) for scope in training], [str(scope) for scope in test]))
        return {"dummy": np.repeat(np.mean(labels, axis=0, keepdims=True), len(test), axis=0)}

    monkeypatch.setattr(table, "baseline_predictions", spy)
    monkeypatch.setattr(evaluation, "baseline_predictions", spy)
    return seen


def test_baselines_are_fitted_to_no_row_that_they_are_asked_for(base, tiny_checkpoint, tmp_path, fitted):
    rows = pd.DataFrame({"scope": map(str, SCOPES[:30]), "x": np.linspace(-1, 1, 30)})
    rows["split"] = ["test"] * 6 + ["train"] * 24
    test, training = set(rows.scope[:6]), set(rows.scope[6:])
    settings = replace(ONE, folds=3)
    columns = Columns(structure="scope", units={"x": ""}, split="split")
    finetune_table(rows, columns, tmp_path / "x", model=tiny_checkpoint, settings=settings)
    evaluation.evaluate(rows, "scope", "x", model=tmp_path / "x", split="split")
    evaluation.evaluate(rows, "scope", "x", model=tmp_path / "x", folds=3)
    held_out, tested, given, *folds = fitted
    assert set(held_out[0]) | set(held_out[1]) == training
    for fit, asked in (tested, given):
        assert set(fit) == training
        assert set(asked) == test
    assert len(folds) == 3
    for fit, asked in (held_out, *folds):
        assert not set(fit) & set(asked)


def test_rates_fall_from_the_heads_to_the_embeddings_and_only_matrices_decay(base):
    predictor = Predictor(base.config.encoder, 2, 3)
    schedule = Schedule(epochs=1, learning_rate=1.0, weight_decay=0.5)
    names = {id(parameter): name for name, parameter in predictor.named_parameters()}
    found = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in layer_groups(predictor, schedule, encoder_rate=0.5, layer_decay=0.8)
        for parameter in group["params"]
    }
    rates = {"scalars": 1.0, "thermodynamics": 1.0, "encoder.encoder.layer.1": 0.5}
    rates |= {"encoder.encoder.layer.0": 0.4, "encoder.embeddings": 0.32}
    linear = {f"{name}.weight" for name, module in predictor.named_modules() if isinstance(module, nn.Linear)}
    assert found.keys() == set(names.values())
    for name, (rate, decay) in found.items():
        assert rate == pytest.approx(next(value for key, value in rates.items() if name.startswith(key))), (
            name
        )
        assert decay == (0.5 if name in linear else 0.0), name


def curve(theta: float, spread: float = 0.1) -> Spectra:
    one = torch.ones(1, 1, dtype=torch.float64)
    return Spectra(theta * one, one.clone(), spread * one[0], 1e-3 * one[0])


def curve_labels(theta: float, missing: float | None) -> Labels[torch.Tensor]:
    temperatures = torch.tensor([[50.0, 150.0, 300.0]], dtype=torch.float64)
    exact = DebyeMixture(curve(theta), temperatures)
    energies = None if missing is None else exact.internal_energy + missing
    none = torch.empty(1, 0, dtype=torch.float64)
    return Labels(none, temperatures, exact.heat_capacity, energies, torch.ones(1, dtype=torch.float64))


def test_internal_energies_are_learned():
    """An energy that is off by so many J/mol-atom costs as much as heat capacities off by it over T."""
    without, exact, off = (
        float(curve_loss(curve(400.0), curve_labels(400.0, by))) for by in (None, 0.0, 60.0)
    )
    temperatures = curve_labels(400.0, None).temperatures
    unit = 0.3 * DebyeSolid(350.0, temperatures).heat_capacity_slope.abs() + 0.1
    assert exact == pytest.approx(without)
    assert off - exact == pytest.approx(float((60.0 / (unit * temperatures.clamp(min=COLDEST))).mean()))


def laplace(residual: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Negative log likelihood of a Laplace distribution, but for a constant."""
    width = deviation / 2**0.5
    return residual / width + width.log()


def test_the_loss_of_values_is_weighted_by_property_and_crystal():
    value = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    scale = torch.tensor([[0.5, 1.0], [2.0, 0.7]])
    label = torch.tensor([[0.5, 1.0], [torch.nan, 0.0]])
    none = torch.empty(2, 0)
    labels = Labels(label, none, none, None, torch.tensor([1.0, 3.0]))
    loss = MultiTaskLoss(torch.tensor([2.0, 5.0]), 1.0, torch.tensor([False, True]))
    residual = torch.tensor([[0.5, 2.0], [0.0, 1.0]])
    residual[:, 1] = torch.log1p(torch.exp(-residual[:, 1]))  # -log p of the label
    each = residual + laplace(residual, scale)
    expected = (2 * each[0, 0] + 5 * each[0, 1] + 5 * 3 * each[1, 1]) / 4
    torch.testing.assert_close(loss(Output(Prediction(value, scale), None), labels, 4), expected)


def test_the_loss_of_curves_is_weighted_by_crystal_and_counts_known_points():
    spectra = Spectra.each(curve(400.0), lambda part: torch.cat([part, 1.5 * part, part]))
    temperatures = torch.tensor([50.0, 150.0, 300.0], dtype=torch.float64).expand(3, -1)
    mixture = DebyeMixture(spectra, temperatures)
    off = torch.tensor([[0.4, -0.7, torch.nan], [2.0, 0.3, 0.1], [torch.nan] * 3], dtype=torch.float64)
    weights = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
    labels = Labels(torch.empty(3, 0), temperatures, mixture.heat_capacity + off, None, weights)
    unit = 0.3 * DebyeSolid(350.0, temperatures).heat_capacity_slope.abs() + 0.1
    each = off.abs() / unit + 0.1 * laplace(off.abs(), mixture.standard_error("heat_capacity"))
    expected = (each * weights[:, None]).nansum() / 2.5  # points known of a crystal that has a curve
    loss = MultiTaskLoss(torch.ones(0), 7.0, torch.zeros(0, dtype=torch.bool))
    torch.testing.assert_close(loss(Output(None, spectra), labels, 3), 7 * expected / 3)


def test_error_bars_do_not_pull_at_spectra():
    gradients = []
    for spread in (0.05, 0.5):
        spectra = curve(380.0, spread)
        theta = spectra.debye_temperatures.requires_grad_()
        curve_loss(spectra, curve_labels(400.0, None)).backward()
        gradients.append(float(theta.grad))
    assert gradients[0] == pytest.approx(gradients[1])
    assert gradients[0] < 0  # to a higher Debye temperature


def test_error_bars_do_not_pull_at_values():
    gradients = []
    for scale in (0.1, 2.0):
        value = torch.zeros(3, 1, requires_grad=True)
        output = Output(Prediction(value, torch.full((3, 1), scale)), None)
        labels = normalised(
            Labels.of_scalars(np.array([[1.0], [-2.0], [np.nan]])),
            TARGETS,
        )
        MultiTaskLoss(torch.ones(1), 1.0, torch.zeros(1, dtype=torch.bool))(output, labels, 3).backward()
        gradients.append(value.grad[:, 0].tolist())
    assert gradients[0] == gradients[1] == pytest.approx([-1 / 3, 1 / 3, 0])


def test_heads_alone_are_trained_on_states_that_are_computed_once(base, tmp_path, monkeypatch):
    passes = []
    hidden_states = Predictor.hidden_states

    def counted(self, batch, *precision):
        passes.extend(map(tuple, batch.ids.tolist()))
        return hidden_states(self, batch, *precision)

    monkeypatch.setattr(Predictor, "hidden_states", counted)
    torch.manual_seed(0)
    predictor = Predictor(base.config.encoder, 1, 0)
    before = {name: tensor.clone() for name, tensor in predictor.state_dict().items()}
    twice = crystals(base, np.linspace(-1, 1, 20))[np.repeat(np.arange(20), 2)]
    metrics = finetune_network(
        predictor,
        TARGETS,
        twice,
        replace(SCHEDULE, epochs=5, learning_rate=1e-3),
        tmp_path,
        NetworkSettings(encoder_rate=0.0, patience=5),
        validation=twice,
    )
    assert len(passes) == 2 * 20  # training and validation
    changed = {
        name for name, tensor in predictor.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed
    assert all(name.startswith("scalars") for name in changed)
    assert metrics[-1]["validation_error"] < metrics[0]["validation_error"]
    errors = network.errors(network.run_heads(predictor, twice.tokens), TARGETS, twice.labels)
    assert errors["x"] == pytest.approx(min(line["x"] for line in metrics), rel=1e-4)


def test_a_short_run_saves_its_state_once(base, tmp_path, monkeypatch):
    saves = []
    save = StateDirectory.save
    monkeypatch.setattr(StateDirectory, "save", lambda *a: (saves.append(1), save(*a)))
    finetune_network(
        Predictor(base.config.encoder, 1, 0),
        TARGETS,
        crystals(base, np.linspace(-1, 1, 20)),
        replace(SCHEDULE, epochs=3),
        tmp_path,
    )
    assert saves == [1]


def test_the_kind_of_a_token_is_seen(base):
    batch = TokenBatch.collate([base.tokenizer.encode(str(SCOPES[0]))])
    assert set(batch.types[0].tolist()) == {0, 1, 2}
    predictor = base.members[0]
    blind = replace(batch, types=torch.zeros_like(batch.types))
    assert not torch.allclose(predictor.hidden_states(batch), predictor.hidden_states(blind), atol=1e-4)


def test_tokens_that_are_alike_begin_alike():
    tokenizer = Tokenizer(build_vocabulary(["F", "Cl", "K", "Rb", "O"]), 32)
    torch.manual_seed(0)
    embedding = nn.Embedding(len(tokenizer), EncoderConfig.hidden_size)
    nn.init.normal_(embedding.weight, std=0.02)
    initialise_tokens(embedding, tokenizer)

    def likeness(first: str, second: str) -> float:
        rows = [embedding.weight.detach()[tokenizer.vocabulary.index(token)] for token in (first, second)]
        return float(torch.cosine_similarity(*rows, dim=0))

    for token, alike, unlike in (
        ("K", "Rb", "F"),
        ("0.5", "0.51", "0.0"),
        ("x2", "x4", "x99"),
        ("4a", "4b", "192j"),
        ("K", "Rb", "4a"),
    ):
        assert likeness(token, alike) > likeness(token, unlike) + 0.2, (token, alike, unlike)
