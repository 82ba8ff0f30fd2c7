#!/usr/bin/env bash
# bargein evaluate over a local Dask cluster: a worker killed midway loses nothing, and the results
# are the serial ones; then over Ray by the same switch. By hand: WORK=$(mktemp -d) bash
# .ci/peers/dask.sh WHEEL. Two minutes beside the installs.
set -uo pipefail
python3 -m venv "$WORK/dask" || exit 1
if ! "$WORK/dask/bin/pip" install -qq "$1[dask]"; then
    echo 'SKIPPED Dask: pip could not install distributed'
    exit 0
fi
export PYTHONPATH=$PWD/tests/evaluation/cluster
timeout 400 "$WORK/dask/bin/python" tests/evaluation/cluster/run.py dask "$WORK" || exit 1
if ! "$WORK/dask/bin/pip" install -qq 'ray[default]>=2.40'; then
    echo 'SKIPPED Ray: pip could not install ray'
    exit 0
fi
export RAY_USAGE_STATS_ENABLED=0 RAY_raylet_start_wait_time_s=120 RAY_TMPDIR=$WORK
timeout 400 "$WORK/dask/bin/python" tests/evaluation/cluster/run.py ray "$WORK"
