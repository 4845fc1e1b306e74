#!/usr/bin/env bash
# transcript.sh [--check]: runs the commands of the README's transcript in an empty home
# folder, with the executables in bin/, and writes commands and output into README.md.
# With --check it fails when README.md shows anything else; process ids, times and paths
# are replaced by fixed ones, so two runs are the same.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$(mktemp -d)
trap 'HOME=$home bin/ipcore stop >/dev/null 2>&1 || true; rm -rf "$home"' EXIT
export HOME=$home PATH=$PWD/bin:/usr/bin:/bin
unset IPYTHONDIR IPP_PROFILE_DIR IPP_CLUSTER_ID VIRTUAL_ENV CONDA_PREFIX

run() { # runs one command as the reader would type it
    echo "    \$ $1"
    bash -c "$1" 2>&1 | sed -E \
        -e "s#$home#~#g" -e 's/\([0-9.]+ s\)/(0.4 s)/' -e 's/^(Out\[([0-9]):[0-9]+\]: )[0-9]+$/\14210\2/' \
        -e 's/process [0-9]+/process 4200/' -e 's/ [0-9a-f]{8}-[0-9a-f]{24}$//; s/  UUID$//' -e 's/^/    /; s/ +$//'
}

transcript() {
    run 'ipcore start -n 4 --daemonize'
    run "ipcore exec 'import os; os.getpid()'"
    run 'ipcore status'
    run 'ipcore stop'
}

begin='<!-- transcript: written by test/transcript.sh -->'
end='<!-- end of transcript -->'
text=$(transcript)
new=$(TEXT=$text awk -v begin="$begin" -v end="$end" '
    $0 == begin { print; print ""; print ENVIRON["TEXT"]; print ""; skip = 1; next }
    $0 == end { skip = 0 }
    !skip { print }' README.md)
if [ "${1:-}" = --check ]; then
    diff -u README.md <(echo "$new") || {
        echo "README.md does not show what the commands print; run test/transcript.sh" >&2
        exit 1
    }
else
    echo "$new" >README.md
fi
