"""The one renderer of HTML, for notebooks, reports and the page of ``cloud serve``."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(package: str, template: str, **values: object) -> str:
    """Write HTML from a template; values are escaped.

    Parameters
    ----------
    package : str
        Package whose folder ``templates`` holds the template.
    template : str
        Name of the file.
    **values
        What the template names.
    """
    return _environment(package).get_template(template).render(**values)


@cache
def _environment(package: str) -> Environment:
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader(package), autoescape=True, trim_blocks=True, lstrip_blocks=True)
