# The docker engine: the user's when one answers, else our own, in a network namespace of its own so that it changes
# neither the machine's firewall nor its routes. The one place that decides which.

ENGINE_OWNER=""

engine_is_ours() {
    if [ -z "$ENGINE_OWNER" ]; then
        ENGINE_OWNER=us
        [ -S "$ENGINE_SOCKET" ] || ! engine_answers || ENGINE_OWNER=user
    fi
    [ "$ENGINE_OWNER" = us ]
}

engine_answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

use_our_engine() {
    export DOCKER_HOST=unix://$ENGINE_SOCKET
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
    export PATH=$ENGINE_PROGRAMS/usr/sbin:$ENGINE_PROGRAMS/usr/bin:$ENGINE_PROGRAMS/bin:$PATH
}

# Everything that talks to the API server or to a node runs through this: they listen in our namespace only.
# Not `ip netns exec`, which mounts /sys anew and thereby hides the cgroups.
in_engine_network() {
    if engine_is_ours; then
        nsenter --net="/run/netns/$NETWORK_NAMESPACE" "$@"
    else
        "$@"
    fi
}

# Afterwards `docker` works. Takes the lock: two runs would start two engines.
prepare_engine() {
    take_lock
    engine_is_ours || return 0
    require_root
    install_host_programs
    use_our_engine
    start_engine
}

require_root() {
    [ "$(id -u)" = 0 ] || fail "no docker engine answers, and starting one here needs root: start docker, then try again"
}

start_engine() {
    engine_answers && return
    stop_engine
    mkdir -p "$ENGINE_DATA" "$ENGINE_STATE" "$LOGS"
    ip netns add "$NETWORK_NAMESPACE"
    ip -n "$NETWORK_NAMESPACE" link set lo up
    local options=(--data-root "$ENGINE_DATA" --exec-root "$ENGINE_STATE/exec" --pidfile "$ENGINE_STATE/dockerd.pid"
        --host "$DOCKER_HOST" --exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust 0)
    if ! have_sys_resource; then
        options+=(--add-runtime "without-sys-resource=$CLUSTER_SOURCE/runtime-without-sys-resource"
            --default-runtime without-sys-resource)
    fi
    # 9 is our lock, which a daemon must not keep.
    setsid nsenter --net="/run/netns/$NETWORK_NAMESPACE" dockerd "${options[@]}" > "$LOGS/dockerd.log" 2>&1 < /dev/null 9>&- &
    wait_for 60 engine_answers || {
        tail -n 20 "$LOGS/dockerd.log" >&2
        fail "our docker engine does not answer; all of its output is in $LOGS/dockerd.log"
    }
    progress "started docker engine $(docker version --format '{{.Server.Version}}')"
}

have_sys_resource() {
    local effective
    effective=$(awk '$1 == "CapEff:" {print $2}' /proc/self/status)
    (( (16#$effective >> 24) & 1 ))
}

# Leaves no process, mount or namespace, also when the engine was killed and could not end its containers itself.
stop_engine() {
    terminate "$ENGINE_STATE/dockerd.pid" dockerd
    terminate "$ENGINE_STATE/exec/containerd/containerd.pid" containerd
    end_left_containers
    unmount_in "$ENGINE_STATE"
    unmount_in "$ENGINE_DATA"
    rm -rf "$ENGINE_STATE"
    if [ -e "/run/netns/$NETWORK_NAMESPACE" ]; then
        report_left_processes
        ip netns delete "$NETWORK_NAMESPACE"
    fi
    remove_what_the_kernel_keeps
}

# Neither costs anything, but a `down` should leave a machine as it was. Both calls do nothing where someone still uses it.
remove_what_the_kernel_keeps() {
    find /sys/fs/cgroup -depth -type d -path '*/docker*' -exec rmdir {} \; 2>/dev/null || true
    if mountpoint --quiet /run/netns && [ -z "$(ls -A /run/netns)" ]; then umount /run/netns; fi
}

# terminate PIDFILE PROGRAM: a file from before a crash may name another program's process by now.
terminate() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    names_program() { [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]; }
    is_gone() { ! [ -e "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; }
    names_program "$pid" "$2" || return 0
    kill "$pid"
    wait_for 40 is_gone || kill -KILL "$pid"
}

end_left_containers() {
    local container pid
    for container in "$ENGINE_DATA"/containers/*/; do
        container=$(basename "$container")
        [ "$container" != '*' ] || continue
        { grep -ls "/docker/$container" /proc/[0-9]*/cgroup || true; } | cut -d/ -f3 | while read -r pid; do
            kill -KILL "$pid" 2>/dev/null || true
        done
        pid=$(pgrep -f "containerd-shim.* -id $container " || true)
        [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    done
}

unmount_in() {
    local mount_point
    awk -v folder="$1/" 'index($5 "/", folder) == 1 {print $5}' /proc/self/mountinfo | sort -r |
        while read -r mount_point; do umount --lazy "$mount_point"; done
}

report_left_processes() {
    local left
    left=$(ip netns pids "$NETWORK_NAMESPACE" | grep -vx "$$" | tr '\n' ' ' || true)
    [ -z "$left" ] || progress "still running in the cluster's network, started with run or shell: $left"
}
