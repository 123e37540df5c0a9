"""Reference phases: those that a crystal can decompose into."""

from __future__ import annotations

import csv
import gzip
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from itertools import combinations
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import constants

from cloud_model.crystal.elements import ELEMENT_RANK
from cloud_model.crystal.formula import fractions, parse_formula, reduced_formula
from cloud_model.errors import CloudWarning, DataError
from cloud_model.physics.ideal_gas import GASES, gibbs_energy
from cloud_model.scope.string import Scope

if TYPE_CHECKING:
    from cloud_model.model import CloudModel

Array = NDArray[np.float64]

Scheme = Literal["2018", "2020"]
ENERGIES: dict[Scheme, str] = {
    "2018": "formation_energy_per_atom_2018",
    "2020": "formation_energy_per_atom",
}
"""Corrections of the Materials Project -> name of the formation energy that has them."""
SHIPPED = "the Materials Project of 2018"
COLUMNS = ("id", "formula", ENERGIES["2018"], "distance_from_hull", "scope")
"""Of the table that ships."""

LARGEST_DIFFERENCE = 0.05  # eV/atom, in the median between formation energies of one correction scheme
LARGEST_DIFFERENCE_OF_SCHEMES = 0.3  # and of both, which differ by 0.23 eV/atom for selenides
EV_PER_ATOM = float(constants.e * constants.N_A)
"""J/mol-atom."""

_RIDGE = 1e-2  # draws the part of an element that few phases have to the mean of all


