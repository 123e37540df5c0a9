"""The formats of files that are read, and the reader of each.

No other format is tried. Every reader sees the bytes of the file and nothing else: it opens no file, starts no
program and reaches no network, whatever the bytes say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from cloud_model.crystal.ase_files import DATABASE, TRAJECTORY, read_database, read_trajectory
from cloud_model.crystal.cif import crystal_blocks, read_block
from cloud_model.crystal.espresso import read_espresso_input, read_espresso_output
from cloud_model.crystal.json_documents import read_json
from cloud_model.crystal.protein_data_bank import read_pdb
from cloud_model.crystal.reading import Reading
from cloud_model.crystal.shelx import read_res
from cloud_model.crystal.text_formats import read_aims, read_cssr, read_gen, read_xsf
from cloud_model.crystal.vasp import is_poscar, is_xdatcar, read_poscar, read_xdatcar
from cloud_model.crystal.xyz import is_xyz, read_xyz
from cloud_model.errors import CrystalError

_HEAD = 2**22  # bytes by which a format is recognised


def _never(_: str) -> bool:
    return False


def _always(_: bytes) -> bool:
    return True


def _has_blocks(content: bytes) -> bool:
    return content.lower().count(b"data_") > 1


def _has_titles(content: bytes) -> bool:
    return content.upper().count(b"TITL") > 1


class Format(NamedTuple):
    """A format that is read.

    Attributes
    ----------
    name : str
    files : str
        Names of its files, for people.
    pattern : str
        The same as a regular expression, whatever the case; nothing for a format that is known by its content.
    begins : callable
        Whether a text begins as this format does.
    read : callable
        Given the content and what to call it, finds its crystals.
    by : str
        Who reads it.
    several : callable or None
        Whether a file of this content may hold several crystals; None if none can.
    """

    name: str
    files: str
    pattern: str
    begins: Callable[[str], bool]
    read: Callable[[bytes, str], Iterator[Reading]]
    by: str
    several: Callable[[bytes], bool] | None = None

    def __reduce__(self) -> tuple[Callable[[str], Format], tuple[str]]:
        return _named, (self.name,)


def _named(name: str) -> Format:
    return next(form for form in FORMATS if form.name == name)


def _read_cif(content: bytes, label: str) -> Iterator[Reading]:
    for block in crystal_blocks(content.decode("utf-8-sig", errors="replace"), label):
        yield partial(read_block, block)


def _holds(*patterns: str) -> Callable[[str], bool]:
    compiled = [re.compile(pattern, re.MULTILINE | re.IGNORECASE) for pattern in patterns]
    return lambda head: all(pattern.search(head) for pattern in compiled)


_VASP = r"POSCAR|CONTCAR|CENTCAR|CHGCAR|CHG$|LOCPOT|AECCAR|ELFCAR|PARCHG|\.vasp$|\.poscar$"

FORMATS = (
    Format("CIF", "*.cif, *.mcif", r"\.m?cif$", _holds(r"^[ \t]*_atom_site[_.]fract_x\s"), _read_cif,
           "this package", _has_blocks),
    Format("XYZ", "*.xyz, *.extxyz", r"\.(ext)?xyz$", is_xyz, read_xyz, "ASE", _always),
    Format("ASE trajectory", "*.traj", r"\.traj$", _never, read_trajectory, "ASE", _always),
    Format("ASE database", "*.db", r"\.db$", _never, read_database, "this package", _always),
    Format("JSON", "*.json, *.jsonl", r"\.jsonl?$", _holds(r"\A\s*[\[{]"), read_json, "this package", _always),
    Format("XSF", "*.xsf, *.axsf", r"\.a?xsf$", _holds(r"^[ \t]*PRIMCOORD"), read_xsf, "ASE", _always),
    Format("CSSR", "*.cssr", r"\.cssr$", _holds(r"\A.*\n.*\bSPGR\b"), read_cssr, "pymatgen"),
    Format("SHELX", "*.res", r"\.res$", _holds(r"\A\s*TITL", r"^CELL\s", r"^SFAC\s"), read_res, "this package",
           _has_titles),
    Format("PDB", "*.pdb, *.ent", r"\.(pdb|ent)$", _holds(r"^CRYST1\s"), read_pdb, "ASE", _always),
    Format("GEN", "*.gen", r"\.gen$", _holds(r"\A[ \t]*\d+[ \t]+[FS][ \t]*$"), read_gen, "ASE"),
    Format("Quantum ESPRESSO input", "*.pwi, *.in", r"\.pwi$",
           _holds(r"^[ \t]*&system\b", r"^[ \t]*ATOMIC_POSITIONS\b"), read_espresso_input, "ASE"),
    Format("Quantum ESPRESSO output", "*.pwo, *.out", r"\.pwo$", _holds(r"\bProgram PWSCF\b"),
           read_espresso_output, "ASE", _always),
    Format("FHI-aims geometry", "geometry.in, *.in", r"geometry\.in", _holds(r"^[ \t]*lattice_vector\s"),
           read_aims, "this package"),
    Format("XDATCAR", "XDATCAR*", r"XDATCAR", is_xdatcar, read_xdatcar, "ASE", _always),
    Format("POSCAR", "POSCAR*, CONTCAR*, CHGCAR*, *.vasp, *.poscar", _VASP, is_poscar, read_poscar, "ASE"),
)  # fmt: skip
"""All formats; the first one whose name or content fits is taken."""


def find_format(name: str, content: bytes, label: str) -> Format:
    """Find the format of a file, by its name or else its content.

    Parameters
    ----------
    name : str
        Name of the file, without the suffix of a compression; empty for a text.
    content : bytes
    label : str
        What to call it in errors.

    Raises
    ------
    CrystalError
        If it is none of ``FORMATS``.
    """
    by_name = (form for form in FORMATS if name and re.search(form.pattern, name, re.IGNORECASE))
    found = next(by_name, None) or _by_content(content)
    if found is None:
        suffix = re.search(r"\.\w{1,12}$", name)
        raise CrystalError(
            label,
            f"its format{f', {suffix[0]!r},' if suffix else ''} is none of those that are read: "
            + ", ".join(form.name for form in FORMATS),
            "Convert it, for example with 'ase convert'.",
        )
    return found


def _by_content(content: bytes) -> Format | None:
    for beginning, read in ((TRAJECTORY, read_trajectory), (DATABASE, read_database)):
        if content.startswith(beginning):
            return next(form for form in FORMATS if form.read is read)
    head = content[:_HEAD].decode("utf-8-sig", errors="replace")
    return next((form for form in FORMATS if form.begins(head)), None)
