"""What a checkpoint predicts: names, units, bases, and what to doubt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from cloud_model.physics.thermodynamics import ISOBARIC_QUANTITIES, QUANTITIES

Basis = Literal["atom", "cell", "crystal"]


@dataclass(frozen=True, kw_only=True)
class PropertyInfo:
    """Metadata of a predicted property.

    Attributes
    ----------
    unit : str
        Unit of the values; empty for a pure number.
    basis : {'atom', 'cell', 'crystal'}
        What the value refers to: ``"atom"``, ``"cell"`` (the one that the user passed in) or ``"crystal"`` for
        intensive properties.
    description : str
        One sentence.
    training_set : str
        Where the labels came from, and how many.
    test_error : float or None
        Mean absolute error on crystals not trained on, in `unit`; None where it was not measured.
    theory : str
        Method that calculated the labels, such as ``"PBE"``; errors count against its values, not against experiment.
    experiment_ratio : float or None
        Median ratio of predictions to measured values, from ``benchmarks/experiment``; None where not compared.
    positive : bool
        Whether it is positive by nature, so that an error as large as the value leaves nothing known.
    """

    unit: str
    basis: Basis
    description: str
    training_set: str = ""
    test_error: float | None = None
    theory: str = ""
    experiment_ratio: float | None = None
    positive: bool = False


UNLIKELY_STABLE = 0.5  # probability below which thermodynamics comes with a warning
SCALARS: dict[str, PropertyInfo] = {
    "formation_energy_per_atom": PropertyInfo(
        unit="eV/atom",
        basis="atom",
        description="Formation energy from the elements (PBE/PBE+U, MP corrections of 2020).",
        theory="PBE+U",
    ),
    "formation_energy_per_atom_2018": PropertyInfo(
        unit="eV/atom",
        basis="atom",
        description="The same with the corrections of the Materials Project before 2020, as in MatBench.",
        theory="PBE+U",
    ),
    "band_gap": PropertyInfo(
        unit="eV",
        basis="crystal",
        description="Kohn-Sham band gap (PBE).",
        theory="PBE",
    ),
    "bulk_modulus": PropertyInfo(
        unit="GPa",
        basis="crystal",
        description="Bulk modulus (VRH, AFLOW AEL).",
        theory="AEL",
        positive=True,
    ),
    "shear_modulus": PropertyInfo(
        unit="GPa",
        basis="crystal",
        description="Shear modulus (VRH, AFLOW AEL).",
        theory="AEL",
        positive=True,
    ),
    "refractive_index": PropertyInfo(
        unit="",
        basis="crystal",
        description="Static refractive index (DFPT).",
        theory="DFPT",
        positive=True,
    ),
    "debye_temperature": PropertyInfo(
        unit="K",
        basis="crystal",
        description="Debye temperature (AFLOW AGL); not that of the heat capacity.",
        theory="AGL",
        positive=True,
    ),
    "max_phonon_frequency": PropertyInfo(
        unit="cm^-1",
        basis="crystal",
        description="Highest peak of the phonon density of states (DFPT).",
        theory="DFPT",
        positive=True,
    ),
    "thermal_conductivity": PropertyInfo(
        unit="W/(m K)",
        basis="crystal",
        description="Lattice thermal conductivity at 300 K in the Debye-Slack model of AFLOW AGL, which has silicon at "
        "an eighth of experiment: for trends, not for values.",
        theory="AGL",
        positive=True,
    ),
    "thermal_expansion": PropertyInfo(
        unit="1/K",
        basis="crystal",
        description="Volume thermal expansion at 300 K in the Debye-Grueneisen model of AFLOW AGL, 1.5 to 6 times "
        "experiment for common crystals: for trends, not for values.",
        theory="AGL",
        positive=True,
    ),
    "volume_per_atom": PropertyInfo(
        unit="A^3", basis="atom", description="Volume at rest (PBE).", theory="PBE", positive=True
    ),
    "dynamic_stability": PropertyInfo(
        unit="",
        basis="crystal",
        description="Probability that the crystal has no imaginary phonon modes (DFPT).",
        theory="DFPT",
    ),
}
"""Scalar properties of the shipped checkpoints."""

HARMONIC: dict[str, PropertyInfo] = {
    name: PropertyInfo(
        unit=quantity.unit,
        basis=quantity.basis,
        description=f"Harmonic {quantity.description[0].lower()}{quantity.description[1:]}, at the given temperature.",
        theory="DFPT",
    )
    for name, quantity in QUANTITIES.items()
}
"""Properties of the harmonic crystal, all from one vibrational density of states; per mole of atoms and of cells."""

ISOBARIC: dict[str, PropertyInfo] = {
    name: PropertyInfo(
        unit=quantity.unit,
        basis=quantity.basis,
        description=f"{quantity.description}, at the given temperature.",
        theory="experiment",
    )
    for name, quantity in ISOBARIC_QUANTITIES.items()
}
"""Properties at constant pressure, all from one free energy F(V, T); per mole of atoms and of cells."""

THERMODYNAMICS = HARMONIC | ISOBARIC
"""Properties that depend on the temperature."""


MAGNETIC = {"Cr", "Mn", "Fe", "Co", "Ni"} | {
    "Ce",
    "Pr",
    "Nd",
    "Sm",
    "Eu",
    "Gd",
    "Tb",
    "Dy",
    "Ho",
    "Er",
    "Tm",
    "Yb",
}
"""Elements whose atoms often keep a moment in crystals."""


def magnetism_warning(elements: Collection[str]) -> str | None:
    """What to say beside the thermodynamics of a crystal of these elements, if it is likely magnetic."""
    if not (found := sorted(MAGNETIC.intersection(elements))):
        return None
    return (
        f"{', '.join(found)} may be magnetic. The entropy of spins, up to R ln(2S + 1) an ion, and the peak of the "
        "heat capacity where they order are in no term of their own."
    )


def imaginary_modes_warning(dynamic_stability: float) -> str | None:
    """What to say beside the thermodynamics of a crystal of this probability, if it probably has imaginary modes."""
    if dynamic_stability >= UNLIKELY_STABLE:
        return None
    return (
        f"The crystal has imaginary phonon modes with a probability of {1 - dynamic_stability:.2f}. Its heat capacity "
        "and other vibrational quantities are those of a crystal without them."
    )
