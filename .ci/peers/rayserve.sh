#!/usr/bin/env bash
# bargein's app on Ray Serve: two replicas, one killed in mid-overlap, one event for each overlap.
# By hand: WORK=$(mktemp -d) bash .ci/peers/rayserve.sh WHEEL. One minute beside the install.
set -uo pipefail
python3 -m venv "$WORK/ray" || exit 1
"$WORK/ray/bin/pip" install -qq "$1[server,files]" || exit 1
if ! "$WORK/ray/bin/pip" install -qq 'ray[serve]>=2.40'; then
    echo 'SKIPPED Ray Serve: pip could not install ray[serve]'
    exit 0
fi
# No statistics to anybody, no token left in the home folder, time for a machine that has much to do.
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled RAY_raylet_start_wait_time_s=120
export RAY_TMPDIR=$WORK
timeout 400 "$WORK/ray/bin/python" tests/server/rayserve/run.py
