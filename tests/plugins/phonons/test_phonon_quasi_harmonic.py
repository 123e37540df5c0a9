"""Quasi-harmonic phonons beside CLOUD at constant pressure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from click.testing import CliRunner
from scipy.constants import N_A

from cloud_model.cli import cloud
from cloud_model.errors import ArgumentError, PhononError
from cloud_plugins.phonopy import validate_quasi_harmonic
from cloud_plugins.phonopy.quasi_harmonic import QUANTITIES

GPA_CUBIC_ANGSTROM = 1e-21 * N_A  # J/mol


@pytest.fixture(scope="module")
def copper_result(tiny_model, tmp_path_factory):
    return validate_quasi_harmonic(
        bulk("Cu"),
        calculator=EMT(),
        model=tiny_model,
        max_temperature=600.0,
        supercell_length=5.0,
        cache=tmp_path_factory.mktemp("forces"),
    )


def test_copper_by_emt(copper_result):
    """The identities of thermodynamics hold for the reference, and its expansion is that of a metal."""
    reference = copper_result.reference
    T = reference.temperatures
    assert T[0] == 0
    assert T[-1] >= 600
    assert reference.heat_capacity[0] == pytest.approx(0, abs=1e-6)
    assert reference.gibbs_energy[0] == pytest.approx(0, abs=1e-6)
    assert 24.0 < np.interp(300.0, T, reference.heat_capacity) < 26.5
    assert 3e-5 < np.interp(300.0, T, reference.thermal_expansion) < 9e-5  # measured: 5.0e-5
    assert 100 < reference.bulk_modulus[0] < 160
    excess = (
        GPA_CUBIC_ANGSTROM * reference.thermal_expansion**2 * reference.bulk_modulus * reference.volume * T
    )
    isochoric = reference.heat_capacity - excess
    assert np.all(isochoric[5:] < 3 * 8.3145 + 0.05)
    assert (np.diff(reference.volume) > 0)[5:].all()
    curvature = np.gradient(np.gradient(reference.gibbs_energy, T), T)
    np.testing.assert_allclose((-T * curvature)[10:-5], reference.heat_capacity[10:-5], rtol=0.02)


def test_result_has_both_sides(copper_result, tiny_model):
    frame = copper_result.to_frame()
    assert len(frame) == len(copper_result.temperatures)
    for name, (attribute, _) in QUANTITIES.items():
        np.testing.assert_array_equal(frame[f"cloud_{name}"], getattr(copper_result.cloud, attribute))
        assert copper_result.summary()[f"{name}_mae"] >= 0
    assert copper_result.formula == "Cu"
    assert len(copper_result.plot().axes) == 4
    json.dumps(copper_result.to_dict())
    assert "<table" in copper_result._repr_html_()


def test_pressure_compresses(copper_result, tiny_model, tmp_path):
    """Energies and thermal properties in phonopy's files, as the same phonons with a calculator."""
    write_folder(tmp_path, copper_result)
    free, pressed = (
        validate_quasi_harmonic(
            tmp_path, bulk("Cu"), model=tiny_model, max_temperature=200.0, pressure=pressure
        )
        for pressure in (0.0, 5.0)
    )
    change = np.log(pressed.reference.volume / free.reference.volume)
    np.testing.assert_allclose(change, -5.0 / free.reference.bulk_modulus, rtol=0.15)
    work = pressed.reference.gibbs_energy[0] / (GPA_CUBIC_ANGSTROM * 5.0)
    assert pressed.reference.volume[0] < work < free.reference.volume[0]


