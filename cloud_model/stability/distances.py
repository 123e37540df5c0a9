"""Distances of crystals from the hull of reference phases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.crystal.formula import fractions, parse_formula
from cloud_model.errors import (
    ArgumentError,
    BatchError,
    CloudError,
    DataError,
    VocabularyError,
    warn_user,
)
from cloud_model.model import CloudModel
from cloud_model.physics.conditions import checked_temperature
from cloud_model.properties.intervals import COVERAGES, interval_factor, share_within
from cloud_model.scope.batches import scopes
from cloud_model.scope.string import Scope
from cloud_model.stability.hull import Decomposition, Hull
from cloud_model.stability.references import ENERGIES, References, vibrational_energies

if TYPE_CHECKING:
    import pandas as pd

COVERAGE = 0.95  # of intervals
_GAUSSIAN = {f"{share:g}": NormalDist().inv_cdf((1 + share) / 2) for share in COVERAGES}

GIBBS_ENERGY = "formation_gibbs_energy_per_atom"
"""Column of the formation energy (eV/atom) with the vibrations at a temperature."""


def stability(
    crystals: Any,
    references: References | str | os.PathLike[str] | None = None,
    temperature: float | None = None,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
    errors: Literal["raise", "nan"] = "nan",
) -> pd.DataFrame:
    """Compute energies above the hull of the known phases, decompositions and probabilities of being stable.

    Parameters
    ----------
    crystals : crystal or collection of crystals
        As `CloudModel.predict` takes them. Nothing is relaxed, and SCOPE strings will do, of the dialect ``sites``.
    references : References, str or path-like, optional
        Phases that crystals may decompose into, or a CSV file of them (see `References.load`); their energies are
        taken as they are. Left out, the phases on the hull of the Materials Project of 2018, with the energies that
        were published.
    temperature : float, optional
        Add the vibrations of all phases at this temperature, K. Left out, energies are those of density functional
        theory at rest: no temperature, no zero-point energy.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.
    errors : {'raise', 'nan'}
        How unreadable crystals of a collection are handled: an error for the batch, or rows of NaN and a warning.

    Returns
    -------
    DataFrame
        One row per crystal, with the index of `crystals` if it comes from pandas:

        - ``formula``, ``space_group``;
        - ``formation_energy_per_atom_2018`` or ``formation_energy_per_atom`` (eV/atom), by the corrections of the
          Materials Project in the references, as `CloudModel.predict` names them; given a temperature,
          ``formation_gibbs_energy_per_atom`` instead, with the vibrations at it;
        - ``energy_above_hull`` (eV/atom): energy less that of the mixture of lowest energy of the other phases;
          negative for a crystal below their hull. A known phase is compared with all phases but itself;
        - ``energy_above_hull_std``, its standard error, the errors of the crystal and of its competing phases taken as
          independent; ``energy_above_hull_low``, ``_high``, the interval of 95%;
        - ``probability_stable`` that it is on or below the hull of the references, by the distribution of the model's
          errors of formation energies on crystals not trained on;
        - ``decomposition``: formula of each competing phase -> its share of the atoms;
        - ``known``: identifier of the reference with the same SCOPE string, or None;
        - ``out_of_domain``, as in `CloudModel.predict`, of models that know their domain;
        - ``error``: None, or why the row is empty.

    Raises
    ------
    CloudError
        If a single crystal cannot be read, or one of its elements has no reference.
    BatchError
        If crystals of a collection cannot, and `errors` is ``'raise'``.
    DataError
        If the references cannot be read.

    Notes
    -----
    The references are phases on a hull, so known crystals that are only nearly stable are not among them, and what
    nobody has computed competes with nothing.
    """
    import pandas as pd

    if errors not in ("raise", "nan"):
        raise ArgumentError(f"errors {errors!r}", "is unknown", "Choose 'raise' or 'nan'.")
    if temperature is not None:
        temperature = checked_temperature(temperature)
    loaded = CloudModel.from_pretrained(model)
    if isinstance(references, str | os.PathLike):
        references = References.load(references)
        references.check_energies(References.load())
    batch = crystal_list(crystals) if is_collection(crystals) else [crystals]
    good, failures = read(batch, loaded, references or References.load())
    if failures and not is_collection(crystals):
        raise failures[0]
    if failures and errors == "raise":
        raise BatchError(failures, len(batch))
    if failures:
        warn_user(str(BatchError(failures, len(batch))))
    described = list(good.values())
    competing = competing_phases(described, references, temperature, loaded)
    found = iter(distances(described, competing, temperature, loaded))
    missing = missing_row(competing, temperature, loaded)
    rows = [
        missing | {"error": str(failures[i])} if i in failures else next(found) | {"error": None}
        for i in range(len(batch))
    ]
    index = getattr(crystals, "index", None) if _is_pandas(crystals) else None
    frame = pd.DataFrame(rows, index=index, columns=[*missing, "error"])
    frame["space_group"] = frame["space_group"].astype("Int64")
    if "out_of_domain" in frame:
        frame["out_of_domain"] = frame["out_of_domain"].astype("boolean")
    return frame


def energy_column(references: References, temperature: float | None, model: CloudModel) -> str:
    """Name of the formation energy that crystals are compared by."""
    return references.property_of(model) if temperature is None else GIBBS_ENERGY


def formation_energy(row: Mapping[str, Any]) -> float:
    """Formation energy in a row of `stability`, eV/atom, whatever its name."""
    return next(float(row[name]) for name in (*ENERGIES.values(), GIBBS_ENERGY) if name in row)


def missing_row(references: References, temperature: float | None, model: CloudModel) -> dict[str, Any]:
    """What stands in the columns of `stability` for a crystal that cannot be read."""
    row: dict[str, Any] = {
        "formula": None,
        "space_group": None,
        energy_column(references, temperature, model): np.nan,
        "energy_above_hull": np.nan,
        "energy_above_hull_std": np.nan,
        "energy_above_hull_low": np.nan,
        "energy_above_hull_high": np.nan,
        "probability_stable": np.nan,
        "decomposition": None,
        "known": None,
    }
    return row | ({"out_of_domain": None} if model.checkpoint.config.domain else {})


def competing_phases(
    described: Sequence[Scope],
    references: References | None,
    temperature: float | None,
    model: CloudModel,
) -> References:
    """Phases of the elements of crystals, with the energies that `stability` compares the crystals with."""
    known = references or References.load()
    systems = {frozenset(parse_formula(scope.formula)) for scope in described}
    found = known.select(sorted({row for system in systems for row in known.rows(system)}))
    if temperature is not None:
        found = found.at_temperature(model, temperature, {scope.formula: str(scope) for scope in described})
    return found


def distances(
    described: Sequence[Scope],
    competing: References,
    temperature: float | None,
    model: CloudModel,
) -> list[dict[str, Any]]:
    """Rows of `stability`, less their errors, for crystals whose elements all have phases."""
    if not described:
        return []
    name = competing.property_of(model)
    columns = model.predict_arrays([scope.to(model.dialect) for scope in described], [name], errors="raise")
    energies, variances = columns[name], columns[f"{name}_std"] ** 2
    if temperature is not None:
        vibrations, theirs = vibrational_energies(model, [str(scope) for scope in described], temperature)
        energies, variances = energies + vibrations, variances + theirs**2

    shape = error_shape(model, name)
    energy_name = energy_column(competing, temperature, model)
    hulls: dict[frozenset[str], Hull] = {}
    rows = []
    for scope, energy, variance in zip(described, energies.tolist(), variances.tolist(), strict=True):
        system = frozenset(parse_formula(scope.formula))
        if system not in hulls:
            hulls[system] = Hull(competing.select(competing.rows(system)))
        rows.append(_row(scope, energy, variance, hulls[system], shape, energy_name))
    if "out_of_domain" in columns:
        for row, outside in zip(rows, columns["out_of_domain"].tolist(), strict=True):
            row["out_of_domain"] = bool(outside)
    return rows


def error_shape(model: CloudModel, name: str) -> Mapping[str, float]:
    """Share of crystals -> standard errors that hold their residuals, as measured for a property, or Gaussian."""
    return model.checkpoint.config.intervals.get(name) or _GAUSSIAN


def _row(
    scope: Scope, energy: float, variance: float, hull: Hull, shape: Mapping[str, float], energy_name: str
) -> dict[str, Any]:
    phases = hull.phases
    known = phases.by_scope.get(str(scope))
    composition = fractions(parse_formula(scope.formula))
    others = _others(hull, composition, known)
    above = energy - others.energy
    error = float(np.sqrt(variance + (others.shares**2 @ phases.errors[others.rows] ** 2)))
    half_width = interval_factor(shape, COVERAGE) * error
    return {
        "formula": scope.formula,
        "space_group": scope.space_group,
        energy_name: energy - hull.of_elements(composition),
        "energy_above_hull": above,
        "energy_above_hull_std": error,
        "energy_above_hull_low": above - half_width,
        "energy_above_hull_high": above + half_width,
        "probability_stable": _probability_below(above, error, shape),
        "decomposition": {
            phases.formulas[row]: round(share, 6)
            for row, share in zip(others.rows.tolist(), others.shares.tolist(), strict=True)
        },
        "known": None if known is None else phases.ids[known],
    }


def _probability_below(above: float, error: float, shape: Mapping[str, float]) -> float:
    """Probability that a distance with this error is not positive."""
    if not error > 0:
        return float(above <= 0)
    return 0.5 - np.sign(above) * share_within(shape, abs(above) / error) / 2


def _others(hull: Hull, composition: dict[str, float], known: int | None) -> Decomposition:
    """Decomposition products of a crystal; the only phase of an element has itself."""
    others = hull.decompose(composition, without=known)
    return hull.decompose(composition) if np.isnan(others.energy) else others


def read(
    batch: list[Any], model: CloudModel, references: References
) -> tuple[dict[int, Scope], dict[int, CloudError]]:
    """Crystals of which the distance can be told, and errors of the others, by their position."""
    good: dict[int, Scope] = {}
    failures: dict[int, CloudError] = {}
    for i, scope in enumerate(scopes(batch, "sites", model.symprec, remember=True)):
        try:
            if isinstance(scope, CloudError):
                raise scope
            _check(scope, model, references)
            good[i] = scope
        except CloudError as error:
            failures[i] = error
    return good, failures


def _check(scope: Scope, model: CloudModel, references: References) -> None:
    """Raise an error unless the model can read a crystal and its elements have references."""
    elements = parse_formula(scope.formula)
    unknown = sorted(elements.keys() - model.elements)
    if unknown:
        raise VocabularyError(
            scope.formula, f"holds {', '.join(unknown)}, unknown to {model.name!r}", "Use another checkpoint."
        )
    try:
        references.check(elements)
    except DataError as error:
        raise DataError(f"{scope.formula}: {error.subject}", error.reason, error.remedy) from error
    model.tokens(scope.to(model.dialect))


def _is_pandas(crystals: Any) -> bool:
    return hasattr(crystals, "to_numpy")