@dataclass(frozen=True, eq=False)
class References:
    """Phases with formation energies of one scheme: the same functional, corrections and elements.

    Attributes
    ----------
    source : str
        Where they come from, in words.
    ids : tuple of str
        Names of the phases.
    formulas : tuple of str
        Reduced formulas, as `cloud_model.crystal.formula.reduced_formula` writes them.
    energies : ndarray of float, shape (n,)
        Formation energy, eV/atom.
    errors : ndarray of float, shape (n,)
        Its standard error, eV/atom; zero for what was computed by density functional theory.
    scopes : tuple of str
        SCOPE strings of the dialect ``sites``; empty where the structure is not known.
    scheme : {'2018', '2020'}
        Corrections of the Materials Project in the energies: those before or since it changed them in 2020.
    """

    source: str
    ids: tuple[str, ...]
    formulas: tuple[str, ...]
    energies: Array
    errors: Array
    scopes: tuple[str, ...]
    scheme: Scheme = "2018"

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def theory(self) -> str:
        """What the energies are, in words."""
        since = {"2018": "before", "2020": "since"}[self.scheme]
        return f"PBE and PBE+U, the Materials Project's corrections {since} 2020"

    def __repr__(self) -> str:
        return f"References({self.source!r}, {len(self)} phases)"

    @classmethod
    def from_records(
        cls, source: str, records: Iterable[Mapping[str, Any]], scheme: Scheme = "2018"
    ) -> References:
        """Make references of records with ``formula``, a formation energy and, if known, ``id`` and ``scope``.

        Parameters
        ----------
        source : str
            Where the records come from, in words.
        records : iterable of mapping
            Phases. The energy (eV/atom) is ``formation_energy_per_atom_2018``, or ``formation_energy_per_atom`` in the
            scheme of 2020.
        scheme : {'2018', '2020'}
            Corrections of the Materials Project in the energies.

        Returns
        -------
        phases : References
            Their energies are taken to be without error.

        Raises
        ------
        DataError
            If a formula, an energy or a string cannot be read, or there are no records.
        """
        name = ENERGIES[scheme]
        rows = [_checked(source, number, record, name) for number, record in enumerate(records, start=1)]
        if not rows:
            raise DataError(source, "holds no phases", "Give formulas and formation energies.")
        ids, formulas, energies, scopes = zip(*rows, strict=True)
        return cls(source, ids, formulas, np.array(energies), np.zeros(len(rows)), scopes, scheme)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> References:
        """Read references from a CSV file; those that ship if left out.

        Parameters
        ----------
        path : str or path-like, optional
            With the columns ``formula``, ``formation_energy_per_atom_2018`` or ``formation_energy_per_atom`` (eV/atom,
            with the corrections of the Materials Project before or since 2020; of both, the former is read), and ``id``
            and ``scope`` if known; compressed if it ends in ``.gz``.

        Returns
        -------
        phases : References

        Raises
        ------
        DataError
            If it is not such a file.
        """
        if path is None:
            return _shipped()
        name = os.fspath(path)
        try:
            opened = gzip.open(name, "rt", newline="") if name.endswith(".gz") else open(name, newline="")  # noqa: PTH123, SIM115
            with opened as file:
                table = csv.DictReader(file)
                columns = table.fieldnames or ()
                scheme = next((scheme for scheme, energy in ENERGIES.items() if energy in columns), None)
                if scheme is None or "formula" not in columns:
                    missing = "formula" if scheme else " or ".join(ENERGIES.values())
                    raise DataError(name, f"has no column {missing}", "Name the columns in the first line.")
                return cls.from_records(name, table, scheme)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(name, f"cannot be read: {error}", "Give a CSV file.") from error

    @cached_property
    def elements(self) -> frozenset[str]:
        """Elements with a phase of their own."""
        return frozenset(formula for system in self._systems if len(system) == 1 for formula in system)

    @cached_property
    def _systems(self) -> dict[frozenset[str], list[int]]:
        systems: dict[frozenset[str], list[int]] = {}
        for row, formula in enumerate(self.formulas):
            systems.setdefault(frozenset(parse_formula(formula)), []).append(row)
        return systems

    @cached_property
    def by_scope(self) -> dict[str, int]:
        """SCOPE string -> row."""
        return {scope: row for row, scope in enumerate(self.scopes) if scope}

    def rows(self, elements: Iterable[str]) -> list[int]:
        """Rows of the phases that consist of these elements, or of some of them."""
        wanted = sorted(elements)
        subsets = (frozenset(c) for size in range(1, len(wanted) + 1) for c in combinations(wanted, size))
        return sorted(row for subset in subsets for row in self._systems.get(subset, ()))

    def select(self, rows: Sequence[int]) -> References:
        """Those of some rows."""
        index = np.asarray(rows, dtype=int)
        ids, formulas, scopes = (
            tuple(column[row] for row in rows) for column in (self.ids, self.formulas, self.scopes)
        )
        return replace(
            self,
            ids=ids,
            formulas=formulas,
            scopes=scopes,
            energies=self.energies[index],
            errors=self.errors[index],
        )

    def within(self, elements: Iterable[str]) -> References:
        """Phases of these elements, or of some of them.

        Parameters
        ----------
        elements : iterable of str
            Symbols.

        Returns
        -------
        phases : References

        Raises
        ------
        DataError
            If an element is unknown or has no phase of its own, or there are no elements.
        """
        wanted = list(elements)
        self.check(wanted)
        return self.select(self.rows(wanted))

    def check(self, elements: Iterable[str]) -> None:
        """Raise a `DataError` unless all of these are elements that have a phase of their own."""
        wanted = list(elements)
        if not wanted:
            raise DataError("The chemical system", "has no elements", "Name some, such as Li, Mn and O.")
        unknown = [element for element in wanted if element not in ELEMENT_RANK]
        if unknown:
            raise DataError(", ".join(unknown), "is not an element", "Write symbols such as Li.")
        missing = sorted(set(wanted) - self.elements)
        if missing:
            raise DataError(
                ", ".join(missing),
                f"{'has' if len(missing) == 1 else 'have'} no reference phase in {self.source}",
                "Add one to the references.",
            )

    def join(self, other: References) -> References:
        """Phases of both; a crystal decomposes into those of lowest energy.

        Raises
        ------
        DataError
            If their formation energies are of different schemes.
        """
        other.check_scheme(self)
        return References(
            f"{self.source} and {other.source}",
            self.ids + other.ids,
            self.formulas + other.formulas,
            np.append(self.energies, other.energies),
            np.append(self.errors, other.errors),
            self.scopes + other.scopes,
            self.scheme,
        )

    def check_scheme(self, other: References) -> None:
        """Raise a `DataError` if the formation energies of both cannot be of the same functional and corrections."""
        if self.scheme != other.scheme:
            raise DataError(
                self.source,
                f"holds energies of {self.theory}, and {other.source} of {other.theory}",
                "Correct both in one way, or use the references alone.",
            )
        self.check_energies(other)

    def check_energies(self, other: References) -> None:
        """Raise a `DataError` if the formation energies of both cannot be of PBE and PBE+U with known corrections.

        The ground states of the compounds that both hold differ by at most 0.05 eV/atom in the median if they are of
        one scheme, and by at most 0.3 eV/atom otherwise.
        """
        mine, theirs = self.ground_states, other.ground_states
        common = [formula for formula in mine if formula in theirs and len(parse_formula(formula)) > 1]
        difference = np.median([abs(mine[f] - theirs[f]) for f in common]) if common else 0.0
        limit = LARGEST_DIFFERENCE if self.scheme == other.scheme else LARGEST_DIFFERENCE_OF_SCHEMES
        if difference > limit:
            raise DataError(
                self.source,
                f"the formation energies, {common[0]} among them, differ by {difference:.2f} eV/atom (median of the "
                f"{len(common)} in common) from those of {other.source}, so they are of another functional or "
                "correction scheme, or no formation energies",
                "Use PBE and PBE+U with the corrections of the Materials Project "
                "(pymatgen's MaterialsProjectCompatibility or MaterialsProject2020Compatibility).",
            )

    @cached_property
    def ground_states(self) -> dict[str, float]:
        """Formula -> lowest formation energy, eV/atom."""
        lowest: dict[str, float] = {}
        for formula, energy in zip(self.formulas, self.energies.tolist(), strict=True):
            lowest[formula] = min(energy, lowest.get(formula, np.inf))
        return lowest

    def property_of(self, model: CloudModel) -> str:
        """Name of the predicted formation energy that these can be compared with."""
        name = ENERGIES[self.scheme]
        return name if name in model.properties else ENERGIES["2020"]

    def predicted(self, model: CloudModel) -> References:
        """The same phases with the energies that a model predicts, so that part of its errors cancels.

        Elements, whose energies are zero by definition, and phases that the model cannot read keep theirs.
        """
        name = self.property_of(model)
        compounds = [len(parse_formula(formula)) > 1 for formula in self.formulas]
        values, errors = predict_known(model, self.scopes, name)
        known = np.array(compounds, dtype=bool) & ~np.isnan(values)
        return replace(
            self,
            source=f"{self.source}, predicted by {model.name}",
            energies=np.where(known, values, self.energies),
            errors=np.where(known, errors, self.errors),
        )

    def at_temperature(
        self, model: CloudModel, temperature: float, structures: Mapping[str, str] | None = None
    ) -> References:
        """Gibbs energies at a temperature in K: what the model says of the vibrations is added.

        Elements that are gases are ideal ones at 1 bar, unless the crystal is lower. A phase of unknown structure
        vibrates like a given structure of its formula, or else as the phases of its elements let expect: each element
        adds what is fitted to them (the rule of Neumann and Kopp).

        Parameters
        ----------
        model : CloudModel
        temperature : float
            K.
        structures : mapping of str to str, optional
            Formula -> SCOPE string.

        Returns
        -------
        phases : References
            Their energies are Gibbs energies, eV/atom, at 1 bar.

        Raises
        ------
        DataError
            If the structure of no phase is known.
        """
        structures = structures or {}
        strings = [
            scope or structures.get(formula, "")
            for scope, formula in zip(self.scopes, self.formulas, strict=True)
        ]
        values, errors = vibrational_energies(model, strings, temperature)
        compositions = list(self.compositions())
        unknown = np.isnan(values)
        if unknown.any() and not unknown.all():
            values, errors = _fill(compositions, values, errors)
        for row, composition in enumerate(compositions):
            (element, *others) = composition
            if element in GASES and not others and temperature > 0:
                gas = gibbs_energy(element, temperature) / EV_PER_ATOM
                if not gas >= values[row]:
                    values[row], errors[row] = gas, 0.0
        if np.isnan(values).any():
            raise DataError(
                self.source,
                "holds no structure, so no vibrations are known",
                "Add SCOPE strings to the references, or leave out the temperature.",
            )
        return replace(
            self,
            source=f"{self.source} at {temperature:g} K",
            energies=self.energies + values,
            errors=np.hypot(self.errors, errors),
        )

    def energies_of_formulas(self) -> list[tuple[str, float]]:
        """Formulas and formation energies (eV per formula), as `ase.phasediagram.PhaseDiagram` takes them."""
        return [
            (formula, float(energy) * sum(parse_formula(formula).values()))
            for formula, energy in zip(self.formulas, self.energies, strict=True)
        ]

    def compositions(self) -> Iterator[dict[str, float]]:
        """Share of each element among the atoms of each phase."""
        return (fractions(parse_formula(formula)) for formula in self.formulas)


