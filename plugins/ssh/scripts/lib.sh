# What every script here begins with. It runs in any POSIX shell: dash, busybox, bash, ksh.
# T is a word of this one call; only lines that begin with it are read.
say() { printf '%s %s\n' "$T" "$*"; }
die() { say "error $*"; exit 0; }

# birth PID: when the process began, into b; fails when it does not live.
birth() {
	b=
	if [ -e /proc/self/stat ]; then
		l=
		{ read -r l <"/proc/$1/stat"; } 2>/dev/null
		[ -n "$l" ] || return 1
		# The name may hold anything; what counts begins behind the last bracket.
		stat_of ${l##*") "}
		case $state in Z | X | x) return 1 ;; esac
	else
		l=$(LC_ALL=C TZ=UTC0 ps -o state= -o lstart= -p "$1" 2>/dev/null) || return 1
		case $l in '' | Z*) return 1 ;; esac
		b=$(echo ${l#? } | tr ' ' _)
	fi
}
stat_of() {
	state=$1 session=$4
	shift 19
	b=$1
}

# members SESSION...: the living processes of these sessions, into m.
members() {
	m= sessions=" $* "
	if [ -e /proc/self/stat ]; then
		for f in /proc/[0-9]*/stat; do
			l=
			{ read -r l <"$f"; } 2>/dev/null
			[ -n "$l" ] || continue
			stat_of ${l##*") "}
			case $sessions in *" $session "*) ;; *) continue ;; esac
			case $state in Z | X | x) continue ;; esac
			f=${f%/stat}
			m="$m ${f#/proc/}"
		done
	else
		m=$(LC_ALL=C ps -A -o pid= -o pgid= -o state= | while read -r p g s; do
			case $s in Z*) continue ;; esac
			case $sessions in *" $g "*) printf ' %s' "$p" ;; esac
		done)
	fi
}

# followers SESSION...: the same without the leaders, which only wait and write
# down the exit code.
followers() {
	members "$@"
	all=$m m=
	for p in $all; do
		case $sessions in *" $p "*) ;; *) m="$m $p" ;; esac
	done
}

# ours PID BIRTH: the number is not another process's now.
ours() { ! birth "$1" || [ "$2" = - ] || [ "$b" = "$2" ]; }

# runs PID BIRTH: the process lives, or what it left in its session.
runs() {
	if birth "$1"; then
		[ "$2" = - ] || [ "$b" = "$2" ]
	else
		members "$1"
		[ -n "$m" ]
	fi
}

# tail_of FILE: its last lines, each behind the word and a bar.
tail_of() { if [ -f "$1" ]; then tail -c 16384 "$1" | LC_ALL=C sed "s/^/$T | /" && echo; fi; }

# nap: a tenth of a second, or a whole one where sleep knows no less; counts in n.
nap() {
	if sleep 0.1 2>/dev/null; then n=$((n + 1)); else
		sleep 1
		n=$((n + 10))
	fi
}

# where: which machine this is, and which start of it.
where() {
	boot=
	{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
	say "host $(uname -n) ${boot:--}"
}

cd || die "there is no home folder"
home=$(pwd)
