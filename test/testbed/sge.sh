#!/usr/bin/env bash
# A real Grid Engine (Debian gridengine 8.1.9, Son of Grid Engine) on one host, no systemd, loopback only:
# sge_qmaster + N sge_execd ("hosts" sge1..sgeN on 127.0.0.21.., one UTS namespace each), private SGE_ROOT.
#
#   sge.sh up [HOSTS]        default 2 hosts, TB_SGE_SLOTS (default 4) slots each, queues all.q and short.q,
#                            parallel environments mpi ($round_robin) and smp ($pe_slots)
#   eval "$(sge.sh env)"     SGE_ROOT, SGE_CELL and the two ports
#   sge.sh node-fail sge2 | node-heal sge2       kill / restart one execd and its jobs
#   sge.sh master-stop | master-start            qsub/qstat: "unable to send message to qmaster ..."
#   sge.sh hold-queue | free-queue               queue disabled/enabled: jobs stay qw
TB_NAME=sge
TB_EXTRA='node-fail N|node-heal N|master-stop|master-start|hold-queue|free-queue'
. "$(dirname "$0")/lib.sh"
D=$TB_DIR
export SGE_ROOT=$D/root SGE_CELL=default SGE_QMASTER_PORT=${TB_SGE_PORT:-26444} SGE_CLUSTER_NAME=testbed
export SGE_EXECD_PORT=$((SGE_QMASTER_PORT + 1))
L=/usr/lib/gridengine
hosts() { cat "$D/hosts" 2>/dev/null || echo 2; }
preload() { env LD_PRELOAD="$(bindlo)" BINDLO_ADDR="$1" "${@:2}"; }

init_cell() {
    local n=$1 C=$SGE_ROOT/default/common arch
    arch=$(/usr/share/gridengine/util/arch)
    mkdir -p "$C" "$D/spool/qmaster/job_scripts" "$D/spool/execd" "$D/spool/db" "$SGE_ROOT"/{bin,lib,utilbin}
    for x in bin lib utilbin; do ln -sfn $L "$SGE_ROOT/$x/$arch"; done
    ln -sfn /usr/share/gridengine/util "$SGE_ROOT/util"
    ln -sfn /usr/share/gridengine/mpi "$SGE_ROOT/mpi"
    echo "$n" >"$D/hosts"
    echo testbed >"$C/cluster_name"
    echo localhost >"$C/act_qmaster"
    # this machine's names are all "localhost" to Grid Engine
    {
        printf 'localhost'
        {
            hostname
            hostname -s
            getent hosts 127.0.0.1 | cut -d' ' -f2-
        } | tr -s ' \n' '\n\n' | sort -u | grep -v '^localhost$' | sed 's/^/ /' | tr -d '\n'
        echo
    } >"$C/host_aliases"
    cat >"$C/bootstrap" <<B
admin_user              root
default_domain          none
ignore_fqdn             false
spooling_method         classic
spooling_lib            libspoolc
spooling_params         $C;$D/spool/qmaster
binary_path             $SGE_ROOT/bin
qmaster_spool_dir       $D/spool/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
jvm_threads             0
B
    sed -e "s#^execd_spool_dir.*#execd_spool_dir $D/spool/execd#" -e 's/^min_uid.*/min_uid 0/' -e 's/^min_gid.*/min_gid 0/' \
        -e 's/^load_report_time.*/load_report_time 00:00:02/' -e 's/^max_unheard.*/max_unheard 00:00:12/' \
        -e 's#^mailer.*#mailer /bin/true#' -e 's/^enforce_user.*/enforce_user auto/' \
        /usr/share/gridengine/default-configuration >"$D/conf.in"
    $L/spoolinit classic libspoolc "$C;$D/spool/qmaster" init &&
        $L/spooldefaults configuration "$D/conf.in" &&
        $L/spooldefaults complexes /usr/share/gridengine/util/resources/centry &&
        $L/spooldefaults usersets /usr/share/gridengine/util/resources/usersets &&
        $L/spooldefaults managers root >/dev/null || die "cannot create the cell"
    chmod -R a+rX "$D"
}
queue_conf() { # NAME WALLCLOCK
    cat <<Q
qname $1
hostlist @allhosts
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH INTERACTIVE
ckpt_list NONE
pe_list mpi smp
rerun FALSE
slots ${TB_SGE_SLOTS:-4}
tmpdir /tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode posix_compliant
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:60
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
s_rt INFINITY
h_rt $2
s_cpu INFINITY
h_cpu INFINITY
s_fsize INFINITY
h_fsize INFINITY
s_data INFINITY
h_data INFINITY
s_stack INFINITY
h_stack INFINITY
s_core INFINITY
h_core INFINITY
s_rss INFINITY
h_rss INFINITY
s_vmem INFINITY
h_vmem INFINITY
Q
}
pe_conf() { # NAME RULE
    cat <<P
pe_name $1
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $2
control_slaves TRUE
job_is_first_task FALSE
urgency_slots min
accounting_summary TRUE
qsort_args NONE
P
}
host_conf() { # NAME
    cat <<H
hostname $1
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
H
}

