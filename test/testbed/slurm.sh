#!/usr/bin/env bash
# A real Slurm (Debian slurm-wlm) on one host, no systemd, no cgroups, loopback only:
# private munged + slurmctld + N slurmd ("nodes" tb1..tbN, one UTS namespace each, so `hostname`
# in a job prints the node's name and slurmd needs no -N).
#
#   slurm.sh up [NODES]      default 4 nodes, TB_SLURM_CPUS (default 4) cpus each, partitions debug* and short (1 min limit)
#   eval "$(slurm.sh env)"   SLURM_CONF for this shell (and PBS-style qsub/qstat/qdel first in PATH if `torque` was run)
#   slurm.sh torque          unpack Debian's slurm-wlm-torque wrappers into the state directory (the package
#                            itself conflicts with gridengine-client, so it is not installed)
#   slurm.sh node-fail tb3 | node-heal tb3       kill / restart one node's slurmd
#   slurm.sh ctld-stop | ctld-start              controller away: sbatch/squeue time out after MessageTimeout (5 s)
#   slurm.sh hold-queue | free-queue             partition DOWN/UP: jobs stay PENDING
TB_NAME=slurm
TB_EXTRA='torque|node-fail N|node-heal N|ctld-stop|ctld-start|hold-queue|free-queue'
. "$(dirname "$0")/lib.sh"
D=$TB_DIR
CONF=$D/slurm.conf
export SLURM_CONF=$CONF
BASEPORT=${TB_SLURM_PORT:-26817}
nodes() { cat "$D/nodes" 2>/dev/null || echo 4; }

write_conf() {
    local n=$1 cpus=${TB_SLURM_CPUS:-4} i
    mkdir -p "$D"/{ctld,log,munge}
    chmod 755 "$TB_STATE" "$D" "$D/log" "$D/ctld"
    for i in $(seq "$n"); do
        mkdir -p "$D/tb$i"
        chmod 755 "$D/tb$i"
    done
    echo "$n" >"$D/nodes"
    cat >"$CONF" <<C
ClusterName=testbed
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$BASEPORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$D/munge/munge.socket
CredType=cred/munge
# loopback only: bind to what the node name resolves to, never to 0.0.0.0
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
# Sites use proctrack/cgroup. linuxproc loses children whose parent has ended.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$D/jobcomp.log
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
StateSaveLocation=$D/ctld
SlurmdSpoolDir=$D/%n
SlurmctldPidFile=$D/slurmctld.pidf
SlurmdPidFile=$D/%n/slurmd.pidf
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/%n.log
SlurmctldDebug=info
SlurmdDebug=info
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
LaunchParameters=send_gids
InactiveLimit=0
MessageTimeout=5
SlurmctldTimeout=10
SlurmdTimeout=15
KillWait=2
OverTimeLimit=0
MinJobAge=300
MaxArraySize=10001
MaxJobCount=20000
PropagateResourceLimits=NONE
C
    for i in $(seq "$n"); do
        echo "NodeName=tb$i NodeHostname=tb$i NodeAddr=127.0.0.1 Port=$((BASEPORT + 10 + i))" \
            "CPUs=$cpus RealMemory=2000 State=UNKNOWN" >>"$CONF"
    done
    cat >>"$CONF" <<C
PartitionName=debug Nodes=tb[1-$n] Default=YES MaxTime=INFINITE DefaultTime=UNLIMITED State=UP OverSubscribe=NO
PartitionName=short Nodes=tb[1-$n] MaxTime=1 DefaultTime=1 State=UP
C
    printf 'optional spank_pbs.so\n' >"$D/plugstack.conf" # PBS_* variables in jobs (wrappers)
    # plain `sbatch` without SLURM_CONF works too when nobody else configured Slurm here
    [ -e /etc/slurm/slurm.conf ] || { mkdir -p /etc/slurm && ln -sfn "$CONF" /etc/slurm/slurm.conf; }
}

start_node() { # one slurmd in its own UTS namespace, so gethostname() is the node's name
    daemon "slurmd-tb$1" unshare --uts sh -c "hostname tb$1 && exec slurmd -D -f '$CONF'"
}

