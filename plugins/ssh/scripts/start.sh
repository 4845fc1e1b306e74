# Functions of the script that starts processes; the calls follow.
umask 077
case $ipc_profile in /*) ;; *) ipc_profile=$home/$ipc_profile ;; esac

# session: what gives a command a session of its own, in the background. "&" would
# leave it deaf to interrupts: a shell without job control starts such commands
# with SIGINT ignored. The second setsid finds itself leading a group and forks.
if command -v setsid >/dev/null 2>&1; then
	session() { setsid setsid "$@"; }
elif command -v perl >/dev/null 2>&1; then
	session() { perl -MPOSIX=setsid -e 'fork and exit 0; setsid(); exec @ARGV; exit 127' -- "$@"; }
elif command -v python3 >/dev/null 2>&1; then
	session() { python3 -c 'import os,sys
if os.fork(): os._exit(0)
os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"; }
else
	die "there is no setsid, perl or python3 to start a process in the background with"
fi

# ipc_leader is the first process of a session: it waits for the command and writes
# down its exit code next to the log. Traps, unlike ignored signals, are not inherited.
# The command comes in a variable: ps would show it twice.
ipc_leader='
echo "pid $$"
exec >>"$0" 2>&1
trap : HUP INT QUIT TERM USR1 USR2 ALRM PIPE
eval "set -- $ipc_command"
unset ipc_leader ipc_command ipc_profile
"$@"
echo "$?" >"$0.exit.new" && mv -f "$0.exit.new" "$0.exit"
'

# environ exports what processes are to have; it is called in a subshell only, where
# it can't disturb this script.
environ() { :; }

# launch INDEX LOG COMMAND: the command is quoted for a shell.
launch() {
	i=$1 ipc_log=$2
	mkdir -p "${ipc_log%/*}" && { true >>"$ipc_log"; } 2>/dev/null || die "$ipc_log cannot be written"
	rm -f "$ipc_log.exit"
	set -- "$ipc_leader" "$ipc_log" "$3" "$ipc_profile" # which no variable of environ replaces
	out=$(environ && ipc_leader=$1 ipc_command=$3 ipc_profile=$4 && export ipc_leader ipc_command ipc_profile &&
		session sh -c 'eval "$ipc_leader"' "$2" 2>&1 </dev/null)
	case $out in
	'pid '*[!0-9]*) die "$out" ;;
	'pid '*) ;;
	*) die "${out:-the environment cannot be set}" ;;
	esac
	p=${out#pid }
	birth "$p" || b=-
	say "started $i $p $b $ipc_log"
}

# program NAME: there is such a program.
program() { (environ && command -v "$1" >/dev/null 2>&1) || die "no-program $1"; }

# put FILE: its content is to be $content, which no other user may see.
put() {
	if [ -f "$1" ] && [ "$(cat "$1")" = "$content" ]; then return; fi
	mkdir -p "${1%/*}" && cat >"$1.$$" <<. && mv -f "$1.$$" "$1" || die "$1 cannot be written"
$content
.
	say "made $1"
}
