#!/bin/sh
# version.sh version|commit|epoch|ldflags: what every build of this source is told about itself.
#
#   version  the version, from the file VERSION
#   commit   $COMMIT, else the commit that is checked out
#   ldflags  flags of the linker: strip the executable, set version, commit and commit's date
#   epoch    the time of everything in an archive: $SOURCE_DATE_EPOCH, else the commit's time
#
# A source tree without git has no commit; COMMIT and SOURCE_DATE_EPOCH then say what
# it was made from and when.
set -eu
cd "$(dirname "$0")/.."

version=$(cat VERSION)
commit=${COMMIT:-}
if [ -z "$commit" ] && commit=$(git rev-parse --verify --quiet HEAD 2>/dev/null); then
    [ -z "$(git status --porcelain --untracked-files=no)" ] || commit=$commit-dirty
fi
epoch=${SOURCE_DATE_EPOCH:-$(git show --no-patch --format=%ct HEAD 2>/dev/null || true)}

case ${1:-} in
    version) echo "$version" ;;
    commit) echo "$commit" ;;
    epoch) echo "${epoch:-0}" ;;
    ldflags)
        package=github.com/ipcore/ipcore/sdk/buildinfo
        flags="-s -w -X $package.version=$version"
        [ -z "$commit" ] || flags="$flags -X $package.commit=$commit"
        [ -z "$epoch" ] || flags="$flags -X $package.date=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$epoch" +%Y-%m-%dT%H:%M:%SZ)"
        echo "$flags"
        ;;
    *)
        echo "usage: version.sh version|commit|epoch|ldflags" >&2
        exit 2
        ;;
esac
