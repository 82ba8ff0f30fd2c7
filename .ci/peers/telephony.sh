#!/usr/bin/env bash
# Real telephones: sipp and baresip (Debian), Asterisk (a Debian suite that carries it, in a
# chroot), pjsua2 (a wheel), and a stand-in for a vendor's network, all call on loopback.
# What was measured is printed at the end: latency with its parts, wrong stops, CPU.
set -uo pipefail
wheel=$1
peers=vendor
python3 -m venv "$WORK/venv" && "$WORK/venv/bin/pip" install -qq "$wheel[test]" || exit 1

skip() { # skip PEER WHY
    printf 'SKIPPED %s: %s\n' "$1" "$2"
}

apt_install() { # apt_install PACKAGE...
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >>"$WORK/apt.log" 2>&1
}

if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    skip sipp 'needs root on Debian'
    skip baresip 'needs root on Debian'
    skip asterisk 'needs root on Debian'
else
    apt-get update -qq >>"$WORK/apt.log" 2>&1
    for pair in sipp:sip-tester baresip:baresip-core; do
        if command -v "${pair%:*}" >/dev/null || apt_install "${pair#*:}"; then
            peers+=" ${pair%:*}"
        else
            skip "${pair%:*}" "apt-get could not install ${pair#*:}"
        fi
    done
    # BARGEIN_ASTERISK may name a root that is there already: making one takes a minute.
    root=${BARGEIN_ASTERISK:-$WORK/asterisk}
    # Where this machine's own packages come from.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | head -n 1)
    make_root() {
        [ -x "$root/usr/sbin/asterisk" ] && return
        apt_install debootstrap || return
        local suite
        for suite in forky sid; do
            rm -rf "$root"
            # The script of sid does for suites that an older debootstrap doesn't know.
            debootstrap --variant=minbase "$suite" "$root" "$mirror" \
                /usr/share/debootstrap/scripts/sid >>"$WORK/root.log" 2>&1 || continue
            printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
            chmod +x "$root/usr/sbin/policy-rc.d"
            chroot "$root" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -qq -y --no-install-recommends asterisk >>"$WORK/root.log" 2>&1 &&
                [ -e "$root"/usr/lib/*/asterisk/modules/chan_websocket.so ] && return
        done
        return 1
    }
    if make_root; then
        peers+=' asterisk'
        export BARGEIN_ASTERISK=$root
    else
        skip asterisk 'no Debian suite with Asterisk and its chan_websocket could be installed'
    fi
fi
if "$WORK/venv/bin/pip" install -qq pjsua2-python; then
    peers+=' pjsua2'
else
    skip pjsua2 'pip could not install pjsua2-python'
fi

export BARGEIN_INSTALLED=1 BARGEIN_PEERS=$peers BARGEIN_TELEPHONY_REPORT=$WORK/report
"$WORK/venv/bin/pytest" -q -p no:cacheprovider tests/telephony/peers
code=$?
[ -e "$WORK/report" ] && cat "$WORK/report"
exit $code
