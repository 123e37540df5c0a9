"""How well the model tells whether a crystal is stable, and whether screening finds what is known.

    python -m benchmarks.stability --data DATA

takes crystals of the Materials Project over the whole range of stability whose composition is in the validation
twentieth, so that no training or pretraining string has it, and their distances from the hull of 2018 by density
functional theory. A crystal is compared with all phases but itself, so the distance of one on the hull is negative.
The retrospective test takes the ternary phases of some systems, some of which nobody trained on, out of the
references and the prototypes, and screens these systems. Writes ``results/stability.json`` and ``.md``; the trees,
which do not depend on the checkpoint, are fitted with ``--trees`` and otherwise kept.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, precision_score, roc_auc_score

from cloud_model import CloudModel, Scope
from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.formula import fractions, parse_formula
from cloud_model.display.tables import markdown_table
from cloud_model.properties.intervals import interval_factor, share_within
from cloud_model.stability.distances import error_shape
from cloud_model.stability.hull import Hull
from cloud_model.stability.references import References, predict_known
from cloud_plugins.pymatgen import screen
from cloud_plugins.pymatgen.prototypes import decorations, expects_balance, prototypes
from recipes.compositions import is_validation

RESULTS = Path(__file__).parent / "results"
ROWS = 1500
TREE_ROWS = 10000
SYSTEMS = 16
MAX_SITES = 16
PUBLISHED = {"Wrenformer": 0.466, "AlchemBERT": 0.421}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--trees", action="store_true", help="fit the trees anew")
    arguments = parser.parse_args()
    model = CloudModel.from_pretrained(arguments.model)
    rows = labelled_rows(arguments.data)
    file = RESULTS / "stability_trees.json"
    if arguments.trees or not file.exists():
        file.write_text(json.dumps(tree_energies(arguments.data, rows)) + "\n")
    trees = json.loads(file.read_text())
    found = distances(rows, model, pd.Series(trees))
    result = {
        "model": model.name,
        "crystals": len(found),
        "stable": float((found.label <= 0).mean()),
        "scores": {name: scores(found, name) for name in ("predicted", "labelled", "trees")},
        "near the hull": {
            name: scores(found[found.label < 0.1], name) for name in ("predicted", "labelled", "trees")
        },
        "probabilities": reliability(found),
        "published_f1": PUBLISHED,
        "retrospective": retrospective(model),
        "screening": screening_rate(model),
    }
    (RESULTS / "stability.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "stability.md").write_text(report(result))
    print(report(result))


@cache
def energies(data: Path) -> pd.DataFrame:
    """Crystals with a formation energy of 2018; ``validation`` where the composition is nowhere in training."""
    rows = pd.read_csv(data / "mp_formation_energy.csv.gz", keep_default_na=False)
    rows["energy"] = pd.to_numeric(rows.formation_energy_2018, errors="coerce")
    rows = rows[(rows.orbits != "") & rows.energy.notna()]
    return rows.assign(validation=[is_validation(f" | {_composition(scope)}") for scope in rows.scope])


def _composition(published: str) -> str:
    """Composition of a published string, in the order of the dialect ``sites``."""
    words = published.rsplit(" | ", 1)[1].split()
    shares = sorted(zip(words[::2], words[1::2], strict=True), key=lambda share: ELEMENT_RANK[share[0]])
    return " ".join(f"{element} {share}" for element, share in shares)


def described(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their string of the dialect ``sites`` as ``scope``."""
    pairs = zip(rows.spg, rows.orbits, strict=True)
    return rows.assign(scope=[str(Scope.from_orbits(int(number), orbits)) for number, orbits in pairs])


def labelled_rows(data: Path) -> pd.DataFrame:
    """Validation crystals and their formation energies, one row a string."""
    rows = energies(data)
    rows = rows[rows.validation & rows.orbits.str.contains(";")]
    rows = described(rows).drop_duplicates("scope")
    rows = rows[[is_validation(s) and len(parse_formula(Scope.parse(s).formula)) > 1 for s in rows.scope]]
    return rows.sample(min(ROWS, len(rows)), random_state=0)[["id", "scope", "energy"]]


