#!/usr/bin/env bash
# livekit-agents' own clients, unmodified, ask `bargein serve` about real audio and are told the
# truth. By hand: WORK=$(mktemp -d) bash .ci/peers/upstream.sh WHEEL. Half a minute beside the installs.
set -uo pipefail
wheel=$1

prepare() {
    local name
    for name in server new old; do python3 -m venv "$WORK/$name" || return; done
    bash .ci/again "$WORK/server/bin/pip" install -qq "$wheel[server,files]" || return
    # 1.5.6 is the newest that speaks HTTP; it needs httpx and doesn't say so.
    if ! bash .ci/again "$WORK/new/bin/pip" install -qq 'livekit-agents>=1.8,<2' ||
        ! bash .ci/again "$WORK/old/bin/pip" install -qq 'livekit-agents==1.5.6' httpx; then
        echo 'SKIPPED upstream clients: pip could not install livekit-agents'
        return 77
    fi
}

try() {
    "$WORK/server/bin/python" tests/server/upstream/run.py \
        "$WORK/new/bin/python" "$WORK/old/bin/python"
}

for part in ${2:-prepare try}; do "$part" || exit; done
