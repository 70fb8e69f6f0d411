#!/usr/bin/env bash
# Puts the engine that build.sh made into the environment of the Python given, unless it is there already.
#   deploy/pjsip/install.sh PYTHON
set -euo pipefail
cd "$(dirname "$0")/../.."

python=$1
wheel=$(ls build/pjsip/pjsua2-*.whl)
record=$("$python" -c 'import sys; print(sys.prefix)')/.engine
sum=$(sha256sum <"$wheel")

# both are imported as `pjsua2`, and the evaluation engine would be found first
if "$python" -m pip --disable-pip-version-check show --quiet pjsua2-python 2>/dev/null; then
    "$python" -m pip --disable-pip-version-check uninstall --quiet --yes pjsua2-python
    rm -f "$record"
fi
if [ "$(cat "$record" 2>/dev/null)" != "$sum" ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-index --force-reinstall "$wheel"
    echo "$sum" >"$record"
fi
"$python" -c 'import _pjsua2, ctypes, pjsua2; face = ctypes.CDLL(_pjsua2.__file__).callrec_face()
print(f"engine: callrec additions, face {face}, in {_pjsua2.__file__}")'