def distances(rows: pd.DataFrame, model: CloudModel, trees: pd.Series) -> pd.DataFrame:
    """Distances from the hull by labels, by the model with both kinds of references, and by trees."""
    references = References.load()
    counts = [parse_formula(Scope.parse(scope).formula) for scope in rows.scope]
    needed = references.select(sorted({row for count in counts for row in references.rows(count)}))
    predicted = needed.predicted(model)
    name = references.property_of(model)
    values, errors = predict_known(model, rows.scope.tolist(), name)
    places = {identifier: row for row, identifier in enumerate(needed.ids)}
    found = []
    for row, count, energy, error in zip(rows.itertuples(), counts, values, errors, strict=True):
        members = needed.rows(count)
        own = places.get(row.id, needed.by_scope.get(row.scope))
        without = members.index(own) if own in members else None
        by_label, by_model = (
            Hull(phases.select(members)).decompose(fractions(count), without)
            for phases in (needed, predicted)
        )
        found.append(
            {
                "label": row.energy - by_label.energy,
                "predicted": energy - by_model.energy,
                "labelled": energy - by_label.energy,
                "trees": trees.get(row.scope, np.nan) - by_label.energy,
                "error": error,
            }
        )
    frame = pd.DataFrame(found, index=rows.index).dropna(subset=["label", "predicted"])
    shape = error_shape(model, name)
    ratio = frame.labelled / frame.error
    frame["probability"] = [0.5 - np.sign(x) * share_within(shape, abs(x)) / 2 for x in ratio]
    residual = (frame.labelled - frame.label).abs() / frame.error
    frame["within_68"], frame["within_95"] = (
        residual <= interval_factor(shape, coverage) for coverage in (0.6827, 0.95)
    )
    return frame


def tree_energies(data: Path, rows: pd.DataFrame) -> dict[str, float]:
    """Formation energies by extra trees on composition and symmetry."""
    from sklearn.ensemble import ExtraTreesRegressor

    from cloud_model.training.baselines import composition_features, symmetry_features

    def features(strings: Any) -> np.ndarray:
        described = [Scope.parse(string) for string in strings]
        return np.stack([np.concatenate([composition_features(s), symmetry_features(s)]) for s in described])

    rows_of_training = energies(data)
    training = described(rows_of_training[~rows_of_training.validation].sample(TREE_ROWS, random_state=0))
    trees = ExtraTreesRegressor(100, max_features=0.33, random_state=0)
    trees.fit(features(training.scope), training.energy)
    return dict(zip(rows.scope, trees.predict(features(rows.scope)).round(5).tolist(), strict=True))


