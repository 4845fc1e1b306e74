#!/bin/sh
# generate.sh generates the Go code of launcher.proto. `generate.sh check` fails when
# the committed code differs from what would be generated, or when the proto does not
# pass buf's lint. `generate.sh breaking REF` fails when the contract is not compatible
# with that of the commit REF. The tools are built once, into build/tools at the root.
set -eu
cd "$(dirname "$0")"
buf_version=v1.73.0 go_version=v1.36.12 grpc_version=v1.6.2
tools=$(cd ../.. && pwd)/build/tools/proto-$buf_version-$go_version-$grpc_version
if [ ! -x "$tools/buf" ]; then
	GOBIN=$tools GOFLAGS= go install google.golang.org/protobuf/cmd/protoc-gen-go@$go_version
	GOBIN=$tools GOFLAGS= go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@$grpc_version
	GOBIN=$tools GOFLAGS= go install github.com/bufbuild/buf/cmd/buf@$buf_version
fi
PATH=$tools:$PATH
case ${1-} in
"")
	buf generate
	;;
check)
	buf lint
	out=$(mktemp -d)
	trap 'rm -rf "$out"' EXIT
	buf generate -o "$out"
	for f in launcher/v1/*.pb.go; do
		if ! cmp -s "$f" "$out/$f"; then
			echo "sdk/proto/$f differs from what launcher.proto generates: run make generate and commit it" >&2
			exit 1
		fi
	done
	;;
breaking)
	buf breaking --against "../../.git#ref=$2,subdir=sdk/proto"
	;;
*)
	echo "usage: generate.sh [check | breaking REF]" >&2
	exit 2
	;;
esac
