#!/usr/bin/env bash
# Brings the SIP library's source to build/pjsip/source.tar.xz, from the first of these that has it:
#   1. PJPROJECT=/path/to/pjproject.tar.xz      2. what an earlier run brought
#   3. ../shared/pjproject/*.tar.xz, for machines without a network
#   4. the source package of Debian's Asterisk in sid, whatever its version, through this machine's own Debian mirror
# Whatever is brought must have the sum below, else nothing is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

SHA256=6860c2f7604b4eee75f38151a9ef69774eb3f0c5286fc1d14bc1db2dc5a9e8aa   # pjproject 2.17 without its non-free parts
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
TARGET=build/pjsip/source.tar.xz
APT=$PWD/build/pjsip/apt

sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }
fits() { [ -f "$1" ] && [ "$(sum_of "$1")" = "$SHA256" ]; }

take() {  # FILE WHENCE
    [ -f "$1" ] || { echo "no file $1 ($2)" >&2; exit 1; }
    if ! fits "$1"; then
        echo "refused: $1 ($2) is not the source this engine is built from" >&2
        echo "  its sha256 is $(sum_of "$1")" >&2
        echo "  wanted is     $SHA256" >&2
        echo "  next: give the right file, make pjsip PJPROJECT=/path/to/pjproject-2.17.tar.xz" >&2
        exit 1
    fi
    cp "$1" "$TARGET.new" && mv "$TARGET.new" "$TARGET"
    echo "source: $2"
}

# this machine's mirror, from its own configuration: the archive that has the release it runs
mirror() {
    # shellcheck source=/dev/null
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" '$2 == release && $3 == "main" { print $1; exit }'
}

# apt with folders of its own: the machine's sources and lists stay as they are
private_apt() {
    mkdir -p "$APT"/{lists/partial,cache/archives/partial,none,got}
    printf 'Types: deb-src\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "$1" "$KEYS" >"$APT/sid.sources"
    printf '%s "%s";\n' Dir::State::Lists "$APT/lists" Dir::Cache "$APT/cache" Dir::Etc::sourcelist "$APT/sid.sources" \
        Dir::Etc::sourceparts "$APT/none" APT::Sandbox::User root >"$APT/apt.conf"
}

from_debian() {
    local uri
    command -v apt-get >/dev/null && [ -e "$KEYS" ] || return 1
    uri=$(mirror) && [ -n "$uri" ] || return 1
    private_apt "$uri"
    echo "bringing the source package of Debian's Asterisk"
    APT_CONFIG=$APT/apt.conf apt-get -qq update >"$APT/log" 2>&1 || return 1
    (cd "$APT/got" && APT_CONFIG=$APT/apt.conf apt-get -qq source --download-only --only-source asterisk) \
        >>"$APT/log" 2>&1 || return 1
    ls "$APT"/got/asterisk_*.orig-Xpjproject.tar.xz >/dev/null 2>&1
}

mkdir -p build/pjsip
if [ -n "${PJPROJECT:-}" ]; then take "$PJPROJECT" "PJPROJECT"; exit; fi
if fits "$TARGET"; then exit; fi
for beside in ../shared/pjproject/*.tar.xz; do
    if [ -f "$beside" ]; then take "$beside" "beside the checkout"; exit; fi
done
if from_debian; then
    take "$(ls -t "$APT"/got/asterisk_*.orig-Xpjproject.tar.xz | head -n 1)" "Debian sid"
    rm -rf --one-file-system "$APT"
    exit
fi
echo "the SIP library's source is not here, and could not be had from Debian's archive" >&2
if [ -s "$APT/log" ]; then tail -n 5 "$APT/log" >&2; fi
echo "  next: give it, make pjsip PJPROJECT=/path/to/pjproject-2.17.tar.xz (sha256 $SHA256)" >&2
echo "  or: put it into ../shared/pjproject/, or let this machine reach its Debian mirror" >&2
exit 1
