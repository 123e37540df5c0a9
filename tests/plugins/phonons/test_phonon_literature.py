"""Harmonic side against numbers from elsewhere: other programs, density-functional theory, experiment."""

from __future__ import annotations

import numpy as np
import phonopy
import pytest
from ase.build import bulk
from ase.thermochemistry import CrystalThermo
from pymatgen.core.composition import Composition
from pymatgen.phonon.dos import PhononDos
from scipy.constants import N_A, R, e, h

from cloud_model.errors import PhononError
from cloud_plugins.phonopy import validate_heat_capacity
from cloud_plugins.phonopy.cells import formula
from cloud_plugins.phonopy.references import read_reference
from cloud_plugins.phonopy.spectrum import PhononSpectrum

T = np.array([50.0, 100.0, 300.0, 600.0])


def harmonic(reference, model, **options):
    return validate_heat_capacity(
        reference, model=model, temperatures=[300.0], **options
    ).harmonic_heat_capacity[0]


@pytest.fixture(scope="module")
def copper_density(copper):
    """Density of states of copper on phonopy's fine grid: THz, modes per primitive cell and THz."""
    copper.run_mesh([40, 40, 40], is_gamma_center=True)
    copper.run_total_dos(freq_min=0.02, freq_pitch=0.02)
    return copper.total_dos.frequency_points, copper.total_dos.dos


def test_density_of_states_phonopy_ase_and_pymatgen_agree(copper, copper_density, model):
    frequencies, density = copper_density
    ours = PhononSpectrum.from_density_of_states(frequencies, density)
    on_mesh = validate_heat_capacity(copper, model=model, temperatures=T)
    np.testing.assert_allclose(ours.heat_capacity(T), on_mesh.harmonic_heat_capacity, rtol=1e-3)

    pymatgen = PhononDos(frequencies, density)
    modes = np.trapezoid(density, frequencies) / 3
    np.testing.assert_allclose([pymatgen.cv(t) / modes for t in T], ours.heat_capacity(T), rtol=1e-3)
    np.testing.assert_allclose([pymatgen.entropy(t) / modes for t in T], ours.entropy(T), rtol=1e-3)

    energies = 1e12 * h / e * frequencies
    ase = CrystalThermo(phonon_energies=energies, phonon_DOS=density / (1e12 * h / e), formula_units=1)
    joule_per_mole = e * N_A / modes
    entropies = [joule_per_mole * ase.get_entropy(t, verbose=False) for t in T]
    np.testing.assert_allclose(entropies, ours.entropy(T), rtol=1e-3)
    internal = [joule_per_mole * ase.get_internal_energy(t, verbose=False) for t in T]
    np.testing.assert_allclose(internal, ours.thermal_energy(T) + ours.zero_point_energy, rtol=1e-3)

    copper.run_thermal_properties(temperatures=T, exclude_gamma_acoustic=True)
    np.testing.assert_allclose(copper.thermal_properties.heat_capacity, ours.heat_capacity(T), rtol=1e-3)


@pytest.mark.parametrize(
    ("element", "debye_temperature", "measured"),
    # Debye temperatures of Kittel's table; Cp at 298.15 K of the CRC handbook, J/(mol K)
    [("Al", 428, 24.2), ("Cu", 343, 24.4), ("Ni", 450, 26.1), ("Ag", 225, 25.4)],
)
def test_metals_by_effective_medium_theory(element, debye_temperature, measured, model):
    result = validate_heat_capacity(
        bulk(element), model=model, calculator="emt", supercell_length=7.0, relax=True, temperatures=[298.15]
    )
    assert result.debye_temperature == pytest.approx(debye_temperature, rel=0.18)
    # the electrons and the expansion are in Cp only
    assert 0.02 < measured / result.harmonic_heat_capacity[0] - 1 < 0.18


@pytest.mark.parametrize(
    ("example", "heat_capacity"),
    [("MgO", 18.9), ("NaCl", 24.0), ("Al2O3", 16.1)],
    ids=lambda value: str(value),
)
def test_examples_of_phonopy(phonopy_source, example, heat_capacity, model):
    assert harmonic(phonopy_source / "example" / example, model) == pytest.approx(heat_capacity, abs=0.06)


def test_silicon_of_phonopy(phonopy_source, model):
    file = phonopy_source / "test" / "phonopy_params_Si.yaml"
    assert harmonic(file, model) == pytest.approx(19.9, abs=0.06)


def test_corrections_of_polar_crystals_come_with_the_born_file(phonopy_source, model, tmp_path):
    example = phonopy_source / "example" / "NaCl"
    for name in ("phonopy_disp.yaml", "FORCE_SETS"):
        (tmp_path / name).write_bytes((example / name).read_bytes())
    with_born = validate_heat_capacity(example, model=model, temperatures=[300.0])
    without = validate_heat_capacity(tmp_path, model=model, temperatures=[300.0])
    assert with_born.spectrum.frequencies.max() > without.spectrum.frequencies.max() + 1  # THz


