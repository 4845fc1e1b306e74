#!/usr/bin/env bash
# Several "machines" reachable by real OpenSSH on one host, loopback only, no systemd.
#   h1..hN      same file system, own host name (UTS namespace), 127.0.0.31..        (default N=4)
#   iso1 iso2   nothing shared: own network (only its own 127.0.0.1), own process table, own empty /tmp, /home and
#               /root (and every directory in TB_SSH_HIDE=dir:dir), own host name; on 127.0.0.41.. through socat.
#               The launcher's 127.0.0.1 cannot be reached from there: only tunnels over ssh work.
#   hkey        h1 with a wrong host key in known_hosts   (ssh fails: host key verification failed, exit 255)
#   hdeny       h1 with a key it does not accept          (ssh fails: Permission denied (publickey), exit 255)
#   hnone       nobody listens                            (ssh fails: Connection refused, exit 255)
# Users: the test user and root, one generated key. As an ordinary user: h1..hN only, and only that user.
#
#   ssh.sh up [N];  ssh -F "$TB_SSH_CONFIG" h1 hostname   after   eval "$(ssh.sh env)"
#   TB_SSH_GLOBAL=1 ssh.sh up     also includes the fragment in /etc/ssh/ssh_config.d (plain `ssh h1` works, root only)
#   ssh.sh host-down h3 | host-up h3      no longer listens (refused), its sessions die
#   ssh.sh host-hang h3 | host-wake h3    accepts and says nothing (ConnectTimeout territory)
TB_NAME=ssh
TB_EXTRA='host-down H|host-up H|host-hang H|host-wake H'
. "$(dirname "$0")/lib.sh"
D=$TB_DIR
PORT=${TB_SSH_PORT:-22022}
[ "$(id -u)" = 0 ] && ROOT=1 || {
    ROOT=0
    D=$TB_DIR-$(id -un)
    TB_DIR=$D
    TB_USER=$(id -un)
}
nhosts() { cat "$D/n" 2>/dev/null || echo 4; }
addr() { case $1 in h[0-9]*) echo 127.0.0.$((30 + ${1#h})) ;; iso*) echo 127.0.0.$((40 + ${1#iso})) ;; esac }
ALL() {
    seq -f 'h%g' "$(nhosts)"
    [ $ROOT = 1 ] && printf 'iso1\niso2\n'
}

write_conf() {
    local n=$1 h i
    mkdir -p "$D/log"
    chmod 755 "$TB_STATE" "$D"
    echo "$n" >"$D/n"
    for i in host key other; do [ -f "$D/$i" ] || ssh-keygen -q -t ed25519 -N '' -C "testbed-$i" -f "$D/$i"; done
    chown "$TB_USER" "$D/key" "$D/other"
    chmod 600 "$D/key" "$D/other" "$D/host" # root may read the user's key as well
    install -m 644 "$D/key.pub" "$D/authorized_keys"
    cat >"$D/sshd_config" <<C
HostKey $D/host
AuthorizedKeysFile $D/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin prohibit-password
StrictModes no
PidFile none
PrintMotd no
X11Forwarding no
AcceptEnv LANG LC_* TB_*
MaxStartups 100:30:200
UseDNS no
Subsystem sftp internal-sftp
C
    : >"$D/ssh_config"
    : >"$D/known_hosts"
    for h in $(ALL); do
        printf '[%s]:%s %s\n' "$(addr "$h")" "$PORT" "$(cut -d' ' -f1,2 "$D/host.pub")" >>"$D/known_hosts"
        printf 'Host %s\n  HostName %s\n' "$h" "$(addr "$h")" >>"$D/ssh_config"
    done
    printf '[127.0.0.31]:%s %s\n' "$PORT" "$(cut -d' ' -f1,2 "$D/other.pub")" >"$D/known_wrong"
    {
        printf 'Host hkey\n  HostName 127.0.0.31\n  UserKnownHostsFile %s\n' "$D/known_wrong"
        printf 'Host hdeny\n  HostName 127.0.0.31\n  IdentityFile %s\n' "$D/other"
        printf 'Host hnone\n  HostName 127.0.0.49\n'
        printf 'Host %s hkey hnone\n  IdentityFile %s\n' "$(ALL | tr '\n' ' ')" "$D/key"
        printf 'Host %s hkey hdeny hnone\n  Port %s\n  UserKnownHostsFile %s\n' "$(ALL | tr '\n' ' ')" "$PORT" "$D/known_hosts"
        printf '  %s\n' 'GlobalKnownHostsFile none' 'StrictHostKeyChecking yes' 'IdentitiesOnly yes' 'IdentityAgent none' \
            'BatchMode yes' 'ConnectTimeout 10'
    } >>"$D/ssh_config"
    chmod 644 "$D"/{ssh_config,known_hosts,known_wrong,sshd_config,authorized_keys}
}
start_host() {
    local h=$1 i p
    case $h in
    h*) if [ $ROOT = 1 ]; then
        daemon "$h" unshare --uts sh -c "hostname $h && exec /usr/sbin/sshd -D -e -f '$D/sshd_config' -o ListenAddress=$(addr "$h"):$PORT"
    else daemon "$h" /usr/sbin/sshd -D -e -f "$D/sshd_config" -o "ListenAddress=$(addr "$h"):$PORT"; fi ;;
    iso*)
        i=$h
        daemon "$h-ns" unshare --net --mount --uts --pid --fork --kill-child --mount-proc sh -c "
        hostname $i; ip link set lo up
        mkdir -p '$D/empty'; home=\$(getent passwd $TB_USER | cut -d: -f6)
        for d in /tmp /home /root \$(echo '${TB_SSH_HIDE:-}' | tr : ' '); do mount -t tmpfs -o size=256m,mode=755 tmpfs \$d; done
        chmod 1777 /tmp; chmod 700 /root; mkdir -p \$home; chown $TB_USER: \$home; chmod 755 \$home
        touch '$D/$i.ready'; exec sleep infinity"
        wait_for 10 test -e "$D/$i.ready" || die "cannot make namespaces for $h: $(cat "$D/log/$h-ns.out")"
        p=$(pgrep -P "$(pid_of "$h-ns")" | head -1)
        daemon "$h" socat "TCP-LISTEN:$PORT,bind=$(addr "$h"),fork,reuseaddr" \
            "EXEC:nsenter -t $p --net --mount --uts --pid /usr/sbin/sshd -i -f $D/sshd_config"
        ;;
    esac
}
stop_host() { # the listener, then whatever it still serves
    local p
    p=$(pid_of "$1")
    if [ "$ROOT" = 1 ] && [ -n "$p" ] && [ "${1#h}" != "$1" ]; then
        local ns s
        ns=$(readlink "/proc/$p/ns/uts")
        stop "$1" 2
        for s in $(pgrep -f '^sshd: '); do [ "$(readlink "/proc/$s/ns/uts")" = "$ns" ] && kill -9 "$s"; done
    else stop "$1" 2; fi
    stop "$1-ns" 2
    rm -f "$D/$1.ready"
}
talks() { timeout 3 bash -c "exec 3<>/dev/tcp/$(addr "$1")/$PORT && read -t 2 l <&3 && [[ \$l == SSH-* ]]"; }

v_up() {
    apt_need openssh-server openssh-client
    stamp_start
    if [ $ROOT = 1 ]; then
        apt_need socat iproute2
        tb_user
        usermod -p '*' "$TB_USER"
        mkdir -p /run/sshd
    fi # '*': no password, but not locked
    alive h1 || write_conf "${1:-4}"
    local h
    for h in $(ALL); do # a controller on one says where it is by its name
        case $h in h*) [ $ROOT = 0 ] || hosts_add "$(addr "$h")" "$h" ;; esac
    done
    for h in $(ALL); do alive "$h" || start_host "$h"; done
    for h in $(ALL); do wait_for 15 talks "$h" || die "$h does not answer: $(tail -2 "$D/log/$h.out")"; done
    if [ "${TB_SSH_GLOBAL:-0}" = 1 ] && [ $ROOT = 1 ]; then ln -sfn "$D/ssh_config" /etc/ssh/ssh_config.d/testbed.conf; fi
    stamp "up, $(ALL | tr '\n' ' ')"
}
v_status() {
    local h up=0 n=0
    for h in $(ALL); do
        n=$((n + 1))
        if talks "$h" 2>/dev/null; then
            up=$((up + 1))
            say "$h up on $(addr "$h"):$PORT, pid $(pid_of "$h"), $(rss_of "$(pid_of "$h")") MiB"
        else say "$h down"; fi
    done
    [ $up = $n ]
}
v_down() {
    local h
    for h in $(ALL); do stop_host "$h"; done
    [ "$(readlink /etc/ssh/ssh_config.d/testbed.conf 2>/dev/null)" = "$D/ssh_config" ] && rm -f /etc/ssh/ssh_config.d/testbed.conf
    [ $ROOT = 0 ] || hosts_clean
    rm -rf "$D"
    say down
}
v_env() {
    echo "export TB_SSH_CONFIG=$D/ssh_config TB_SSH_KEY=$D/key TB_SSH_KNOWN_HOSTS=$D/known_hosts TB_SSH_PORT=$PORT" \
        "TB_SSH_HOSTS=\"$(ALL | tr '\n' ' ')\" TB_SSH_USER=$TB_USER"
}
v_host_down() {
    stop_host "$1"
    say "$1 down"
}
v_host_up() {
    start_host "$1"
    wait_for 10 talks "$1" && say "$1 up"
}
v_host_hang() {
    kill -STOP "$(pid_of "$1")"
    say "$1 hangs"
}
v_host_wake() {
    kill -CONT "$(pid_of "$1")"
    say "$1 awake"
}