def predict_known(
    model: CloudModel, strings: Sequence[str], name: str, temperature: float = 300.0
) -> tuple[Array, Array]:
    """Values and standard errors of a property; NaN for strings that are empty, or that the model cannot read."""
    values, errors = np.full((2, len(strings)), np.nan)
    rows = [row for row, string in enumerate(strings) if string]
    if rows:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CloudWarning)
            found = model.predict_arrays(
                [Scope.parse(strings[row]).to(model.dialect) for row in rows], name, temperature
            )
        values[rows], errors[rows] = found[name], found[f"{name}_std"]
    return values, errors


def vibrational_energies(
    model: CloudModel, strings: Sequence[str], temperature: float
) -> tuple[Array, Array]:
    """Gibbs energies of vibration and their standard errors, eV/atom, zero-point energy included.

    Models that do not know the pressure, which is next to nothing for a solid at 1 bar, give the Helmholtz energy of
    the volume at rest.
    """
    name = "vibrational_free_energy_per_atom"
    zero_point = np.zeros(len(strings))
    if "gibbs_energy_per_atom" in model.properties:  # counted from 0 K
        zero_point, _ = predict_known(model, strings, name, 0.0)
        name = "gibbs_energy_per_atom"
    values, errors = predict_known(model, strings, name, temperature)
    return (values + zero_point) / EV_PER_ATOM, errors / EV_PER_ATOM


