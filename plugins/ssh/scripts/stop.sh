# stop GRACE PID...: asks the sessions of these leaders to end, and kills what is
# left after tenths of a second.
stop() {
	grace=$1
	shift
	followers "$@"
	[ -z "$m" ] || kill -s TERM $m 2>/dev/null
	[ -z "$m" ] || kill -s CONT $m 2>/dev/null
	n=0
	while
		members "$@"
		[ -n "$m" ] && [ $n -lt "$grace" ]
	do nap; done
	n=0
	while [ -n "$m" ] && [ $n -lt 50 ]; do
		followers "$@"
		if [ -z "$m" ] && [ $n -gt 3 ]; then members "$@"; fi # a leader that stays
		[ -z "$m" ] || kill -s KILL $m 2>/dev/null
		nap
		members "$@"
	done
	[ -z "$m" ] || say "left $m"
}
