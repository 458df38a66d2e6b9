# The kind cluster itself: whether it is well, making it, reviving it, and putting images on its nodes.

cluster_nodes() { docker ps --all --filter "label=io.x-k8s.kind.cluster=$CLUSTER_NAME" --format '{{.Names}}'; }

# The kubeconfig is put in place last, so one that exists means a cluster that was once complete.
cluster_is_complete() { [ -f "$CLUSTER_KUBECONFIG" ]; }

cluster_is_ready() {
    cluster_is_complete &&
        in_engine_network kubectl --kubeconfig "$CLUSTER_KUBECONFIG" --request-timeout=5s get --raw /readyz >/dev/null 2>&1 &&
        in_engine_network kubectl --kubeconfig "$CLUSTER_KUBECONFIG" wait nodes --all --for=condition=Ready --timeout=1s >/dev/null 2>&1
}

# After a restart of the engine the nodes are there but stopped, or still coming up.
revive_cluster() {
    # shellcheck disable=SC2046  # one node a word
    cluster_is_complete && docker start $(cluster_nodes) >/dev/null 2>&1 || return 1
    progress "waiting for the cluster to come back"
    wait_for 60 cluster_is_ready
}

create_cluster() {
    local configuration=$BUILD/kind.yaml kubeconfig=$CLUSTER_KUBECONFIG.partial image=$NODE_IMAGE
    if [ -z "$image" ] && engine_is_ours; then image=$(node_image); fi
    allow_file_watches
    kind_configuration "$image" > "$configuration"
    progress "creating kind cluster $CLUSTER_NAME with $((CLUSTER_WORKERS + 1)) node(s)"
    rm -f "$kubeconfig"
    run_logged kind in_engine_network kind create cluster --name "$CLUSTER_NAME" --config "$configuration" \
        --kubeconfig "$kubeconfig" --wait 180s
    # kind waits for the control plane only.
    run_logged kind in_engine_network kubectl --kubeconfig "$kubeconfig" wait nodes --all --for=condition=Ready --timeout=120s
    run_logged kind in_engine_network kubectl --kubeconfig "$kubeconfig" --namespace default \
        wait serviceaccount default --for=create --timeout=60s
    mv "$kubeconfig" "$CLUSTER_KUBECONFIG"
    rm "$configuration"
}

delete_cluster() {
    rm -f "$CLUSTER_KUBECONFIG" "$CLUSTER_KUBECONFIG.partial"
    [ -n "$(cluster_nodes)" ] || return 0
    run_logged kind kind delete cluster --name "$CLUSTER_NAME" --kubeconfig "$CLUSTER_KUBECONFIG.partial"
    rm -f "$CLUSTER_KUBECONFIG.partial" "$CLUSTER_KUBECONFIG.partial.lock"
    progress "deleted kind cluster $CLUSTER_NAME"
}

kind_configuration() {
    local image=$1 role=control-plane node
    printf 'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n'
    for ((node = 0; node <= CLUSTER_WORKERS; node++)); do
        printf -- '- role: %s\n' "$role"
        [ -z "$image" ] || printf '  image: "%s"\n' "$image"
        role=worker
    done
    # A kubelet of today refuses cgroup v1 unless told otherwise.
    if [ "$(docker info --format '{{.CgroupVersion}}')" = 1 ]; then
        printf 'kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  failCgroupV1: false\n'
    fi
}

# kube-proxy dies with "too many open files" when all nodes and the machine share too few of these.
allow_file_watches() {
    local setting=/proc/sys/fs/inotify/max_user_instances needed=$((64 + 30 + 15 * CLUSTER_WORKERS))
    [ -r "$setting" ] && [ "$(cat "$setting")" -lt 512 ] || return 0
    if { echo 512 > "$setting"; } 2>/dev/null; then
        progress "raised fs.inotify.max_user_instances to 512"
    elif [ "$(cat "$setting")" -lt "$needed" ]; then
        fail "fs.inotify.max_user_instances is $(cat "$setting"), this cluster needs $needed: sudo sysctl fs.inotify.max_user_instances=512"
    fi
}

# load_image IMAGE|ARCHIVE: not with `kind load`, which imports for all platforms and so fails for an image that
# the engine pulled for its own platform only.
load_image() {
    local source=$1 node loaded=0
    for node in $(cluster_nodes); do
        if [ -f "$source" ]; then
            import_image "$node" < "$source"
        elif node_has_image "$node" "$source"; then
            continue
        else
            docker save "$source" | import_image "$node"
        fi
        loaded=$((loaded + 1))
    done
    if [ "$loaded" -gt 0 ]; then
        progress "loaded $source"
    else
        progress "$source is on every node"
    fi
}

import_image() {
    run_logged load docker exec --interactive "$1" ctr --namespace k8s.io images import --snapshotter overlayfs -
}

# By content, not by name: a rebuilt image keeps its name.
node_has_image() {
    local wanted there
    wanted=$(docker image inspect --format '{{.Id}}' "$2") || fail "the engine has no image $2"
    there=$(docker exec "$1" crictl inspecti --output go-template --template '{{.status.id}}' "$2" 2>/dev/null) || return 1
    [ "$wanted" = "$there" ]
}
