"""`CloudCalculator`, the properties that CLOUD predicts as an ASE calculator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.outputs import Properties, all_outputs

from cloud_model.checkpoints.registry import DEFAULT
from cloud_model.errors import ArgumentError, VocabularyError, shortly

if TYPE_CHECKING:
    import pandas as pd
    from ase.thermochemistry import CrystalThermo
    from numpy.typing import ArrayLike

    from cloud_model.model import CloudModel
    from cloud_model.physics.thermodynamics import Thermodynamics

_FORMATION_ENERGY = "formation_energy_per_atom"
_FREQUENCIES = 4001  # of a density of states, so that its integrals are good to a thousandth
_DERIVATIVES = ("forces", "stress", "stresses")


class CloudCalculator(Calculator):
    """Properties of crystals as CLOUD predicts them, without relaxation and without coordinates.

    Results are ``energy``, the formation energy of the cell in eV with the elements of the Materials Project
    as reference, and every property of the checkpoint with its standard error ``<name>_std``, in the units of
    ``CloudModel.properties``. Quantities per cell refer to the cell of the `Atoms` that was passed in.

    Each property has a getter, ``get_<property>(atoms=None)``, those of fine-tuned checkpoints too. Where a property of
    the cell has a namesake per atom, as ``heat_capacity``, ``get_heat_capacity(atoms, per_atom=True)`` gives that one.

    Parameters
    ----------
    model : str, path-like or CloudModel
        Name or directory of a checkpoint, or a loaded model, which several calculators can share.
    temperature : float
        Temperature for thermodynamic properties (K).
    atoms : Atoms, optional
        Attach the calculator to these.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or it is damaged.
    ArgumentError
        If the temperature is not a number from 0 to 1,000,000 K.

    Notes
    -----
    Threads may share a calculator: one of them calculates at a time.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from cloud_plugins import CloudCalculator
    >>> nacl = bulk("NaCl", "rocksalt", a=5.64)
    >>> nacl.calc = CloudCalculator(temperature=500)
    >>> nacl.get_potential_energy() < 0  # eV, formation energy of the cell
    True
    >>> round(nacl.calc.get_heat_capacity(nacl, per_atom=True))  # J/(mol-atom K)
    25
    """

    implemented_properties = ["energy"]  # noqa: RUF012 (ASE's name and type; each checkpoint adds to it)
    default_parameters = {"model": DEFAULT, "temperature": 300.0}  # noqa: RUF012
    discard_results_on_any_change = True
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012
    nolabel = True
    model: CloudModel

    def __init__(
        self,
        model: str | os.PathLike[str] | CloudModel = DEFAULT,
        *,
        temperature: float = 300.0,
        atoms: Atoms | None = None,
    ) -> None:
        self._lock = RLock()
        super().__init__(model=model, temperature=temperature)
        if atoms is not None:
            atoms.calc = self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        copies = {name: type(state[name])(state[name]) for name in ("parameters", "results", "_applied")}
        vars(self).update(state | copies)
        self._lock = RLock()

    def _get_name(self) -> str:
        return "cloud"

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Change parameters and forget results.

        Parameters
        ----------
        **kwargs
            ``model`` or ``temperature``, as for the constructor.

        Returns
        -------
        dict
            The parameters that changed.

        Raises
        ------
        ArgumentError
            If there is no such parameter, or the temperature is not a number from 0 to 1,000,000 K.
        CheckpointError
            If there is no such checkpoint, or it is damaged.
        """
        from cloud_model.inference.columns import column_names
        from cloud_model.model import CloudModel
        from cloud_model.physics.conditions import checked_temperature

        for name in kwargs.keys() - self.default_parameters.keys():
            raise ArgumentError(
                f"parameter {name!r}",
                "is unknown",
                f"CloudCalculator has {', '.join(self.default_parameters)}.",
            )
        if "temperature" in kwargs:
            kwargs["temperature"] = checked_temperature(kwargs["temperature"])
        if "model" in kwargs:
            given = kwargs["model"]
            self.model = CloudModel.from_pretrained(given)
            kwargs["model"] = os.fspath(given) if isinstance(given, str | os.PathLike) else self.model.name
            names = [*self.model.properties]
            names = ["energy", *names] if _FORMATION_ENERGY in names else names
            self.implemented_properties = column_names(self.model.checkpoint.config, names)
            self.reset()
        changed: dict[str, Any] = super().set(**kwargs)
        self._applied = dict(self.parameters)
        return changed

    def _apply_parameters(self) -> None:
        """Take over what was written into ``parameters`` without `set`, so that no result outlives its parameters."""
        changed = {name: value for name, value in self.parameters.items() if self._applied.get(name) != value}
        if changed:
            self.set(**changed)
            self.reset()

    def todict(self, skip_default: bool = False) -> dict[str, Any]:
        """Parameters for the record; the defaults too, as they may change with the version."""
        parameters: dict[str, Any] = super().todict(skip_default)
        return parameters

    def set_atoms(self, atoms: Atoms) -> None:
        """Check the elements; ASE calls it when the calculator is attached.

        Raises
        ------
        VocabularyError
            If the model does not know an element.
        """
        unknown = sorted(set(atoms.symbols) - self.model.elements)
        if unknown:
            raise VocabularyError(
                str(atoms.symbols),
                f"holds {', '.join(unknown)}, unknown to {self.model.name!r}",
                "Use another checkpoint.",
            )

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """Give one of the results, as ASE does.

        Parameters
        ----------
        name : str
            One of ``implemented_properties``.
        atoms : Atoms, optional
            The crystal; by default the last one.
        allow_calculation : bool
            Whether to predict what is not among the results yet.

        Returns
        -------
        float or None
            In the unit of the property; None if it would have to be predicted and that is not allowed.

        Raises
        ------
        PropertyNotImplementedError
            If CLOUD cannot know it: forces and stress among others.
        CloudError
            If the crystal cannot be described.
        """
        if name in _DERIVATIVES:
            raise PropertyNotImplementedError(
                f"{name}: SCOPE, the description of the crystal that CLOUD reads, has no coordinates and no "
                "lattice constants, so the energy has no derivatives. Relax with an interatomic potential."
            )
        with self._lock:
            self._apply_parameters()
            return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Predict all properties; ASE calls it when a result is not there yet.

        Those at constant pressure, which take as long as all others together, only where one of them is asked for.
        """
        from cloud_model.properties.catalogue import ISOBARIC

        if not (atoms is None or isinstance(atoms, Atoms)):
            raise ArgumentError(f"atoms {shortly(atoms)}", "are not ase.Atoms", "Pass one crystal.")
        super().calculate(atoms, properties, system_changes)
        if self.atoms is None:
            raise ArgumentError(
                "CloudCalculator", "has seen no atoms yet", "Pass them, or attach it to them."
            )
        if not isinstance(properties, list | tuple) or not all(isinstance(name, str) for name in properties):
            raise ArgumentError(f"properties {shortly(properties)}", "are not a list of names", "Pass one.")
        known = list(self.model.properties)
        if ISOBARIC.keys().isdisjoint(name.removesuffix("_std") for name in properties):
            known = [name for name in known if name not in ISOBARIC]
        columns = self.model.predict_arrays(self.atoms, known, temperature=self.parameters["temperature"])
        del columns["error"]
        results = {name: float(values[0]) for name, values in columns.items()}
        self.results = results | _energy(results, len(self.atoms))

    def export_properties(self) -> Properties:
        """Those results that ASE has a name for; it refuses the others."""
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})

    def predict_many(self, images: Atoms | Iterable[Atoms]) -> pd.DataFrame:
        """Results for many crystals at once, much faster than one by one.

        Parameters
        ----------
        images : Atoms or iterable of Atoms
            One crystal or several; calculators attached to them are left alone.

        Returns
        -------
        DataFrame
            One row per crystal: the columns of `CloudModel.predict`, among them ``error``, which says why a row
            holds NaN, and ``energy`` and ``energy_std`` in eV for the cell.
        """
        crystals = [images] if isinstance(images, Atoms) else list(images)
        self._apply_parameters()
        frame = self.model.predict(crystals, temperature=self.parameters["temperature"])
        return frame.assign(**_energy(frame, [len(atoms) for atoms in crystals]))

    def write_results(self, atoms: Atoms) -> dict[str, float | str]:
        """Put all results into ``atoms.info``, where they survive extxyz and trajectory files.

        Parameters
        ----------
        atoms : Atoms
            Its ``info`` gets each result as ``cloud_<name>``, beside ``cloud_model`` and
            ``cloud_temperature`` (K).

        Returns
        -------
        dict
            The same, as key-value pairs of `ase.db`: ``db.write(atoms, **calc.write_results(atoms))``.
        """
        with self._lock:
            results = {name: float(self.get_property(name, atoms)) for name in self.implemented_properties}
        pairs: dict[str, float | str] = {
            f"cloud_{name}": value for name, value in (results | self.parameters).items()
        }
        atoms.info.update(pairs)
        return pairs

    def get_formation_energy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Energy of formation of the cell in eV, or in eV/atom."""
        return self._get(_FORMATION_ENERGY if per_atom else "energy", atoms)

    def get_thermodynamics(
        self, atoms: Atoms, temperatures: ArrayLike, pressure: float = 0.0
    ) -> Thermodynamics:
        """Predict thermodynamic functions over temperature, whatever the parameter ``temperature``.

        Parameters
        ----------
        atoms : Atoms
            The cell that quantities per cell refer to.
        temperatures : array_like
            K, shape (nT,).
        pressure : float
            GPa, at most 30, of the functions at constant pressure.

        Returns
        -------
        Thermodynamics
            As `CloudModel.thermodynamics`, which says what is raised.
        """
        return self.model.thermodynamics(atoms, temperatures, pressure)

    def get_crystal_thermo(
        self, atoms: Atoms, potential_energy: float = 0.0, formula_units: int | None = None
    ) -> CrystalThermo:
        """The harmonic crystal as `ase.thermochemistry.CrystalThermo`, of CLOUD's phonon density of states.

        Parameters
        ----------
        atoms : Atoms
            The cell.
        potential_energy : float
            Energy of the cell, eV, from which its energies count.
        formula_units : int, optional
            In the cell; without it, energies are per cell.

        Returns
        -------
        ase.thermochemistry.CrystalThermo
            Its energies are in eV, from the density of states in modes per eV.

        Raises
        ------
        CloudError
            If the crystal cannot be described, or the model has no thermodynamics.
        """
        from ase.thermochemistry import CrystalThermo

        curve = self.model.thermodynamics(atoms, [0.0])
        frequencies = np.linspace(0.0, curve.cutoff_frequencies.max(), _FREQUENCIES)
        quantum = 1e12 * units._hplanck / units._e  # eV a THz
        density = len(atoms) * curve.density_of_states(frequencies) / quantum
        return CrystalThermo(density, quantum * frequencies, formula_units, potential_energy)

    def _get(self, name: str, atoms: Atoms | None) -> float:
        return float(self.get_property(name, atoms))

    def get_energy_above_hull(self, atoms: Atoms | None = None) -> float:
        """Energy above the hull of the known phases at 0 K, eV/atom; negative below it.

        See `cloud_model.stability.distances.stability`, which takes references of one's own, and gives the error, what
        the crystal decomposes into, and its probability of being stable.

        Raises
        ------
        CloudError
            If the crystal cannot be described, or one of its elements has no reference.
        """
        from cloud_model.stability.distances import stability

        crystal = self.atoms if atoms is None else atoms
        if crystal is None:
            raise ArgumentError(
                "CloudCalculator", "has seen no atoms yet", "Pass them, or attach it to them."
            )
        with self._lock:
            return float(stability(crystal, model=self.model)["energy_above_hull"][0])

    def __getattr__(self, name: str) -> Callable[..., float]:
        """Getters of the properties of the checkpoint, with ``per_atom`` where the property is one of the cell."""
        properties = self.model.properties if "model" in vars(self) else {}
        quantity = name.removeprefix("get_")
        if quantity == name or quantity not in properties:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
            )

        def getter(atoms: Atoms | None = None) -> float:
            return self._get(quantity, atoms)

        def getter_of_cell(atoms: Atoms | None = None, per_atom: bool = False) -> float:
            return self._get(f"{quantity}_per_atom" if per_atom else quantity, atoms)

        method = getter_of_cell if f"{quantity}_per_atom" in properties else getter
        info = properties[quantity]
        method.__name__, method.__qualname__ = name, f"{type(self).__name__}.{name}"
        method.__doc__ = f"{info.description} Unit: {info.unit or 'none'}."
        return method

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(f"get_{name}" for name in self.model.properties)]


def _energy(values: Any, n_atoms: int | list[int]) -> dict[str, Any]:
    """Entries ``energy`` and ``energy_std`` of cells, eV, where the model knows the formation energy."""
    if _FORMATION_ENERGY not in values:
        return {}
    return {f"energy{suffix}": values[_FORMATION_ENERGY + suffix] * n_atoms for suffix in ("", "_std")}
