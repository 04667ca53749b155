# Completion of PROGRAM for fish: PROGRAM completion fish | source
function __PROGRAM_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l answer (COMPLETION_STYLE=fish $typed[1] __complete -- $typed[2..-1] 2>/dev/null)
    set -l code $status
    if test $code -eq 10
        set -l current (commandline -ct)
        set -l prefix (string match -r '^@(?:file://|data://)?' -- $current)
        __fish_complete_path (string replace -r '^@(?:file://|data://)?' '' -- $current) | string replace -r '^' "$prefix"
    else if test $code -eq 0
        printf '%s\n' $answer
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
