"""Write the measured data of ``examples/``: formation enthalpies of compounds, heat capacities of four crystals.

Enthalpies are of the CRC Handbook, heat capacities of the NIST-JANAF tables and, for Al2O3, of the CRC Handbook, all
as the package ``chemicals`` has them. The structures, stable at room temperature, are ours.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from chemicals import heat_capacity, search_chemical
from pymatgen.core import Composition

from cloud_model import Scope

JOULE_PER_EV = 96485.33212  # of one mole
FOLDER = Path(__file__).parents[1] / "examples"
RUTILE = "1317-80-2"
ALUMINA = "39377-45-2"

# prototype: space group, Wyckoff positions of the first and of the second element, atoms, compounds
PROTOTYPES = {
    "rock salt": (
        225, "4a", "4b", 2,
        "LiF LiCl LiBr LiI NaF NaCl NaBr NaI KF KCl KBr KI RbF RbCl RbBr RbI CsF AgCl AgBr LiH NaH KH "
        "MgO CaO SrO BaO MnO CoO CdO MgS CaS SrS MnS PbS PbTe",
    ),
    "caesium chloride": (221, "1a", "1b", 2, "CsCl CsBr CsI TlCl TlBr"),
    "zinc blende": (
        216, "4a", "4c", 2,
        "ZnS ZnSe CdTe HgTe GaAs GaP GaSb InP InAs InSb AlP CuCl CuBr CuI",
    ),
    "wurtzite": (186, "2b", "2b", 2, "ZnO BeO AlN GaN CdS"),
    "fluorite": (225, "4a", "8c", 3, "CaF2 SrF2 BaF2 CdF2 UO2 ThO2 CeO2 SrCl2"),
    "antifluorite": (225, "8c", "4a", 3, "Na2O K2O Li2S Na2S K2S"),
    "rutile": (136, "2a", "4f", 3, "TiO2 SnO2 MnO2 MgF2 FeF2 CoF2 NiF2 ZnF2"),
    "corundum": (167, "12c", "18e", 5, "Al2O3 Cr2O3 Fe2O3 Ti2O3 V2O3"),
    "cadmium chloride": (166, "3a", "6c", 3, "MgCl2 MnCl2 FeCl2 CoCl2 NiCl2 CdCl2"),
    "cadmium iodide": (164, "1a", "2d", 3, "MgBr2 MgI2 CaI2 CdI2 MnBr2"),
}  # fmt: skip
CRYSTALS = {"MgO": 2, "NaCl": 2, "Si": 1}  # atoms of a formula
TEMPERATURES = [100, 200, 298.15, 400, 500, 600, 700, 800, 900, 1000]  # K


def enthalpies() -> pd.DataFrame:
    """One row a compound, enthalpy in eV/atom at 298.15 K."""
    rows = []
    for prototype, (space_group, first, second, n_atoms, compounds) in PROTOTYPES.items():
        for compound in compounds.split():
            chemical = search_chemical(compound)
            number = RUTILE if compound == "TiO2" else chemical.CASs
            joule = heat_capacity.CRC_standard_data.loc[number, "Hfs"]
            elements = map(str, Composition(compound))
            orbits = list(zip((first, second), elements, strict=True))
            rows.append(
                {
                    "formula": compound,
                    "prototype": prototype,
                    "scope": str(Scope.from_orbits(space_group, orbits)),
                    "formation_enthalpy": round(joule / n_atoms / JOULE_PER_EV, 4),
                }
            )
    return pd.DataFrame(rows)


def heat_capacities() -> pd.DataFrame:
    """One row a crystal and temperature, heat capacity at constant pressure in J/(mol-atom K)."""
    curves = {}
    for formula, n_atoms in CRYSTALS.items():
        temperatures, measured = heat_capacity.Cp_dict_JANAF_solid[search_chemical(formula).CASs]
        curves[formula] = pd.Series(measured, index=temperatures)[TEMPERATURES] / n_atoms
    file = Path(heat_capacity.__file__).parent / "Heat Capacity" / "CRCHeatCapacitySolids.tsv"
    alumina = pd.read_csv(file, sep="\t", index_col=0).loc[ALUMINA].drop("NAME/T(K) J/mol/K")
    curves["Al2O3"] = alumina.astype(float).rename(float) / 5
    rows = [
        (name, kelvin, round(joule, 3)) for name, curve in curves.items() for kelvin, joule in curve.items()
    ]
    return pd.DataFrame(rows, columns=["formula", "temperature", "heat_capacity"])


def main() -> None:
    """Write both tables."""
    enthalpies().to_csv(FOLDER / "enthalpies.csv", index=False)
    heat_capacities().to_csv(FOLDER / "heat_capacities.csv", index=False)


if __name__ == "__main__":
    main()
