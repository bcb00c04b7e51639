# SPDX-License-Identifier: Apache-2.0
"""Settings of Sphinx for the site; `make docs` writes it to `build/site`.

The source folder is the repository itself and not `docs/`, so that pages, model cards, changes and
notes lie on the site as they do in the repository, and link to each other alike in both.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

project = "cnnmetric"
author = "the authors of cnnmetric"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # NumPy style
    "sphinx_copybutton",
]
root_doc = "docs/index"
include_patterns = [
    *("CHANGELOG.md", "CONTRIBUTING.md", "docs/**", "examples/*.md", "models/*.md"),
    *("studies/*.md", "studies/notes/*.md"),
]
exclude_patterns = [".*", "build", "dist", "python", "cpp", "tests"]
myst_heading_anchors = 4
highlight_language = "none"  # of indented blocks, which are commands and parameter files

autodoc_default_options = {"members": True, "inherited-members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"cnnmetric {version}"
html_extra_path = ["root"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f4e79", "color-brand-content": "#1f5f9f"},
    "dark_css_variables": {"color-brand-primary": "#8fc1f0", "color-brand-content": "#8fc1f0"},
    "navigation_with_keys": True,
}
html_show_sphinx = False
html_copy_source = False


# As MyST names a page in a link.
PARAMETER_FILES = {
    "refdomain": "doc",
    "reftarget": "docs/site/elastix_params",
    "reftargetid": None,
}
CONTENTS = {root_doc: "contents.txt", "studies/notes/README": "notes.txt"}


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Append tables of contents to pages, where a plain view would show their source."""
    if name in CONTENTS:
        source[0] += "\n" + (HERE / CONTENTS[name]).read_text(encoding="utf-8")


def show_a_folder_as_text(app: Sphinx, page: Any) -> None:
    """Drop links to folders, which have no page; that to the parameter files leads to theirs."""
    here = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(page.findall(pending_xref)):
        target = (here / link["reftarget"]).resolve()
        if target == ROOT / "elastix_params":
            link.attributes |= PARAMETER_FILES
        elif link["refdomain"] != "doc" and link["reftype"] == "myst" and target.is_dir():
            link.replace_self(link.children)


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("source-read", add_contents)
    app.connect("doctree-read", show_a_folder_as_text)
