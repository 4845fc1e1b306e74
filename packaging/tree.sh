#!/usr/bin/env bash
# tree.sh GOOS GOARCH FOLDER: build ipcore and its launchers for a system into a folder
# as they are installed and archived: bin, libexec/ipcore, share, and install.sh.
# Completions and manual pages are the same for all systems: completions
# are printed by an ipcore of this machine, manual pages are copied from build/man.
set -euo pipefail
cd "$(dirname "$0")/.."

goos=$1 goarch=$2 tree=$3
go=${GO:-go}
export CGO_ENABLED=0 GOFLAGS=
ldflags=$(packaging/version.sh ldflags)
build() { # system, architecture, output, package
    GOOS=$1 GOARCH=$2 "$go" build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$3" "$4"
}
exe=
[ "$goos" != windows ] || exe=.exe
names=$(basename -a plugins/*/ipcore-launcher-* | sort)

umask 022
rm -rf "$tree"
mkdir -p "$tree/bin" "$tree/libexec/ipcore" "$tree/share/doc/ipcore"
build "$goos" "$goarch" "$tree/bin/ipcore$exe" ./cmd/ipcore

# One executable, and a link for each launcher. A zip has no links, so on Windows one
# launcher is the executable itself, and a script makes the links for the others.
libexec=$tree/libexec/ipcore
if [ "$goos" = windows ]; then
    build "$goos" "$goarch" "$libexec/ipcore-launcher-local.exe" ./cmd/ipcore-launchers
    {
        echo '@echo off'
        echo 'rem Makes a link for each launcher. All of them are one executable.'
        echo 'cd /d "%~dp0"'
        for name in $names; do
            [ "$name" = ipcore-launcher-local ] ||
                echo "if not exist $name.exe mklink /H $name.exe ipcore-launcher-local.exe"
        done
    } | sed 's/$/\r/' >"$libexec/make-links.cmd"
else
    build "$goos" "$goarch" "$libexec/ipcore-launchers" ./cmd/ipcore-launchers
    for name in $names; do
        ln -s ipcore-launchers "$libexec/$name"
    done
    install -m 755 packaging/install.sh "$tree/install.sh"

    host=$tree/bin/ipcore
    if [ "$goos/$goarch" != "$("$go" env GOHOSTOS)/$("$go" env GOHOSTARCH)" ]; then
        host=build/host/ipcore
        build "$("$go" env GOHOSTOS)" "$("$go" env GOHOSTARCH)" "$host" ./cmd/ipcore
    fi
    share=$tree/share
    mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
    "$host" completion bash >"$share/bash-completion/completions/ipcore"
    "$host" completion zsh >"$share/zsh/site-functions/_ipcore"
    "$host" completion fish >"$share/fish/vendor_completions.d/ipcore.fish"
    for page in build/man/*.1; do
        [ ! -e "$page" ] || install -D -m 644 "$page" "$share/man/man1/${page##*/}"
    done
fi

doc=$tree/share/doc/ipcore
install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE NOTICE "$doc"
if [ "$goos" = windows ]; then
    linked=("$tree/bin/ipcore.exe" "$libexec/ipcore-launcher-local.exe")
else
    linked=("$tree/bin/ipcore" "$libexec/ipcore-launchers")
fi
"$go" run ./packaging/thirdparty -version "$(packaging/version.sh version)" \
    -licenses "$doc/THIRD-PARTY-LICENSES" -sbom "$doc/sbom.cdx.json" "${linked[@]}"
