#!/usr/bin/env bash
# Sees to it that what the engine is built from is there: installs it when root on Debian, else names what is missing and
# ends with 1. Quick when nothing is to be done.
#   deploy/pjsip/packages.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/../.."

is_root() { [ "$(id -u)" = 0 ]; }
there() { command -v "$1" >/dev/null; }
header() { [ -n "$(find /usr/include /usr/local/include -path "*/$1" -print -quit 2>/dev/null)" ]; }

missing=()
want() { there "$1" || missing+=("$2"); }
want_header() { header "$1" || missing+=("$2"); }
want c++ build-essential
want make build-essential
want swig swig
want pkg-config pkg-config
want xz xz-utils
want_header openssl/ssl.h libssl-dev
want_header opus/opus.h libopus-dev
want_header srtp2/srtp.h libsrtp2-dev
want_header speex/speex.h libspeex-dev
want_header speex/speex_resampler.h libspeexdsp-dev
want_header gsm.h libgsm1-dev
want_header uuid/uuid.h uuid-dev
"$1" -c 'import pathlib, sysconfig as s, sys; sys.exit(not (pathlib.Path(s.get_path("include")) / "Python.h").exists())' ||
    missing+=(python3-dev)

install() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends "${missing[@]}" >build/pjsip/apt.log 2>&1; }

[ ${#missing[@]} -gt 0 ] || exit 0
if ! is_root || ! there apt-get; then
    echo "the engine is built from packages that are not here: ${missing[*]}" >&2
    echo "  next, as root on Debian: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "installing ${missing[*]}"
mkdir -p build/pjsip
# a list of packages that is old or absent is the usual cause of a first failure
if ! install; then
    apt-get -qq update >build/pjsip/apt-update.log 2>&1 || true
    install || { tail -n 20 build/pjsip/apt.log >&2; echo "could not install: ${missing[*]}" >&2; exit 1; }
fi
