#!/usr/bin/env bash
# fuzz.sh GO TIME: run every fuzz target of the module for TIME, one after the other.
# By default Go spends up to a minute on making each new input small.
set -euo pipefail
go=$1 time=$2
found=0
while IFS=: read -r file line; do
    name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/' <<<"$line")
    echo "fuzz: $(dirname "$file") $name"
    "$go" test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1s
    found=$((found + 1))
done < <(grep -rEH --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' core sdk plugins cmd internal 2>/dev/null)
echo "fuzz: $found targets, nothing found"
