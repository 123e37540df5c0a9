"""What pymatgen, ASE and gemmi write is read right, or refused."""

from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

pytest.importorskip("gemmi")

from benchmarks.writers import WRITERS, outcome

STRUCTURES = [
    Structure.from_spacegroup("Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], [[1 / 8] * 3, [0.5] * 3, [0.2625] * 3]),
    Structure.from_spacegroup("R-3c", Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]),
    Structure.from_spacegroup("Pnma", Lattice.orthorhombic(5.6, 7.5, 5.3), ["Ca", "Ti", "O"],
                              [[0.05, 0.25, 0.99], [0, 0, 0.5], [0.3, 0.05, 0.7]]),
    Structure.from_spacegroup("C2/c", Lattice.monoclinic(4.7, 3.4, 5.1, 99.5), ["Cu", "O"],
                              [[0.25, 0.25, 0], [0, 0.42, 0.25]]),
    Structure(Lattice.from_parameters(5.1, 5.6, 7.3, 81, 77, 68), ["Cu", "S", "O"],
              [[0, 0, 0], [0.52, 0.5, 0.1], [0.2, 0.3, 0.41]]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("writer", WRITERS)
def test_what_others_write(writer, tmp_path):
    for structure in STRUCTURES:
        found, reason = outcome(structure, writer, tmp_path)
        assert found == "right", (structure.formula, reason)
