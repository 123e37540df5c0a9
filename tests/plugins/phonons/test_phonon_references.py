from __future__ import annotations

import lzma
import shutil

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Structure
from pymatgen.phonon.dos import CompletePhononDos, PhononDos

from cloud_model.errors import ArgumentError, CrystalError, PhononError
from cloud_plugins.phonopy import validate_heat_capacity

T = np.array([50.0, 100.0, 300.0])
NACL = Structure.from_spacegroup(
    "Fm-3m", [[5.64, 0, 0], [0, 5.64, 0], [0, 0, 5.64]], ["Na", "Cl"], [[0] * 3, [0.5] * 3]
)
FREQUENCIES = np.linspace(0, 8, 200)
DENSITY = FREQUENCIES**2 * (8.001 - FREQUENCIES)


@pytest.fixture
def saved(copper, tmp_path):
    """Directory with ``phonopy_params.yaml`` of copper, force constants inside."""
    copper.save(tmp_path / "phonopy_params.yaml", settings={"force_constants": True})
    return tmp_path


@pytest.fixture
def expected(copper, model):
    return validate_heat_capacity(copper, model=model, temperatures=T).harmonic_heat_capacity


def harmonic(reference, model, crystal=None):
    return validate_heat_capacity(reference, crystal, model=model, temperatures=T).harmonic_heat_capacity


def test_file_and_its_folder(saved, model, expected):
    np.testing.assert_allclose(harmonic(saved / "phonopy_params.yaml", model), expected, rtol=1e-6)
    np.testing.assert_allclose(harmonic(str(saved), model), expected, rtol=1e-6)


def test_compressed_file(saved, model, expected):
    plain = saved / "phonopy_params.yaml"
    compressed = saved / "phonopy_params.yaml.xz"
    compressed.write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()
    np.testing.assert_allclose(harmonic(compressed, model), expected, rtol=1e-6)
    np.testing.assert_allclose(harmonic(saved, model), expected, rtol=1e-6)


@pytest.mark.parametrize("companion", ["FORCE_SETS", "FORCE_CONSTANTS"])
def test_forces_beside_the_file(copper, tmp_path, model, expected, companion):
    from phonopy.file_IO import write_FORCE_CONSTANTS, write_FORCE_SETS

    copper.save(tmp_path / "phonopy.yaml", settings={"force_sets": False, "displacements": False})
    if companion == "FORCE_SETS":
        write_FORCE_SETS(copper.dataset, tmp_path / companion)
    else:
        write_FORCE_CONSTANTS(copper.force_constants, tmp_path / companion)
    np.testing.assert_allclose(harmonic(tmp_path / "phonopy.yaml", model), expected, rtol=1e-4)


def test_working_directory_does_not_leak_in(copper, saved, model, expected, tmp_path_factory, monkeypatch):
    from phonopy.file_IO import write_FORCE_CONSTANTS

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_FORCE_CONSTANTS(2 * copper.force_constants, elsewhere / "FORCE_CONSTANTS")
    monkeypatch.chdir(elsewhere)
    np.testing.assert_allclose(harmonic(saved / "phonopy_params.yaml", model), expected, rtol=1e-6)


def test_relative_path(saved, model, expected, monkeypatch):
    monkeypatch.chdir(saved)
    np.testing.assert_allclose(harmonic("phonopy_params.yaml", model), expected, rtol=1e-6)


def test_pymatgen_densities(model):
    plain = PhononDos(FREQUENCIES, DENSITY)
    complete = CompletePhononDos(NACL, plain, {})
    arrays = (FREQUENCIES, DENSITY, "THz")
    with_structure = harmonic(complete, model)
    np.testing.assert_allclose(harmonic(plain, model, NACL), with_structure)
    np.testing.assert_allclose(harmonic(arrays, model, NACL), with_structure)
    atoms = np.trapezoid(DENSITY, FREQUENCIES) / 3
    np.testing.assert_allclose(with_structure, [plain.cv(t) / atoms for t in T], rtol=1e-3)


def test_density_without_a_crystal_is_refused(model):
    with pytest.raises(ArgumentError, match="Pass the crystal"):
        validate_heat_capacity((FREQUENCIES, DENSITY, "THz"), model=model)


def test_density_with_a_scope_string(model):
    scope = "1 6 a O D D a D O D b O O O c O O O d O O O e O O O 0 | 4a Na 4b Cl | Na 0.5 Cl 0.5"
    result = validate_heat_capacity((FREQUENCIES, DENSITY, "THz"), scope, model=model, temperatures=T)
    assert result.formula == scope
    with pytest.raises(ArgumentError, match="basis"):
        result.to_frame("cell")


def test_ncrystal_material(model):
    ncrystal = pytest.importorskip("NCrystal")
    name = "stdlib::NaCl_sg225_SodiumChloride.ncmat"
    by_name = validate_heat_capacity(name, model=model, temperatures=T)
    by_info = validate_heat_capacity(ncrystal.createInfo(name), model=model, temperatures=T)
    assert by_name.formula == by_info.formula == "NaCl"
    assert (by_name.n_atoms_primitive, by_name.n_atoms_cell) == (2, 8)
    np.testing.assert_array_equal(by_name.harmonic_heat_capacity, by_info.harmonic_heat_capacity)


