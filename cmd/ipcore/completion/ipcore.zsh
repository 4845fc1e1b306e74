# Completion of ipcore for zsh.
_ipcore() {
    local -a found valued
    found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    valued=("${(@M)found:#*=}")
    found=("${(@)found:#*=}")
    compadd -S '' -a valued
    compadd -a found || (( ${#valued} )) || _files
}
compdef _ipcore ipcore
