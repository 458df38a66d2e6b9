# Work side by side, and waiting for what others do.

BACKGROUND_JOBS=()

# Each in a process group of its own, so that an interrupted script takes its compilers along.
in_background() {
    set -m
    "$@" &
    set +m
    BACKGROUND_JOBS+=($!)
    trap end_background EXIT
}

wait_for_background() {
    local job
    for job in "${BACKGROUND_JOBS[@]}"; do wait "$job"; done
    BACKGROUND_JOBS=()
}

end_background() {
    local job
    for job in "${BACKGROUND_JOBS[@]}"; do kill -- "-$job" 2>/dev/null || true; done
}

# wait_for SECONDS COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1)); shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.3
    done
}

# Two runs would build the same things in the same place. Held until the script ends.
take_lock() {
    mkdir -p "$CACHE" "$TOOLS" "$BUILD" "$LOGS"
    exec 9> "$CACHE/lock"
    flock --nonblock 9 && return
    progress "waiting for another run that builds in $CACHE"
    flock 9
}
