# shellcheck shell=bash
# lib.sh: what the testbed scripts share. Sourced, not run.
#
#   TESTBED_STATE   where daemons keep configuration, spool, logs and pid files (/var/tmp/testbed)
#   TESTBED_USER    the ordinary user that jobs are submitted as (tbuser)
#
# Packages are installed only as root and with CI=true or INSTALL=1.
set -u
TB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TB_STATE=${TESTBED_STATE:-/var/tmp/testbed}
TB_USER=${TESTBED_USER:-tbuser}
TB_NAME=${TB_NAME:-$(basename "$0" .sh)}
TB_DIR=$TB_STATE/$TB_NAME
TB_FAILS=0
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s: %s\n' "$TB_NAME" "$*"; }
die() {
    printf '%s: ERROR: %s\n' "$TB_NAME" "$*" >&2
    exit 1
}
need_root() { [ "$(id -u)" = 0 ] || die "run as root (daemons must be able to start jobs as other users)"; }

# PASS/FAIL lines for `check`; t_end gives the exit status.
ok() { printf 'PASS %s: %s\n' "$TB_NAME" "$*"; }
bad() {
    printf 'FAIL %s: %s\n' "$TB_NAME" "$*"
    TB_FAILS=$((TB_FAILS + 1))
}
t() {
    local what=$1
    shift
    if "$@"; then ok "$what"; else bad "$what"; fi
}
has() {
    local what=$1 want=$2 got=$3 # has WHAT EXTENDED-REGEX TEXT
    if grep -Eq -- "$want" <<<"$got"; then ok "$what"; else bad "$what (wanted /$want/, got: $(head -c 400 <<<"$got"))"; fi
}
t_end() {
    if [ "$TB_FAILS" = 0 ]; then
        printf 'PASS %s: all checks\n' "$TB_NAME"
    else
        printf 'FAIL %s: %s check(s)\n' "$TB_NAME" "$TB_FAILS"
        return 1
    fi
}

# wait_for SECONDS COMMAND...  polls every 0.2 s
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -ge $end ] && return 1
        sleep 0.2
    done
}

# may_install WHAT: continues only where packages may be installed.
may_install() {
    if [ "$(id -u)" = 0 ] && { [ "${CI:-}" = true ] || [ "${INSTALL:-}" = 1 ]; } && command -v apt-get >/dev/null; then return 0; fi
    die "missing: $*; on Debian 12, as root: INSTALL=1 test/testbed/$TB_NAME.sh up"
}

