#!/usr/bin/env bash
# deb.sh TREE FOLDER: the files of a Debian package below /usr, from what tree.sh built:
# Debian has its own folder for zsh, wants a file "copyright", and packs documentation.
set -euo pipefail
cd "$(dirname "$0")/.."

tree=$1 deb=$2
rm -rf "$deb"
mkdir -p "$deb"
cp -R "$tree/bin" "$tree/libexec" "$tree/share" "$deb"
mv "$deb/share/zsh/site-functions" "$deb/share/zsh/vendor-completions"
doc=$deb/share/doc/ipcore
{
    echo "ipcore, https://github.com/ipcore/ipcore"
    echo
    cat LICENSE
    echo
    cat NOTICE
    echo
    echo "The licenses of these libraries are in THIRD-PARTY-LICENSES.gz."
} >"$doc/copyright"
rm "$doc/LICENSE" "$doc/NOTICE"
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/changelog" "$doc/THIRD-PARTY-LICENSES"
find "$deb/share/man" -name '*.1' -exec gzip -9n {} + 2>/dev/null || true
