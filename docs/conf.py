"""Sphinx settings. Build: ``sphinx-build -W --keep-going docs docs/_build/html``."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "bargein"
author = "The bargein authors"
copyright = "The bargein authors"
release = version = metadata.version("bargein")

extensions = ["myst_parser", "sphinx.ext.autodoc", "public_names", "state_drawing", "state_table"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"

# Two packages may have an Answer each: a short name in a signature then links to none of them.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"bargein {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
