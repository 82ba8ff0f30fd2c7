"""The version's only home: setup.cfg, the docs and the User-Agent all read it here."""

from __future__ import annotations

__version__ = "0.1.0"
