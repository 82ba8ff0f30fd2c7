"""The ``bargein`` command. A subcommand's module is imported when that subcommand runs."""

from .main import main

__all__ = ["main"]
