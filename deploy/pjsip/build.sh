#!/usr/bin/env bash
# Builds the engine: build/pjsip/pjsua2-*.whl for the Python given. A second run with the same inputs takes seconds.
#   deploy/pjsip/build.sh PYTHON        PYTHON needs setuptools and wheel
#   JOBS=4 deploy/pjsip/build.sh PYTHON     how many compilers at once (2)
set -euo pipefail
cd "$(dirname "$0")/../.."

HERE=$PWD/deploy/pjsip
BUILD=$PWD/build/pjsip
PYTHON=$(realpath --no-symlinks "$1")
JOBS=${JOBS:-2}
TREE=$BUILD/tree
SWIG=$TREE/pjsip-apps/src/swig/python
export LC_ALL=C

WRAPPED="-Wl,--wrap=pj_sock_sendto -Wl,--wrap=pj_sock_accept -Wl,--wrap=pjsip_tpmgr_receive_packet"
WRAPPED+=" -Wl,--wrap=epoll_ctl -Wl,--wrap=epoll_wait"
HARDENED="-O3 -DNDEBUG -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2"
CONFIGURE=(
    --disable-shared --enable-epoll
    --disable-sound --disable-video --disable-sdl --disable-ffmpeg --disable-v4l2 --disable-openh264 --disable-vpx
    --disable-libyuv --disable-libwebrtc --disable-upnp --disable-speex-aec
    --with-external-srtp --with-external-speex --with-external-gsm --enable-speex-resample
    --disable-ilbc-codec --disable-g7221-codec --disable-silk --disable-bcg729 --disable-lyra --disable-opencore-amr
)

sum() { cat "$@" | sha256sum | cut -d ' ' -f 1; }
made_from() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
logged() {  # NAME COMMAND...
    local name=$1; shift
    "$@" >"$BUILD/$name.log" 2>&1 || { tail -n 30 "$BUILD/$name.log" >&2; echo "failed: $name, see $BUILD/$name.log" >&2; exit 1; }
}

unpack() {
    rm -rf --one-file-system "$TREE" && mkdir -p "$TREE"
    tar -xJf "$BUILD/source.tar.xz" -C "$TREE" --strip-components=1
    # an object whose non-free source Debian leaves out
    sed -i 's/ bdimad_dev\.o//' "$TREE/pjmedia/build/Makefile"
    cp "$HERE/config_site.h" "$TREE/pjlib/include/pj/config_site.h"
}

libraries() {
    cd "$TREE"
    echo "compiling the SIP library (one to two minutes)"
    CFLAGS=$HARDENED CXXFLAGS=$HARDENED LDFLAGS=-Wl,-z,relro,-z,now logged configure ./configure "${CONFIGURE[@]}"
    logged dependencies make -j"$JOBS" dep
    logged libraries make -j"$JOBS" lib
    cd - >/dev/null
}

# our own files have no warning; the library's headers are not ours to mend
additions() {
    local flags part
    flags=$(cd "$SWIG" && make --no-print-directory -f helper.mak cflags | sed 's/^-I/-isystem/' | tr '\n' ' ')
    for part in tap sip wait; do
        # shellcheck disable=SC2086
        logged additions cc -std=gnu11 -Wall -Wextra -Werror -fvisibility=hidden $flags \
            -c "$HERE/engine_$part.c" -o "$BUILD/engine_$part.o"
    done
}

# WRAPPED: every datagram, connection and wait of the library goes through our files; without it the module cannot be imported
wheel() {
    echo "compiling the Python module (two to three minutes)"
    additions
    cd "$SWIG"
    rm -rf build dist
    printf '[build_ext]\nlink_objects = %s\n' "$(echo "$BUILD"/engine_{tap,sip,wait}.o)" >setup.cfg
    LDFLAGS="-Wl,-z,relro,-z,now $WRAPPED -s" logged wheel make wheel PYTHON_EXE="$PYTHON"
    rm -f "$BUILD"/pjsua2-*.whl
    mv dist/pjsua2-*.whl "$BUILD/"
    cd - >/dev/null
}

"$HERE/packages.sh" "$PYTHON"
"$HERE/source.sh"
library=$(sum "$BUILD/source.tar.xz" "$HERE/config_site.h" "$HERE/build.sh")
if ! made_from "$BUILD/library.made-from" "$library"; then
    rm -f "$BUILD"/*.made-from
    unpack
    libraries
    echo "$library" >"$BUILD/library.made-from"
fi
module="$library $(sum "$HERE"/engine*) $("$PYTHON" -c 'import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_path("include"))')"
if ! made_from "$BUILD/module.made-from" "$module" || ! ls "$BUILD"/pjsua2-*.whl >/dev/null 2>&1; then
    rm -f "$BUILD/module.made-from"
    wheel
    echo "$module" >"$BUILD/module.made-from"
fi
ls "$BUILD"/pjsua2-*.whl