# apt_need PACKAGE...: installs what is missing, without letting maintainer scripts start daemons
# (they would listen on every interface).
apt_need() {
    local p miss=() log=/tmp/testbed-apt.$$
    for p in "$@"; do [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || miss+=("$p"); done
    [ ${#miss[@]} = 0 ] && return 0
    may_install "${miss[@]}"
    local made=0 rc=0
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        made=1
    fi
    say "installing ${miss[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${miss[@]}" >"$log" 2>&1 ||
        {
            apt-get update -q >/dev/null 2>&1
            apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${miss[@]}" >"$log" 2>&1
        } || rc=$?
    [ $made = 1 ] && rm -f /usr/sbin/policy-rc.d
    [ $rc = 0 ] || {
        tail -5 "$log" >&2
        die "apt-get install failed"
    }
    rm -f "$log"
}

tb_user() { id "$TB_USER" >/dev/null 2>&1 || useradd -m -s /bin/bash "$TB_USER"; }
as_user() { # as_user COMMAND... : run as the ordinary user in its own home, PATH and the testbed's variables kept
    local h
    h=$(getent passwd "$TB_USER" | cut -d: -f6)
    (cd "$h" && HOME=$h USER=$TB_USER LOGNAME=$TB_USER setpriv --reuid "$TB_USER" --regid "$(id -g "$TB_USER")" --init-groups "$@")
}

# daemon NAME COMMAND... : start detached, pid in $TB_DIR/NAME.pid, output in $TB_DIR/log/NAME.out
daemon() {
    local n=$1
    shift
    mkdir -p "$TB_DIR/log"
    alive "$n" && return 0
    setsid "$@" >"$TB_DIR/log/$n.out" 2>&1 </dev/null &
    echo $! >"$TB_DIR/$n.pid"
}
pid_of() { cat "$TB_DIR/$1.pid" 2>/dev/null; }
alive() {
    local p
    p=$(pid_of "$1") && [ -n "$p" ] && [ -d "/proc/$p" ] && ! grep -q '^State:.Z' "/proc/$p/status" 2>/dev/null
}
# stop NAME [SECONDS]: TERM the recorded pid, KILL it if it will not go
stop() {
    local p
    p=$(pid_of "$1") || return 0
    if [ -n "$p" ] && [ -d "/proc/$p" ]; then
        kill "$p" 2>/dev/null
        wait_for "${2:-10}" eval "! [ -d /proc/$p ] || grep -q '^State:.Z' /proc/$p/status" || kill -9 "$p" 2>/dev/null
    fi
    rm -f "$TB_DIR/$1.pid"
}
# kill_node PID: the "machine" of PID dies: every process of its UTS namespace (never this shell's own) is killed at once
kill_node() {
    local ns d
    ns=$(readlink "/proc/$1/ns/uts") || return 0
    [ -n "$ns" ] && [ "$ns" != "$(readlink /proc/self/ns/uts)" ] || return 0
    for d in /proc/[0-9]*; do [ "$(readlink "$d/ns/uts" 2>/dev/null)" = "$ns" ] && kill -9 "${d#/proc/}" 2>/dev/null; done
    return 0
}
stamp_start() { TB_T0=$(date +%s%N); }
stamp() { say "$1 in $((($(date +%s%N) - TB_T0) / 1000000)) ms"; }
# rss_of PID... : resident memory in MiB, all together
rss_of() {
    local k=0 p v
    for p in "$@"; do
        v=$(awk '/^VmRSS/{print $2}' "/proc/$p/status" 2>/dev/null)
        k=$((k + ${v:-0}))
    done
    echo $((k / 1024))
}

# A preload for daemons that have no option for it: bind(0.0.0.0) becomes bind(BINDLO_ADDR, default 127.0.0.1),
# and a connection to another loopback address starts from BINDLO_ADDR (so the peer sees the right "host").
bindlo() {
    local so=$TB_STATE/bindlo.so
    [ -e "$so" ] && {
        echo "$so"
        return
    }
    command -v cc >/dev/null || apt_need gcc libc6-dev >&2
    mkdir -p "$TB_STATE"
    cat >"$TB_STATE/bindlo.c" <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
static int (*rb)(int, const struct sockaddr *, socklen_t);
static int (*rc)(int, const struct sockaddr *, socklen_t);
static in_addr_t me(void) { const char *s = getenv("BINDLO_ADDR"); return s && *s ? inet_addr(s) : htonl(INADDR_LOOPBACK); }
static void init(void) { if (!rb) { rb = dlsym(RTLD_NEXT, "bind"); rc = dlsym(RTLD_NEXT, "connect"); } }
int bind(int fd, const struct sockaddr *a, socklen_t n) {
  init();
  if (a && a->sa_family == AF_INET && n >= sizeof(struct sockaddr_in)) {
    struct sockaddr_in b = *(const struct sockaddr_in *)a;
    if (b.sin_addr.s_addr == htonl(INADDR_ANY)) { b.sin_addr.s_addr = me(); return rb(fd, (struct sockaddr *)&b, sizeof b); }
  } else if (a && a->sa_family == AF_INET6 && n >= sizeof(struct sockaddr_in6)) {
    struct sockaddr_in6 b = *(const struct sockaddr_in6 *)a;
    if (IN6_IS_ADDR_UNSPECIFIED(&b.sin6_addr)) { b.sin6_addr = in6addr_loopback; return rb(fd, (struct sockaddr *)&b, sizeof b); }
  }
  return rb(fd, a, n);
}
int connect(int fd, const struct sockaddr *a, socklen_t n) {
  init();
  if (a && a->sa_family == AF_INET && getenv("BINDLO_ADDR") && (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24) == 127) {
    struct sockaddr_in s; socklen_t l = sizeof s;
    if (!getsockname(fd, (struct sockaddr *)&s, &l) && s.sin_family == AF_INET && s.sin_port == 0 &&
        s.sin_addr.s_addr == htonl(INADDR_ANY)) {
      s.sin_addr.s_addr = me(); rb(fd, (struct sockaddr *)&s, sizeof s);
    }
  }
  return rc(fd, a, n);
}
C
    cc -O1 -shared -fPIC -o "$so" "$TB_STATE/bindlo.c" -ldl || die "cannot compile the bind preload"
    chmod 755 "$so"
    echo "$so"
}

# /etc/hosts lines of a testbed (only where the name does not resolve yet); hosts_clean NAME removes them again
hosts_add() { getent hosts "$2" >/dev/null || printf '%s %s # testbed %s\n' "$1" "$2" "$TB_NAME" >>/etc/hosts; }
hosts_clean() {
    grep -q "# testbed $TB_NAME\$" /etc/hosts || return 0
    grep -v "# testbed $TB_NAME\$" /etc/hosts >"$TB_STATE/hosts.$$"
    cat "$TB_STATE/hosts.$$" >/etc/hosts
    rm -f "$TB_STATE/hosts.$$"
}

# verbs: dispatch up/status/down/check/env to v_* functions
tb_main() {
    local verb=${1:-}
    [ $# -gt 0 ] && shift
    [ "$verb" != up ] || "$TB_HERE/ports.sh"
    case $verb in
    up | status | down | check | env) "v_$verb" "$@" ;;
    restart)
        v_down "$@"
        v_up "$@"
        ;;
    *)
        if [ -n "$verb" ] && declare -F "v_${verb//-/_}" >/dev/null; then
            "v_${verb//-/_}" "$@"
        else
            printf 'usage: %s {up|status|down|check|env|restart%s}\n' "$(basename "$0")" "${TB_EXTRA:+|$TB_EXTRA}" >&2
            exit 2
        fi
        ;;
    esac
}
