# look INDEX PID BIRTH LOG
look() {
	if runs "$2" "$3"; then
		say "runs $1"
		return
	fi
	code=
	{ read -r code <"$4.exit"; } 2>/dev/null
	say "ended $1 ${code:--}"
	tail_of "$4"
}
where
