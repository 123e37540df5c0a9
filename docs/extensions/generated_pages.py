"""Pages of the model cards and examples, made when the site is built, into ``docs/generated``."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from cloud_model.checkpoints.registry import available

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "generated"


def write_pages(_: Sphinx) -> None:
    """Write all of them anew."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    for folder in ("models", "examples"):
        (GENERATED / folder).mkdir(parents=True)
    for name, directory in available().items():
        (GENERATED / "models" / f"{name}.md").write_text((directory / "README.md").read_text())
    for script in sorted((ROOT / "examples").glob("*.py")):
        (GENERATED / "examples" / f"{script.stem}.md").write_text(example(script))


def example(script: Path) -> str:
    """Page of a script of ``examples/``, its docstring as the text."""
    code = script.read_text()
    header = ast.parse(code).body[0]
    text = re.sub(r"\s+(Needs|Run|Writes):", r"\n- **\1:**", ast.get_docstring(ast.parse(code)) or "")
    body = "\n".join(code.splitlines()[header.end_lineno :]).strip("\n")
    return f"# {script.name}\n\n{text}\n\n```{{code-block}} python\n{body}\n```\n"


CARD = re.compile(r"\.\./\.\./cloud_model/checkpoints/([\w-]+)/README\.md")


def link_cards(_: Sphinx, __: str, source: list[str]) -> None:
    """Lead links to the cards in the repository to their pages."""
    source[0] = CARD.sub(r"../generated/models/\1.md", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for pages."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", link_cards)
    return {"parallel_read_safe": True}
