# How these scripts speak: progress with elapsed seconds on standard error, so that standard output stays for results,
# and one log file for each noisy step.

progress() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# No script ends without a word: what `set -e` stops at is named.
set -o errtrace
trap 'report_stop "$LINENO" "$BASH_COMMAND"' ERR

report_stop() { printf 'error: %s, line %s: %s\n' "${BASH_SOURCE[1]##*/}" "$1" "$(head -n 1 <<< "$2")" >&2; }

# run_logged LOG COMMAND...
run_logged() {
    local log=$LOGS/$1.log; shift
    mkdir -p "$LOGS"
    printf '+ %s\n' "$*" >> "$log"
    "$@" >> "$log" 2>&1 || {
        tail -n 20 "$log" >&2
        printf 'error: %s failed; all of its output is in %s\n' "$1" "$log" >&2
        return 1
    }
}
