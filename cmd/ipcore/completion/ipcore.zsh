#compdef ipcore
# Completion of ipcore for zsh.
_ipcore() {
    local -a found valued
    found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    valued=("${(@M)found:#*=}")
    found=("${(@)found:#*=}")
    compadd -S '' -a valued
    compadd -a found || (( ${#valued} )) || _files
}
# As a file _ipcore in fpath this is the function itself, else it is sourced.
if [[ ${funcstack[1]} = _ipcore ]]; then _ipcore "$@"; else compdef _ipcore ipcore; fi
