"""Learn a measured property in scikit-learn: a pipeline on CLOUD's embedding, a grid search and a learning curve.

Needs: nothing beyond cloud-plugins. Run: python examples/sklearn_pipeline.py
Writes: learning_curve.png

The data are 96 formation enthalpies at 298 K measured by calorimetry (CRC Handbook), and the default checkpoint has
learned calculated ones: this shows how the tools fit together, not how well they do on crystals that are new to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, LearningCurveDisplay, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from cloud_model.display.plots import style
from cloud_plugins import CloudEmbedder

argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
).parse_args()

frame = pd.read_csv(Path(__file__).parent / "enthalpies.csv")
train, test = train_test_split(frame, test_size=0.2, random_state=0)

pipeline = Pipeline([("embed", CloudEmbedder()), ("scale", StandardScaler()), ("fit", Ridge())])
grid = {"embed__pooling": ["mean", "atoms"], "fit__alpha": [0.1, 1, 10, 100, 1000]}
folds = KFold(5, shuffle=True, random_state=0)
search = GridSearchCV(pipeline, grid, cv=folds, scoring="neg_mean_absolute_error")
search.fit(train.scope, train.formation_enthalpy)

predicted = search.predict(test.scope)
error = np.abs(predicted - test.formation_enthalpy).mean()
baseline = np.abs(train.formation_enthalpy.mean() - test.formation_enthalpy).mean()
print(f"best of {len(search.cv_results_['params'])}: {search.best_params_}")
print(f"cross-validated: {-search.best_score_:.3f} eV/atom")
print(f"test, {len(test)} crystals: {error:.3f} eV/atom; the mean of the training set: {baseline:.3f}")

with style():
    figure, axes = plt.subplots(figsize=(5.4, 3.6))
    LearningCurveDisplay.from_estimator(
        search.best_estimator_,
        frame.scope,
        frame.formation_enthalpy,
        train_sizes=np.linspace(0.2, 1, 6),
        cv=folds,
        scoring="neg_mean_absolute_error",
        negate_score=True,
        score_type="test",
        score_name="Mean absolute error (eV/atom)",
        ax=axes,
    )
    axes.set(xlabel="Training crystals", ylim=(0, None))
    figure.savefig("learning_curve.png")
print("wrote learning_curve.png")
