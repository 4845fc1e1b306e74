#!/usr/bin/env bash
# A real HTCondor personal pool on one host, loopback only, no systemd: master, collector, negotiator, schedd, startd.
# Debian 12 has no HTCondor package, Debian 13 (trixie) has: where `condor` is not installable, the script takes
# Debian 13's packages with apt (signed by the Debian archive key, own apt state, nothing installed into the system),
# unpacks them into the state directory and points the programs at their own C library. Jobs still run the host's
# programs on the host's file system. Unpacked programs stay after `down`; `purge` removes them too.
#
#   condor.sh up           TB_CONDOR_SLOTS (default 8) static slots
#   eval "$(condor.sh env)"    PATH and CONDOR_CONFIG
#   condor.sh startd-stop | startd-start     no machines: jobs stay idle (I)
#   condor.sh schedd-stop | schedd-start     condor_submit/condor_q: cannot find or connect to the schedd
TB_NAME=condor
TB_EXTRA='purge|startd-stop|startd-start|schedd-stop|schedd-start'
. "$(dirname "$0")/lib.sh"
D=$TB_DIR
R=$D/root
PORT=${TB_CONDOR_PORT:-29618}
export CONDOR_CONFIG=$D/condor_config

get_condor() {
    [ -x "$R/usr/sbin/condor_master" ] && return 0
    if apt-cache policy condor 2>/dev/null | grep -q 'Candidate: [0-9]'; then
        apt_need condor
        mkdir -p "$R"
        ln -sfn /usr "$R/usr"
        return 0
    fi
    apt_need patchelf file debian-archive-keyring
    may_install "condor (Debian 13's, unpacked into $R)"
    local A=$D/apt m d f i
    m=$({
        sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources
        sed -n 's/^deb \(\[[^]]*\] \)*\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    } 2>/dev/null | grep -v security | head -1)
    [ -n "$m" ] || die "no Debian mirror in the apt sources"
    mkdir -p "$A"/{state/lists/partial,cache/archives/partial,etc/parts}
    : >"$A/state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $m trixie main" >"$A/etc/sources.list"
    cat >"$A/apt.conf" <<C
Dir::State "$A/state";
Dir::State::status "$A/state/status";
Dir::Cache "$A/cache";
Dir::Etc::sourcelist "$A/etc/sources.list";
Dir::Etc::sourceparts "$A/etc/parts";
Dir::Etc::preferencesparts "$A/etc/parts";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
C
    say "getting Debian 13's condor"
    apt-get -c "$A/apt.conf" update -q >"$A/log" 2>&1 && apt-get -c "$A/apt.conf" -q -d -y install condor >>"$A/log" 2>&1 || {
        tail -3 "$A/log"
        die "cannot get condor"
    }
    rm -rf "$R"
    mkdir -p "$R/usr/lib" "$R/usr/lib64" "$R/usr/bin" "$R/usr/sbin"
    for d in "$A"/cache/archives/*.deb; do
        case $(basename "$d") in
        libpython* | libperl* | libjs* | libboost*) ;;
        condor_* | lib*) dpkg-deb -x "$d" "$R" ;;
        esac
    done
    i=$R/usr/lib/x86_64-linux-gnu
    find "$R/usr/bin" "$R/usr/sbin" "$R/usr/lib/condor" "$R/usr/libexec" -type f -perm /111 2>/dev/null | while read -r f; do
        file -b "$f" | grep -q 'ELF.*interpreter' || continue
        patchelf --set-interpreter "$i/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$R/usr/lib:$i:$i/condor" "$f"
    done
    find "$R/usr/lib" "$R/usr/lib/condor" -maxdepth 1 -type f -name "lib*.so*" | while read -r f; do
        patchelf --force-rpath --set-rpath "$R/usr/lib:$i:$i/condor" "$f" 2>/dev/null
    done
    rm -rf "$A/cache" "$A/state"
    chmod -R a+rX "$R"
}
write_conf() {
    local s=${TB_CONDOR_SLOTS:-8} lx
    id condor >/dev/null 2>&1 || useradd -r -M -d /nonexistent -s /usr/sbin/nologin condor
    mkdir -p "$D"/local/{log,spool,execute,lock,run,tokens.d,passwords.d}
    chmod 755 "$TB_STATE" "$D" "$D/local"
    chown -R condor: "$D/local"
    chmod 1777 "$D/local/execute"
    lx=$(dirname "$(find -L "$R/usr/libexec" "$R/usr/lib" -name condor_procd -o -name condor_kflops 2>/dev/null | head -1)")
    [ -d "$lx" ] || lx=$R/usr/libexec/condor
    lx=$(for x in "$R/usr/libexec/condor" "$R/usr/lib/condor/libexec"; do [ -d "$x" ] && echo "$x"; done | head -1)
    cat >"$CONDOR_CONFIG" <<C
RELEASE_DIR = $R/usr
LOCAL_DIR = $D/local
BIN = \$(RELEASE_DIR)/bin
SBIN = \$(RELEASE_DIR)/sbin
LIBEXEC = $lx
LIB = \$(RELEASE_DIR)/lib/x86_64-linux-gnu
LOG = \$(LOCAL_DIR)/log
SPOOL = \$(LOCAL_DIR)/spool
EXECUTE = \$(LOCAL_DIR)/execute
LOCK = \$(LOCAL_DIR)/lock
RUN = \$(LOCAL_DIR)/run
ETC = \$(LOCAL_DIR)
SEC_TOKEN_SYSTEM_DIRECTORY = \$(LOCAL_DIR)/tokens.d
SEC_PASSWORD_DIRECTORY = \$(LOCAL_DIR)/passwords.d
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR =
CONDOR_IDS = $(id -u condor).$(id -g condor)
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:$PORT
SHARED_PORT_PORT = $PORT
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = testbed
UID_DOMAIN = testbed
FILESYSTEM_DOMAIN = testbed
TRUST_UID_DOMAIN = True
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD
SEC_DEFAULT_AUTHENTICATION = OPTIONAL
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
SEC_DEFAULT_ENCRYPTION = OPTIONAL
SEC_DEFAULT_INTEGRITY = OPTIONAL
ALLOW_READ = 127.*, 10.*, *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_NEGOTIATOR = *
SEC_ADMINISTRATOR_AUTHENTICATION = REQUIRED
SEC_ADMINISTRATOR_AUTHENTICATION_METHODS = FS
ALLOW_ADMINISTRATOR = root@*, condor@*
NUM_CPUS = $s
NUM_SLOTS = $s
MEMORY = $((s * 1024))
START = True
SUSPEND = False
PREEMPT = False
KILL = False
WANT_SUSPEND = False
WANT_VACATE = False
RANK = 0
MACHINE_RESOURCE_GPUS =
BASE_CGROUP =
# the default gives every job a private /tmp and /var/tmp; set TB_CONDOR_PRIVATE_TMP=1 to test against that
MOUNT_UNDER_SCRATCH = $([ "${TB_CONDOR_PRIVATE_TMP:-0}" = 1 ] && echo /tmp,/var/tmp)
RUNBENCHMARKS = False
STARTD_CRON_JOBLIST =
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 5
POLLING_INTERVAL = 1
JOB_START_COUNT = 50
JOB_START_DELAY = 0
MAX_JOBS_RUNNING = 200
PERIODIC_EXPR_INTERVAL = 5
SYSTEM_PERIODIC_REMOVE = False
JOB_DEFAULT_REQUESTMEMORY = 1
JOB_DEFAULT_REQUESTDISK = 1
HISTORY = \$(SPOOL)/history
CREDD_HOST =
DISCARD_SESSION_KEYRING_ON_STARTUP = False
C
}
v_up() {
    need_root
    mkdir -p "$D"
    get_condor
    tb_user
    write_conf
    export PATH=$R/usr/bin:$R/usr/sbin:$PATH
    stamp_start
    daemon master "$R/usr/sbin/condor_master" -f
    wait_for 60 slots_ready || {
        v_status
        tail -5 "$D"/local/log/MasterLog
        die "pool did not come up; logs in $D/local/log"
    }
    stamp "up, ${TB_CONDOR_SLOTS:-8} slots"
}
slots_ready() { [ "$(condor_status -af Name 2>/dev/null | wc -l)" -ge "${TB_CONDOR_SLOTS:-8}" ] && condor_q >/dev/null 2>&1; }
v_status() {
    export PATH=$R/usr/bin:$R/usr/sbin:$PATH
    if alive master; then
        say "master up, pid $(pid_of master), all daemons $(rss_of "$(pid_of master)" $(pgrep -P "$(pid_of master)")) MiB"
        condor_status -compact 2>&1 | tail -8
        condor_q -allusers 2>&1 | tail -4
    else
        say down
        return 1
    fi
}
v_down() {
    need_root
    export PATH=$R/usr/bin:$R/usr/sbin:$PATH
    alive master && {
        timeout 10 condor_rm -all >/dev/null 2>&1
        sleep 1
        timeout 10 condor_off -fast -master >/dev/null 2>&1
        wait_for 15 eval "! [ -d /proc/$(pid_of master) ]"
    }
    stop master 20
    wait_for 20 eval "[ -z \"\$(ss -ltnH 'sport = :$PORT')\" ]" # else the next pool can't listen there
    rm -rf "$D/local" "$D/log"
    say "down (packages kept in $R)"
}
v_purge() {
    v_down
    rm -rf "$D"
}
v_env() { printf 'export CONDOR_CONFIG=%s PATH=%s/usr/bin:%s/usr/sbin:$PATH\n' "$CONDOR_CONFIG" "$R" "$R"; }
sub() {
    export PATH=$R/usr/bin:$R/usr/sbin:$PATH
    "$@"
}
v_startd_stop() { sub condor_off -fast -daemon startd; }
v_startd_start() { sub condor_on -daemon startd; }
v_schedd_stop() { sub condor_off -fast -daemon schedd; }
v_schedd_start() { sub condor_on -daemon schedd; }

v_check() {
    alive master || die "not up"
    export PATH=$R/usr/bin:$R/usr/sbin:$PATH
    local w out id r
    w=$(as_user mktemp -d "/tmp/tbcondor.XXXXXX")
    cd "$w" || exit 1
    cat >a.sub <<'S'
universe = vanilla
executable = /bin/sh
transfer_executable = False
arguments = "-c 'echo proc $(Process) of $(Cluster) on host user `id -un` X=$TBX; exit $(Process)'"
environment = "TBX='hello world'"
output = out.$(Cluster).$(Process)
error = err.$(Cluster).$(Process)
log = a.log
queue 3
S
    out=$(as_user sh -c "cd $w && condor_submit a.sub" 2>&1)
    has 'condor_submit message' '^3 job\(s\) submitted to cluster [0-9]+\.$' "$out"
    id=$(sed -n 's/.*cluster \([0-9]*\)\.$/\1/p' <<<"$out")
    t 'three processes finish (user)' wait_for 60 eval "[ \$(condor_history $id -af ProcId 2>/dev/null | wc -l) = 3 ]"
    has 'output' "proc 2 of $id on host user $TB_USER X=hello world" "$(cat out."$id".2 err."$id".2 2>/dev/null)"
    out=$(condor_history "$id" -constraint 'ProcId==2' -af ProcId JobStatus ExitCode 2>&1)
    has 'exit codes by condor_history' '^2 4 2 ?$' "$out"
    printf 'executable=/bin/sleep\narguments=300\ntransfer_executable=False\nlog=s.log\nqueue\n' >s.sub
    id=$(as_user sh -c "cd $w && condor_submit -terse s.sub" | sed 's/\..*//')
    t 'job runs' wait_for 30 eval "[ \"\$(condor_q $id -af JobStatus)\" = 2 ]"
    out=$(as_user condor_rm "$id" 2>&1)
    has 'condor_rm' "All jobs in cluster $id have been marked for removal" "$out"
    t 'removed' wait_for 20 eval "[ \"\$(condor_history $id -af JobStatus)\" = 3 ]"
    out=$(condor_submit s.sub 2>&1)
    has 'root may not submit' 'ERROR' "$out"
    r=$(ss -ltnpH 2>/dev/null | grep condor_ | awk '{print $4}' | grep -v '^127\.')
    t 'listens on loopback only' test -z "$r"
    cd /
    rm -rf "$w"
    t_end
}
tb_main "$@"
