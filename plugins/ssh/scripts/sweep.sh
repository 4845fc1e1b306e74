# marked NAME: the processes with this variable in their environment.
marked() {
	[ -e /proc/self/environ ] || die "this system does not show the environment of processes"
	for f in $(grep -ls "$1=" /proc/[0-9]*/environ 2>/dev/null); do
		p=${f#/proc/}
		p=${p%/environ}
		birth "$p" || continue
		value=$(tr '\0' '\n' <"$f" 2>/dev/null | sed -n "s/^$1=//p")
		[ -n "$value" ] || continue
		words=$(tr '\0\n\r\033' '    ' <"/proc/$p/cmdline" 2>/dev/null | cut -c1-120)
		say "marked $p $b $value $words"
	done
}

# remove PID BIRTH: ends one process that is still the same.
remove() {
	birth "$1" && [ "$b" = "$2" ] || return
	kill -s TERM "$1" 2>/dev/null
	n=0
	while birth "$1" && [ "$b" = "$2" ] && [ $n -lt 30 ]; do nap; done
	birth "$1" && [ "$b" = "$2" ] && kill -s KILL "$1" 2>/dev/null
	n=0
	while birth "$1" && [ "$b" = "$2" ]; do
		[ $n -lt 20 ] || { say "left $1" && return; }
		nap
	done
}
