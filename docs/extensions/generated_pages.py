"""Pages made from the code and its data when the site is built, into ``docs/generated``."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

from cloud_model.checkpoints.registry import available
from cloud_model.cli import cloud
from cloud_model.properties.catalogue import SCALARS, THERMODYNAMICS

ROOT = Path(__file__).parents[2]
WIDTH = 92  # of help texts
GENERATED = ROOT / "docs" / "generated"
sys.path.insert(0, str(ROOT / "tools"))

from benchmark_page import benchmark_page  # noqa: E402
from make_readme import table  # noqa: E402


def write_pages(_: Sphinx) -> None:
    """Write all of them anew."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    for folder in ("models", "examples", "benchmarks"):
        (GENERATED / folder).mkdir(parents=True)
    (GENERATED / "properties.md").write_text(properties())
    (GENERATED / "commands.md").write_text(commands())
    (GENERATED / "benchmarks.md").write_text(benchmark_page(GENERATED / "benchmarks"))
    for name, directory in available().items():
        (GENERATED / "models" / f"{name}.md").write_text((directory / "README.md").read_text())
    for script in sorted((ROOT / "examples").glob("*.py")):
        (GENERATED / "examples" / f"{script.stem}.md").write_text(example(script))


def properties() -> str:
    """Table of all properties of the checkpoints that ship."""
    rows = [
        [f"`{name}`", info.unit, info.basis, info.description]
        for name, info in (SCALARS | THERMODYNAMICS).items()
    ]
    return table(["property", "unit", "basis", "what"], rows, align=False)


def commands() -> str:
    """Help of the command and of its subcommands."""
    context = cloud.make_context("cloud", [], resilient_parsing=True, terminal_width=WIDTH)
    parts = [f"```text\n{cloud.get_help(context)}\n```"]
    for name in cloud.list_commands(context):
        if command := cloud.get_command(context, name):
            child = command.make_context(name, [], context, resilient_parsing=True, terminal_width=WIDTH)
            text = command.get_help(child)
            parts.append(f"## cloud {name}\n\n```text\n{text}\n```")
    return "\n\n".join(["# Reference", *parts]) + "\n"


def example(script: Path) -> str:
    """Page of a script of ``examples/``, its docstring as the text."""
    code = script.read_text()
    header = ast.parse(code).body[0]
    text = re.sub(r"\s+(Needs|Run|Writes):", r"\n- **\1:**", ast.get_docstring(ast.parse(code)) or "")
    body = "\n".join(code.splitlines()[header.end_lineno :]).strip("\n")
    return f"# {script.name}\n\n{text}\n\n```{{code-block}} python\n{body}\n```\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