start_master() {
    daemon qmaster env SGE_ND=1 LD_PRELOAD="$(bindlo)" $L/sge_qmaster
    wait_for 20 qconf -sh || die "qmaster did not start: $(
        cat "$D/log/qmaster.out"
        tail -3 "$D/spool/qmaster/messages" 2>/dev/null
    )"
}
start_exec() {
    daemon "execd$1" env SGE_ND=1 LD_PRELOAD="$(bindlo)" BINDLO_ADDR=127.0.0.$((20 + $1)) \
        unshare --uts sh -c "hostname sge$1; exec $L/sge_execd"
}

v_up() {
    need_root
    apt_need gridengine-master gridengine-exec gridengine-client
    tb_user
    stamp_start
    local n=${1:-2} i fresh=0
    bindlo >/dev/null
    for i in $(seq "$n"); do hosts_add 127.0.0.$((20 + i)) "sge$i"; done
    [ -s "$SGE_ROOT/default/common/bootstrap" ] || {
        fresh=1
        init_cell "$n" >"$D.init.log" 2>&1 || {
            cat "$D.init.log"
            exit 1
        }
    }
    start_master
    if [ $fresh = 1 ]; then
        qconf -as localhost >/dev/null 2>&1
        qconf -ah localhost >/dev/null 2>&1
        for i in $(seq "$n"); do
            qconf -ah "sge$i" >/dev/null 2>&1
            qconf -as "sge$i" >/dev/null 2>&1
            host_conf "sge$i" >"$D/h.in"
            qconf -Ae "$D/h.in" >/dev/null 2>&1
        done
        printf 'group_name @allhosts\nhostlist %s\n' "$(seq -f 'sge%g' -s ' ' "$n")" >"$D/g.in"
        qconf -Ahgrp "$D/g.in" >/dev/null 2>&1
        pe_conf mpi '$round_robin' >"$D/pe.in"
        qconf -Ap "$D/pe.in" >/dev/null 2>&1
        pe_conf smp '$pe_slots' >"$D/pe.in"
        qconf -Ap "$D/pe.in" >/dev/null 2>&1
        queue_conf all.q INFINITY >"$D/q.in"
        qconf -Aq "$D/q.in" >/dev/null 2>&1
        queue_conf short.q 00:00:10 >"$D/q.in"
        qconf -Aq "$D/q.in" >/dev/null 2>&1
        qconf -ssconf | sed -e 's/^schedule_interval.*/schedule_interval 0:0:1/' -e 's/^flush_submit_sec.*/flush_submit_sec 1/' \
            -e 's/^flush_finish_sec.*/flush_finish_sec 1/' -e 's/^job_load_adjustments.*/job_load_adjustments NONE/' \
            -e 's/^schedd_job_info.*/schedd_job_info true/' >"$D/s.in"
        qconf -Msconf "$D/s.in" >/dev/null 2>&1
    fi
    for i in $(seq "$(hosts)"); do start_exec "$i"; done
    wait_for 40 all_up || {
        v_status
        die "execution hosts did not come up"
    }
    stamp "up, $(hosts) hosts"
}
all_up() {
    local q
    q=$(qstat -f) && [ "$(grep -c '@sge' <<<"$q")" = $(($(hosts) * 2)) ] && ! grep '@sge' <<<"$q" | awk '$4=="-NA-"||$6~/u/{f=1} END{exit !f}'
}
v_status() {
    local d up=0
    for d in qmaster $(seq -f 'execd%g' "$(hosts)"); do
        if alive "$d"; then
            up=$((up + 1))
            say "$d up, pid $(pid_of "$d"), $(rss_of "$(pid_of "$d")") MiB"
        else say "$d down"; fi
    done
    [ $up -gt 0 ] || return 1
    qstat -f 2>&1
    [ $up = $(($(hosts) + 1)) ]
}
v_down() {
    need_root
    local i p
    alive qmaster && {
        timeout 10 qdel -u '*' >/dev/null 2>&1
        sleep 1
    }
    for i in $(seq "$(hosts)"); do
        p=$(pid_of "execd$i")
        [ -n "$p" ] && kill_node "$p"
        stop "execd$i"
    done
    stop qmaster
    hosts_clean
    rm -rf "$D" "$D.init.log" "$TB_STATE"/bindlo.*
    say down
}
v_env() {
    echo "export SGE_ROOT=$SGE_ROOT SGE_CELL=$SGE_CELL SGE_QMASTER_PORT=$SGE_QMASTER_PORT" \
        "SGE_EXECD_PORT=$SGE_EXECD_PORT SGE_CLUSTER_NAME=testbed"
}
v_node_fail() {
    need_root
    local n=${1#sge} p
    p=$(pid_of "execd$n")
    [ -n "$p" ] || die "no host $1"
    kill_node "$p"
    rm -f "$D/execd$n.pid"
    say "sge$n failed (qstat -f shows state u after about 15 s)"
}
v_node_heal() {
    need_root
    start_exec "${1#sge}"
    wait_for 30 all_up && say "sge${1#sge} healed"
}
v_master_stop() {
    stop qmaster
    say "qmaster stopped"
}
v_master_start() {
    start_master
    say "qmaster back"
}
v_hold_queue() { qmod -d 'all.q' 'short.q'; }
v_free_queue() { qmod -e 'all.q' 'short.q'; }

v_check() {
    alive qmaster || die "not up"
    local w out id r
    w=$(as_user mktemp -d "/tmp/tbsge.XXXXXX")
    cd "$w" || exit 1
    cat >arr.sh <<'S'
#$ -V
#$ -S /bin/sh
#$ -N arr
#$ -cwd
#$ -j y
echo "task $SGE_TASK_ID of $JOB_ID on $(hostname) user $(id -un) X=$TBX first=$SGE_TASK_FIRST last=$SGE_TASK_LAST"
S
    out=$(TBX=hello as_user sh -c "cd $w && qsub -t 1-4 arr.sh" 2>&1)
    has 'qsub array message' '^Your job-array [0-9]+\.1-4:1 \("arr"\) has been submitted$' "$out"
    id=$(sed 's/[^0-9]*\([0-9]*\)\..*/\1/' <<<"$out")
    t 'array of 4 finishes (user)' wait_for 30 eval "[ \$(cat $w/arr.o$id.* 2>/dev/null | wc -l) = 4 ]"
    has 'output has the environment and the user' "task 3 of $id on sge[0-9] user $TB_USER X=hello first=1 last=4" \
        "$(cat arr.o"$id".* 2>/dev/null)"
    out=$(as_user sh -c "cd $w && echo 'exit 3' | qsub -cwd -N one")
    has 'qsub message' '^Your job [0-9]+ \("one"\) has been submitted$' "$out"
    id=$(awk '{print $3}' <<<"$out")
    wait_for 25 qacct_has "$id"
    has 'exit status by qacct' '^exit_status +3' "$(qacct -j "$id" 2>&1)"
    id=$(as_user sh -c "cd $w && qsub -terse -b y sleep 300")
    t 'job runs' wait_for 15 eval "qstat -s r -u '*' | grep -q ' *$id '"
    out=$(as_user qdel "$id")
    has 'qdel' "^$TB_USER has registered the job $id for deletion" "$out"
    t 'deleted job is gone' wait_for 15 eval "! qstat -j $id"
    out=$(qstat -j "$id" 2>&1)
    has 'qstat -j of a finished job' "Following jobs do not exist" "$out"
    id=$(as_user sh -c "cd $w && qsub -terse -pe mpi 4 -cwd -N pe -b y 'echo \$NSLOTS \$(cat \$PE_HOSTFILE | wc -l)'")
    wait_for 20 test -s "$w/pe.o$id"
    has 'parallel environment mpi' "^4 [0-9]" "$(cat "pe.o$id" 2>/dev/null)"
    out=$(as_user sh -c "cd $w && qsub -q nosuch.q -b y true" 2>&1)
    has 'unknown queue is refused' 'Job was rejected because job requests unknown queue' "$out"
    id=$(qsub -terse -b y -o /dev/null -e /dev/null true)
    t 'job as root' wait_for 20 eval "! qstat -j $id"
    r=$(ss -ltnpH 2>/dev/null | grep sge_ | awk '{print $4}' | grep -v '^127\.')
    t 'listens on loopback only' test -z "$r"
    cd /
    rm -rf "$w"
    t_end
}
qacct_has() { qacct -j "$1"; }
tb_main "$@"
