"""Join CLOUD's embedding with Magpie descriptors in matminer, and ask what each adds to a random forest.

Needs: nothing beyond cloud-plugins; --dataset needs the internet once, for matminer's own loader.
Run:   python examples/matminer_features.py
       python examples/matminer_features.py --dataset matbench_phonons

The built-in data are 96 formation enthalpies at 298 K measured by calorimetry (CRC Handbook), too few to rank
methods: look at the scatter. The default checkpoint learned calculated formation energies, of many of these compounds
too, so it has a head start here that it will not have on your data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matminer.featurizers.composition import ElementProperty
from pymatgen.core import Composition
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import RepeatedKFold, cross_val_score

from cloud_plugins import CloudFeaturizer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--dataset", help="name of a matminer dataset with a column 'structure', target last")
parser.add_argument("--rows", type=int, default=500, help="rows of this dataset, at random (default 500)")
arguments = parser.parse_args()

if arguments.dataset:
    from matminer.datasets import load_dataset

    frame = load_dataset(arguments.dataset)
    target = frame.columns[-1]
    frame = frame.sample(min(arguments.rows, len(frame)), random_state=0).reset_index(drop=True)
    frame["composition"] = [structure.composition for structure in frame.structure]
else:
    frame = pd.read_csv(Path(__file__).parent / "enthalpies.csv")
    target = "formation_enthalpy"  # eV/atom
    frame["composition"] = frame.formula.map(Composition)

cloud = CloudFeaturizer(pooling="atoms")  # finds the column of crystals, SCOPE strings here, by itself
magpie = ElementProperty.from_preset("magpie", impute_nan=True)
magpie.set_n_jobs(1)
frame = cloud.featurize_dataframe(frame, pbar=False)
frame = magpie.featurize_dataframe(frame, "composition", pbar=False)

features = {
    "Magpie": magpie.feature_labels(),
    "CLOUD": cloud.feature_labels(),
    "Magpie + CLOUD": magpie.feature_labels() + cloud.feature_labels(),
}
folds = RepeatedKFold(n_splits=5, n_repeats=2, random_state=0)
forest = RandomForestRegressor(n_estimators=50, max_features=0.3, random_state=0)
spread = np.abs(frame[target] - frame[target].mean()).mean()

print(f"{len(frame)} crystals, {target}; mean absolute deviation {spread:.3f}")
print("mean absolute error of 10 folds, with its standard deviation")
for name, columns in features.items():
    errors = -cross_val_score(
        forest, frame[columns], frame[target], cv=folds, scoring="neg_mean_absolute_error"
    )
    print(f"{name:15s} {len(columns):4d} features  {errors.mean():.3f} +- {errors.std():.3f}")
