"""What embeddings are worth on small tables, beside Magpie's descriptors of the composition.

    python -m benchmarks.embeddings --data DIR

Eight properties, up to 600 crystals each, five folds of compositions. The encoder is ``cloud-base``, which has seen no
label; ridge regression, a support vector machine and extra trees learn from Magpie's descriptors (Ward et al., npj
Comput. Mater. 2, 16028, 2016), from the embeddings by their default pooling, and from both together. The mean absolute
error of the best of the three counts. Writes ``embeddings.json`` and ``embeddings.md``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pymatgen.core import Composition, Element, Structure
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from cloud_model import CloudModel
from cloud_model.display.tables import markdown_table
from cloud_model.errors import CloudError
from recipes.compositions import shares_of
from recipes.prepare import read_jsonl, table, volume_per_atom

RESULTS = Path(__file__).parent / "results"
FEATURES = ("Magpie", "embeddings", "both")
MOST = 600  # crystals of a task
GRAMS = 1.66054  # of an atomic mass unit in a cubic Angstrom, per cubic centimetre


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    model = CloudModel.from_pretrained("cloud-base")
    results = {}
    for name, rows in tasks(data, model):
        rows = rows.sample(min(MOST, len(rows)), random_state=0)
        descriptors, embeddings = magpie(rows.scope), model.embed(rows.scope.tolist())
        features = (descriptors, embeddings, np.hstack([descriptors, embeddings]))
        results[name] = {"crystals": len(rows)} | {
            key: errors(x, rows.label.to_numpy(), rows.scope)
            for key, x in zip(FEATURES, features, strict=True)
        }
        print(name, results[name], flush=True)
    (RESULTS / "embeddings.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "embeddings.md").write_text(report(results))


def tasks(data: Path, model: CloudModel) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name of each task, and its crystals: columns ``scope`` and ``label``."""
    columns = {
        "heat of formation of perovskites (eV/cell)": ("perovskites", "heat_all", False),
        "log10 of the bulk modulus (GPa)": ("matbench_log_kvrh", "target", False),
        "log10 of the shear modulus (GPa)": ("matbench_log_gvrh", "target", False),
        "log10 of the refractive index": ("dielectric_train", "n", True),
        "log10 of the last phonon peak (cm^-1)": ("phonon_peak", "last_phdos_peak_cm-1", True),
        "heat capacity of JARVIS at 300 K (J/(mol-atom K))": (
            "jarvis_heat_capacity",
            "cv_300K_J_mol_atom_K",
            False,
        ),
    }
    for name, (source, column, logarithm) in columns.items():
        rows = table(data, source)
        label = pd.to_numeric(rows[column])
        yield name, merged(rows.scope, np.log10(label) if logarithm else label)

    strings = table(data, "pretrain_mp").set_index("id").scope
    rows = [row for row in read_jsonl(data / "structures_mp.jsonl.gz")[::12] if row["id"] in strings.index]
    masses = [np.mean([Element(symbol).atomic_mass for symbol in row["species"]]) for row in rows]
    density = [GRAMS * mass / volume_per_atom(row) for mass, row in zip(masses, rows, strict=True)]
    yield "density (g/cm^3)", merged([strings[row["id"]] for row in rows], density)

    rows = read_jsonl(data / "matbench_jdft2d.jsonl.gz")
    layers = [Structure(row["lattice_matrix"], row["species"], row["frac"]) for row in rows]
    scopes = model.scopes(layers)
    known = [i for i, scope in enumerate(scopes) if not isinstance(scope, CloudError)]
    label = [rows[i]["exfoliation_en_meV_per_atom"] for i in known]
    yield "exfoliation energy (meV/atom)", merged([str(scopes[i]) for i in known], label)


def merged(scopes: pd.Series | list[str], labels: pd.Series | list[float]) -> pd.DataFrame:
    """One row a string, labels of equal strings averaged."""
    rows = pd.DataFrame({"scope": list(scopes), "label": np.asarray(labels, dtype=float)}).dropna()
    return rows.groupby("scope", as_index=False).label.mean()


def magpie(scopes: pd.Series) -> NDArray:
    """Magpie's descriptors, shape (n, 132)."""
    from matminer.featurizers.composition import ElementProperty

    featurizer = ElementProperty.from_preset("magpie")
    return np.nan_to_num([featurizer.featurize(Composition(shares_of(text))) for text in scopes])


def errors(features: NDArray, labels: NDArray, scopes: pd.Series) -> dict[str, float]:
    """Mean absolute error of each regressor, and of the best of them."""
    groups = [text.rsplit(" | ", 1)[1] for text in scopes]
    found: dict[str, list[NDArray]] = {}
    for seen, asked in GroupKFold(5).split(features, labels, groups):
        deviation = labels[seen].std()
        regressors = {
            "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11))),
            "support vectors": make_pipeline(
                StandardScaler(), SVR(C=10 * deviation, epsilon=0.05 * deviation)
            ),
            "extra trees": ExtraTreesRegressor(60, max_features=0.33, random_state=0),
        }
        for name, regressor in regressors.items():
            values = regressor.fit(features[seen], labels[seen]).predict(features[asked])
            found.setdefault(name, []).append(np.abs(values - labels[asked]))
    means = {name: float(np.concatenate(parts).mean()) for name, parts in found.items()}
    return means | {"best": min(means.values())}


def report(results: dict[str, Any]) -> str:
    """Markdown of the page of benchmarks."""
    rows = (
        [name, str(row["crystals"]), *(f"{row[key]['best']:.3g}" for key in FEATURES)]
        for name, row in results.items()
    )
    lines = [
        "# Embeddings beside descriptors of the composition",
        "",
        "Mean absolute errors on small tables, five folds of compositions: Magpie's descriptors, the embeddings of "
        "`cloud-base`, which has seen no label, and both, each with the best of ridge regression, support vectors and "
        "extra trees (`python -m benchmarks.embeddings`).",
        "",
        markdown_table(["", "crystals", *FEATURES], rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