v_up() {
    need_root
    apt_need slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge
    tb_user
    stamp_start
    local n=${1:-4} i
    getent hosts "$(hostname)" | grep -q '^127\.\|^::1' ||
        say "note: $(hostname) does not resolve to loopback, srun's own sockets will use $(getent hosts "$(hostname)" | awk '{print $1}')"
    # every node name must resolve for srun's step I/O; one line in /etc/hosts, removed by down
    for i in $(seq "$n"); do hosts_add 127.0.0.1 "tb$i"; done
    alive slurmctld || write_conf "$n"
    if ! alive munged; then
        mkdir -p "$D/munge"
        chown root:root "$D/munge"
        chmod 755 "$D/munge"
        [ -s "$D/munge/munge.key" ] || {
            head -c 128 /dev/urandom >"$D/munge/munge.key"
            chmod 600 "$D/munge/munge.key"
        }
        mkdir -p "$D/munge/log"
        chmod 700 "$D/munge/log"
        daemon munged munged -F -f --key-file="$D/munge/munge.key" --socket="$D/munge/munge.socket" \
            --pid-file="$D/munge/munged.pidf" --log-file="$D/munge/log/munged.log" --seed-file="$D/munge/log/seed" --num-threads=2
        wait_for 10 test -S "$D/munge/munge.socket" || die "munged did not start: $(tail -3 "$D/log/munged.out")"
    fi
    wait_for 90 settled || {
        v_status
        die "nodes did not come up: $(cat "$D"/log/*.log | grep -i error | tail -1); logs in $D/log"
    }
    stamp "up, $(nodes) nodes"
}
# A daemon whose port is still held by an ended connection ends, and is started again.
settled() {
    local i
    daemon slurmctld slurmctld -D -f "$CONF"
    for i in $(seq "$(nodes)"); do start_node "$i"; done
    all_idle
}
all_idle() { [ "$(sinfo -h -N -p debug -o %T | grep -c 'idle\|mixed\|allocated')" = "$(nodes)" ]; }

v_status() {
    local d up=0
    for d in munged slurmctld $(seq -f 'slurmd-tb%g' "$(nodes)"); do
        if alive "$d"; then
            up=$((up + 1))
            say "$d up, pid $(pid_of "$d"), $(rss_of "$(pid_of "$d")") MiB"
        else say "$d down"; fi
    done
    [ $up -gt 0 ] || return 1
    sinfo 2>&1
    squeue 2>&1
    [ $up = $(($(nodes) + 2)) ]
}
v_down() {
    need_root
    local i
    if alive slurmctld; then
        timeout 10 scancel --state=RUNNING,PENDING,SUSPENDED -u "$TB_USER" 2>/dev/null
        timeout 10 scancel -u root 2>/dev/null
        sleep 0.5
    fi
    for i in $(seq "$(nodes)"); do stop "slurmd-tb$i" & done
    wait
    stop slurmctld
    stop munged
    [ "$(readlink /etc/slurm/slurm.conf)" = "$CONF" ] && rm -f /etc/slurm/slurm.conf
    hosts_clean
    find "$D" -mindepth 1 -maxdepth 1 ! -name torque -exec rm -rf {} + # the unpacked wrappers stay
    say down
}
v_env() {
    echo "export SLURM_CONF=$CONF"
    [ -d "$D/torque/bin" ] && echo "export PATH=$D/torque/bin:\$PATH"
    return 0
}

