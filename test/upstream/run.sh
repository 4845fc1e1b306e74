#!/usr/bin/env bash
# run.sh [-j JOBS] [--fresh] [FILE...]: what `make conformance` runs. It makes the two
# virtual environments in build/conformance, and runs the suites of 7.1 and 9.1
# (VERSIONS="7.1" for one of them). Nothing outside build/ and TMPDIR is changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

base=${BASE_PYTHON:-/usr/bin/python3}
versions=${VERSIONS:-7.1 9.1}

environment() { # version, flags of venv...
    local needs=test/upstream/requirements-$1.txt venv=build/conformance/venv-$1
    shift
    cmp -s "$needs" "$venv/requirements.txt" && return
    echo "conformance: making $venv"
    rm -rf "$venv"
    mkdir -p "${venv%/*}"
    "$base" -m venv "$@" "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$needs"
    cp "$needs" "$venv/requirements.txt"
}

status=0
for version in $versions; do
    case $version in
    7.1)
        if ! "$base" -c 'import ipyparallel, sys; sys.exit(not ipyparallel.__version__.startswith("7.1"))' 2>/dev/null; then
            echo "conformance: $base has no ipyparallel 7.1 (Debian 12: apt-get install python3-ipyparallel)" >&2
            exit 1
        fi
        environment 7.1 --system-site-packages
        ;;
    *) environment "$version" ;;
    esac
    python3 test/upstream/run.py --python "build/conformance/venv-$version/bin/python" --name "$version" "$@" || status=1
done
exit $status
