# pass SIGNAL INDEX PID BIRTH: one by one, since a process that ends meanwhile must
# not hide that the others were reached.
pass() {
	runs "$3" "$4" || return
	followers "$3"
	reached=
	for p in $m; do
		if kill -s "$1" "$p" 2>/dev/null || kill "-$1" "$p" 2>/dev/null; then reached=y; fi
	done
	[ -z "$reached" ] || say "reached $2"
}
