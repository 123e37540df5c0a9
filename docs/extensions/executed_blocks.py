"""Run the code of a page, and show below each block what it prints.

Blocks ``python`` and ``console`` of a page run in their order, in a folder that holds the crystals of
``examples/``. Those of Python share their names, and the value of a last expression is shown; a console block
consists of commands after ``$``. A page whose code fails is not built. Other blocks, such as ``sh``, are not run.
"""

from __future__ import annotations

import ast
import base64
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from sphinx.application import Sphinx

EXAMPLES = Path(__file__).parents[2] / "examples"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^\$ ", re.MULTILINE)
ENVIRONMENT = {
    "COLUMNS": "100",
    "NO_COLOR": "1",
    "HF_HUB_OFFLINE": "1",
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}
SECONDS = 300


def run_page(text: str) -> str:
    """Markdown with the output of each block.

    Parameters
    ----------
    text : str
        Markdown of a page.

    Raises
    ------
    subprocess.CalledProcessError
        If a command fails; whatever Python code raises is raised as it is.
    """
    names: dict[str, Any] = {"__name__": "__main__"}

    def run(block: re.Match[str]) -> str:
        language, code = block.groups()
        if language == "console":
            return fenced("console", "\n".join(map(run_command, PROMPT.split(code)[1:])))
        return fenced("python", code) + "\n" + run_python(code, names)

    with TemporaryDirectory() as folder, chdir(folder):
        for path in EXAMPLES.glob("*.cif"):
            shutil.copy(path, folder)
        return BLOCK.sub(run, text)


def run_command(command: str) -> str:
    """A command and its output, as a terminal shows them."""
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
    return f"$ {command}{done.stdout}".rstrip()


def run_python(code: str, names: dict[str, Any]) -> str:
    """Markdown of what the code prints, and of its value if it ends in an expression."""
    *body, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        body.append(last)
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(printed), warnings.catch_warnings():
        warnings.showwarning = lambda message, category, *_: print(f"{category.__name__}: {message}")
        exec(compile(ast.Module(body, []), "<page>", "exec"), names)
        value = (
            eval(compile(ast.Expression(last.value), "<page>", "eval"), names) if last not in body else None
        )
    text = printed.getvalue()
    return (fenced("text", text) if text else "") + (shown(value) if value is not None else "")


def shown(value: Any) -> str:
    """Markdown of a value: a figure, HTML or text."""
    if isinstance(value, Figure):
        file = io.BytesIO()
        value.savefig(file, format="svg", metadata={"Date": None})
        image = base64.b64encode(file.getvalue()).decode()
        return fenced("{raw} html", f'<img class="figure" alt="" src="data:image/svg+xml;base64,{image}">')
    if hasattr(value, "_repr_html_"):
        return fenced("{raw} html", f'<div class="value">{value._repr_html_()}</div>')
    return fenced("text", repr(value))


def fenced(language: str, text: str) -> str:
    """Markdown of a block; what it holds has no fences."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Run each page when it is read."""
    app.connect("source-read", lambda app, page, source: source.__setitem__(0, run_page(source[0])))
    return {"parallel_read_safe": False}
