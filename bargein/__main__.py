"""``python -m bargein``: the same as the ``bargein`` command."""

from __future__ import annotations

import sys

from bargein.cli import main

if __name__ == "__main__":
    sys.exit(main())
