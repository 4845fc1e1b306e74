# pass SIGNAL INDEX PID BIRTH
pass() {
	runs "$3" "$4" || return
	followers "$3"
	[ -n "$m" ] || return
	if kill -s "$1" $m 2>/dev/null || kill "-$1" $m 2>/dev/null; then say "reached $2"; fi
}
