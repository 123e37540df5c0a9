"""Files that are none of what their names say, that contradict themselves, or that ask for more than there is."""
# ruff: noqa: E501

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path

from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from fault import Fault, Outcome
from pymatgen.io.ase import AseAtomsAdaptor

from cloud_model.crystal.files import MAX_BYTES
from cloud_model.errors import CloudWarning, CrystalError, DisorderedCrystalError

SALT = bulk("NaCl", "rocksalt", 5.64, cubic=True)

EXECUTED = "executed"
"""File that every payload would make in the working directory."""

PRIVATE = "/etc/hostname"
"""A file that no crystal may bring into view."""

HEAD = """data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
"""
SITES = "Na1 Na 0 0 0 1\nCl1 Cl .5 .5 .5 1\n"
INVERSION = ("x,y,z", "-x,-y,-z")


class Payload:
    """Its unpickling runs a command."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {EXECUTED}",)


def cif(
    sites: str = SITES, head: str = HEAD, group: str = "", operations: tuple[str, ...] = ("x,y,z",)
) -> bytes:
    """Text of a CIF."""
    listed = "".join(f"'{operation}'\n" for operation in operations)
    symmetry = f"{group}\nloop_\n_space_group_symop_operation_xyz\n{listed}" if listed else f"{group}\n"
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
    header = "".join(f"_atom_site_{column}\n" for column in columns)
    return f"{head}{symmetry}loop_\n{header}{sites}".encode()


def written(form: str, atoms: Atoms = SALT) -> bytes:
    """A good file."""
    file = io.BytesIO() if form in {"cif", "traj"} else io.StringIO()
    write(file, atoms, format=form, **({"sort": True} if form == "vasp" else {}))
    content = file.getvalue()
    return content if isinstance(content, bytes) else content.encode()


def poscar(counts: str = "4 4", scale: str = "1.0") -> bytes:
    """A POSCAR of rock salt."""
    lines = written("vasp").decode().splitlines()
    lines[1], lines[6] = scale, counts
    return "\n".join([*lines, ""]).encode()


def structure(**changes: object) -> bytes:
    """A pymatgen Structure as JSON."""
    return json.dumps(AseAtomsAdaptor.get_structure(SALT).as_dict() | changes).encode()


def frame(count: object = 1, lattice: str = "3 0 0 0 3 0 0 0 3", columns: str = "pos:R:3") -> bytes:
    """An extended XYZ file of one atom."""
    return f'{count}\nLattice="{lattice}" Properties=species:S:1:{columns}\nCu 0 0 0\n'.encode()


def res(atoms: str, elements: str = "SFAC Na Cl") -> bytes:
    """A SHELX file."""
    return f"TITL x\nCELL 0.7 5 5 5 90 90 90\nLATT -1\n{elements}\nFVAR 1\n{atoms}END\n".encode()


def pw(
    system: str = "ibrav=0",
    cell: str = "CELL_PARAMETERS angstrom\n5 0 0\n0 5 0\n0 0 5\n",
    unit: str = "crystal",
    atoms: str = "Na 0 0 0",
) -> bytes:
    """An input of pw.x of one atom."""
    return (
        f"&system\n{system}, nat=1, ntyp=1\n/\nATOMIC_SPECIES\nNa 23 a\n{cell}ATOMIC_POSITIONS {unit}\n{atoms}\n"
    ).encode()


def optimade(species: dict[str, object] | None = None, **attributes: object) -> bytes:
    """An OPTIMADE structure of one atom."""
    sodium = {"name": "Na", "chemical_symbols": ["Na"], "concentration": [1.0], **(species or {})}
    structure = {
        "lattice_vectors": [[5, 0, 0], [0, 5, 0], [0, 0, 5]],
        "cartesian_site_positions": [[0, 0, 0]],
        "species_at_sites": ["Na"],
        "species": [sodium],
    }
    return json.dumps(structure | attributes).encode()


def labelled(
    first: str, second: str, elements: str = "Na Cl\n", comment: str = "salt", flags: str = ""
) -> bytes:
    """A POSCAR of two atoms with labels after their positions."""
    mode = "Selective dynamics\n" * bool(flags)
    return (
        f"{comment}\n1\n4 0 0\n0 4 0\n0 0 4\n{elements}1 1\n{mode}Direct\n"
        f"0 0 0 {flags} {first}\n.5 .5 .5 {flags} {second}\n"
    ).encode()


def caesium_chloride(**changes: object) -> bytes:
    """An OPTIMADE structure of two atoms."""
    species = [{"name": name, "chemical_symbols": [name], "concentration": [1.0]} for name in ("Cs", "Cl")]
    sites = [[0, 0, 0], [2.05, 2.05, 2.05]]
    cell = [[4.1, 0, 0], [0, 4.1, 0], [0, 0, 4.1]]
    structure = {
        "lattice_vectors": cell,
        "cartesian_site_positions": sites,
        "species": species,
        "species_at_sites": ["Cs", "Cl"],
    }
    return json.dumps(structure | changes).encode()


def pdb(
    name: str = "NA  ", element: str = "NA", before: str = "", units: str = "", place: str = " "
) -> bytes:
    """A PDB file of one atom."""
    cell = f"CRYST1    5.640    5.640    5.640  90.00  90.00  90.00 P 1        {units:>4}"
    atom = (
        f"ATOM      1 {name:<4}{place}MOL     1       0.000   0.000   0.000  1.00  0.00          {element:<2}"
    )
    return f"{cell}\n{before}{atom}\nEND\n".encode()


def matrix(name: str, entry: float) -> str:
    """Lines of a PDB file for a multiple of the unit matrix."""
    rows = ([entry * (i == j) for j in range(3)] for i in range(3))
    return "".join(
        f"{name}{i}    {''.join(f'{number:10.6f}' for number in row)}        0.00000\n"
        for i, row in enumerate(rows, 1)
    )


def xsf(length: float = 5.64, steps: str = "", frames: int = 1) -> bytes:
    """An XSF file of rock salt with a conventional cell."""
    primitive = "PRIMVEC\n0 2.82 2.82\n2.82 0 2.82\n2.82 2.82 0\n"
    conventional = f"CONVVEC\n{length} 0 0\n0 {length} 0\n0 0 {length}\n"
    atoms = "PRIMCOORD\n2 1\nNa 0 0 0\nCl 2.82 2.82 2.82d0\n"
    return f"{steps}CRYSTAL\n{(primitive + conventional + atoms) * frames}".encode()


def cssr(group: str = "SPGR = 1 P 1", position: str = "0 0 0") -> bytes:
    """A CSSR file of one atom."""
    return f"5.64 5.64 5.64\n90 90 90 {group} OPT = 1\n1 0\n0 salt\n1 Na {position}\n".encode()


ALAT = "CELL_PARAMETERS alat\n1 0 0\n0 1 0\n0 0 1\n"


def ase_json(**changes: object) -> bytes:
    """A crystal of two atoms as ASE writes it."""
    cell = [[4.1, 0, 0], [0, 4.1, 0], [0, 0, 4.1]]
    positions = [[0, 0, 0], [2.05, 2.05, 2.05]]
    return json.dumps(
        {"numbers": [55, 17], "positions": positions, "cell": cell, "pbc": [True] * 3, **changes}
    ).encode()


def changed_structure(**changes: object) -> bytes:
    """A pymatgen Structure, of whose last site or lattice an entry is changed."""
    content = json.loads(structure())
    for key, value in changes.items():
        (content["sites"][-1] if key == "xyz" else content["lattice"])[key] = value
    return json.dumps(content).encode()


def xml_bomb() -> bytes:
    """A billion laughs."""
    entities = "".join(f"<!ENTITY l{i} '{f'&l{i - 1};' * 10}'>" for i in range(1, 11))
    return f"<!DOCTYPE x [<!ENTITY l0 'laugh'>{entities}]><modeling>&l10;</modeling>".encode()


def yaml_bomb() -> bytes:
    """The same in YAML, with a tag that would run a command."""
    lines = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 10)]
    tag = f"run: !!python/object/apply:os.system ['touch {EXECUTED}']"
    return "\n".join(["l0: &l0 [laugh]", *lines, "lattice: *l9", tag]).encode()


def cell(**values: str) -> str:
    """Beginning of a CIF with other lengths or angles."""
    lines = (line.split() for line in HEAD.splitlines()[1:])
    return "data_salt\n" + "".join(
        f"{tag} {values.get(tag.rpartition('_')[2], value)}\n" for tag, value in lines
    )


def file(
    name: str, content: bytes | Callable[[], bytes], what: str, outcome: Outcome, words: str = ""
) -> Fault:
    """A fault that is a file with this content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content() if callable(content) else content)
        return path

    return Fault(what, make, outcome, words)


