"""Files of the repository that no other test reads agree with one another."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cloud_model import __version__

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def read(path: Path) -> dict:
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_tox_environments_that_exist(path):
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    run = set()
    for job in read(path)["jobs"].values():
        commands = " ".join(step.get("run", "") for step in job["steps"])
        run.update(re.findall(r"tox -e ([\w,]+)", commands))
        matrix = job.get("strategy", {}).get("matrix", {})
        run.update(
            matrix.get("environment", []), (entry["environment"] for entry in matrix.get("include", []))
        )
    assert run <= {section.removeprefix("testenv:") for section in tox.sections()}


def test_hooks_are_pinned_to_the_tested_versions():
    hooks = read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    pins = {pin for hook in hooks for pin in hook.get("additional_dependencies", [])}
    assert pins == {f"{name}=={PINNED[name]}" for name in ("codespell", "pre-commit-hooks", "ruff")}


def test_the_citation_names_this_version():
    assert read(ROOT / "CITATION.cff")["version"] == __version__
