#!/usr/bin/env bash
# make-test.sh [PATTERN...]: what `make test` runs, from the repository's root.
# It changes nothing outside this folder (see env.sh for the one exception), and
# what is missing on this machine is named and skipped. Counts go to build/results.
# With patterns only the Python tests whose names match are run.
set -euo pipefail
cd "$(dirname "$0")/.."

results=build/results
mkdir -p "$results"
export IPYTHONDIR=$PWD/build/ipython # else Python's clients make ~/.ipython
rm -f "$results"/test-*.json
status=0

stage() { # name, command...
    local name=$1 began=$SECONDS
    shift
    echo
    echo "== $name"
    if "$@"; then
        echo "== $name: $((SECONDS - began)) s"
    else
        echo "== $name: FAILED after $((SECONDS - began)) s"
        status=1
    fi
}

# beside NAME COMMAND... runs a stage at the same time as those that follow it, which
# is possible because its tests mostly wait. finish shows its output.
running=() # names
pids=()    # of the process groups
beside() {
    echo
    echo "== $1 is running at the same time"
    set -m # a process group of its own, for cancel
    (
        set +m
        status=0
        stage "$@"
        exit "$status"
    ) >"$results/$1.log" 2>&1 </dev/null &
    set +m
    running+=("$1")
    pids+=($!)
}

finish() {
    local i
    for i in "${!running[@]}"; do
        wait "${pids[i]}" || status=1
        cat "$results/${running[i]}.log"
    done
    pids=()
}

# cancel ends what still runs, and the server that this run has started.
started=''
cancel() {
    local pid
    for pid in "${pids[@]}"; do
        kill -INT -- "-$pid" 2>/dev/null || true
    done
    wait
    [ -z "$started" ] || test/testbed/mongo.sh down
}
trap cancel EXIT

gotest() { # name, flags...: tests mostly wait, so more of them run at the same time than there are processors
    local name=$1
    shift
    go test -p 3 -parallel 4 -json "$@" ./... | build/tally run -name "$name" -dir "$results"
}

absent() { # suite, why: a suite that cannot run here is counted as one skipped test
    echo "skipped: $1: $2"
    printf '{"name": "test-%s", "passed": 0, "failed": [], "skipped": ["%s: %s"]}\n' "$1" "$1" "$2" >"$results/test-$1.json"
}

python() { # suite name, python, engines
    local patterns=()
    for p in "${only[@]}"; do patterns+=(-k "$p"); done
    IPYTHONDIR=$IPYTHONDIR-$1 IPCORE_TEST_ENGINES=$3 "$2" test/run.py --name "test-$1" --dir "$results" "${patterns[@]}" client
}

mongo() { # the server of the database tests, built and started where this may install things
    if [ -z "${TB_MONGO_URL:-}" ]; then
        if ! test/testbed/mongo.sh status >/dev/null; then
            _ipcore_may_install || return 0 # the tests skip by name
            test/testbed/mongo.sh up || return 0
            started=yes
        fi
        eval "$(test/testbed/mongo.sh env)"
    fi
}

only=("$@")
. test/env.sh
go build -o build/tally ./test/tally

[ ${#only[@]} -gt 0 ] || mongo
for version in 7.1 9.1; do
    var=IPCORE_TEST_PY${version/./}
    if [ "$(uname)" != Linux ]; then
        absent "client-$version" "the suite reads /proc, so it needs Linux"
    elif [ -n "${!var:-}" ]; then
        beside "client-$version" python "client-$version" "${!var}" native
    else
        absent "client-$version" "no ipyparallel $version here"
    fi
done
if [ ${#only[@]} = 0 ]; then
    stage vet go vet -trimpath ./... # with the flags of make build, whose packages it takes
    if command -v "$(go env CC)" >/dev/null; then
        export CGO_ENABLED=1 # of the race detector alone
        export GORACE=atexit_sleep_ms=0 # else each child of a test stays for a second at its end
        stage "unit, with the race detector" gotest test-unit -race
        export CGO_ENABLED=0
        unset GORACE
    else
        stage unit gotest test-unit
        absent race "the race detector needs a C compiler (Debian: apt-get install gcc)"
    fi
fi
finish

echo
build/tally sum -dir "$results" -only 'test-*' || status=1
exit $status
