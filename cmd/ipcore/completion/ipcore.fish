# Completion of ipcore for fish.
function __ipcore_complete
    set -l line (commandline -opc) (commandline -ct)
    $line[1] __complete $line[2..-1] 2>/dev/null
end
complete -c ipcore -a '(__ipcore_complete)'
