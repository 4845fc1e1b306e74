#!/usr/bin/env bash
# peers.sh: what `make bench-peers` runs: our controller, upstream's and a bare
# libzmq forwarder under the same load, in turns. BENCH_ARGS goes to
# "ipload peers", such as "-runs 1 -only task -engines 16".
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/env.sh
python=${IPCORE_TEST_PY91:-${IPCORE_TEST_PY71:-}}

# The forwarder is a C program on libzmq's shared library, or else pyzmq's loop
# in C with a monitor that nobody reads.
bare=() about=
if ! ldconfig -p | grep -q 'libzmq\.so\.5' && _ipcore_may_install; then
    _ipcore_apt libzmq5 || true
fi
if command -v gcc >/dev/null && gcc -O2 -o build/forwarder test/bench/forwarder/forwarder.c -l:libzmq.so.5 2>build/forwarder.log; then
    bare=("$PWD/build/forwarder")
    about=$(build/forwarder --version)
elif [ -n "$python" ]; then
    bare=("$python" "$PWD/test/bench/forwarder/forwarder.py")
    about=$("${bare[@]}" --version)
else
    echo "bench-peers: no gcc with libzmq.so.5 (Debian: gcc, libzmq5) and no pyzmq: nothing bare is measured" >&2
fi
upstream=()
if [ -n "$python" ]; then
    upstream=("$python" -m ipyparallel.controller "--profile-dir={dir}")
    about+="; upstream: ipyparallel $("$python" -c 'import ipyparallel; print(ipyparallel.__version__)')"
else
    echo "bench-peers: no Python with ipyparallel: upstream's is not measured" >&2
fi
about+="; commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"

# shellcheck disable=SC2086 # several arguments
build/ipload peers -thresholds test/bench/thresholds.json -about "$about" \
    -ours "$PWD/bin/ipcore controller --profile-dir={dir}" \
    -upstream "${upstream[*]-}" -bare "${bare[*]-}" ${BENCH_ARGS:-}
