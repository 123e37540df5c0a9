"""Configuration of Sphinx: ``tox -e docs`` builds the site into ``build/docs``."""

import sys
from pathlib import Path

from cloud_model import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "CLOUD plugins"
author = "The cloud-plugins authors"
copyright = author  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "executed_blocks",
    "generated_pages",
    "mathml",
]
exclude_patterns = ["generated/*.md"]
default_role = "autolink"  # `name` in a docstring is a link if there is such a name
nitpicky = False

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc says them
autosummary_generate = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "CLOUD plugins"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"

copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp"