def _fill(compositions: Sequence[Mapping[str, float]], values: Array, errors: Array) -> tuple[Array, Array]:
    """Fill gaps with sums over elements, whose parts are fitted to the known values."""
    elements = sorted({element for composition in compositions for element in composition})
    shares = np.array(
        [[composition.get(element, 0.0) for element in elements] for composition in compositions]
    )
    known = ~np.isnan(values)
    mean = values[known].mean()
    matrix = shares[known].T @ shares[known] + _RIDGE * np.eye(len(elements))
    parts = mean + np.linalg.solve(matrix, shares[known].T @ (values[known] - mean))
    spread = float(np.sqrt(np.mean((values[known] - shares[known] @ parts) ** 2 + errors[known] ** 2)))
    return np.where(known, values, shares @ parts), np.where(known, errors, spread)


def _checked(source: str, number: int, record: Mapping[str, Any], name: str) -> tuple[str, str, float, str]:
    """Identifier, reduced formula, energy of that name and string of a record."""
    where = f"{source}, phase {number}"
    try:
        formula = reduced_formula(parse_formula(str(record["formula"])))
        energy = float(record[name])
    except DataError as error:
        raise DataError(where, str(error), "Repair or remove it.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(where, f"has no formation energy: {error}", "Repair or remove it.") from error
    if not isfinite(energy):
        raise DataError(where, f"has the formation energy {energy}", "Repair or remove it.")
    scope = record.get("scope") or ""
    if scope:
        scope = str(Scope.parse(scope))
    return str(record.get("id") or f"{formula} {number}"), formula, energy, scope


@cache
def _shipped() -> References:
    with files("cloud_model.stability").joinpath("references.csv.gz").open("rb") as file:
        text = gzip.decompress(file.read()).decode()
    columns = zip(*csv.reader(io.StringIO(text)), strict=True)
    table = {name: values for name, *values in columns}
    energies = np.array(table[ENERGIES["2018"]], dtype=float)
    return References(
        SHIPPED,
        tuple(table["id"]),
        tuple(table["formula"]),
        energies,
        np.zeros(len(energies)),
        tuple(table["scope"]),
    )
