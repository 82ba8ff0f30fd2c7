"""A Sphinx directive that documents all that a package makes public.

``.. public-names:: bargein.testing`` gives each name of its ``__all__``, in that order, so a name
that is made public is in the reference by itself.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def describe(module: str, name: str, value: Any) -> list[str]:
    """Return what autodoc is to be told of one name. Data are described where they are used.

    >>> describe("fractions", "Fraction", __import__("fractions").Fraction)
    ['.. autoclass:: fractions.Fraction', '   :members:', '']
    >>> describe("math", "pi", 3.14)
    []
    """
    if inspect.ismodule(value):
        return [
            f".. automodule:: {value.__name__}",
            "   :members:",
            "   :exclude-members: Answer",
            "",
        ]
    if inspect.isclass(value):
        options = ["   :members:"]
        if issubclass(value, BaseException):
            options.append("   :show-inheritance:")
        return [f".. autoclass:: {value.__module__}.{value.__qualname__}", *options, ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {value.__module__}.{value.__qualname__}", ""]
    return []


class PublicNames(SphinxDirective):
    """``public-names``: see the module. ``:without: MODULE``: not those that are public there."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"without": str}

    def run(self) -> list[nodes.Node]:
        """Describe all names."""
        (name,) = self.arguments
        module = import_module(name)
        known = set(import_module(self.options["without"]).__all__) if self.options else set()
        lines = [
            line
            for each in module.__all__
            if each not in known
            for line in describe(name, each, getattr(module, each))
        ]
        container = nodes.container()
        source = StringList(lines, source=f"{name}.__all__")
        nested_parse_with_titles(self.state, source, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
