"""The code of the README and of every page of the documentation runs, and their links and figures are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from executed_blocks import BLOCK, run_page
from make_pages import stale

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "generated" not in page.parts]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.stem
)
@pytest.mark.filterwarnings("ignore::cloud_model.errors.CloudWarning")  # pages show them
def test_code_of_a_page_runs(page):
    run_page(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_files_exist(page):
    targets = re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_generated_parts_of_pages_are_up_to_date():
    assert stale() == []
