# shellcheck shell=bash
# env.sh: source it from the repository's root. It finds or makes the Python
# environments that the tests use and exports
#
#   IPCORE_TEST_PY71   a Python with ipyparallel 7.1 (Debian's /usr/bin/python3)
#   IPCORE_TEST_PY91   a Python with ipyparallel 9.1 (build/venv-9.1)
#   IPCORE_TEST_MINE_PYTHON   the launcher of examples/mine-python, with its grpcio (build/launchers)
#
# A variable that is already set is taken as it is. One that stays unset means:
# not there, and the reason was printed. Packages are installed only as root and
# with CI=true or INSTALL=1; the virtual environment lies in build/.

_ipcore_may_install() {
    [ "$(id -u)" = 0 ] && { [ "${CI:-}" = true ] || [ "${INSTALL:-}" = 1 ]; } && command -v apt-get >/dev/null
}

_ipcore_has() { # python, version prefix
    "$1" -c 'import sys, numpy, ipyparallel; sys.exit(not ipyparallel.__version__.startswith(sys.argv[1]))' "$2" 2>/dev/null
}

_ipcore_apt() {
    echo "env: installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

_ipcore_find_71() {
    local py=/usr/bin/python3
    if ! _ipcore_has $py 7.1 && _ipcore_may_install; then
        _ipcore_apt python3 python3-ipyparallel python3-numpy python3-venv || true
    fi
    if _ipcore_has $py 7.1; then
        export IPCORE_TEST_PY71=$py
    else
        echo "env: no ipyparallel 7.1 for $py: what needs it is skipped" \
             "(Debian 12: apt-get install python3-ipyparallel python3-numpy, or INSTALL=1 as root)"
    fi
}

_ipcore_make_91() {
    local venv=$PWD/build/venv-9.1 py
    if ! _ipcore_has "$venv/bin/python" 9.1; then
        py=/usr/bin/python3
        [ -x $py ] || py=$(command -v python3) || { echo "env: no python3: what needs ipyparallel 9.1 is skipped"; return; }
        if ! "$py" -c 'import ensurepip' 2>/dev/null && _ipcore_may_install; then
            _ipcore_apt python3-venv || true
        fi
        echo "env: making build/venv-9.1 (ipyparallel 9.1.0 from the package index)"
        mkdir -p build
        rm -rf "$venv"
        if ! { "$py" -m venv "$venv" &&
               "$venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check ipyparallel==9.1.0 numpy cloudpickle; } \
               >build/venv-9.1.log 2>&1; then
            echo "env: no ipyparallel 9.1: what needs it is skipped; why is in build/venv-9.1.log (Debian: apt-get install python3-venv)"
            rm -rf "$venv"
            return
        fi
    fi
    export IPCORE_TEST_PY91=$venv/bin/python
}

_ipcore_make_mine() {
    local dir=$PWD/build/launchers
    if ! command -v ps >/dev/null && _ipcore_may_install; then
        _ipcore_apt procps || true # of examples/mine-shell
    fi
    mkdir -p build
    if PYTHON=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || command -v python3) \
        examples/mine-python/build.sh "$dir" >build/mine-python.log 2>&1; then
        export IPCORE_TEST_MINE_PYTHON=$dir/ipcore-launcher-mine-python
    else
        echo "env: no launcher in Python: what needs it is skipped; why is in build/mine-python.log (Debian: apt-get install python3-venv)"
    fi
}

[ -n "${IPCORE_TEST_PY71:-}" ] || _ipcore_find_71
[ -n "${IPCORE_TEST_PY91:-}" ] || _ipcore_make_91
[ -n "${IPCORE_TEST_MINE_PYTHON:-}" ] || _ipcore_make_mine # after the others, which see to python3-venv