v_check() {
    alive h1 || die "not up"
    local S="ssh -F $D/ssh_config" out w u
    w=$(mktemp -d /tmp/tbssh.XXXXXX)
    chmod 777 "$w"
    echo payload >"$w/f"
    u=$TB_USER
    run() { if [ $ROOT = 1 ]; then as_user "$@"; else "$@"; fi; }
    has 'ssh as the test user' "^$([ $ROOT = 1 ] && echo h2 || hostname) $u\$" "$(run $S h2 'echo $(hostname) $(id -un)' 2>&1)"
    run $S h1 'exit 7'
    t 'remote exit code' test $? = 7
    t 'scp' run scp -q -F "$D/ssh_config" "$w/f" "h2:$w/g"
    t 'scp arrived' grep -q payload "$w/g"
    out=$(run sh -c "$S -fN -M -S $w/cm h1 && $S -S $w/cm -O check h1; $S -S $w/cm h1 echo over-master; $S -S $w/cm -O exit h1" 2>&1)
    has 'ControlMaster' 'Master running' "$out"
    has 'command over the master' 'over-master' "$out"
    out=$(run $S hkey true 2>&1)
    t "wrong host key gives 255" test $? = 255
    has 'wrong host key' 'Host key verification failed' "$out"
    out=$(run $S hdeny true 2>&1)
    has 'refused key' 'Permission denied \(publickey\)' "$out"
    out=$(run $S hnone true 2>&1)
    has 'nobody there' 'Connection refused' "$out"
    if [ $ROOT = 1 ]; then
        has 'ssh as root' '^h1 root$' "$($S root@h1 'echo $(hostname) $(id -un)' 2>&1)"
        has 'iso1 sees no shared file' 'iso1 no-file' "$(run $S iso1 "echo \$(hostname); test -e $w/f && echo shared || echo no-file" 2>&1 | tr '\n' ' ')"
        t 'scp to iso1' run scp -q -F "$D/ssh_config" "$w/f" iso1:/tmp/g
        has 'file is there, private' payload "$(run $S iso1 cat /tmp/g 2>&1)"
        t 'and not here' test ! -e /tmp/g
        python3 -m http.server --bind 127.0.0.1 -d "$w" 22999 >/dev/null 2>&1 &
        local hp=$!
        wait_for 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/22999'
        out=$(run $S iso1 'timeout 3 bash -c "exec 3<>/dev/tcp/127.0.0.1/22999" 2>&1 && echo reached || echo cut-off')
        has 'iso1 cannot reach our loopback' 'cut-off' "$out"
        out=$(run $S -R 127.0.0.1:22999:127.0.0.1:22999 iso1 'exec 3<>/dev/tcp/127.0.0.1/22999; printf "GET /f HTTP/1.0\r\n\r\n" >&3; cat <&3' 2>&1)
        has 'reverse tunnel (-R) does' payload "$out"
        kill $hp 2>/dev/null
        wait $hp 2>/dev/null
        v_host_hang h2 >/dev/null
        out=$(run $S -o ConnectTimeout=2 h2 true 2>&1)
        has 'hung host times out' 'timed out|Connection timed out during banner' "$out"
        v_host_wake h2 >/dev/null
    fi
    rm -rf "$w"
    t_end
}
tb_main "$@"
