#!/usr/bin/env bash
# go-version.sh [go command]: fail with a clear message unless Go is 1.26 or newer.
set -eu
go=${1:-go}
need=26
advice="ipcore needs Go 1.$need or newer: install it from https://go.dev/dl/ and put its bin folder on PATH."

if ! command -v "$go" >/dev/null 2>&1; then
    echo "error: no '$go' command was found." >&2
    echo "hint:  $advice" >&2
    exit 1
fi
# Outside the module, so that an older Go answers for itself instead of refusing go.mod.
have=$(cd / && GOTOOLCHAIN=${GOTOOLCHAIN:-local} "$go" version 2>/dev/null | awk '{print $3}')
minor=$(sed -n 's/^go1\.\([0-9]*\).*/\1/p' <<<"$have")
case "$have" in
    devel*) exit 0 ;; # built from source: newer than any release
esac
if [ -z "$minor" ] || [ "$minor" -lt "$need" ]; then
    echo "error: $(command -v "$go") is ${have:-of an unknown version}, which is too old." >&2
    echo "hint:  $advice" >&2
    exit 1
fi
