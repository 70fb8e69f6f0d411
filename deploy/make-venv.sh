#!/bin/sh
# Makes .venv, or the folder given, with Python 3.11 or 3.12, the versions that the evaluation engine is built for.
#   deploy/make-venv.sh [PYTHON [FOLDER]]      without PYTHON the first suitable one on PATH is taken
set -eu
cd "$(dirname "$0")/.."
folder=${2:-.venv}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

chosen=
for python in ${1:-python3.11 python3.12 python3}; do
    if suits "$python"; then chosen=$python; break; fi
done
if [ -z "$chosen" ]; then
    echo "callrec needs Python 3.11 or 3.12, and found neither as ${1:-python3.11, python3.12 or python3 on PATH}." >&2
    echo "  next: install one (Debian 12: apt-get install python3 python3-venv), or: make PYTHON=/path/to/python3.12 ..." >&2
    exit 1
fi
if ! "$chosen" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "$chosen cannot make virtual environments." >&2
    echo "  next: install the module (Debian 12: apt-get install python3-venv)" >&2
    exit 1
fi
"$chosen" -m venv --clear "$folder"
pwd >"$folder/.made-in"
