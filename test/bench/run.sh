#!/usr/bin/env bash
# run.sh: what `make bench` runs. The Python that has ipyparallel 9.1 (or 7.1) is
# the client of both sides and runs upstream's. BENCH_ARGS goes to bench.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/env.sh
python=${IPCORE_TEST_PY91:-${IPCORE_TEST_PY71:-}}
[ -n "$python" ] || { echo "error: no Python with ipyparallel to measure with" >&2; exit 1; }
# shellcheck disable=SC2086 # several arguments
"$python" test/bench/bench.py ${BENCH_ARGS:-}
