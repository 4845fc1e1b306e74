#!/usr/bin/env bash
# dist.sh FOLDER [GOOS/GOARCH...]: build what a release consists of, for all systems or
# for those that are named: archives, Debian packages, bills of materials, SHA256SUMS.
# The same source and the same Go give the same bytes, on any machine.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$1
shift
systems=("$@")
[ $# -gt 0 ] || systems=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64)
go=${GO:-go}
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
version=$(packaging/version.sh version)
epoch=$(packaging/version.sh epoch)
work=build/tree
export CGO_ENABLED=0 GOFLAGS=

# What an archive may weigh, packed and unpacked.
packed_limit=$((40 << 20)) unpacked_limit=$((100 << 20))
bytes() { # file or folder
    if [ -d "$1" ]; then find "$1" -type f -exec cat {} + | wc -c; else wc -c <"$1"; fi
}
report() { # file, folder with the same unpacked
    local packed unpacked
    packed=$(bytes "$1") unpacked=$(bytes "$2")
    awk -v name="${1##*/}" -v packed="$packed" -v unpacked="$unpacked" \
        'BEGIN { printf "%-40s %5.1f MiB, unpacked %5.1f MiB\n", name, packed / 1048576, unpacked / 1048576 }'
    if [ "$packed" -gt $packed_limit ] || [ "$unpacked" -gt $unpacked_limit ]; then
        echo "error: $1 is too large: at most $((packed_limit >> 20)) MiB, unpacked $((unpacked_limit >> 20)) MiB" >&2
        exit 1
    fi
}

umask 022
mkdir -p "$out" "$work"
rm -f "$out"/ipcore* "$out/SHA256SUMS"
for system in "${systems[@]}"; do
    goos=${system%/*} goarch=${system#*/}
    name=ipcore-$version-$goos-$goarch
    tree=$work/$goos-$goarch
    packaging/tree.sh "$goos" "$goarch" "$tree"
    archive=$out/$name.tar.gz
    [ "$goos" != windows ] || archive=$out/$name.zip
    "$go" run ./packaging/archive -epoch "$epoch" -top "$name" -o "$archive" "$tree"
    cp "$tree/share/doc/ipcore/sbom.cdx.json" "$out/$name.cdx.json"
    report "$archive" "$tree"

    if [ "$goos" = linux ]; then
        package=$out/ipcore_${version}_$goarch.deb
        packaging/deb.sh "$tree" "$work/deb-$goarch"
        VERSION=$version ARCH=$goarch TREE=$work/deb-$goarch SOURCE_DATE_EPOCH=$epoch \
            "$go" run "$nfpm" package --config packaging/nfpm.yaml --packager deb --target "$package" >/dev/null
        report "$package" "$work/deb-$goarch"
    fi
done
cd "$out"
sums=(sha256sum)
command -v sha256sum >/dev/null || sums=(shasum -a 256)
LC_ALL=C "${sums[@]}" ipcore* >SHA256SUMS
echo "in $out, with SHA256SUMS"
