# Completion of PROGRAM for bash: eval "$(PROGRAM completion bash)"
_PROGRAM_complete() {
    local line words current candidates code
    # bash takes a colon for the end of a word: these are the words as they were typed.
    line="${COMP_LINE:0:COMP_POINT}"
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    candidates=$(COMPLETION_STYLE=bash "${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    code=$?
    COMPREPLY=()
    if [[ $code -eq 10 ]]; then
        current="${words[${#words[@]}-1]}"
        local prefix=""
        case "$current" in
            @file://*) prefix="//" current="${current#@file://}" ;;
            @data://*) prefix="//" current="${current#@data://}" ;;
            @*) prefix="@" current="${current#@}" ;;
        esac
        while IFS= read -r candidate; do
            COMPREPLY+=("$prefix$candidate")
        done < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    elif [[ $code -eq 0 && -n $candidates ]]; then
        mapfile -t COMPREPLY <<< "$candidates"
        # More is to be typed behind the first part of a resource.
        if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == admin ]]; then
            COMPREPLY=("admin:")
            compopt -o nospace 2>/dev/null
        fi
    fi
    return 0
}
complete -F _PROGRAM_complete PROGRAM
