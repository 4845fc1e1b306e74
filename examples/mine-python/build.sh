#!/bin/sh
# build.sh DIR: makes DIR/ipcore-launcher-mine-python, with a virtual environment
# and the code generated from ipcore's protos next to it. PROTO is the folder of the protos.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PROTO=${PROTO:-$here/../../sdk/proto}
mkdir -p "${1:?usage: build.sh DIR}"
dir=$(cd "$1" && pwd)
home=$dir/mine-python
if [ ! -x "$home/venv/bin/python" ]; then
    rm -rf "$home"
    mkdir -p "$home"
    "${PYTHON:-python3}" -m venv "$home/venv.new"
    "$home/venv.new/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check grpcio grpcio-tools
    mv "$home/venv.new" "$home/venv"
fi
mkdir -p "$home/generated"
"$home/venv/bin/python" -m grpc_tools.protoc -I "$PROTO/launcher/v1" -I "$PROTO/goplugin" \
    --python_out="$home/generated" --grpc_python_out="$home/generated" \
    launcher.proto health.proto controller.proto stdio.proto
cp "$here/mine.py" "$home/mine.py"
cat >"$dir/ipcore-launcher-mine-python" <<EOF
#!/bin/sh
exec "$home/venv/bin/python" "$home/mine.py" "\$@"
EOF
chmod 755 "$dir/ipcore-launcher-mine-python"