@pytest.mark.parametrize("structure", ["BaTiO3", "CaTiO3", "SrTiO3"])
def test_unstable_perovskites_are_refused(phonopy_source, structure, model):
    if structure == "BaTiO3":
        reference = _barium_titanate(phonopy_source)
    elif structure == "CaTiO3":
        reference = phonopy_source / "example" / "CaTiO3"
    else:
        reference = phonopy_source / "test" / "phonopy_SrTiO3.yaml.xz"
    with pytest.raises(PhononError, match=r"unstable.* THz"):
        harmonic(reference, model)


def _barium_titanate(source):
    from phonopy.interface.vasp import read_vasp

    folder = source / "test" / "phonon"
    cell, forces = read_vasp(folder / "POSCAR_P4mm"), folder / "FORCE_SETS_P4mm"
    return phonopy.load(
        unitcell=cell, supercell_matrix=[3, 3, 2], primitive_matrix="P", force_sets_filename=forces
    )


MATERIALS = {  # of NCrystal's library, whose Cp and Cv differ little, with their CAS numbers
    "AlN_sg186_AluminumNitride": "24304-00-5",
    "BaF2_sg225_BariumFluoride": "7787-32-8",
    "BaO_sg225_BariumOxide": "1304-28-5",
    "BeF2_sg152_Beryllium_Fluoride": "7787-49-7",
    "BeO_sg186": "1304-56-9",
    "CaCO3_sg62_Aragonite": "471-34-1",
    "CaF2_sg225_CalciumFlouride": "7789-75-5",
    "CaO_sg225_CalciumOxide": "1305-78-8",
    "CeO2_sg225_CeriumOxide": "1306-38-3",
    "Ge_sg227": "7440-56-4",
    "LiF_sg225_LithiumFlouride": "7789-24-4",
    "LiH_sg225_LithiumHydride": "7580-67-8",
    "MgCO3_sg167_MagnesiumCarbonate": "546-93-0",
    "MgF2_sg136_MagnesiumFlouride": "7783-40-6",
    "MgO2H2_sg164_MagnesiumHydroxide": "1309-42-8",
    "MgO_sg225_Periclase": "1309-48-4",
    "NaF_sg225_SodiumFlouride": "7681-49-4",
    "PbS_sg225_LeadSulfide": "1314-87-0",
    "SiC-beta_sg216_BetaSiliconCarbide": "409-21-2",
    "Si_sg227": "7440-21-3",
    "SrF2_sg225_StrontiumFluoride": "7783-48-4",
    "ThO2_sg225_ThoriumDioxide": "1314-20-1",
    "UO2_sg225_UraniumDioxide": "1344-57-6",
    "ZnF2_sg136_ZincFlouride": "7783-49-5",
    "ZnO_sg186_ZincOxide": "1314-13-2",
    "ZnS_sg216_Sphalerite": "1314-98-3",
    "ZrF4-beta_sg84": "7783-64-4",
    "ZrO2_sg14_Zirconia": "1314-23-4",
}


def test_published_densities_of_states_against_measured_heat_capacities():
    """Cv of neutron-scattering densities against Cp at 298.15 K of the CRC handbook, which lies above it."""
    pytest.importorskip("NCrystal")
    measured = pytest.importorskip("chemicals.heat_capacity").CRC_standard_data["Cps"]
    excess = []
    for material, number in MATERIALS.items():
        reference = read_reference(f"stdlib::{material}.ncmat", [298.15])
        assert reference.spectrum.stable
        calculated = (
            Composition(formula(reference.crystal)).num_atoms * reference.spectrum.heat_capacity([298.15])[0]
        )
        excess.append(measured[number] / calculated - 1)
    assert np.median(excess) == pytest.approx(0.01, abs=0.01)
    assert min(excess) > -0.03
    assert max(excess) < 0.05


def test_large_and_molecular_crystals_of_ncrystal():
    ncrystal = pytest.importorskip("NCrystal")
    names = (
        "Na4Si3Al3O12Cl_sg218_Sodalite",
        "Y3Al5O12_sg230_YAG",
        "UF6_sg62_UraniumHexaflouride",
        "KOH_sg4_PotassiumHydroxide",
    )
    for name in names:
        info = ncrystal.createInfo(f"stdlib::{name}.ncmat")
        reference = read_reference(info, T)
        assert len(reference.crystal) == info.structure_info["n_atoms"]
        assert reference.spectrum.shares.sum() == pytest.approx(1)
        assert reference.spectrum.heat_capacity([1e5]) == pytest.approx(3 * R, rel=1e-3)
