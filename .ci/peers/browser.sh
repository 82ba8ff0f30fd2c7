#!/usr/bin/env bash
# Look at the built documentation in a real browser (headless Chromium), narrow and wide.
# By hand: bash .ci/run 1, which builds it, and WORK=$(mktemp -d) bash .ci/peers/browser.sh.
set -uo pipefail
site=docs/_build/html

prepare() {
    python3 -m venv "$WORK/venv" || return
    if ! bash .ci/again "$WORK/venv/bin/pip" install -qq 'playwright>=1.40'; then
        echo 'SKIPPED browser: pip could not install playwright'
        return 77
    fi
    command -v chromium >/dev/null && return
    if ! { apt-get update -qq && bash .ci/again env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends chromium; } >"$WORK/apt.log" 2>&1; then
        echo 'SKIPPED browser: apt-get could not install chromium'
        return 77
    fi
}

try() {
    "$WORK/venv/bin/python" scripts/look_at_site.py "$site" --browser "$(command -v chromium)" \
        --pictures "$WORK/pictures"
}

for part in ${2:-prepare try}; do "$part" || exit; done
