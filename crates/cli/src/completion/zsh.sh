#compdef PROGRAM
# Completion of PROGRAM for zsh: source <(PROGRAM completion zsh)
_PROGRAM() {
    local -a candidates
    local answer code
    answer=$(COMPLETION_STYLE=zsh "${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    code=$?
    case $code in
        10)
            compset -P '@(file://|data://|)'
            _files ;;
        0)
            candidates=("${(@f)answer}")
            _describe 'PROGRAM' candidates ;;
    esac
}
compdef _PROGRAM PROGRAM
