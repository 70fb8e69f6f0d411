#!/usr/bin/env bash
# Sees to it that the programs which the tests call are there: installs them when root on Debian, else names what is
# missing and how to get it, and ends with 1. Quick when nothing is to be done.
set -euo pipefail
cd "$(dirname "$0")/.."

is_root() { [ "$(id -u)" = 0 ]; }
there() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

missing=()
want() { there "$1" || missing+=("$2"); }
want sipp sip-tester          # callers and callees
want baresip baresip-core     # the independent ear
want sox sox                  # brings speech to 8 kHz
want espeak-ng espeak-ng      # speaks test notices
want kamailio kamailio        # spreads calls over several agents
want gdb gdb                  # forces a core of the agent
want ceph-mon ceph-mon        # an S3 server with Object Lock: its monitor,
want ceph-osd ceph-osd        # where it keeps objects,
want radosgw radosgw          # its gateway,
want ceph ceph-common         # and what sets it up
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)   # the ledger of several agents
[ -d .venv ] || python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if is_root; then want debootstrap debootstrap; fi   # the folder in which a real Asterisk runs

install() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends "${missing[@]}" >build/apt.log 2>&1; }

mkdir -p build
if [ ${#missing[@]} -gt 0 ]; then
    if ! is_root || ! there apt-get; then
        echo "the tests need packages that are not here: ${missing[*]}" >&2
        echo "  next, as root on Debian: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    # its package makes a database and starts it; the tests start their own
    if [[ " ${missing[*]} " = *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    # a list of packages that is old or absent is the usual cause of a first failure
    if ! install; then
        apt-get -qq update >build/apt-update.log 2>&1 || true
        install || { tail -n 20 build/apt.log >&2; echo "could not install: ${missing[*]}" >&2; exit 1; }
    fi
    # its package starts it, on port 5060 of every address; the tests start their own
    if [[ " ${missing[*]} " = *" kamailio "* && -d /run/systemd/system ]]; then
        systemctl disable --quiet --now kamailio || true
    fi
    # its daemons start only where one was set up; the tests bring up their own, and nothing of /etc/ceph is touched
fi

if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" != tmpfs ] || [ ! -w /dev/shm ]; then
    echo "the tests need a writable tmpfs at /dev/shm: recordings in progress are kept in memory, never on a disk" >&2
    echo "  next, as root: mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 tmpfs /dev/shm" >&2
    exit 1
fi

# without it the tests of the Asterisk recipe are left out, and the last lines of the run say so
if is_root && [ ! -e build/asterisk-chroot/.complete ]; then
    echo "making build/asterisk-chroot, a small Debian with Asterisk (about a minute)"
    timeout 900 deploy/asterisk/test-chroot.sh >/dev/null || echo "no Asterisk today: its tests will be left out" >&2
fi
