#!/usr/bin/env bash
# Open MPI and MPICH (Hydra) side by side from Debian packages. No daemons: up installs, check runs both.
#   eval "$(mpi.sh env)"     TB_MPIEXEC_OPENMPI, TB_MPIEXEC_MPICH, and flags that make them work in CI
#   mpi.sh use openmpi|mpich what plain `mpiexec`/`mpirun` means (update-alternatives, root)
#   mpi.sh which             the implementation behind plain mpiexec
#
#                       Open MPI 4.1 (mpiexec.openmpi)                     MPICH 4.0 (mpiexec.mpich = Hydra)
# count                 -n N (-np N)                                       -n N (-np N)
# more than cores       refused without --oversubscribe                    always allowed
# as root               refused without --allow-run-as-root, or            allowed
#                       OMPI_ALLOW_RUN_AS_ROOT=1 and
#                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# hosts                 --host a,b:2  --hostfile F ("a slots=2")           -hosts a,b:2  -f F ("a:2")
# environment           only OMPI_*; -x NAME or -x NAME=value              all of it; -genv NAME value, -genvlist A,B, -genvnone
# remote start          --mca plm_rsh_agent "ssh -F cfg"                   -launcher ssh -launcher-exec /path
# label output          --tag-output                                       -l  (-prepend-rank)
# rank variables        OMPI_COMM_WORLD_RANK / _SIZE / _LOCAL_RANK         PMI_RANK / PMI_SIZE / MPI_LOCALRANKID
# loopback only         --mca oob_tcp_if_include lo --mca btl self,vader   -iface lo
# one rank dies         or exits non-zero: the rest is killed within 1 s,  by a signal: the rest is killed at once; one that
#                       exit = that code (128+signal)                      exits non-zero: the rest continue, codes are OR-ed
# killing mpiexec       TERM/INT: ranks get TERM, KILL after 1-3 s         TERM/INT: ranks are killed at once
# non-MPI programs      fine                                               fine
TB_NAME=mpi
TB_EXTRA='use IMPL|which'
. "$(dirname "$0")/lib.sh"
O=mpiexec.openmpi
M=mpiexec.mpich
OF=(--oversubscribe --allow-run-as-root --mca oob_tcp_if_include lo --mca btl self,vader --mca plm isolated)
v_up() {
    stamp_start
    apt_need openmpi-bin mpich
    v_status
    stamp up
}
v_status() {
    local c rc=0
    for c in $O $M; do
        if command -v $c >/dev/null; then
            say "$c: $($c --version 2>&1 | grep -m1 -E 'Open(RTE| MPI)|Version:' | tr -s ' ')"
        else
            say "$c missing"
            rc=1
        fi
    done
    say "mpiexec is $(v_which)"
    return $rc
}
v_down() { say "nothing runs; packages stay"; }
v_env() {
    cat <<'S'
export TB_MPIEXEC_OPENMPI=mpiexec.openmpi TB_MPIEXEC_MPICH=mpiexec.mpich
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_oob_tcp_if_include=lo OMPI_MCA_btl=self,vader HYDRA_IFACE=lo
S
}
v_which() { case $(mpiexec --version 2>/dev/null) in *"Open MPI"* | *OpenRTE*) echo openmpi ;; *HYDRA*) echo mpich ;; *) echo none ;; esac }
v_use() {
    need_root
    case $1 in
    openmpi | mpich) update-alternatives --set mpirun "/usr/bin/mpirun.$1" >/dev/null && say "mpiexec is $(v_which)" ;;
    *) die "openmpi or mpich" ;;
    esac
}
v_check() {
    local out p rc
    out=$($O -n 4 "${OF[@]}" hostname 2>&1)
    t 'openmpi: 4 ranks' test "$(grep -c "^$(hostname)\$" <<<"$out")" = 4
    out=$($O -n 3 "${OF[@]}" -x TBX=hi sh -c 'echo rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE $TBX' 2>&1)
    has 'openmpi: rank variables' 'rank 2 of 3 hi' "$out"
    $O -n 2 "${OF[@]}" sh -c 'exit $((OMPI_COMM_WORLD_RANK*3))' >/dev/null 2>&1
    t 'openmpi: exit status' test $? = 3
    [ "$(id -u)" = 0 ] && {
        out=$(env -u OMPI_ALLOW_RUN_AS_ROOT $O -n 1 true 2>&1)
        has 'openmpi: root is refused without the flag' 'run as root|allow-run-as-root' "$out"
    }
    out=$($O -n 64 --allow-run-as-root --mca plm isolated true 2>&1)
    has 'openmpi: too many ranks are refused without --oversubscribe' 'not enough slots' "$out"
    out=$($M -iface lo -n 4 hostname 2>&1)
    t 'mpich: 4 ranks' test "$(grep -c "^$(hostname)\$" <<<"$out")" = 4
    out=$(TBX=hi $M -iface lo -n 3 sh -c 'echo rank $PMI_RANK of $PMI_SIZE $TBX' 2>&1)
    has 'mpich: rank variables, environment passes' 'rank 2 of 3 hi' "$out"
    $M -iface lo -n 2 sh -c 'exit $((PMI_RANK*3))' >/dev/null 2>&1
    t 'mpich: exit status' test $? = 3
    for p in "$O ${OF[*]}" "$M -iface lo"; do
        $p -n 3 sleep 337 >/dev/null 2>&1 &
        rc=$!
        wait_for 10 eval '[ $(pgrep -fc "^sleep 337") = 3 ]'
        kill $rc
        wait $rc 2>/dev/null
        t "${p%% *}: TERM to mpiexec ends the ranks" wait_for 10 eval '! pgrep -f "^sleep 337"'
    done
    t_end
}
tb_main "$@"
