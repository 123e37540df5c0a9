"""`CloudCalculator`, the properties that CLOUD predicts as an ASE calculator."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.outputs import Properties, all_outputs

from cloud_model.checkpoints.registry import DEFAULT
from cloud_model.errors import ArgumentError, VocabularyError

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
        If the temperature is not a finite number >= 0.

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
            If there is no such parameter, or the temperature is not a finite number >= 0.
        CheckpointError
            If there is no such checkpoint, or it is damaged.
        """
        from cloud_model.model import checked_temperature

        for name in kwargs.keys() - self.default_parameters.keys():
            raise ArgumentError(
                f"parameter {name!r}",
                "is unknown",
                f"CloudCalculator has {', '.join(self.default_parameters)}.",
            )
        if "temperature" in kwargs:
            kwargs["temperature"] = checked_temperature(kwargs["temperature"])
        if "model" in kwargs:
            kwargs["model"], self.model = _load(kwargs["model"])
            names = [*self.model.properties]
            names = ["energy", *names] if _FORMATION_ENERGY in names else names
            self.implemented_properties = [column for name in names for column in (name, f"{name}_std")]
            if self.model.checkpoint.config.domain:
                self.implemented_properties.append("out_of_domain")  # 1.0 if so
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
        """One of the results.

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
        """Predict all properties; ASE calls it when a result is not there yet."""
        super().calculate(atoms, properties, system_changes)
        if self.atoms is None:
            raise ArgumentError(
                "CloudCalculator", "has seen no atoms yet", "Pass them, or attach it to them."
            )
        columns = self.model.predict_arrays(self.atoms, temperature=self.parameters["temperature"])
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
            One row a crystal: the columns of `CloudModel.predict`, among them ``error``, which says why a row
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

    def get_band_gap(self, atoms: Atoms | None = None) -> float:
        """Band gap, eV."""
        return self._get("band_gap", atoms)

    def get_bulk_modulus(self, atoms: Atoms | None = None) -> float:
        """Bulk modulus, GPa."""
        return self._get("bulk_modulus", atoms)

    def get_shear_modulus(self, atoms: Atoms | None = None) -> float:
        """Shear modulus, GPa."""
        return self._get("shear_modulus", atoms)

    def get_refractive_index(self, atoms: Atoms | None = None) -> float:
        """Refractive index."""
        return self._get("refractive_index", atoms)

    def get_debye_temperature(self, atoms: Atoms | None = None) -> float:
        """Debye temperature, K."""
        return self._get("debye_temperature", atoms)

    def get_max_phonon_frequency(self, atoms: Atoms | None = None) -> float:
        """Highest peak of the phonon density of states, cm^-1."""
        return self._get("max_phonon_frequency", atoms)

    def get_thermal_conductivity(self, atoms: Atoms | None = None) -> float:
        """Lattice thermal conductivity at 300 K, W/(m K)."""
        return self._get("thermal_conductivity", atoms)

    def get_thermal_expansion(self, atoms: Atoms | None = None) -> float:
        """Volume thermal expansion at 300 K, 1/K."""
        return self._get("thermal_expansion", atoms)

    def get_formation_energy_per_atom_2018(self, atoms: Atoms | None = None) -> float:
        """Energy of formation on the scale of the Materials Project before 2020, eV/atom."""
        return self._get("formation_energy_per_atom_2018", atoms)

    def get_volume_per_atom(self, atoms: Atoms | None = None) -> float:
        """Predicted volume per atom, A^3, whatever the cell."""
        return self._get("volume_per_atom", atoms)

    def get_dynamic_stability(self, atoms: Atoms | None = None) -> float:
        """Probability that there are no imaginary phonon modes."""
        return self._get("dynamic_stability", atoms)

    def get_heat_capacity(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Heat capacity at constant volume, J/(mol K) of cells, or J/(mol-atom K)."""
        return self._get_vibrational("heat_capacity", atoms, per_atom)

    def get_vibrational_internal_energy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Vibrational internal energy with the zero-point energy, J/mol of cells, or J/mol-atom."""
        return self._get_vibrational("vibrational_internal_energy", atoms, per_atom)

    def get_vibrational_entropy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Vibrational entropy, J/(mol K) of cells, or J/(mol-atom K)."""
        return self._get_vibrational("vibrational_entropy", atoms, per_atom)

    def get_vibrational_free_energy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Vibrational Helmholtz free energy with the zero-point energy, J/mol of cells, or J/mol-atom."""
        return self._get_vibrational("vibrational_free_energy", atoms, per_atom)

    def get_isobaric_heat_capacity(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Heat capacity at constant pressure, J/(mol K) of cells, or J/(mol-atom K)."""
        return self._get_vibrational("isobaric_heat_capacity", atoms, per_atom)

    def get_isobaric_entropy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Entropy of the expanded crystal, J/(mol K) of cells, or J/(mol-atom K)."""
        return self._get_vibrational("isobaric_entropy", atoms, per_atom)

    def get_enthalpy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Enthalpy from that at 0 K, J/mol of cells, or J/mol-atom."""
        return self._get_vibrational("enthalpy", atoms, per_atom)

    def get_gibbs_energy(self, atoms: Atoms | None = None, per_atom: bool = False) -> float:
        """Gibbs energy from the enthalpy at 0 K, J/mol of cells, or J/mol-atom."""
        return self._get_vibrational("gibbs_energy", atoms, per_atom)

    def get_thermodynamics(
        self, atoms: Atoms, temperatures: ArrayLike, pressure: float = 0.0
    ) -> Thermodynamics:
        """Functions at many temperatures (K) and a pressure (GPa), whatever the parameter ``temperature``."""
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
            Of the cell, eV, from which its energies count.
        formula_units : int, optional
            In the cell; without it, energies are per cell.
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

        See `cloud_model.stability.distances.stability`, which takes references of one's own, and tells the error, what
        a crystal falls apart into and how probable it is that it is stable.

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

    def _get_vibrational(self, name: str, atoms: Atoms | None, per_atom: bool) -> float:
        return self._get(f"{name}_per_atom" if per_atom else name, atoms)


def _load(model: Any) -> tuple[str, CloudModel]:
    """Name of a model in the parameters, and the model."""
    from cloud_model.model import CloudModel

    if isinstance(model, CloudModel):
        return model.name, model
    return os.fspath(model), CloudModel.from_pretrained(model)


def _energy(values: Any, n_atoms: int | list[int]) -> dict[str, Any]:
    """Entries ``energy`` and ``energy_std`` of cells, eV, where the model knows the formation energy."""
    if _FORMATION_ENERGY not in values:
        return {}
    return {f"energy{suffix}": values[_FORMATION_ENERGY + suffix] * n_atoms for suffix in ("", "_std")}
