"""Sphinx settings. Build: ``sphinx-build -W --keep-going docs docs/_build/html``."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "bargein"
author = "The bargein authors"
copyright = "The bargein authors"
release = version = metadata.version("bargein")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "public_names",
    "state_drawing",
    "state_table",
]
napoleon_numpy_docstring = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
# A name is imported from where its section says, not from the module that defines it.
add_module_names = False

# Two packages may have an Answer each: a short name in a signature then links to none of them.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"bargein {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["narrow.css"]


def name_no_factories(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: Any
) -> tuple[str | None, Any]:
    """Show a default that attrs makes anew for each object as an ellipsis."""
    return signature and signature.replace("=NOTHING", "=…"), returns


def setup(app: Sphinx) -> None:
    """Connect what autodoc asks."""
    app.connect("autodoc-process-signature", name_no_factories)
