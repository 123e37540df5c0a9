"""Warnings about cells that are probably not what their user means: of a strange volume, or without symmetry."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from cloud_model.checkpoints.config import CheckpointConfig
from cloud_model.crystal.formula import parse_formula
from cloud_model.errors import warn_user
from cloud_model.inference.crystals import ReadCrystal
from cloud_model.network.predictor import Output

VOLUME = "volume_per_atom"
STRANGE_RATIO = 1.5
"""Ratio of the volume of a cell to the predicted one, or its inverse, that is warned about..."""

STRANGE_ERRORS = 4
"""...if the logarithm of that ratio is also this many relative standard errors; 0.6% of 2,278 crystals of the Materials
Project are, many of them with voids."""

MANY_UNITS = 8
MANY_SIMPLE_UNITS = 4
"""Formula units in a cell without symmetry that are warned about, the latter for one or two elements; 0.66% of the
crystals of the Materials Project have as many."""


def warn_of_strange_cells(config: CheckpointConfig, crystals: Sequence[ReadCrystal], output: Output) -> None:
    """Warn of each cell that is too small or too large for its atoms, or that has lost its symmetry."""
    _warn_of_volumes(config, crystals, output)
    for crystal in crystals:
        scope = crystal.scope
        if scope.space_group == 1 and scope.n_atoms is not None and scope.orbits is not None:
            atoms = len(scope.orbits)
            formula = parse_formula(scope.formula)
            units = MANY_UNITS if len(formula) > 2 else MANY_SIMPLE_UNITS
            if atoms >= units * sum(formula.values()):
                warn_user(
                    f"{scope.label or scope.formula}: its {atoms} atoms have no symmetry within {scope.symprec:g} "
                    "Angstrom, as after molecular dynamics or random displacements; if they are those of a perfect "
                    "crystal, relax it first. Few such cells were trained on."
                )


def _warn_of_volumes(config: CheckpointConfig, crystals: Sequence[ReadCrystal], output: Output) -> None:
    if output.scalars is None or VOLUME not in config.targets:
        return
    i = list(config.targets).index(VOLUME)
    columns = [part[:, i].tolist() for part in output.scalars]
    for crystal, predicted, error in zip(crystals, *columns, strict=True):
        given = crystal.scope.volume_per_atom
        limit = max(log(STRANGE_RATIO), STRANGE_ERRORS * error / predicted)
        if given is not None and abs(log(given / predicted)) > limit:
            warn_user(
                f"{crystal.scope.label or crystal.scope.formula}: its cell has {given:.1f} A^3 per atom, and "
                f"{predicted:.1f}±{error:.1f} are predicted; check the lattice constants and the number of atoms. "
                "Predictions are for the predicted volume."
            )