def write_folder(folder, result):
    """An Einstein crystal of one atom whose energy is a parabola of the strain."""
    volumes = 12.0 * (1 + np.linspace(-0.06, 0.06, 7))
    energies = 12.0 * 140.0 / 160.2 * np.log(volumes / 12.0) ** 2 / 2
    np.savetxt(folder / "e-v.dat", np.column_stack([volumes, energies]))
    temperatures = np.arange(0.0, 300.0, 10.0)
    for i, volume in enumerate(volumes):
        theta = 250.0 * (volume / 12.0) ** -2
        x = theta / np.maximum(temperatures, 1e-3)
        rows = [
            {
                "temperature": float(T),
                "free_energy": 3 * 8.314462618e-3 * float(theta / 2 + T * np.log1p(-np.exp(-y))),
                "entropy": 3 * 8.314462618 * float(y / np.expm1(min(y, 600)) - np.log1p(-np.exp(-y))),
                "heat_capacity": 3 * 8.314462618 * float(y**2 * np.exp(-y) / np.expm1(-y) ** 2),
                "energy": 0.0,
            }
            for T, y in zip(temperatures, x, strict=True)
        ]
        text = json.dumps({"natom": 1, "num_modes": 3, "num_integrated_modes": 3})[1:-1]
        head = "\n".join(line.strip().replace('"', "") for line in text.split(","))
        body = "\n".join(f"- {json.dumps(row)}" for row in rows)
        (folder / f"thermal_properties.yaml-{i - 3}").write_text(f"{head}\nthermal_properties:\n{body}\n")


def test_an_einstein_crystal_expands_as_gruneisen_says(copper_result, tiny_model, tmp_path):
    write_folder(tmp_path, copper_result)
    found = validate_quasi_harmonic(tmp_path, bulk("Cu"), model=tiny_model, max_temperature=200.0).reference
    at = np.searchsorted(found.temperatures, 150.0)
    x = 250.0 * (found.volume[at] / 12.0) ** -2 / 150.0
    isochoric = 3 * 8.314462618 * x**2 * np.exp(x) / np.expm1(x) ** 2
    expected = 2 * isochoric / (GPA_CUBIC_ANGSTROM * found.bulk_modulus[at] * found.volume[at])
    assert found.thermal_expansion[at] == pytest.approx(expected, rel=0.01)
    assert found.heat_capacity[at] == pytest.approx(isochoric * (1 + 2 * expected * 150.0), rel=0.005)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "e-v.dat").unlink(), "cannot be read"),
        (lambda folder: (folder / "thermal_properties.yaml-0").unlink(), "phonons of 6 volumes"),
        (lambda folder: (folder / "thermal_properties.yaml-0").write_text("natom: 1\n!!x"), "YAML tag"),
        (lambda folder: (folder / "thermal_properties.yaml--3").write_text("natom: 1\n"), "cannot read"),
        (lambda folder: [f.unlink() for f in folder.glob("thermal*")], "holds neither"),
    ],
)
def test_bad_folders_are_named(copper_result, tiny_model, tmp_path, spoil, message):
    write_folder(tmp_path, copper_result)
    spoil(tmp_path)
    with pytest.raises(PhononError, match=message):
        validate_quasi_harmonic(tmp_path, bulk("Cu"), model=tiny_model, max_temperature=200.0)


def test_phonons_that_jump_between_volumes_are_refused(copper_result, tiny_model, tmp_path):
    """Between two volumes all frequencies change by 10%, as where a neighbour crosses the cutoff of a potential."""
    write_folder(tmp_path, copper_result)
    for i in range(3):
        file = tmp_path / f"thermal_properties.yaml-{i + 1}"
        lines = file.read_text().splitlines()
        for row, line in enumerate(lines):
            if line.startswith("- "):
                point = json.loads(line[2:])
                point["free_energy"] += 3 * 8.314462618e-3 * point["temperature"] * 0.1
                lines[row] = f"- {json.dumps(point)}"
        file.write_text("\n".join(lines) + "\n")
    with pytest.raises(PhononError, match=r"jump by 0\.\d+ kJ/mol"):
        validate_quasi_harmonic(tmp_path, bulk("Cu"), model=tiny_model, max_temperature=200.0)


