#!/usr/bin/env bash
# make-test-systems.sh [PATTERN...]: what `make test-systems` runs. For each launcher
# a bed (a function bed_NAME below) makes its system ready, or says why it can't,
# and its checks run end to end. The local launcher's system is this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

results=build/results
mkdir -p "$results"
export IPYTHONDIR=$PWD/build/ipython # else Python's clients make ~/.ipython
rm -f "$results"/systems-*.json
status=0
only=("$@")

suite() { # name, python, engines, folder, patterns...
    local name=$1 python=$2 engines=$3 folder=$4 began=$SECONDS patterns=()
    shift 4
    for p in "$@" "${only[@]}"; do patterns+=(-k "$p"); done
    echo
    echo "== $name"
    if IPCORE_TEST_ENGINES=$engines "$python" test/run.py --name "systems-$name" --dir "$results" "${patterns[@]}" "$folder"; then
        echo "== $name: $((SECONDS - began)) s"
    else
        echo "== $name: FAILED after $((SECONDS - began)) s"
        status=1
    fi
}

absent() { # name, why
    echo "skipped: $1: $2"
    printf '{"name": "systems-%s", "passed": 0, "failed": [], "skipped": ["%s: %s"]}\n' "$1" "$1" "$2" >"$results/systems-$1.json"
}

# local: processes on this machine. The whole cycle of a cluster with native
# engines, then the client suite with upstream's own engines of both versions.
bed_local() {
    [ "$(uname)" = Linux ] || { absent local "the suite reads /proc, so it needs Linux"; return; }
    local version var
    for version in 7.1 9.1; do
        var=IPCORE_TEST_PY${version/./}
        if [ -z "${!var:-}" ]; then
            absent "local-classic-$version" "no ipyparallel $version here"
            continue
        fi
        [ $version = 9.1 ] || suite local "${!var}" native system
        suite "local-classic-$version" "${!var}" classic client
    done
}

. test/env.sh
go build -o build/tally ./test/tally
for bed in local; do
    "bed_$bed"
done

echo
build/tally sum -dir "$results" -only 'systems-*' || status=1
exit $status
