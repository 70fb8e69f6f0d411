#!/usr/bin/env bash
# Makes a folder with a small Debian and a current Asterisk in it, for the tests of this recipe. Root on Debian only.
#
#   deploy/asterisk/test-chroot.sh [FOLDER]        default: build/asterisk-chroot
#
# Prints the folder as its last line. A finished folder is used again at once. A run that was interrupted leaves
# FOLDER.part, which the next run throws away. Debian's current stable release carries no Asterisk; sid does.
# Packages come from the mirror that this machine's own apt uses; nothing is mounted, so the folder can be deleted.
set -euo pipefail

root=$(realpath -m "${1:-$(dirname "$0")/../../build/asterisk-chroot}")
part=$root.part

fail() { echo "asterisk chroot: $*" >&2; exit 1; }

[ -e "$root/.complete" ] && { echo "$root"; exit 0; }
[ "$(id -u)" = 0 ] || fail "needs root, because of debootstrap and chroot"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"

mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock --wait 900 9 || fail "another run holds $root.lock"
[ -e "$root/.complete" ] && { echo "$root"; exit 0; }

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || fail "this machine's apt knows no Debian mirror: apt-get update"

rm -rf --one-file-system "$part" "$root"
log=$root.log
{
    timeout 900 debootstrap --variant=minbase sid "$part" "$mirror"
    printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"   # no package may start a daemon
    chmod +x "$part/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$part/etc/"
    echo "127.0.0.1 localhost $(hostname)" >"$part/etc/hosts"
    for proxy in /etc/apt/apt.conf /etc/apt/apt.conf.d/*proxy*; do
        [ ! -f "$proxy" ] || cp "$proxy" "$part/etc/apt/apt.conf.d/"
    done
    # sid's Release file is short-lived; signatures are still checked, only its date is not
    echo 'Acquire::Check-Valid-Until "false";' >"$part/etc/apt/apt.conf.d/10callrec"
    timeout 300 chroot "$part" apt-get -q update
    timeout 900 chroot "$part" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends asterisk
    timeout 60 chroot "$part" apt-get -q clean
    rm -rf "$part/var/lib/apt/lists"
    for device in "null 3" "urandom 9"; do
        set -- $device
        [ -c "$part/dev/$1" ] || mknod -m 666 "$part/dev/$1" c 1 "$2"
    done
    chroot "$part" /usr/sbin/asterisk -V
} >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; fail "could not be made; the whole log is $log"; }

touch "$part/.complete"
mv "$part" "$root"
echo "$root"
