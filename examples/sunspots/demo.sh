#!/usr/bin/env bash
# demo.sh: what `make demo` runs once everything is built. It starts a controller
# and four engines in a temporary folder, computes, stops them and removes the
# folder. Your own profiles and clusters are not touched.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
ipcore=$root/bin/ipcore
program=$root/build/sunspots
for needed in "$ipcore" "$program"; do
    [ -x "$needed" ] || { echo "error: there is no $needed; run: make demo" >&2; exit 1; }
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/ipcore-demo-XXXXXX")
profile=$folder/profile
finish() {
    code=$?
    trap '' INT TERM
    if [ -e "$profile/security/cluster-.json" ]; then
        "$ipcore" stop --profile-dir="$profile" || code=1
    fi
    rm -rf "$folder"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$ipcore" start -n 4 --profile-dir="$profile" --daemonize | sed -n 1p
echo
"$program" --profile-dir="$profile"
echo
cat <<TEXT
Continue with a cluster of your own:

  bin/ipcore -n 4                                       start one; Ctrl-C stops it
  bin/ipcore exec 'import os; os.getpid()'              use it from the shell
  python3 -c 'import ipyparallel as ipp; print(ipp.Client()[:].apply_sync(lambda: 2**100))'
  examples/sunspots/main.go                             is what you just saw, in Go

TEXT
