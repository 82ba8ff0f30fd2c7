#!/usr/bin/env bash
# bargein evaluate over a local Dask cluster: a worker killed midway loses nothing, and the results
# are the serial ones; then over Ray by the same switch. And bargein's app on Ray Serve: two
# replicas, one killed in mid-overlap, one event for each overlap.
# By hand: WORK=$(mktemp -d) bash .ci/peers/clusters.sh WHEEL. Two minutes beside the install.
set -uo pipefail
wheel=$1
# No statistics to anybody, no token left in the home folder, time for a machine that has much to do.
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled RAY_raylet_start_wait_time_s=120
export RAY_TMPDIR=$WORK

prepare() {
    python3 -m venv "$WORK/venv" || return
    if ! bash .ci/again "$WORK/venv/bin/pip" install -qq "$wheel[dask,server]"; then
        echo 'SKIPPED Dask: pip could not install distributed'
        return 77
    fi
    if bash .ci/again "$WORK/venv/bin/pip" install -qq 'ray[default,serve]>=2.40'; then
        touch "$WORK/has-ray"
    else
        echo 'SKIPPED Ray, Ray Serve: pip could not install ray'
    fi
}

try() {
    evaluate dask && { [ ! -e "$WORK/has-ray" ] || { evaluate ray && ray_serve; }; }
}

evaluate() { # evaluate ENGINE
    PYTHONPATH=$PWD/tests/evaluation/cluster \
        timeout 400 "$WORK/venv/bin/python" tests/evaluation/cluster/run.py "$1" "$WORK"
}

ray_serve() {
    timeout 400 "$WORK/venv/bin/python" tests/server/rayserve/run.py
}

for part in ${2:-prepare try}; do "$part" || exit; done
