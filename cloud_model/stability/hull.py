"""The convex hull of formation energies over composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.stability.references import References

Array = NDArray[np.float64]
_NOTHING = 1e-6  # share of the atoms


class Decomposition(NamedTuple):
    """The mixture of lowest energy at a composition.

    Attributes
    ----------
    energy : float
        Energy of the hull, eV/atom; NaN if no mixture has this composition.
    rows : ndarray of int
        Phases of the mixture.
    shares : ndarray of float
        Atoms in each of them, as a share of all.
    """

    energy: float
    rows: NDArray[np.int64]
    shares: Array


class Hull:
    """Hull of the phases of one chemical system, and of some of them.

    A vertex of the hull is a solution of a linear programme, which any number of elements leaves as simple, as does a
    phase that is left out; the facets, which grow fast with the elements, are never needed.

    Parameters
    ----------
    phases : References
        All phases of the system.
    """

    def __init__(self, phases: References) -> None:
        self.phases = phases
        compositions = list(phases.compositions())
        self.elements = sorted({element for composition in compositions for element in composition})
        self._shares = np.array(
            [[composition.get(element, 0.0) for composition in compositions] for element in self.elements]
        )
        self._known: dict[tuple[tuple[float, ...], int | None], Decomposition] = {}

    def decompose(self, composition: Mapping[str, float], without: int | None = None) -> Decomposition:
        """Find the mixture of lowest energy.

        Parameters
        ----------
        composition : mapping of str to float
            Share of each element among the atoms.
        without : int, optional
            Row of a phase that is not to take part.
        """
        point = tuple(composition.get(element, 0.0) for element in self.elements)
        if (point, without) not in self._known:
            self._known[point, without] = self._solve(np.array(point), without)
        return self._known[point, without]

    def of_elements(self, composition: Mapping[str, float]) -> float:
        """Energy of a mixture of the elements, eV/atom."""
        return sum(share * self.decompose({element: 1.0}).energy for element, share in composition.items())

    def formation_energies(self) -> Array:
        """Energies of all phases from the elements, eV/atom."""
        return self.phases.energies - np.array(
            [self.of_elements(composition) for composition in self.phases.compositions()]
        )

    def _solve(self, point: Array, without: int | None) -> Decomposition:
        from scipy.optimize import linprog

        present = point > 0
        usable = np.all(self._shares[~present] == 0, axis=0).reshape(-1)
        if without is not None:
            usable[without] = False
        rows = np.flatnonzero(usable)
        equations = self._shares[np.ix_(present, rows)]
        if not (len(rows) and (equations > 0).any(axis=1).all()):
            return Decomposition(np.nan, rows[:0], np.empty(0))
        found = linprog(self.phases.energies[rows], A_eq=equations, b_eq=point[present], method="highs")
        if found.status != 0:
            return Decomposition(np.nan, rows[:0], np.empty(0))
        used = found.x > _NOTHING
        return Decomposition(float(found.fun), rows[used], found.x[used])
