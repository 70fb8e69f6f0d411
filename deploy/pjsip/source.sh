#!/usr/bin/env bash
# Brings the SIP library's source to build/pjsip/source.tar.xz, from the first of these that has it:
#   1. PJPROJECT=/path/to/pjproject.tar.xz, or upstream's own archive of the release (.tar.gz)
#   2. what an earlier run brought
#   3. ../shared/pjproject/*.tar.xz, for machines without a network
#   4. the source package of Debian's Asterisk in sid, whatever its version, through this machine's own Debian mirror
#   5. upstream's release, by its tag; PJPROJECT_URL names a mirror of it
# Whatever is brought must have one of the sums below, else nothing is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

SHA256=6860c2f7604b4eee75f38151a9ef69774eb3f0c5286fc1d14bc1db2dc5a9e8aa   # Debian's: pjproject 2.17 without its non-free parts
FILES=34e9dd70d709e23db5439ac32dafa317d66bcba6b1334ebdaf65dd599921a503    # of its 2782 files, see sum_of_files
URL=${PJPROJECT_URL:-https://github.com/pjsip/pjproject/archive/refs/tags/2.17.tar.gz}
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
BUILD=$PWD/build/pjsip
TARGET=$BUILD/source.tar.xz
APT=$BUILD/apt

# what upstream's release has and Debian's source does not
LEFT_OUT=(
    .git-blame-ignore-revs .github third_party/{BaseClasses,g7221,gsm,ilbc,milenage,resample,speex,srtp,webrtc,yuv}
    third_party/bdsound/include/bdimad.h pjmedia/src/pjmedia-audiodev/{bdimad_dev.c,s60_g729_bitstream.h}
    pjsip-apps/src/pjsua/android/gradle/wrapper/gradle-wrapper.jar
    pjsip-apps/src/swig/java/android/gradle/wrapper/gradle-wrapper.jar
    pjsip-apps/src/pjsua/bb10/assets/images/teluu-logo.png pjsip-apps/src/pjsua/ios/ipjsua/Default{,@2x,-568h@2x}.png
    pjsip-apps/src/pjsua/winrt/cli/{uwp,wp8}/Assets/teluu-logo.png
    pjsip-apps/src/pjsua/winrt/gui/uwp/VoipBackEnd/ApiLock.{cpp,h}
)

sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }
sum_of_files() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1); }

refuse() {  # FILE WHENCE
    echo "refused: $1 ($2) is not the source this engine is built from" >&2
    echo "  its sha256 is $(sum_of "$1")" >&2
    echo "  wanted is     $SHA256," >&2
    echo "  or upstream's archive of the release 2.17 with every file as it was released" >&2
    echo "  next: give the right file, make pjsip PJPROJECT=/path/to/pjproject-2.17.tar.xz" >&2
    exit 1
}

# Upstream's archive is packed anew whenever it is asked for, and may come in other bytes: so its files are compared.
repack() {  # FILE: packs into $TARGET.new what Debian's source has of it; fails where that is not the same
    local tree=$BUILD/unpacked
    rm -rf --one-file-system "$tree" && mkdir -p "$tree"
    tar -xf "$1" -C "$tree" --strip-components=1 --no-same-owner 2>/dev/null || return 1
    [ -z "$(find "$tree" ! -type f ! -type d -print -quit)" ] || return 1  # there is no link in it
    (cd "$tree" && rm -rf --one-file-system "${LEFT_OUT[@]}" && find . -name .gitignore -delete) || return 1
    [ "$(sum_of_files "$tree")" = "$FILES" ] || return 1
    tar -C "$BUILD" --sort=name --owner=0 --group=0 --numeric-owner -c unpacked | xz -1 -T 0 >"$TARGET.new"
    rm -rf --one-file-system "$tree"
}

take() {  # FILE WHENCE
    [ -f "$1" ] || { echo "no file $1 ($2)" >&2; exit 1; }
    if [ "$(sum_of "$1")" = "$SHA256" ]; then cp "$1" "$TARGET.new"; else repack "$1" || refuse "$1" "$2"; fi
    mv -f "$TARGET.new" "$TARGET"
    sum_of "$TARGET" >"$TARGET.sha256"
    echo "source: $2"
}

brought_before() { [ -f "$TARGET" ] && [[ $(sum_of "$TARGET") == @("$SHA256"|"$(cat "$TARGET.sha256" 2>/dev/null)") ]]; }

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

# sid moves on: a later version than this engine is built from is passed by
from_debian() {
    local uri
    command -v apt-get >/dev/null && [ -e "$KEYS" ] || return 1
    uri=$(mirror) && [ -n "$uri" ] || return 1
    private_apt "$uri"
    echo "bringing the source package of Debian's Asterisk"
    APT_CONFIG=$APT/apt.conf apt-get -qq update >"$APT/log" 2>&1 || return 1
    (cd "$APT/got" && APT_CONFIG=$APT/apt.conf apt-get -qq source --download-only --only-source asterisk) \
        >>"$APT/log" 2>&1 || return 1
    got=$(ls -t "$APT"/got/asterisk_*.orig-Xpjproject.tar.xz 2>/dev/null | head -n 1)
    [ -n "$got" ] || return 1
    [ "$(sum_of "$got")" = "$SHA256" ] || { echo "Debian sid has another version by now" | tee -a "$APT/log"; return 1; }
}

download() {  # URL FILE
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --connect-timeout 20 --max-time 600 --output "$2" "$1"
    elif command -v wget >/dev/null; then
        wget --quiet --tries 2 --timeout 20 --output-document "$2" "$1"
    else
        echo "neither curl nor wget is here" >&2
        return 1
    fi
}

from_upstream() {
    echo "bringing upstream's release from $URL"
    mkdir -p "$APT/got"
    got=$APT/got/upstream.tar.gz
    download "$URL" "$got" 2>>"$APT/log"
}

mkdir -p "$BUILD"
got=
if [ -n "${PJPROJECT:-}" ]; then take "$PJPROJECT" "PJPROJECT"; exit; fi
if brought_before; then exit; fi
for beside in ../shared/pjproject/*.tar.xz; do
    if [ -f "$beside" ]; then take "$beside" "beside the checkout"; exit; fi
done
if from_debian; then take "$got" "Debian sid"
elif from_upstream; then take "$got" "upstream's release"
else
    echo "the SIP library's source is not here, and could be had neither from Debian's archive nor from upstream" >&2
    if [ -s "$APT/log" ]; then tail -n 5 "$APT/log" >&2; fi
    echo "  next: give it, make pjsip PJPROJECT=/path/to/pjproject-2.17.tar.xz (sha256 $SHA256)" >&2
    echo "  or: put it into ../shared/pjproject/, or let this machine reach its Debian mirror or $URL" >&2
    exit 1
fi
rm -rf --one-file-system "$APT"
