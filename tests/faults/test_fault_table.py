"""The published table is that of the cases that are run."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date():
    made = runpy.run_path(str(ROOT / "tools" / "make_fault_table.py"))
    assert made["PAGE"].read_text() == made["page"](), "run: python tools/make_fault_table.py"