def scores(found: pd.DataFrame, name: str) -> dict[str, float]:
    """Errors of distances, and what they are worth for finding stable crystals."""
    frame = found.dropna(subset=name)
    label, value = frame.label, frame[name]
    stable = label <= 0
    order = (
        frame.probability.sort_values(ascending=False).index
        if name == "labelled"
        else value.sort_values().index
    )
    top = order[: max(1, len(frame) // 100)]
    precision = float(precision_score(stable, value <= 0, zero_division=0))
    result = {
        "count": len(frame),
        "mae": float((value - label).abs().mean()),
        "bias": float((value - label).mean()),
        "auc": float(roc_auc_score(stable, -value)),
        "f1": float(f1_score(stable, value <= 0)),
        "f1_all": float(2 * stable.mean() / (1 + stable.mean())),
        "precision": precision,
        "precision_top_1%": float(stable[top].mean()),
        "discovery_acceleration": precision / float(stable.mean()),
    }
    if name == "labelled":
        result |= {"coverage_68": float(frame.within_68.mean()), "coverage_95": float(frame.within_95.mean())}
    return result


def reliability(found: pd.DataFrame) -> list[dict[str, float]]:
    """Stable crystals among those of about the same probability."""
    edges = np.array([0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])
    bins = np.clip(np.searchsorted(edges, found.probability, side="right") - 1, 0, len(edges) - 2)
    return [
        {
            "from": float(edges[i]),
            "to": float(edges[i + 1]),
            "crystals": int((bins == i).sum()),
            "probability": float(found.probability[bins == i].mean()),
            "stable": float((found.label[bins == i] <= 0).mean()),
        }
        for i in range(len(edges) - 1)
        if (bins == i).any()
    ]


def retrospective(model: CloudModel) -> dict[str, Any]:
    """Ranks at which held-out phases come back when their systems are screened."""
    references = References.load()
    ternary: dict[frozenset[str], list[int]] = {}
    for row, formula in enumerate(references.formulas):
        elements = frozenset(parse_formula(formula))
        if len(elements) == 3:
            ternary.setdefault(elements, []).append(row)
    places: dict[Any, set[frozenset[str]]] = {}  # occupied positions -> systems with such a phase
    unseen: dict[frozenset[str], list[tuple[int, Any]]] = {}
    for system, rows in ternary.items():
        for row in rows:
            if references.scopes[row] and (key := occupied(Scope.parse(references.scopes[row]))):
                places.setdefault(key, set()).add(system)
                if is_validation(references.scopes[row]):
                    unseen.setdefault(system, []).append((row, key))
    possible = {system: [row for row, key in rows if len(places[key]) > 1] for system, rows in unseen.items()}
    chosen = sorted(
        (system for system, rows in possible.items() if rows and expects_balance(system)), key=sorted
    )
    np.random.default_rng(0).shuffle(chosen)
    found: list[dict[str, Any]] = []
    for system in chosen[:SYSTEMS]:
        rest = references.select(sorted(set(range(len(references))) - set(ternary[system])))
        frame = screen(
            sorted(system),
            references=rest.within(system),
            known_prototypes=rest,
            n_sites=MAX_SITES,
            model=model,
        )
        ranks = {scope: rank for rank, scope in enumerate(frame.scope, start=1)}
        formulas = frame.drop_duplicates("formula").formula.tolist()
        for row in possible[system]:
            rank = ranks.get(references.scopes[row])
            formula = references.formulas[row]
            found.append(
                {
                    "system": "-".join(sorted(system)),
                    "candidates": len(frame),
                    "formula": formula,
                    "rank": rank,
                    "formulas": len(formulas),
                    "rank_of_formula": formulas.index(formula) + 1 if formula in formulas else None,
                    "probability": None if rank is None else float(frame.probability_stable[rank - 1]),
                }
            )
    shares = [(phase["rank"] or phase["candidates"]) / phase["candidates"] for phase in found]
    return {
        "median_relative_rank": float(np.median(shares)),
        "in_the_best_tenth": float(np.mean(np.array(shares) <= 0.1)),
        "unseen": sum(map(len, unseen.values())),
        "possible": sum(map(len, possible.values())),
        "phases": found,
    }


def occupied(scope: Scope) -> tuple[int, tuple[tuple[str, ...], ...]] | None:
    """Space group and the positions of each element, whichever it is; None for cells that are too large."""
    positions: dict[str, list[str]] = {}
    for symbol, element in scope.orbits or ():
        positions.setdefault(element, []).append(symbol)
    if sum(int(symbol[:-1]) for symbols in positions.values() for symbol in symbols) > MAX_SITES:
        return None
    return scope.space_group, tuple(sorted(tuple(sorted(symbols)) for symbols in positions.values()))


def screening_rate(model: CloudModel) -> dict[str, Any]:
    """CPU time of one ternary system in one process, and how many decorations there are without a filter."""
    wall, cpu = time.perf_counter(), time.process_time()
    frame = screen("Li-Mn-O", model=model)
    seconds, wall_seconds = time.process_time() - cpu, time.perf_counter() - wall
    everything = sum(1 for _ in decorations(prototypes(References.load(), 3), ["Li", "Mn", "O"], False))
    return {
        "system": "Li-Mn-O",
        "candidates": len(frame),
        "cpu_seconds": seconds,
        "wall_seconds": wall_seconds,
        "per_second": len(frame) / seconds,
        "without_charge_balance": everything,
        "best": frame.formula.tolist()[:5],
    }


def report(result: dict[str, Any]) -> str:
    names = {
        "labelled": "CLOUD, references as published (the default)",
        "predicted": "CLOUD, references as predicted",
        "trees": f"extra trees of {TREE_ROWS:,} rows, references as published",
    }
    columns = {
        "mae": "MAE (eV/atom)",
        "bias": "bias",
        "auc": "AUC",
        "f1": "F1",
        "precision_top_1%": "precision, top 1%",
        "discovery_acceleration": "discovery acceleration",
    }
    lines = [
        "# Stability",
        "",
        f"`{result['model']}` on {result['crystals']:,} crystals of the Materials Project whose composition was in no "
        f"training string, {result['stable']:.0%} of them on or below the hull of the other phases:",
        "",
    ]
    for title, key in (
        ("", "scores"),
        ("Those within 0.1 eV/atom of the hull, or below it:", "near the hull"),
    ):
        rows = [
            [label, *(f"{result[key][name][column]:.3f}" for column in columns)]
            for name, label in names.items()
        ]
        chance = result[key]["predicted"]
        stable = (
            chance["precision"] / chance["discovery_acceleration"] if chance["precision"] else float("nan")
        )
        rows.append(
            ["all called stable", "", "", "0.500", f"{chance['f1_all']:.3f}", f"{stable:.3f}", "1.000"]
        )
        lines += [title, "", markdown_table(["", *columns.values()], rows), ""]
    both, past = result["scores"]["labelled"], result["retrospective"]
    published = ", ".join(f"{name} {f1:.3f}" for name, f1 in result["published_f1"].items())
    lines += [
        f"Intervals of 68% and 95% hold {both['coverage_68']:.0%} and {both['coverage_95']:.0%} of the distances.",
        "",
        "F1 of coordinate-free models on the 215,488 crystals of WBM with prototypes of their own, as published by "
        f"matbench-discovery: {published}. They are not comparable: there 15% of the crystals are stable, here "
        "many more, which alone raises F1; WBM's crystals are substituted, those here mostly found in "
        "nature; and the hulls are of different years.",
        "",
        markdown_table(
            ["probability", "crystals", "mean probability", "on or below the hull"],
            (
                [
                    f"{row['from']:g} to {row['to']:g}",
                    str(row["crystals"]),
                    f"{row['probability']:.2f}",
                    f"{row['stable']:.2f}",
                ]
                for row in result["probabilities"]
            ),
        ),
        "",
        "**Do known phases come back?** All ternary phases of a system were taken out of the references and of the "
        f"prototypes, all other prototypes of up to {MAX_SITES} sites decorated and ranked. Nobody trained on "
        f"{past['unseen']} ternary phases with so few sites, of which {past['possible']} have a prototype that another "
        f"system has too, so that they can come back; those of {SYSTEMS} systems, chosen at random among nitrides, "
        "oxides, sulfides, selenides and halides:",
        "",
        markdown_table(
            ["system", "candidates", "phase held out", "rank", "rank of its formula", "probability"],
            (
                [
                    phase["system"],
                    f"{phase['candidates']:,}",
                    phase["formula"],
                    str(phase["rank"] or "charges do not balance"),
                    f"{phase['rank_of_formula'] or '-'} of {phase['formulas']}",
                    "" if phase["probability"] is None else f"{phase['probability']:.2f}",
                ]
                for phase in past["phases"]
            ),
        ),
        "",
        f"{past['in_the_best_tenth']:.0%} of them come back in the best tenth; the median is at "
        f"{past['median_relative_rank']:.0%} of the list (by chance at 50%).",
        "",
        "**How fast.** The {candidates:,} balanced decorations of {system} took {cpu_seconds:.0f} s of one core, "
        "{per_second:.0f} a second; without the balance of charges there are {without_charge_balance:,}. The 82,160 "
        "ternary systems of 80 elements have {all:.1f} billion decorations, {days:,.0f} days of one core.".format(
            **(screening := result["screening"]),
            all=82160 * screening["without_charge_balance"] / 1e9,
            days=82160 * screening["without_charge_balance"] / screening["per_second"] / 86400,
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
