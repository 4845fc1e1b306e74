#!/usr/bin/env bash
# Emulators of batch systems that cannot be installed from Debian (and, with fault injection, of those that can):
#   lsf        bsub bjobs bkill bqueues bhosts bpeek lsid
#   pbs        qsub qstat qdel qsig qselect pbsnodes   (OpenPBS; TB_FAKE_PBS_FLAVOR=torque for Torque)
#   htcondor   condor_submit condor_q condor_rm condor_history condor_hold condor_release condor_status condor_version
#   winhpc     job, job.exe   (HPC Pack)
# Jobs are real processes of the calling user; nothing listens on the network; no root needed.
#
#   fake.sh up [SYSTEM...]               make the commands' directory (all systems without arguments)
#   eval "$(fake.sh env lsf)"            that directory first in PATH
#   fake.sh fault lsf query=down,run=die:2     faults for everybody until `fake.sh fault lsf` (nothing) clears them;
#                                        per command: TB_FAKE_FAULT=submit=reject bsub ...   (list: fake/core.py)
#   fake.sh down [SYSTEM...]             end all jobs, forget everything
TB_NAME=fake
TB_EXTRA='fault SYSTEM SPEC'
. "$(dirname "$0")/lib.sh"
export TB_FAKE_STATE=${TB_FAKE_STATE:-$TB_STATE/fake}
LIB=$TB_HERE/fake
PY=/usr/bin/python3
[ -x $PY ] || PY=$(command -v python3)
cmds() { case $1 in
    lsf) echo bsub bjobs bkill bqueues bhosts bpeek lsid ;;
    pbs) echo qsub qstat qdel qsig qselect pbsnodes ;;
    htcondor) echo condor_submit condor_q condor_rm condor_history condor_hold condor_release condor_status condor_version ;;
    winhpc) echo job job.exe ;; *) die "unknown system $1" ;; esac }
systems() { if [ $# = 0 ]; then echo lsf pbs htcondor winhpc; else echo "$*"; fi; }
v_up() {
    local s c b old
    [ -n "$PY" ] || {
        apt_need python3
        PY=/usr/bin/python3
    }
    old=$(umask)
    umask 0
    mkdir -p -m 1777 "$TB_FAKE_STATE"
    umask "$old"
    chmod 755 "$TB_STATE" 2>/dev/null
    for s in $(systems "$@"); do
        b=$TB_FAKE_STATE/$s/bin
        (
            umask 0
            mkdir -p -m 1777 "$TB_FAKE_STATE/$s"
        )
        mkdir -p "$b"
        for c in $(cmds "$s"); do
            printf '#!/bin/sh\nexec env TB_FAKE_STATE="%s" %s -B "%s" %s "$@"\n' "$TB_FAKE_STATE" "$PY" "$LIB/$s.py" "$c" >"$b/$c"
            chmod 755 "$b/$c"
        done
    done
    say "up: $(systems "$@")"
}
v_status() {
    local s n rc=0
    for s in $(systems "$@"); do
        if [ -d "$TB_FAKE_STATE/$s/bin" ]; then
            n=$(ls "$TB_FAKE_STATE/$s/spool" 2>/dev/null | grep -c '\.pid$')
            say "$s up, $n unfinished jobs, faults: $(cat "$TB_FAKE_STATE/$s/faults" 2>/dev/null || echo none)"
        else
            say "$s down"
            rc=1
        fi
    done
    return $rc
}
v_down() {
    local s f p i
    for s in $(systems "$@"); do
        for f in "$TB_FAKE_STATE/$s"/spool/*.pid; do
            [ -e "$f" ] || continue
            p=$(cat "$f")
            i=$(basename "$f" .pid)
            grep -q -- "--supervise" "/proc/$p/cmdline" 2>/dev/null || continue
            (umask 0 && touch "$TB_FAKE_STATE/$s/req/$i.all.kill.0.0") # the supervisor takes it away at once
        done
        for f in "$TB_FAKE_STATE/$s"/spool/*.pid; do
            [ -e "$f" ] || continue
            p=$(cat "$f" 2>/dev/null) || continue
            wait_for 4 eval "! [ -d /proc/$p ]" || kill -9 "$p" 2>/dev/null
        done
        rm -rf "${TB_FAKE_STATE:?}/$s"
    done
    rmdir "$TB_FAKE_STATE" 2>/dev/null
    say "down: $(systems "$@")"
}
v_env() {
    local s p=
    for s in $(systems "$@"); do p=$p$TB_FAKE_STATE/$s/bin:; done
    echo "export PATH=$p\$PATH TB_FAKE_STATE=$TB_FAKE_STATE"
}
v_fault() {
    [ $# -ge 1 ] || die "fault SYSTEM SPEC"
    rm -rf "$TB_FAKE_STATE/$1/count"
    if [ -n "${2:-}" ]; then
        echo "$2" >"$TB_FAKE_STATE/$1/faults"
        chmod 666 "$TB_FAKE_STATE/$1/faults"
    else rm -f "$TB_FAKE_STATE/$1/faults"; fi
}
v_check() {
    local s
    for s in $(systems "$@"); do
        [ -d "$TB_FAKE_STATE/$s/bin" ] || die "$s is not up"
        eval "$(v_env "$s")"
        . "$LIB/check-$s.sh"
    done
    t_end
}
tb_main "$@"