def test_volumes_beyond_those_given_are_refused(copper_result, tiny_model, tmp_path):
    write_folder(tmp_path, copper_result)
    with pytest.raises(PhononError, match=r"no minimum .* at 0 K"):
        validate_quasi_harmonic(tmp_path, bulk("Cu"), model=tiny_model, max_temperature=200.0, pressure=25.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the potentials' own
@pytest.mark.parametrize(
    ("name", "atoms", "strains", "heat_capacity", "expansion"),
    [
        ("7net-0", bulk("MgO", "rocksalt", a=4.21), np.linspace(-0.02, 0.04, 7), 18.6, 31.2e-6),
        ("7net-l3i5", bulk("Si"), np.linspace(-0.015, 0.015, 7), 19.9, 7.8e-6),
    ],
    ids=["MgO", "Si"],
)
def test_universal_potentials_against_experiment(name, atoms, strains, heat_capacity, expansion, tiny_model):
    """Heat capacity and expansion at 300 K; potentials are too soft, so they expand more."""
    pytest.importorskip("sevenn")
    reference = validate_quasi_harmonic(
        atoms, calculator=name, model=tiny_model, max_temperature=600.0, supercell_length=8.0, strains=strains
    ).reference
    at = int(np.searchsorted(reference.temperatures, 300.0))
    assert reference.heat_capacity[at] == pytest.approx(heat_capacity, rel=0.1)
    assert reference.thermal_expansion[at] == pytest.approx(expansion, rel=0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "package", "atoms"),
    [("7net-0", "sevenn", bulk("Si")), ("chgnet", "chgnet", bulk("MgO", "rocksalt", a=4.21))],
)
def test_potentials_whose_forces_jump_are_refused(name, package, atoms, tiny_model):
    """In silicon a shell of neighbours crosses 4.5 Angstrom, where the cutoff of 7net-0 begins."""
    pytest.importorskip(package)
    with pytest.raises(PhononError, match="jump by"):
        validate_quasi_harmonic(
            atoms,
            calculator=name,
            model=tiny_model,
            supercell_length=8.0,
            strains=np.linspace(-0.03, 0.03, 7),
        )


def test_arguments_out_of_range(tiny_model):
    with pytest.raises(ArgumentError, match="strains"):
        validate_quasi_harmonic(bulk("Cu"), calculator="emt", model=tiny_model, strains=[0.0, 0.01])
    with pytest.raises(ArgumentError, match="has no calculator"):
        validate_quasi_harmonic(bulk("Cu"), model=tiny_model)
    with pytest.raises(ArgumentError, match="max_temperature"):
        validate_quasi_harmonic(bulk("Cu"), calculator="emt", model=tiny_model, max_temperature=-1)


def test_command(copper_result, tiny_checkpoint, tmp_path):
    folder = tmp_path / "volumes"
    folder.mkdir()
    write_folder(folder, copper_result)
    bulk("Cu").write(tmp_path / "Cu.cif")
    report, figure = tmp_path / "report.html", tmp_path / "figure.png"
    crystal = str(tmp_path / "Cu.cif")
    arguments = ["validate", str(folder), "--quasi-harmonic", "--crystal", crystal, "-T", "200"]
    outputs = ["--format", "json", "-o", str(report), "--plot", str(figure), "--model", str(tiny_checkpoint)]
    result = CliRunner().invoke(cloud, [*arguments, *outputs])
    assert result.exit_code == 0, result.output
    (record,) = json.loads(result.stdout)
    assert record["formula"] == "Cu"
    assert max(record["table"]["temperature"]) == 200
    assert "Constant pressure" in report.read_text()
    assert figure.read_bytes().startswith(b"\x89PNG")
    table = CliRunner().invoke(cloud, [*arguments, "--model", str(tiny_checkpoint)])
    assert "GPa" in table.stdout
    (folder / "e-v.dat").unlink()
    arguments += ["--format", "json", "--model", str(tiny_checkpoint)]
    failed = CliRunner().invoke(cloud, arguments, standalone_mode=False)
    assert failed.return_value == 1
    assert "cannot be read" in failed.stderr
