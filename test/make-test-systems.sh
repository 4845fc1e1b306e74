#!/usr/bin/env bash
# make-test-systems.sh [--long] [PATTERN...]: what `make test-systems` runs. For each
# system a function system_NAME below brings up its bed (test/testbed), or says why it
# can't, and runs the launcher's checks on it end to end. With --long (`make
# test-launchers`) the long suites run too: kills, cancellations, outages and every
# fault of the emulators. SYSTEMS='slurm ssh' chooses systems.
set -euo pipefail
cd "$(dirname "$0")/.."

results=build/results
prefix=systems
export IPYTHONDIR=$PWD/build/ipython # else Python's clients make ~/.ipython
state=${TESTBED_STATE:-/var/tmp/testbed}
status=0
user='' # that tests run as; "" is this one
if [ "${1:-}" = --long ]; then
    prefix=launchers
    shift
fi
only=("$@")
mkdir -p "$results"
rm -f "$results/$prefix"-*.json

# suite NAME PYTHON ENGINES FOLDERS [PATTERN...] runs the tests of one folder or more.
suite() {
    local name=$1 python=$2 engines=$3 folders=($4) began=$SECONDS patterns=() p
    shift 4
    for p in "$@" "${only[@]}"; do patterns+=(-k "$p"); done
    echo
    echo "== $name"
    if IPCORE_TEST_ENGINES=$engines as_user "$python" test/run.py --name "$prefix-$name" --dir "$results" "${patterns[@]}" "${folders[@]}"; then
        echo "== $name: $((SECONDS - began)) s"
    else
        echo "== $name: FAILED after $((SECONDS - began)) s"
        return 1
    fi
}

# as_user COMMAND... runs a command as $user, in a copy of what the tests need that
# this user can read.
as_user() {
    if [ -z "$user" ]; then
        "$@"
        return
    fi
    local copy=$state/suite-$user home code=0
    home=$(getent passwd "$user" | cut -d: -f6)
    rm -rf "$copy"
    mkdir -p "$copy"
    cp -r bin test "$copy"
    install -d -o "$user" "$copy/build" "$copy/$results"
    (cd "$copy" && HOME=$home USER=$user LOGNAME=$user TMPDIR=/tmp IPYTHONDIR=$copy/build/ipython \
        setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups "$@") || code=$?
    cp "$copy/$results"/*.json "$results" || code=1
    rm -rf "$copy"
    return "$code"
}

absent() { # name, why
    echo "skipped: $1: $2"
    printf '{"name": "%s-%s", "passed": 0, "failed": [], "skipped": ["%s: %s"]}\n' "$prefix" "$1" "$1" "${2//\"/\'}" \
        >"$results/$prefix-$1.json"
}

# bed "BED [ARGUMENT]" SYSTEM COMMAND... runs a command with a bed up and its
# environment set, and takes the bed down if it was down before. Test runs on one
# machine take turns.
bed() {
    local parts=($1) name=$2 was='' why
    local script=test/testbed/${parts[0]}.sh args=("${parts[@]:1}")
    shift 2
    if ! mkdir -p "$state" 2>/dev/null || ! touch "$state/${parts[0]}.lock" 2>/dev/null; then
        absent "$name" "can't write to $state; as root: INSTALL=1 $script up"
        return
    fi
    exec 8>"$state/${parts[0]}.lock"
    flock 8
    "$script" status "${args[@]}" >/dev/null 2>&1 8>&- && was=up
    if why=$("$script" up "${args[@]}" 2>&1 8>&-); then
        (
            exec 8>&-
            eval "$("$script" env "${args[@]}")"
            export IPCORE_TEST_SYSTEM=$name
            "$@"
        ) || status=1
    else
        absent "$name" "$(tail -1 <<<"$why")"
    fi
    [ -n "$was" ] || "$script" down "${args[@]}" >/dev/null 2>&1 8>&- || true
    exec 8>&-
}

# checks runs the suites of the launcher of $IPCORE_TEST_SYSTEM.
checks() {
    local folders=launchers
    [ $prefix != launchers ] || folders="launchers faults"
    suite "$IPCORE_TEST_SYSTEM" "$IPCORE_TEST_PY71" native "$folders"
}

# local: processes on this machine. The whole cycle of a cluster with native
# engines, then the client suite with upstream's own engines of both versions.
system_local() {
    local version var
    IPCORE_TEST_SYSTEM=local checks || status=1
    [ $prefix = systems ] || return 0
    for version in 7.1 9.1; do
        var=IPCORE_TEST_PY${version/./}
        if [ -z "${!var:-}" ]; then
            absent "local-classic-$version" "no ipyparallel $version here"
            continue
        fi
        [ $version = 9.1 ] || suite local-system "${!var}" native system || status=1
        suite "local-classic-$version" "${!var}" classic client || status=1
    done
    [ ${#only[@]} -gt 0 ] || robust || status=1
}

# robust is a controller among hostile peers, in short (make test-robust at length).
robust() {
    echo
    echo "== robust"
    go test -count=1 -json ./test/robust | build/tally run -name "$prefix-robust" -dir "$results"
}

# Open MPI and MPICH, whichever of them plain mpiexec is here.
system_openmpi() { bed mpi openmpi mpi openmpi; }
system_mpich() { bed mpi mpich mpi mpich; }
mpi() {
    mkdir -p "build/mpi-$1"
    printf '#!/bin/sh\nexec mpiexec.%s "$@"\n' "$1" >"build/mpi-$1/mpiexec"
    chmod 755 "build/mpi-$1/mpiexec"
    PATH=$PWD/build/mpi-$1:$PATH checks
}

# ssh: hosts that share our files; and hosts that share nothing, and do not see this folder.
system_ssh() { bed ssh ssh checks; }
system_ssh-isolated() { TB_SSH_HIDE=$PWD bed ssh ssh-isolated checks; }

# Slurm, and the emulators of LSF, HTCondor and Windows HPC.
system_slurm() { bed slurm slurm checks; }
system_lsf() { bed "fake lsf" lsf checks; }
system_htcondor-emulator() { bed "fake htcondor" htcondor-emulator checks; }
system_winhpc() { CCP_SCHEDULER=head1 bed "fake winhpc" winhpc checks; }

system_sge() { bed sge sge checks; }
system_pbs() { bed "fake pbs" pbs checks; }
system_torque() { TB_FAKE_PBS_FLAVOR=torque bed "fake pbs" torque checks; }

# torque-on-slurm: Debian's commands of Torque's form in front of Slurm.
system_torque-on-slurm() { bed slurm torque-on-slurm wrapped; }
wrapped() {
    test/testbed/slurm.sh torque >/dev/null || return
    eval "$(test/testbed/slurm.sh env)"
    checks
}

# htcondor: a real pool, which takes no jobs of root.
system_htcondor() {
    [ "$(id -u)" != 0 ] || user=tbuser
    bed condor htcondor checks
    user=''
}

. test/env.sh
go build -o build/tally ./test/tally
test/testbed/ports.sh
for system in ${SYSTEMS:-local openmpi mpich ssh ssh-isolated slurm torque-on-slurm sge pbs torque htcondor lsf htcondor-emulator winhpc}; do
    if [ "$(uname)" != Linux ]; then
        absent "$system" "the suites read /proc, so they need Linux"
    elif [ -z "${IPCORE_TEST_PY71:-}" ]; then
        absent "$system" "no ipyparallel 7.1 here"
    else
        "system_$system"
    fi
done

echo
build/tally sum -dir "$results" -only "$prefix-*" || status=1
exit $status