def test_ncrystal_material_without_density_is_refused(model):
    pytest.importorskip("NCrystal")
    with pytest.raises(PhononError, match="density of states"):
        validate_heat_capacity("stdlib::Ar_Gas_STP.ncmat", model=model)
    with pytest.raises(PhononError, match="cannot read"):
        validate_heat_capacity("nothing.ncmat", model=model)


def test_phonons_of_another_crystal_are_refused(copper, model):
    with pytest.raises(PhononError, match="is of Cu, not of Ag"):
        validate_heat_capacity(copper, bulk("Ag"), model=model)


def test_phonons_without_forces_are_refused(copper, model):
    from phonopy import Phonopy

    bare = Phonopy(copper.unitcell, copper.supercell_matrix, copper.primitive_matrix)
    with pytest.raises(PhononError, match="no force constants"):
        validate_heat_capacity(bare, model=model)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"{unclosed: [", b"a: 1\n", b"<html></html>"])
def test_files_that_are_not_phonopy_are_refused(tmp_path, model, content):
    file = tmp_path / "phonopy_params.yaml"
    file.write_bytes(content)
    with pytest.raises(PhononError, match="phonopy"):
        validate_heat_capacity(file, model=model)


def test_cut_off_file_is_refused(saved, model):
    file = saved / "phonopy_params.yaml"
    file.write_bytes(file.read_bytes()[:4000])
    with pytest.raises(PhononError):
        validate_heat_capacity(file, model=model)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_forces_cut_short_are_refused(copper, tmp_path, model, share):
    from phonopy.file_IO import write_FORCE_SETS

    copper.save(tmp_path / "phonopy.yaml", settings={"force_sets": False, "displacements": False})
    forces = tmp_path / "FORCE_SETS"
    write_FORCE_SETS(copper.dataset, forces)
    forces.write_bytes(forces.read_bytes()[: int(share * forces.stat().st_size)])
    with pytest.raises(PhononError, match="a file of forces beside it is cut short"):
        validate_heat_capacity(tmp_path, model=model)


@pytest.mark.parametrize("companion", ["FORCE_SETS", "FORCE_CONSTANTS"])
@pytest.mark.parametrize("characters", [1, 4, 10])
def test_forces_cut_inside_their_last_number_are_refused(copper, tmp_path, model, companion, characters):
    from phonopy.file_IO import write_FORCE_CONSTANTS, write_FORCE_SETS

    copper.save(tmp_path / "phonopy.yaml", settings={"force_sets": False, "displacements": False})
    if companion == "FORCE_SETS":
        write_FORCE_SETS(copper.dataset, tmp_path / companion)
    else:
        write_FORCE_CONSTANTS(copper.force_constants, tmp_path / companion)
    content = (tmp_path / companion).read_bytes().rstrip()
    (tmp_path / companion).write_bytes(content)  # without the line feed at its end it is read
    validate_heat_capacity(tmp_path, model=model)
    (tmp_path / companion).write_bytes(content[:-characters])
    with pytest.raises(PhononError, match="breaks off inside its last number"):
        validate_heat_capacity(tmp_path, model=model)


def test_file_without_forces_is_refused(copper, tmp_path, model):
    copper.save(tmp_path / "phonopy.yaml", settings={"force_sets": False, "displacements": False})
    with pytest.raises(PhononError, match="holds no forces"):
        validate_heat_capacity(tmp_path, model=model)


def test_missing_files_are_named(tmp_path, model):
    with pytest.raises(PhononError, match="does not exist"):
        validate_heat_capacity(tmp_path / "missing.yaml", model=model)
    with pytest.raises(PhononError, match="no phonopy file"):
        validate_heat_capacity(tmp_path, model=model)


@pytest.mark.parametrize("reference", [None, 3.0, bulk("Cu"), NACL, {"a": 1}, np.ones(3)])
def test_what_holds_no_phonons_is_refused(reference, model):
    with pytest.raises(PhononError, match="holds no phonons"):
        validate_heat_capacity(reference, model=model)


def test_tuple_without_a_unit_is_refused(model):
    with pytest.raises(ArgumentError, match="unit"):
        validate_heat_capacity((FREQUENCIES, DENSITY), NACL, model=model)


@pytest.mark.parametrize("temperatures", [[], [-1.0], [np.nan], [[1.0, 2.0]], [np.inf]])
def test_impossible_temperatures_are_refused(copper, model, temperatures):
    with pytest.raises(ArgumentError, match="temperature"):
        validate_heat_capacity(copper, model=model, temperatures=temperatures)


def test_crystal_that_cannot_be_read_is_refused(copper, model):
    with pytest.raises(CrystalError):
        validate_heat_capacity(copper, "nothing.cif", model=model)


def test_saved_forces_survive_a_copy(saved, tmp_path_factory, model, expected):
    target = tmp_path_factory.mktemp("copy") / "folder"
    shutil.copytree(saved, target)
    np.testing.assert_allclose(harmonic(target, model), expected, rtol=1e-6)


def test_exclamation_marks_are_no_tags(tmp_path):
    from cloud_plugins.phonopy.references import check_tags

    path = tmp_path / "phonopy.yaml"
    path.write_text("# made by hand!\ntitle: 'now!'\nnumbers: [1, 2]\n")
    check_tags(path)
    for text in ("run: !!python/object/apply:os.system [true]\n", "run: !mine [1]\n", "run: [!"):
        path.write_text(text)
        with pytest.raises(PhononError, match="holds a YAML tag"):
            check_tags(path)
