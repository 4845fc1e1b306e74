#!/usr/bin/env bash
# run.sh: what `make test-release` runs. It builds the archive and the Debian package of
# this machine's architecture twice, in two folders, and compares them; then it installs
# each of them on a bare Debian 12 that has nothing but python3, starts engines, prints
# a Slurm script, removes ipcore and compares every file with what was there before
# (inside.sh). It needs root, and debootstrap, which it installs with INSTALL=1 or
# CI=true. The bare system is kept in $TESTBED_STATE for the next run.
#
# IPCORE_TEST_LONG=1 compiles the second build from nothing (two minutes more).
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=Debian-12
work=$PWD/build/release
state=${TESTBED_STATE:-/var/tmp/testbed}
go=${GO:-go}
mkdir -p build/results "$work"

fail() {
    echo "error: $1" >&2
    echo "hint: $2" >&2
    exit 1
}

[ "$(uname)" = Linux ] || fail "the test needs Linux" "run it on Debian"
[ "$(id -u)" = 0 ] || fail "the test needs root, to make a root folder of its own" "sudo --preserve-env=PATH INSTALL=1 make test-release"
if ! command -v debootstrap >/dev/null; then
    [ "${INSTALL:-}" = 1 ] || [ "${CI:-}" = true ] || fail "debootstrap is not installed" "apt-get install debootstrap, or INSTALL=1"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
fi

passed=0 failed=()
check() { # name, command...
    local name=$1 began=$SECONDS
    shift
    echo
    echo "== $name"
    if "$@"; then
        passed=$((passed + 1))
        echo "== $name: $((SECONDS - began)) s"
    else
        failed+=("\"$name\"")
        echo "== $name: FAILED after $((SECONDS - began)) s"
    fi
}

target=linux/$("$go" env GOHOSTARCH)

build_here() { packaging/dist.sh "$work/dist" "$target"; }

# The second build is of a copy in another folder, without git, with another umask,
# time zone and language.
build_there() {
    local copy
    copy=$(mktemp -d)/another/place
    mkdir -p "$copy"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
    (
        umask 077
        export COMMIT SOURCE_DATE_EPOCH TZ=Pacific/Auckland LC_ALL=C.UTF-8
        COMMIT=$(packaging/version.sh commit) SOURCE_DATE_EPOCH=$(packaging/version.sh epoch)
        [ "${IPCORE_TEST_LONG:-}" != 1 ] || export GOCACHE=$copy/build/cache
        cd "$copy"
        make dist TARGETS="$target" >dist.log 2>&1 || { cat dist.log && exit 1; }
        diff -u "$work/dist/SHA256SUMS" build/dist/SHA256SUMS
    ) || { rm -rf "${copy%/another/place}" && return 1; }
    rm -rf "${copy%/another/place}"
    cat "$work/dist/SHA256SUMS"
}

# bare makes the system, once.
bare() {
    local root=$state/$suite
    [ ! -e "$root/.complete" ] || return 0
    mkdir -p "$state"
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3 bookworm "$root" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log" && return 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    touch "$root/.complete"
}

# inside runs inside.sh with arguments in a copy of the bare system, in namespaces of its
# own: when it ends, so do all processes that it left.
inside() {
    local root=$work/root code=0
    rm -rf "$root"
    cp -a "$state/$suite" "$root"
    mkdir "$root/test"
    cp test/release/inside.sh VERSION "$work"/dist/ipcore* "$root/test"
    unshare --mount --pid --ipc --uts --fork --kill-child --propagation private sh -c '
        mount -t proc proc "$1/proc" && mount -t tmpfs -o mode=1777 shm "$1/dev/shm" 2>/dev/null
        root=$1 && shift && exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root /bin/sh /test/inside.sh "$@"
    ' sh "$root" "$@" </dev/null || code=$?
    rm -rf "$root"
    return $code
}

check "build" build_here
check "build again elsewhere: the same bytes" build_there
check "bare Debian 12" bare
for form in unpacked archive package; do
    check "$form" inside $form
done

(IFS=,
    printf '{"name": "release", "passed": %d, "failed": [%s], "skipped": []}\n' "$passed" "${failed[*]}") >build/results/release.json
"$go" build -o build/tally ./test/tally
build/tally sum -dir build/results -only release
