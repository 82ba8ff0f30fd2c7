#!/usr/bin/env bash
# Look at the built documentation in a real browser (headless Chromium), narrow and wide.
set -uo pipefail
wheel=$1
python3 -m venv "$WORK/venv"
if ! "$WORK/venv/bin/pip" install -qq 'playwright>=1.40' "$wheel[docs]"; then
    echo 'SKIPPED browser: pip could not install playwright'
    exit 0
fi
if ! command -v chromium >/dev/null; then
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends chromium; } >"$WORK/apt.log" 2>&1; then
        echo 'SKIPPED browser: apt-get could not install chromium'
        exit 0
    fi
fi
"$WORK/venv/bin/sphinx-build" -q -W -b html docs "$WORK/site" &&
    "$WORK/venv/bin/python" scripts/look_at_site.py "$WORK/site" --browser "$(command -v chromium)" \
        --pictures "$WORK/pictures"