def special(name: str, make: Callable[[Path], object], what: str, words: str) -> Fault:
    """A fault that is no regular file."""

    def made(folder: Path) -> Path:
        make(folder / name)
        return folder / name

    return Fault(what, made, CrystalError, words)


def listen(path: Path) -> None:
    """Make a socket of this name."""
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # names of sockets are short
        server.bind(path.name)


CIF, XYZ = written("cif"), written("extxyz")
BOMB = MAX_BYTES + 1

FILES = [
    file("good.cif", CIF, "good CIF", None),
    file("latin1.cif", b"# caf\xe9\n" + CIF, "CIF with a comment that is not UTF-8", None),
    file("bom.cif", b"\xef\xbb\xbf" + CIF, "CIF with a byte order mark", None),
    file("mac.cif", CIF.replace(b"\n", b"\r\n"), "CIF with Windows line endings", None),
    file("two words [1] %s $(x).cif", CIF, "name with spaces, brackets and a command", None),
    file("a|b|c.cif", CIF, "name with two bars", None),
    file(os.fsdecode(b"\xff.cif"), CIF, "name that is not UTF-8", None),
    file("no_suffix", CIF, "CIF without a suffix", None),
    file("salt.CIF.GZ", lambda: gzip.compress(CIF), "compressed CIF in capital letters", None),
    # not what its name says
    file("empty.cif", b"", "empty CIF", CrystalError, "no atom sites"),
    file("POSCAR_empty", b"", "empty POSCAR", CrystalError, "does not count its atoms"),
    file("binary.cif", bytes(range(256)) * 40, "binary file named CIF", CrystalError, "not text"),
    file("utf16.cif", CIF.decode().encode("utf-16"), "CIF in UTF-16", CrystalError, "not text"),
    file("binary.vasp", bytes(range(256)) * 40, "binary file named POSCAR", CrystalError, "does not count its atoms"),
    file("poscar.cif", poscar(), "POSCAR named CIF", CrystalError, "no atom sites"),
    file("other.xyz", poscar(), "POSCAR named XYZ", CrystalError, "is not a number of atoms"),
    file("readme.md", b"# Salt\n", "text", CrystalError, "'.md', is none of those"),
    file("molecule.xyz", written("xyz", molecule("H2O")), "molecule", CrystalError, "no cell"),
    file("protein.cif", b"data_1ABC\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 2.0\n", "CIF of a protein",
         CrystalError, "Cartesian coordinates only"),
    # cut off
    file("half.cif", CIF[: len(CIF) // 2], "first half of a CIF", CrystalError, "no atom sites"),
    file("rows.cif", CIF[: CIF.rindex(b"\n  Cl")], "CIF without its last atom", CrystalError, "its atoms are"),
    file("row.cif", CIF[: CIF.rindex(b" ")], "CIF without its last number", CrystalError, "cut off"),
    file("field.cif", CIF + b";\nabc", "CIF with an open text field", CrystalError, "cut off"),
    file("half.vasp", poscar()[:150], "first half of a POSCAR", CrystalError, "does not count its atoms"),
    file("half.extxyz", XYZ[: len(XYZ) // 2], "first half of an XYZ file", CrystalError, "atoms in"),
    file("half.json", structure()[:300], "first half of JSON", CrystalError, "not JSON"),
    file("half.traj", written("traj")[:300], "first half of a trajectory", CrystalError, "cannot be read as ASE traj"),
    file("half.cif.gz", lambda: gzip.compress(CIF)[:-30], "first half of gzip", CrystalError, "cannot be read"),
    file("plain.cif.gz", CIF, "CIF named gzip", CrystalError, "cannot be read"),
    # contradictions in a CIF
    file("two.cif", CIF + CIF, "CIF of two crystals", CrystalError, "holds 2 crystals"),
    file("number.cif", cif(group="_space_group_IT_number 225", operations=INVERSION),
         "operations not of the stated group", CrystalError, "not those of space group 225, .* but of 2"),
    file("symbol.cif", cif(group="_space_group_name_H-M_alt 'F m -3 m'", operations=INVERSION),
         "operations not of the named group", CrystalError, "not those of space group 225"),
    file("order.cif", cif(group="_space_group_IT_number 7", operations=("x,y,z", "x,-y,z")),
         "operations of another group of the same order", CrystalError, "space group 7, .* but of 6"),
    file("groups.cif", cif(group="_space_group_IT_number 225\n_space_group_name_H-M_alt 'P 1'"),
         "two different groups", CrystalError, "several space groups: 1, 225"),
    file("group.cif", cif(group="_space_group_IT_number 999", operations=()), "group 999", CrystalError, "'999' does not"),
    file("name.cif", cif(group="_space_group_name_H-M_alt 'salt'", operations=()), "unknown symbol of a group",
         CrystalError, "'salt' does not exist"),
    file("no_group.cif", cif(operations=("x,y,z", "x,y,z+0.37")), "operations that do not form a group", CrystalError,
         "do not make a space group"),
    file("metric.cif", cif("Na1 Na .1 .2 .3 1\n", cell(b="7"), operations=("x,y,z", "-y,x,z", "-x,-y,z", "y,-x,z")),
         "operations that the cell does not have", CrystalError, "cell does not have the symmetry"),
    file("command.cif", cif(operations=("x,y,z", f"__import__('os').system('touch {EXECUTED}')".replace("'", '"'))),
         "operation that is a command", CrystalError, "cannot be read"),
    file("digits.cif", cif(operations=("x,y,z", f"x,y,{'1' * 40_000}!")), "operation of 40,000 digits", CrystalError,
         "cannot be read"),
    file("operations.cif", lambda: cif(operations=tuple(f"x,y,z+{i}/20000" for i in range(20_000))),
         "20,000 operations", CrystalError, "lists 20000 symmetry operations"),
    file("length.cif", cif(head=HEAD + "_cell_length_a 9\n"), "two different lengths a", CrystalError, "_length_a twice"),
    file("formula.cif", cif(head=HEAD + "_chemical_formula_sum 'Na Cl O'\n"), "formula of other atoms", CrystalError,
         "its formula is Na Cl O"),
    # symmetry that a CIF leaves open
    file("origin.cif", cif(group="_space_group_name_H-M_alt 'F d -3 m'", operations=()), "group of two origins",
         CrystalError, "may be 'F d -3 m :1' or 'F d -3 m :2'"),
    file("axes.cif", cif(head=cell(b="6.1", c="7.2"), group="_space_group_IT_number 62", operations=()),
         "number of a group, whose axes are open", CrystalError, "may be 'P n m a' or .* settings in all fit"),
    file("unequal.cif", cif(head=cell(b="6.1"), group="_space_group_name_H-M_alt 'F m -3 m'", operations=()),
         "cell without the symmetry of the named group", CrystalError, "cell does not have the symmetry"),
    file("suffix.cif", cif(group="_space_group_name_H-M_alt 'F m -3 m :2'", operations=()), "origin that a group does not have",
         CrystalError, "does not exist, or not by this name"),
    file("none.cif", cif(operations=()), "CIF without symmetry", CloudWarning, "are taken for all atoms"),
    file("cubic.cif", cif(group="_symmetry_cell_setting cubic", operations=()), "CIF without symmetry of a cubic crystal",
         CrystalError, "states no symmetry, but that its cell is cubic"),
    file("z.cif", cif(head=HEAD + "_cell_formula_units_Z 4\n_chemical_formula_sum 'Na Cl'\n"), "Z of more atoms", CrystalError,
         "its formula is 4 times, its Z, Na Cl"),
    file("volume.cif", cif(head=HEAD + "_cell_volume 99\n"), "volume of another cell", CrystalError, "but it states 99"),
    file("magnetic.cif", cif(group="_space_group_magn.name_BNS P1", operations=()), "magnetic group without operations",
         CrystalError, "magnetic group without its operations"),
    file("modulated.cif", cif(group="_cell_modulation_dimension 1"), "modulated structure", CrystalError, "modulated"),
    file("twice.cif", cif(operations=("x,y,z",) * 300), "operation listed 300 times", None),
    # sites of a CIF
    file("placeholder.cif", cif() + b"data_b\nloop_\n_atom_site_label\n_atom_site_fract_x\n? ?\n", "block without coordinates", None),
    file("dummy.cif", cif("Na1 Na 0 0 0 1\nCg1 C .5 .5 .5 dum\n").replace(b"occupancy", b"calc_flag"), "dummy site", None),
    file("groups_of_disorder.cif", cif("Na1 Na 0 0 0 1\nNa2 Na .1 0 0 2\n").replace(b"occupancy", b"disorder_group"),
         "alternative places of an atom", DisorderedCrystalError, "alternative places"),
    file("label.cif", cif("HO1 ? 0 0 0 1\n"), "label HO1 without an element", CrystalError, "may mean H or Ho"),
    file("valences.cif", cif("Fe1 Fe2+ 0 0 0 .5\nFe2 Fe3+ 0 0 0 .5\n"), "site of two valences of iron", None),
    file("hydrogens.cif", cif("O1 O 0 0 0 2\n").replace(b"occupancy", b"attached_hydrogens"), "hydrogen without positions",
         CrystalError, "hydrogen atoms have no positions"),
    *(file(f"full{i}.cif", cif(f"Na1 Na 0 0 0 {word}\n"), f"occupancy {word}", None)
      for i, word in enumerate(["0.999", "0.9999", "1.001"])),
    file("empty_site.cif", cif("Na1 Na 0 0 0 1\nCl1 Cl .5 .5 .5 1\nK1 K .5 0 0 0\n"), "site of occupancy 0", CloudWarning,
         "1 of its sites is empty"),
    file("empty_sites.json", structure(sites=[{"abc": [0, 0, i / 2], "species": [{"element": "Na", "occu": i}]} for i in (0, 1)]),
         "site of occupancy 0 in JSON", CloudWarning, "1 of its sites is empty"),
    file("vacancy.json", optimade({"chemical_symbols": ["vacancy"]}), "OPTIMADE structure of vacancies", CrystalError, "no atoms"),
    file("overfull.cif", cif("Na1 Na 0 0 0 4\n"), "occupancy 4", CrystalError, "occupancy above 1, namely 4"),
    # numbers in a CIF
    *(file(f"length{i}.cif", cif(head=cell(a=word)), f"length {word}", CrystalError, reason)
      for i, (word, reason) in enumerate([("1e400", "longer than 1000"), ("nan", "not all its values"), ("0", "no cell"),
                                          ("-5", "no cell"), ("1e-300", "no cell"), ("?", "not all its values")])),
    *(file(f"angle{i}.cif", cif(head=cell(alpha=word)), f"angle {word}", CrystalError, "no cell|too small")
      for i, word in enumerate(["0", "180", "-90", "1e30", "1e-300"])),
    file("angles.cif", cif(head=cell(alpha="10", beta="100")), "angles that no cell has", CrystalError, "no cell"),
    *(file(f"position{i}.cif", cif(f"Na1 Na {word} 0 0 1\n"), f"coordinate {word}", CrystalError, reason)
      for i, (word, reason) in enumerate([("1e400", "far outside"), ("1e30", "far outside"), (".", "not all its values"),
                                          ("0x1", "not all its values"), ("1,5", "not all its values")])),
    *(file(f"occupancy{i}.cif", cif(f"Na1 Na 0 0 0 {word}\n"), f"occupancy {word}", error, reason)
      for i, (word, error, reason) in enumerate([("0.5", DisorderedCrystalError, "partly occupied"),
                                                 ("0", CrystalError, "all its sites have occupancy 0"),
                                                 ("nan", CrystalError, "not all its values")])),
    *(file(f"element{i}.cif", cif(f"{word} {word} 0 0 0 1\n"), f"element {word}", CrystalError, "not an element")
      for i, word in enumerate(["X", "Va", "Wat", "Uue", "Na,K", "Na0.5K0.5"])),
    file("isotope.cif", cif("Li1 7Li 0 0 0 1\n"), "isotope 7Li", None),
    file("capitals.cif", cif("NA1 NA 0 0 0 1\n"), "element NA", None),
    file("same.cif", cif("Na1 Na 0 0 0 1\nNa2 Na 0 0 0 1\n"), "the same atom twice", CrystalError, "closer than 0.1"),
    # occupancies and symmetry that readers pass over
    file("half.res", b"TITL x\nCELL 0.7 5 5 5 90 90 90\nLATT -1\nSFAC Na\nNa1 1 0.0 0.0 0.0 0.5\nEND\n",
         "half an atom in a SHELX file", DisorderedCrystalError, "partly occupied"),
    file("lattice.res", b"TITL x\nCELL 0.7 5 5 5 90 90 90\nLATT 4\nSFAC Na\nNa1 1 0.0 0.0 0.0 11.0\nEND\n",
         "symmetry in a SHELX file", CrystalError, "symmetry operations, which no reader applies"),
    file("half.pdb", written("proteindatabank").replace(b"  1.00  0.00", b"  0.50  0.00", 1),
         "half an atom in a PDB file", DisorderedCrystalError, "partly occupied"),
    file("half.cif.json", structure(sites=[{"abc": [0, 0, 0], "species": [{"element": "Na", "occu": 0.5}]}]),
         "half an atom in JSON", DisorderedCrystalError, "partly occupied"),
    # counts, elements and coordinates that do not fit
    file("counts.vasp", poscar("8"), "POSCAR with fewer counts than elements", CrystalError, "counts the atoms of 1 elements and names 2"),
    file("capitals.vasp", poscar().replace(b"Cl", b"CL"), "POSCAR with the element CL", CrystalError, "'CL', which is not an element"),
    file("word.vasp", poscar().replace(b"0.0000000000000000  0.0000000000000000\n", b"0 zero\n", 1), "POSCAR with a word for a number",
         CrystalError, "not three numbers"),
    file("no_frames.XDATCAR", poscar(), "XDATCAR without frames", CrystalError, "has no line 'Direct configuration='"),
    file("fewer.xyz", frame() + b"Cu 1 1 1\n", "XYZ file that counts too few atoms", CrystalError, "counts 1 atoms and lists more"),
    file("label.xyz", frame().replace(b"Cu", b"Cu1"), "XYZ file with the element Cu1", CrystalError, "'Cu1' is not an element, or missing"),
    file("minus.res", res("Na1 -1 0 0 0 11\nCl1 2 .5 .5 .5 11\n"), "SHELX file with element -1", CrystalError, "that SFAC does not list"),
    file("move.res", res("MOVE 1 1 1 -1\nNa1 1 .1 0 0 11\n"), "SHELX file that moves its atoms", CrystalError, "holds MOVE"),
    file("zero.res", res("Na1 0 0 0 0 11\nCl1 2 .5 .5 .5 11\n"), "SHELX file with element 0", CrystalError, "that SFAC does not list"),
    file("word.res", res("Na1 1 0 0 zero 11\nCl1 2 .5 .5 .5 11\n"), "SHELX file with a word for a number", CrystalError,
         "'0 0 zero' are not three numbers"),
    file("peak.res", res("Na1 1 0 0 0 11\nQ1 1 .5 .5 .5 11\n"), "peak among the atoms of a SHELX file", CrystalError, "the peak Q1"),
    file("part.res", res("PART 1 21\nNa1 1 0 0 0\n"), "PART of a SHELX file with an occupancy", CrystalError, "PART gives the occupancies"),
    file("variable.res", res("Na1 1 0 0 0 31\n"), "SHELX file without a free variable", CrystalError, "refers to free variable 3"),
    file("lines.res", res("Na1 1 0 0 0 11\nCl1 2 .5 .5 .5 11\n", "SFAC Na\nSFAC Cl 1 2 3 4 =\n 5 6 7"), "SHELX file with an element a line",
         None),
    file("word.in", b"lattice_vector 3 0 0\nlattice_vector 0 3 0\nlattice_vector 0 0 3\natom 0 0 zero Cu\n",
         "geometry of FHI-aims with a word for a number", CrystalError, "'0 0 zero' are not three numbers"),
    # what an input of pw.x leaves to the program
    file("word.pwi", pw(atoms="Na 0 0 zero"), "input of pw.x with a word for a number", CrystalError, "'0 0 zero' are not three numbers"),
    file("expression.pwi", pw(atoms="Na 1/3 2*(1/3) .5d0 ! comment"), "input of pw.x with expressions and a comment", None),
    file("ibrav.pwi", pw("ibrav=2, A=5.64", cell=""), "input of pw.x without vectors", CrystalError, "ibrav=2, without CELL_PARAMETERS"),
    file("no_vectors.pwi", pw(cell=""), "input of pw.x without a cell", CrystalError, "ibrav=0, without CELL_PARAMETERS"),
    file("alat.pwi", pw(unit="alat"), "input of pw.x in an unknown unit", CrystalError, r"without celldm\(1\)"),
    file("group.pwi", pw("ibrav=0, space_group=225"), "space group in an input of pw.x", CrystalError, "states the space group '225'"),
    # what is not finite beside a partial occupancy, where atoms at one place are looked for
    file("infinite.cif", cif("Na1 Na 1e400 0 0 0.5\n"), "CIF with half an atom at infinity", CrystalError, "some positions are not finite"),
    file("infinite.json", structure(sites=[{"abc": [1e999, 0, 0], "species": [{"element": "Na", "occu": 0.5}]}]),
         "JSON with half an atom at infinity", CrystalError, "some positions are not finite"),
    file("infinite.res", res(f"Na1 1 {'9' * 400} 0 0 10.5\n"), "SHELX file with half an atom at infinity", CrystalError, "some positions are not finite"),
    file("nan.pdb", pdb().replace(b"  0.000   0.000   0.000  1.00", b"    nan   0.000   0.000  0.50"), "PDB file with half an atom nowhere",
         CrystalError, "some positions are not finite"),
    file("nan.xyz", frame(columns="pos:R:3:occupancy:R:1").replace(b"Cu 0 0 0", b"Cu nan 0 0 0.5"), "XYZ file with half an atom nowhere",
         CrystalError, "some positions are not finite"),
    # numbers of thousands of digits
    file("multiplicity.cif", cif(f"Na1 Na 0 0 0 {'9' * 5000}\n").replace(b"occupancy", b"symmetry_multiplicity"),
         "multiplicity of 5,000 digits", CrystalError, "has 1 images"),
    file("digits.gen", b"1 F\nNa\n1 " + b"1" * 5000 + b" 0 0 0\n0 0 0\n5 0 0\n0 5 0\n0 0 5\n", "GEN file with 5,000 digits", CrystalError,
         "is missing or malformed"),
    file("long.cif", cif(head=cell(a="9" * 5000), group="_space_group_name_H-M_alt 'F m -3 m'", operations=()), "length of 5,000 digits",
         CrystalError, "longer than 1000"),
    file("abc.json", structure(sites=[{"abc": [10**400, 0, 0], "species": [{"element": "Na", "occu": 1}]}]), "JSON with 10^400",
         CrystalError, "not a pymatgen Structure"),
    # what else a file states
    file("p1.cif", cif(group="_space_group_name_H-M_alt 'P 1'", operations=INVERSION), "operations beside the group P 1", CrystalError,
         "not those of space group 1, .* but of 2"),
    file("waves.cif", cif(group="_atom_site_displace_Fourier_axis x"), "modulated structure without its wave vectors", CrystalError,
         "modulated"),
    file("negative.cif", cif("Na1 Na 0 0 0 -1\n"), "occupancy -1", CrystalError, "negative occupancy"),
    file("minus.cif", cif(operations=("x,y,z", "\u2212x,\u2212y,\u2212z")), "operations with signs of typography", None),
    file("attached.json", optimade({"attached": ["H"], "nattached": [2]}), "OPTIMADE species with attached atoms", CrystalError,
         "attached atoms without positions"),
    file("implicit.json", optimade(structure_features=["implicit_atoms"]), "OPTIMADE structure without some atoms", CrystalError,
         "leaves out atoms"),
    file("layer.json", optimade(dimension_types=[1, 1, 0]), "OPTIMADE layer", CrystalError, "not periodic in three"),
    # what a file states twice
    file("labels.vasp", labelled("Cl", "Na"), "POSCAR with labels of other elements", CrystalError,
         "atom 1 is Na by the line of elements, and Cl by its own line"),
    file("flags.vasp", labelled("Na", "Br1", flags="T T F"), "POSCAR with flags and labels of other elements", CrystalError,
         "atom 2 is Cl by the line of elements, and Br1 by its own line"),
    file("comment.vasp", labelled("K", "Cl", elements="", comment="Na Cl"), "POSCAR of VASP 4 with labels of other elements",
         CrystalError, "atom 1 is Na by the line of elements, and K by its own line"),
    file("numbers.xyz", frame(columns="pos:R:3:Z:I:1").replace(b"Cu 0 0 0", b"Cu 0 0 0 28"), "XYZ file with another atomic number",
         CrystalError, "an atom is Cu and 28 by its columns"),
    file("cells.xyz", frame().replace(b" Prop", b' Lattice="4 0 0 0 4 0 0 0 4" Prop'), "XYZ file with two cells", CrystalError,
         "states its lattice 2 times"),
    file("positions.xyz", frame(columns="pos:R:3:positions:R:3").replace(b"Cu 0 0 0", b"Cu 0 0 0 1 1 1"),
         "XYZ file with two columns of positions", CrystalError, "states its positions twice"),
    file("xyz.json", changed_structure(xyz=[1, 2, 3]), "JSON of pymatgen with other Cartesian coordinates", CrystalError,
         "atom 8 at one place, but it states one .* Angstrom away as xyz"),
    file("lengths.json", changed_structure(a=6.0), "JSON of pymatgen with another length", CrystalError, "5.64 5.64 5.64 .* states 6 5.64 5.64"),
    file("volume.json", changed_structure(volume=90.0), "JSON of pymatgen with another volume", CrystalError, "but it states 90 as volume"),
    file("entry.json", b'{"formula_pretty": "NaBr", "structure": ' + structure() + b"}", "JSON entry of another formula", CrystalError,
         "states NaBr as formula_pretty"),
    file("rows.json", b'{"ids": [1, 2], "nextid": 3, "1": ' + ase_json() + b"}", "JSON of ASE that lacks a row", CrystalError,
         "lists the row 2, but does not hold it"),
    *(file(f"ase_{key}.json", ase_json(**{key: value}), f"JSON of ASE with other {key}", CrystalError, f"as {key}")
      for key, value in [("symbols", ["Cs", "Br"]), ("natoms", 3), ("formula", "CsBr"), ("volume", 80),
                         ("scaled_positions", [[0, 0, 0], [0.5, 0.5, 0]])]),
    *(file(f"optimade_{key}.json", caesium_chloride(**{key: value}), f"OPTIMADE structure with other {key}", CrystalError, f"as {key}")
      for key, value in [("nsites", 4), ("nelements", 3), ("elements", ["Br", "Cs"]), ("chemical_formula_reduced", "ClCs2"),
                         ("fractional_site_positions", [[0, 0, 0], [0.5, 0.5, 0]]), ("chemical_formula_anonymous", "A2B")]),
    file("species.json", caesium_chloride(species=[{"name": name, "chemical_symbols": [symbol], "concentration": [1.0]}
                                                   for name, symbol in (("Cs", "Cs"), ("Cs", "Rb"), ("Cl", "Cl"))]),
         "OPTIMADE species that is defined twice", CrystalError, "defines a species twice"),
    file("keys.json", ase_json().replace(b'{"numbers"', b'{"numbers": [37, 17], "numbers"'), "JSON with an entry twice", CrystalError,
         "states 'numbers' twice"),
    file("half.ase.json", ase_json(occupancy=[1, 0.5]), "half an atom in JSON of ASE", DisorderedCrystalError, "partly occupied"),
    file("ratios.json", caesium_chloride(elements=["Cl", "Cs"], elements_ratios=[0.25, 0.75]), "OPTIMADE structure with other ratios",
         CrystalError, "as elements_ratios"),
    file("span.json", caesium_chloride(site_coordinate_span="asymmetric_unit"), "OPTIMADE structure without its symmetry images",
         CrystalError, "other sites than those of a cell"),
    *(file(f"{name}.cif", cif(head=f"{HEAD}{words}\n"), f"CIF with another {what}", CrystalError, reason)
      for name, words, what, reason in [
          ("density", "_exptl_crystal_density_diffrn 2.16", "density", "density of 0.5409 g/cm3, but it states 2.16"),
          ("weight", "_chemical_formula_weight 74.5", "formula weight", "not a multiple of the weight of its formula, 74.5"),
          ("heavy", "_chemical_formula_weight 1e9", "formula weight, by far", "its formula, 1e"),
          ("weights", "_chemical_formula_weight 29.2\n_cell_formula_units_Z 1", "Z, by its formula weight", "not 1 times, its Z"),
          ("near", "_cell_volume 182", "volume, by 2%", "but it states 182"),
          ("system", "_symmetry_cell_setting cubic\n_symmetry_Int_Tables_number 1", "crystal system", "is cubic, and space group 1"),
          ("in_cell", "loop_\n_atom_type_symbol\n_atom_type_number_in_cell\nNa 4\nCl 4", "number of atoms of an element",
           "its atoms are Na1Cl1, but it states Na4Cl4"),
          ("displaced", "loop_\n_atom_site_aniso_label\n_atom_site_aniso_U_11\nNa1 1\nK1 1", "site, by its displacement parameters",
           "displacement parameters of K1, which is not among its sites")]),
    file("label_and_type.cif", cif("Na1 K 0 0 0 1\nCl1 Cl .5 .5 .5 1\n"), "CIF with a label of another element", CrystalError,
         "its site Na1 is K by its type symbol"),
    *(file(f"{name}.res", res("Na1 1 0 0 0 11\nCl1 2 .5 .5 .5 11\n", elements), f"SHELX file with another {what}", CrystalError, reason)
      for name, elements, what, reason in [
          ("unit", "SFAC Na Cl\nUNIT 4 4", "number of atoms", "states 4 4 as UNIT"),
          ("units", "SFAC Na Cl\nUNIT 1", "number of elements", "states amounts of 1 as UNIT"),
          ("zerr", "ZERR 4 0 0 0 0 0 0\nSFAC Na Cl", "Z", "4 formula units, by ZERR"),
          ("cells", "SFAC Na Cl\nCELL 1 4 4 4 90 90 90", "cell", "states its CELL 2 times"),
          ("element", "SFAC K Cl", "element than in its label", "has the atom Na1, but it states K")]),
    *(file(f"title{i}.res", res("Na1 1 0 0 0 11\n").replace(b"TITL x", b"TITL x 0.0 %d -3.5 0 0 %d (Pm-3m) n - 1" % numbers),
           f"title of AIRSS with another {what}", CrystalError, f"the {what} of its title")
      for i, (numbers, what) in enumerate([((130, 1), "volume"), ((125, 2), "number of atoms")])),
    file("name.pdb", pdb(element="K"), "PDB file with a name of another element", CrystalError, "atom named NA, but it states K"),
    file("no_element.pdb", pdb(element=""), "PDB file without elements", CrystalError, "its atom NA may mean N or Na"),
    file("dummy.pdb", pdb(element="X"), "PDB file with a dummy atom", CrystalError, "'X', which is not an element"),
    file("units.pdb", pdb(units="4"), "PDB file with another Z", CrystalError, "4 formula units, by CRYST1"),
    file("scale.pdb", pdb(before=matrix("SCALE", 0.2)), "PDB file with two cells", CrystalError, "another one as SCALE"),
    file("places.pdb", pdb(place="A").replace(b"END", pdb(place="B").splitlines()[1].replace(b" 0.000", b" 2.000") + b"\nEND"),
         "PDB file with alternative locations", CrystalError, "alternative locations"),
    *(file(f"{name}.pdb", pdb(before=matrix(name, -1.0)), f"PDB file with {name}", CrystalError, f"to be transformed by {name}")
      for name in ("ORIGX", "MTRIX")),
    file("cells.xsf", xsf(5.5), "XSF file with another conventional cell", CrystalError, "states others as CONVVEC"),
    file("frames.xsf", xsf(frames=2), "XSF file with more frames than it counts", CrystalError, "has 2 blocks PRIMCOORD"),
    file("twice.pwi", pw("ibrav=0, A=5, celldm(1)=9.4", cell=ALAT), "input of pw.x with two units", CrystalError, "another as A"),
    file("unit.pwi", pw("ibrav=0, A=5"), "input of pw.x with a unit beside angstrom", CrystalError, "in a unit of their own"),
    file("axes.pwi", pw("ibrav=0, A=5, B=6", cell=ALAT), "input of pw.x with two cells", CrystalError, "states a cell as B too"),
    file("positions.pwi", pw() + b"ATOMIC_POSITIONS crystal\nNa .5 .5 .5\n", "input of pw.x with positions twice", CrystalError,
         "Multiple ATOMIC_POSITIONS"),
    *(file(f"{name}.pwi", pw().replace(b"Na 23 a", species), f"input of pw.x with the {name} of another element", CrystalError, reason)
      for name, species, reason in [("pseudopotential", b"Na 23 K.pbe.UPF", "states K.pbe.UPF"), ("mass", b"Na 39.1 a", "the mass of K")]),
    # several crystals where one is expected, and cells that are none
    file("two.vasp", labelled("Na", "Cl") + labelled("K", "Br", "K Br\n"), "two POSCARs", CrystalError, "another POSCAR after its first"),
    file("two.pdb", pdb().replace(b"END\n", b"") + pdb().replace(b"5.640", b"6.640"), "PDB file of two cells without an end between them",
         CrystalError, "a second cell before the end of a model"),
    file("cells.cssr", cssr() + cssr(), "two CSSR files", CrystalError, "counts 1 atoms"),
    file("placeholder.pdb", pdb().replace(b"   5.640", b"   1.000").replace(b" 5.640", b" 1.000"), "PDB file without a cell", CrystalError,
         "placeholder of a structure without a cell"),
    file("embedded.in", b"lattice_vector 3 0 0\nlattice_vector 0 3 0\nlattice_vector 0 0 3\natom 0 0 0 Cu\npseudocore 1 1 1 Cu\n",
         "embedded geometry of FHI-aims", CrystalError, "is embedded"),
    # symmetry that is not stated, or only by a symbol
    file("symbol.cssr", cssr("SPGR = F m -3 m"), "symbol of a space group in a CSSR file", CrystalError, "states the space group 'F m -3 m'"),
    file("none.cssr", cssr(""), "CSSR file without a space group", CloudWarning, "states no symmetry"),
    file("none.pdb", pdb().replace(b" P 1 ", b"     "), "PDB file without a space group", CloudWarning, "states no symmetry"),
    file("extra.xyz", frame().replace(b"Cu 0 0 0", b"Cu 29 0 0 0"), "XYZ file with an undeclared column", CrystalError,
         "declares 4 columns and has 5"),
    file("layer.pymatgen.json", changed_structure(pbc=[True, True, False]), "JSON of pymatgen of a layer", CloudWarning, "not periodic"),
    # more than there is
    file("billion.vasp", poscar("1000000000 4"), "POSCAR of 10^9 atoms", CrystalError, "counts 1000000004 atoms"),
    file("fewer.vasp", poscar("3 4"), "POSCAR that counts too few atoms", CrystalError, "lists more"),
    file("digits.vasp", poscar("9" * 5000), "POSCAR of 10^5000 atoms", CrystalError, "atoms in"),
    file("scale.vasp", poscar(scale="1e400"), "infinite POSCAR", CrystalError, "not finite"),
    file("billion.xyz", frame(10**9), "XYZ file of 10^9 atoms", CrystalError, "counts 1000000000 atoms"),
    file("digits.xyz", frame("9" * 50), "XYZ file of 10^50 atoms", CrystalError, "atoms in"),
    file("columns.extxyz", frame(columns=f"pos:R:3:f:R:{10**9}"), "10^9 columns", CrystalError, "declares 10*4 columns"),
    file("nan.extxyz", frame(lattice="nan 0 0 0 3 0 0 0 3"), "XYZ file with the cell NaN", CrystalError, "not finite"),
    file("grid.vasp", poscar() + b"\n1000000 1000000 1000000\n0 0\n", "POSCAR with trailing lines", None),
    file("CHGCAR_grid", poscar() + b"\n1000000 1000000 1000000\n0 0\n", "charge density on 10^18 points", None),
    file("deep.json", b"[" * 1_000_000, "JSON nested a million times", CrystalError, "not JSON"),
    file("digits.json", b'{"sites": [' + b"9" * 5000 + b"]}", "JSON with 5,000 digits", CrystalError, "not JSON"),
    file("nan.json", structure(lattice={"matrix": [[float("nan")] * 3] * 3}), "JSON with NaN", CrystalError, "not finite"),
    file("none.json", structure(sites=None), "JSON without sites", CrystalError, "not a pymatgen Structure"),
    file("element.json", structure(sites=[{"abc": [0, 0, 0], "species": [{"element": ["Na"], "occu": 1}]}]),
         "JSON with a list for an element", CrystalError, "not an element"),
    file("laughs.xml", xml_bomb(), "XML bomb", CrystalError, "none of those"),
    file("vasprun_laughs.xml", xml_bomb(), "XML bomb named vasprun", CrystalError, "none of those"),
    file("laughs.yaml", yaml_bomb(), "YAML bomb with a command", CrystalError, "none of those"),
    file("bomb.cif.gz", lambda: gzip.compress(bytes(BOMB), 1), "gzip bomb", CrystalError, "holds more than 128 MiB"),
    file("bomb.vasp.xz", lambda: lzma.compress(bytes(BOMB), preset=0), "xz bomb", CrystalError, "more than 128 MiB"),
    file("bomb.cif.bz2", lambda: bz2.compress(bytes(BOMB), 1), "bzip2 bomb", CrystalError, "more than 128 MiB"),
    file("twice.cif.gz.gz", lambda: gzip.compress(gzip.compress(CIF)), "compressed twice", CrystalError, "compressed"),
    file("gzip.vasp", lambda: gzip.compress(poscar()), "gzip named POSCAR", CrystalError, "compressed"),
    file("words.cif", lambda: b"data_x\n" + b"a " * 2**24, "CIF of 32 MiB", CrystalError, "longer than 32 MiB"),
    special("sparse.cif", lambda path: path.touch() or os.truncate(path, 10**12), "a terabyte", "more than 128 MiB"),
    # what would be executed
    *(file(f"pickle.{suffix}", pickle.dumps(Payload(), 0), f"pickle named .{suffix}", CrystalError, reason)
      for suffix, reason in [("cif", "no atom sites"), ("traj", "not an ASE trajectory"), ("json", "not JSON"),
                             ("pckl", "none of those"), ("vasp", "not count its atoms"), ("db", "not an SQLite")]),
    file("script.py", f"#!/usr/bin/env python\nimport ase, os\nos.system('touch {EXECUTED}')\n".encode(), "Python script",
         CrystalError, "none of those"),
    file("class.json", json.dumps({"@module": "os", "@class": "system", "command": f"touch {EXECUTED}"}).encode(),
         "JSON that names a function", CrystalError, "holds no crystal"),
    # readers of other packages would read other files, or start a program
    file("inp", f'task ground-state\nXYZCoordinates = "{PRIVATE}"\n'.encode(), "Octopus input that names a file", CrystalError,
         "none of those"),
    file("xsf.inp", f'XSFCoordinates = "{PRIVATE}"\n'.encode(), "Octopus input that names an XSF file", CrystalError,
         "'.inp', is none of those"),
    file("a.cell", b"%BLOCK LATTICE_CART\n3 0 0\n0 3 0\n0 0 3\n%ENDBLOCK LATTICE_CART\n", "CASTEP cell", CrystalError,
         "'.cell', is none of those"),
    file("geometry.gen", f"GeometryFilename {PRIVATE}\n".encode(), "GEN file that names a file", CrystalError, "F or S"),
    file("include.in", f"include_file {PRIVATE}\n".encode(), "input that includes a file", CrystalError, "none of those"),
    file("vasp4.vasp", poscar().replace(b" Cl  Na \n", b"").replace(b"Cl Na", b"salt"), "POSCAR without elements",
         CrystalError, "names no elements"),
    file("symmetry.in", b"lattice_vector 3 0 0\nlattice_vector 0 3 0\nlattice_vector 0 0 3\natom_frac 0 0 0 Cu\n"
         + b"symmetry_n_params 1 1 0\nsymmetry_params a\n" + b"symmetry_lv __import__('os').getcwd(), 0, 0\n" * 6,
         "geometry of FHI-aims with code", None),
    # symmetry that readers pass over
    file("group.pdb", b"CRYST1    5.640    5.640    5.640  90.00  90.00  90.00 F m -3 m\n"
         b"ATOM      1 NA   MOL     1       0.000   0.000   0.000  1.00  0.00          NA  \nEND\n",
         "space group in a PDB file", CrystalError, "states the space group 'F m -3 m'"),
    file("group.cssr", b"5.64 5.64 5.64\n90 90 90 SPGR = 225 F m -3 m OPT = 1\n1 0\n0 salt\n1 Na 0 0 0\n",
         "space group in a CSSR file", CrystalError, "states the space group '225 F m -3 m'"),
    file("more.pwi", b"&system\nibrav=0, nat=1, ntyp=1\n/\nATOMIC_SPECIES\nNa 23 a\nCELL_PARAMETERS angstrom\n5 0 0\n0 5 0\n"
         b"0 0 5\nATOMIC_POSITIONS crystal\nNa 0 0 0\nNa .5 .5 .5\n", "input of pw.x with more atoms than it counts",
         CrystalError, "lists more"),
    file("fewer.gen", b"1 F\nNa\n1 1 0 0 0\n2 1 .5 .5 .5\n0 0 0\n5 0 0\n0 5 0\n0 0 5\n", "GEN file that counts too few atoms",
         CrystalError, "counts 1 atoms"),
    # no files
    special("folder.cif", Path.mkdir, "folder named CIF", "not a regular file"),
    special("missing.cif", lambda _: None, "no such file", "No such file"),
    special("pipe.cif", os.mkfifo, "named pipe", "not a regular file"),
    special("socket.cif", listen, "socket", "not a regular file"),
    special("zero.cif", lambda path: path.symlink_to("/dev/zero"), "link to an endless device", "not a regular file"),
    special("loop.cif", lambda path: path.symlink_to(path), "link to itself", "cannot be read"),
    special("broken.cif", lambda path: path.symlink_to("nowhere"), "broken link", "No such file"),
    special("x" * 300 + ".cif", lambda _: None, "name of 300 letters", "cannot be read"),
]  # fmt: skip
