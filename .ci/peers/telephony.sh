#!/usr/bin/env bash
# Real telephones: sipp and baresip (Debian), Asterisk (a Debian suite that carries it, in a
# chroot), pjsua2 (a wheel), and a stand-in for a vendor's network, all call on loopback.
# What was measured is printed at the end: latency with its parts, wrong stops, CPU.
# By hand: WORK=$(mktemp -d) bash .ci/peers/telephony.sh WHEEL. BARGEIN_ASTERISK may name a root
# that is there already, or is to be kept: making one takes a minute.
set -uo pipefail
wheel=$1
root=${BARGEIN_ASTERISK:-$WORK/asterisk}

prepare() {
    python3 -m venv "$WORK/venv" || return
    bash .ci/again "$WORK/venv/bin/pip" install -qq "$wheel[test]" || return
    have vendor
    if bash .ci/again "$WORK/venv/bin/pip" install -qq pjsua2-python; then
        have pjsua2
    else
        skip pjsua2 'pip could not install pjsua2-python'
    fi
    if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        skip 'sipp, baresip, asterisk' 'they need root on Debian'
        return
    fi
    apt-get update -qq >>"$WORK/apt.log" 2>&1
    local pair
    for pair in sipp:sip-tester baresip:baresip-core; do
        if command -v "${pair%:*}" >/dev/null || apt_install "${pair#*:}"; then
            have "${pair%:*}"
        else
            skip "${pair%:*}" "apt-get could not install ${pair#*:}"
        fi
    done
    # Sid where the next release has none; the latter once more, as a mirror may hiccup.
    if [ -x "$root/usr/sbin/asterisk" ] || make_root forky || make_root sid || make_root forky; then
        have asterisk
    else
        skip asterisk 'no Debian suite with Asterisk and its chan_websocket could be installed'
    fi
}

have() { # have PEER: it is there, for `try`
    printf '%s\n' "$1" >>"$WORK/peers"
}

skip() { # skip PEERS WHY
    printf 'SKIPPED %s: %s\n' "$1" "$2"
}

apt_install() { # apt_install PACKAGE...
    bash .ci/again env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" >>"$WORK/apt.log" 2>&1
}

make_root() { # make_root SUITE: with Asterisk in it
    command -v debootstrap >/dev/null || apt_install debootstrap || return
    # Where this machine's own packages come from.
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        head -n 1)
    rm -rf "$root"
    {
        # The script of sid does for suites that an older debootstrap doesn't know.
        debootstrap --variant=minbase "$1" "$root" "$mirror" \
            /usr/share/debootstrap/scripts/sid || return
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod +x "$root/usr/sbin/policy-rc.d"
        chroot "$root" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y -o Acquire::Retries=5 --no-install-recommends asterisk || return
    } >>"$WORK/root.log" 2>&1
    [ -e "$root"/usr/lib/*/asterisk/modules/chan_websocket.so ]
}

try() {
    export BARGEIN_INSTALLED=1 BARGEIN_TELEPHONY_REPORT=$WORK/report BARGEIN_ASTERISK=$root
    BARGEIN_PEERS=$(tr '\n' ' ' <"$WORK/peers") && export BARGEIN_PEERS
    "$WORK/venv/bin/pytest" -q -p no:cacheprovider tests/telephony/peers
    local code=$?
    [ -e "$WORK/report" ] && cat "$WORK/report"
    return $code
}

for part in ${2:-prepare try}; do "$part" || exit; done
