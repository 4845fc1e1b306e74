#!/usr/bin/env bash
# mongo.sh: a server that speaks MongoDB's protocol, for the tests of core/controller/db/mongodb
# and core/controller. It is FerretDB 1.24 on SQLite, built from Go modules (the first
# time: some minutes on two cores), and listens on loopback only.
#
#   mongo.sh up | status | down      down deletes the data, not the program
#   eval "$(mongo.sh env)"           TB_MONGO_URL, by which the tests find it
#   mongo.sh stall | wake            the server accepts connections and does not answer
#
# TB_MONGO_PORT (27717) is its port, TB_MONGO_DIR (build/mongo) its data, TB_FERRETDB the program.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
port=${TB_MONGO_PORT:-27717}
dir=${TB_MONGO_DIR:-$root/build/mongo}
version=v1.24.0
program=${TB_FERRETDB:-$root/build/ferretdb-$version}

say() { echo "mongo: $*"; }
fail() { echo "mongo: $*" >&2; exit 1; }
pid() { cat "$dir/pid" 2>/dev/null || true; }
alive() { local p; p=$(pid); [ -n "$p" ] && kill -0 "$p" 2>/dev/null; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

build() {
    [ -x "$program" ] && return
    command -v go >/dev/null || fail "needs Go to build FerretDB"
    local src
    src=$(mktemp -d)
    say "building FerretDB $version"
    printf 'module testmongo\n\ngo 1.22\n\nrequire github.com/FerretDB/FerretDB %s\n' "$version" >"$src/go.mod"
    cat >"$src/main.go" <<'G'
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() { // testmongo ADDRESS SQLITE-URL
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: os.Args[1]},
		Handler:   "sqlite",
		SQLiteURL: os.Args[2],
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := f.Run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}
G
    mkdir -p "$(dirname "$program")"
    (cd "$src" && CGO_ENABLED=0 GOFLAGS=-mod=mod go build -trimpath -ldflags '-s -w' -o "$program" .) >"$src/log" 2>&1 ||
        { tail -5 "$src/log" >&2; fail "the build failed; its log is in $src"; }
    rm -rf "$src"
}

up() {
    alive && { say "up already"; return; }
    build
    mkdir -p "$dir/data"
    "$root/test/testbed/ports.sh"
    answers && fail "something else listens on port $port: set TB_MONGO_PORT"
    setsid "$program" "127.0.0.1:$port" "file:$dir/data/" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    for _ in $(seq 100); do
        answers && { say "up on 127.0.0.1:$port"; return; }
        sleep 0.2
    done
    tail -3 "$dir/log" >&2
    fail "does not start"
}

down() {
    if alive; then
        local p
        p=$(pid)
        kill -CONT "$p"
        kill "$p"
        for _ in $(seq 50); do alive || break; sleep 0.1; done
        alive && kill -9 "$p"
    fi
    rm -rf "$dir"
    say down
}

case ${1:-} in
up | down) "$1" ;;
status) if alive; then say "up, pid $(pid)"; else say down; exit 1; fi ;;
env) echo "export TB_MONGO_URL=mongodb://127.0.0.1:$port/" ;;
stall) kill -STOP "$(pid)" ;;
wake) kill -CONT "$(pid)" ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