v_torque() {
    apt_need libslurm-perl libslurmdb-perl libswitch-perl
    [ -x "$D/torque/bin/qsub" ] && return 0
    may_install "slurm-wlm-torque (unpacked into $D/torque)"
    mkdir -p "$D/torque/x" && cd "$D/torque" || exit 1
    apt-get download slurm-wlm-torque >/dev/null 2>&1 && dpkg-deb -x slurm-wlm-torque_*.deb x || die "cannot get slurm-wlm-torque"
    rm -f slurm-wlm-torque_*.deb
    ln -sfn x/usr/bin bin
    local c
    for c in sbatch salloc srun scancel squeue scontrol; do # the wrappers call their neighbours
        ln -sf "$(command -v $c)" "x/usr/bin/$c"
    done
    chmod -R a+rX "$D/torque"
    say "wrappers in $D/torque/bin: $(ls bin | tr '\n' ' ')"
}
v_node_fail() {
    need_root
    local n=${1#tb} p
    p=$(pid_of "slurmd-tb$n")
    [ -n "$p" ] || die "no node $1"
    kill_node "$p"
    rm -f "$D/slurmd-tb$n.pid"
    scontrol update NodeName="tb$n" State=DOWN Reason=testbed
    say "tb$n failed"
}
v_node_heal() {
    need_root
    local n=${1#tb}
    start_node "$n"
    sleep 1
    scontrol update NodeName="tb$n" State=RESUME 2>/dev/null
    wait_for 20 all_idle && say "tb$n healed"
}
v_ctld_stop() {
    stop slurmctld
    say "slurmctld stopped"
}
v_ctld_start() {
    daemon slurmctld slurmctld -D -f "$CONF"
    wait_for 15 scontrol ping && say "slurmctld back"
}
v_hold_queue() { scontrol update PartitionName=debug State=DOWN; }
v_free_queue() { scontrol update PartitionName=debug State=UP; }

state() { scontrol show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | sort | uniq -c | awk '{printf "%s*%s ",$2,$1}'; }
v_check() {
    alive slurmctld || die "not up"
    local w out id r
    w=$(as_user mktemp -d "/tmp/tbslurm.XXXXXX")
    cd "$w" || exit 1
    cat >arr.sh <<'S'
#!/bin/sh
#SBATCH -J arr -p debug -o out.%A_%a --export=ALL
echo "task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_JOB_ID on $(hostname) user $(id -un) X=$TBX"
S
    out=$(
        cd "$w"
        TBX=hello as_user sh -c "cd $w && sbatch --array=1-4 arr.sh" 2>&1
    )
    has 'sbatch prints "Submitted batch job N"' '^Submitted batch job [0-9]+$' "$out"
    id=${out##* }
    t 'array of 4 finishes (user)' wait_for 20 eval "[ \$(cat $w/out.${id}_* 2>/dev/null | wc -l) = 4 ]"
    has 'output has the environment and the user' "task 3 of $id on tb[0-9]+ user $TB_USER X=hello" "$(cat out."$id"_* 2>/dev/null)"
    out=$(as_user sh -c "cd $w && sbatch --parsable --wrap 'exit 3'")
    wait_for 15 eval "scontrol show job $out | grep -q JobState=FAILED"
    has 'exit code 3 is ExitCode=3:0, FAILED, without sacct' 'JobState=FAILED.*ExitCode=3:0' "$(scontrol show job "$out" | tr '\n' ' ')"
    id=$(as_user sh -c "cd $w && sbatch --parsable --wrap 'sleep 300'")
    wait_for 10 eval "squeue -h -j $id -o %T | grep -q RUNNING"
    as_user scancel "$id"
    wait_for 10 eval "scontrol show job $id | grep -q JobState=CANCELLED"
    has 'scancel' 'JobState=CANCELLED' "$(scontrol show job "$id")"
    id=$(as_user sh -c "cd $w && sbatch --parsable -o srun.out -N4 -n4 --wrap 'srun hostname'")
    wait_for 20 eval "scontrol show job $id | grep -q JobState=COMPLETED"
    has 'srun over 4 nodes' '^tb1 tb2 tb3 tb4 $' "$(sort srun.out 2>/dev/null | tr '\n' ' ')"
    id=$(sbatch --parsable -o /dev/null --wrap 'true')
    wait_for 15 eval "scontrol show job $id | grep -q JobState=COMPLETED"
    has 'job as root' 'COMPLETED' "$(scontrol show job "$id")"
    out=$(sbatch -p nosuch --wrap true 2>&1)
    has 'unknown partition is refused' 'invalid partition specified' "$out"
    if [ "${1:-}" = long ]; then # a time limit is whole minutes: takes about 70 s
        id=$(as_user sh -c "cd $w && sbatch --parsable -t 1 --wrap 'sleep 300'")
        wait_for 120 eval "scontrol show job $id | grep -q JobState=TIMEOUT"
        has 'time limit' 'JobState=TIMEOUT.*' "$(scontrol show job "$id")"
    fi
    r=$(ss -ltnpH 2>/dev/null | grep -E 'slurm|munge' | awk '{print $4}' | grep -v '^127\.\|^\[::1\]')
    t 'listens on loopback only' test -z "$r"
    cd /
    rm -rf "$w"
    t_end
}
tb_main "$@"
