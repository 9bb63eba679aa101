"""Sphinx configuration."""

from __future__ import annotations

import os
import re
from importlib.metadata import metadata

info = metadata("phg2st-sc")
project = info["Name"]
author = info["Author"]
copyright = f"2026, {author}"
version = release = info["Version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
# Other projects' inventories need the network: offline they would only be warnings, which fail the build.
if os.environ.get("READTHEDOCS") or os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "spatialdata": ("https://spatialdata.scverse.org/en/stable/", None),
        "squidpy": ("https://squidpy.readthedocs.io/en/stable/", None),
    }

templates_path = ["_templates"]
exclude_patterns = ["_build", "Thumbs.db", "**.ipynb_checkpoints", "tutorials/*.py"]
# The first one is what autosummary writes.
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]  # a browser draws them, with a script that it fetches
nb_execution_mode = "force"
nb_execution_timeout = 1800
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

html_theme = "sphinx_book_theme"
html_title = project
html_theme_options = {"show_navbar_depth": 1, "home_page_in_toc": True}
# ref.python: attributes that several classes have, n_spots for one, are no ambiguous references
suppress_warnings = ["myst.header", "ref.python"]


def _returns_as_one_text(app, what, name, obj, options, lines):
    """What a function returns or writes is running text: without this, napoleon makes every line of it an item."""
    heads = [i for i in range(len(lines) - 2) if lines[i] == "Returns" and re.fullmatch("-+", lines[i + 1])]
    for head in reversed(heads):
        first = head + 2
        if first + 1 < len(lines) and lines[first + 1].startswith(" "):  # a type, and its description below
            continue
        rules = (i for i in range(first, len(lines)) if re.fullmatch("-{3,}", lines[i]))
        end = next(rules, len(lines) + 1) - 1
        lines[first:end] = [":", *(f"    {line}" if line else line for line in lines[first:end])]


def setup(app):
    # before napoleon, which listens at 500
    app.connect("autodoc-process-docstring", _returns_as_one_text, priority=400)
