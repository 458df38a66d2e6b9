# The image of a kind node, made where no registry can be asked for one: a small Debian with systemd, the files that
# kind's own module carries for it, the Kubernetes programs, and the component images preloaded in its containerd.
# It lives in our engine only, under a name that changes with what it is made from.

node_image() {
    local ingredients
    ingredients=$(
        {
            echo "$KIND_VERSION $CONTAINERD_VERSION $CRICTL_VERSION $COREDNS_VERSION $ETCD_VERSION $NODE_DEBIAN_RELEASE"
            cat "$CLUSTER_SOURCE"/{node-image.sh,kind-network.sh,default-cni.yaml,default-storage.yaml,pause.c}
        } | sha256sum | cut -c1-10
    )
    echo "sidecarpolicy/node:v$KUBERNETES_VERSION-$ingredients"
}

have_node_image() { docker image inspect "$(node_image)" >/dev/null 2>&1; }

# Needs no engine and no Go program, so that it can go on while those are being built.
build_node_tree() {
    local tree=$BUILD/node-tree sources=() file
    remove_tree "$tree"
    # The machine's own package sources, wherever they point, as far as they are Debian's.
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian*; do
        [ ! -s "$file" ] || sources+=("$file")
    done
    local packages=systemd,systemd-sysv,conntrack,iptables,nftables,iproute2,ethtool,util-linux,mount,kmod,libseccomp2
    packages+=,runc,containernetworking-plugins,e2fsprogs,bash,ca-certificates,curl,jq,procps
    run_logged node-tree mmdebstrap --mode=root --variant=apt --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$NODE_DEBIAN_RELEASE" "$tree" "${sources[@]}"
    progress "built the node's Debian tree"
}

build_node_image() {
    make_component_images
    add_node_files
    preload_component_images
    # shellcheck disable=SC2046  # one image a word
    docker rmi $(cat "$BUILD/component-images") >/dev/null
    # `docker import` can set everything but the stop signal, without which systemd does not shut down.
    tar -C "$BUILD/node-tree" --numeric-owner --xattrs -c . | docker import - "$(node_image)-tree" >/dev/null
    printf 'FROM %s\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\nENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]\n' \
        "$(node_image)-tree" | docker build --quiet --tag "$(node_image)" - >/dev/null
    docker rmi "$(node_image)-tree" >/dev/null
    remove_older_node_images
    remove_tree "$BUILD/node-tree"
    rm -rf "$BUILD/component" "$BUILD/component-images" "$BUILD/component-images.tar"
    progress "built node image $(node_image)"
}

# ---- component images: one program in an otherwise empty tree, under the names that kubeadm asks for

make_component_images() {
    : > "$BUILD/component-images"
    local version=v$KUBERNETES_VERSION program image
    gcc -Os -static -s -o "$BUILD/pause" "$CLUSTER_SOURCE/pause.c"
    for program in kube-apiserver kube-controller-manager kube-scheduler; do
        import_program "registry.k8s.io/$program:$version" "" /usr/local/bin "$KUBERNETES_FOLDER/$program"
    done
    # kubeadm asks for another pause than kind's containerd, which has this name in its configuration.
    import_program registry.k8s.io/pause:3.10 /pause / "$BUILD/pause"
    for image in $("$KUBERNETES_FOLDER/kubeadm" config images list --kubernetes-version "$version"); do
        case $image in
            */pause:3.10)  ;;
            */pause:*)     import_program "$image" /pause / "$BUILD/pause" ;;
            */coredns*:*)  import_program "$image" /coredns / "$COREDNS_FOLDER/coredns" ;;
            */etcd:*)      import_program "$image" "" /usr/local/bin "$ETCD_FOLDER/etcd" "$ETCD_FOLDER/etcdctl" ;;
            */kube-proxy:*) import_kube_proxy "$image" ;;
        esac
    done
    import_kind_network
    # shellcheck disable=SC2046  # one image a word
    docker save $(cat "$BUILD/component-images") -o "$BUILD/component-images.tar"
    rm -f "$BUILD/pause"
}

# import_program IMAGE ENTRYPOINT FOLDER FILE...
import_program() {
    local image=$1 entrypoint=$2 folder=$3; shift 3
    new_component_tree
    mkdir -p "$BUILD/component/$folder"
    cp "$@" "$BUILD/component/$folder/"
    import_component "$image" "$entrypoint"
}

# kube-proxy calls iptables, nft and conntrack, which come with their libraries out of the node's tree.
import_kube_proxy() {
    local image=$1 tree=$BUILD/node-tree target=$BUILD/component name
    new_component_tree
    mkdir -p "$target"/usr/{bin,sbin,lib,lib64,local/bin} "$target/run"
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$target/$name"; done
    cp "$KUBERNETES_FOLDER/kube-proxy" "$target/usr/local/bin/"
    (
        cd "$tree" || exit
        programs="usr/sbin/xtables-nft-multi usr/sbin/nft usr/sbin/conntrack usr/bin/kmod $(echo usr/lib/*-linux-gnu/xtables/*.so)"
        for name in $programs; do echo "$name"; done
        # shellcheck disable=SC2046,SC2086
        chroot . ldd $(printf '/%s ' $programs) 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | sed 's/:$//; s#^/lib#usr/lib#; s#^/##'
    ) | sort -u > "$BUILD/kube-proxy-files"
    tar -C "$tree" -ch -T "$BUILD/kube-proxy-files" | tar -C "$target" -x
    rm "$BUILD/kube-proxy-files"
    for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        ln -s xtables-nft-multi "$target/usr/sbin/$name"
    done
    ln -s ../bin/kmod "$target/usr/sbin/modprobe"
    import_component "$image" ""
}

import_kind_network() {
    local applet
    new_component_tree
    mkdir -p "$BUILD/component"/{bin,usr/bin,etc/cni/net.d}
    cp "$ENGINE_PROGRAMS/bin/busybox" "$BUILD/component/bin/"
    for applet in sh cat mv sleep grep ip; do ln -s busybox "$BUILD/component/bin/$applet"; done
    cp "$CLUSTER_SOURCE/kind-network.sh" "$BUILD/component/"
    touch "$BUILD/component/usr/bin/kubectl"   # where the node's own is mounted
    import_component docker.io/sidecarpolicy/kind-network:node ""
}

new_component_tree() {
    rm -rf "$BUILD/component"
    mkdir -p "$BUILD/component"/{tmp,etc}
    chmod 1777 "$BUILD/component/tmp"
    echo 'root:x:0:0:root:/root:/sbin/nologin' > "$BUILD/component/etc/passwd"
    echo 'root:x:0:' > "$BUILD/component/etc/group"
}

import_component() {
    local image=$1 entrypoint=$2
    local changes=(--change 'ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin')
    [ -z "$entrypoint" ] || changes+=(--change "ENTRYPOINT [\"$entrypoint\"]")
    tar -C "$BUILD/component" --numeric-owner --owner=0 --group=0 -c . | docker import "${changes[@]}" - "$image" >/dev/null
    echo "$image" >> "$BUILD/component-images"
}

# ---- the node itself; follows images/base/Dockerfile in kind's source

add_node_files() {
    local node=$BUILD/node-tree kind_files file
    kind_files=$(go mod download -json "sigs.k8s.io/kind@v$KIND_VERSION" | jq -r .Dir)/images/base/files
    mkdir -p "$node"/kind/{bin,manifests} "$node/opt/cni/bin" "$node/etc/kubernetes/manifests" "$node/etc/cni/net.d"
    install -m755 "$kind_files/usr/local/bin/entrypoint" "$node/usr/local/bin/"
    install -m755 "$kind_files"/kind/bin/* "$node/kind/bin/"
    (cd "$kind_files/etc" && find . -type f) | while read -r file; do
        install -D -m644 "$kind_files/etc/$file" "$node/etc/$file"
    done
    install -m755 "$KUBERNETES_FOLDER"/{kubelet,kubectl,kubeadm} "$node/usr/bin/"
    install -m755 "$CONTAINERD_FOLDER"/{containerd,containerd-shim-runc-v2,ctr} "$CRICTL_FOLDER/crictl" "$node/usr/local/bin/"
    cp "$node"/usr/lib/cni/{host-local,loopback,ptp,portmap,bridge} "$node/opt/cni/bin/"
    chroot "$node" /usr/local/bin/ctr oci spec | jq '
        .hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)
        ' > "$node/etc/containerd/cri-base.json"
    cp "$CLUSTER_SOURCE"/{default-cni.yaml,default-storage.yaml} "$node/kind/manifests/"
    printf 'v%s' "$KUBERNETES_VERSION" > "$node/kind/version"
    set_up_systemd "$node"
    spare_machine_settings "$node"
}

# Only what a node needs starts: nothing that touches devices, file systems or the machine's settings.
set_up_systemd() {
    local units=$1/lib/systemd/system
    rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service "$units"/multi-user.target.wants/* \
        "$units"/local-fs.target.wants/* "$units"/sockets.target.wants/{*udev*,*initctl*} "$units"/basic.target.wants/*
    rm -rf "$1"/etc/systemd/system/*.wants
    echo ReadKMsg=no >> "$1/etc/systemd/journald.conf"
    [ -e "$1/sbin/init" ] || ln -s /usr/lib/systemd/systemd "$1/sbin/init"
    run_logged node-image chroot "$1" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
    run_logged node-image chroot "$1" systemctl mask systemd-binfmt.service
}

# Without CAP_SYS_RESOURCE nothing may lower its oom score; on older kernels pid_max is a setting of the whole machine.
spare_machine_settings() {
    sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$1/etc/containerd/config.toml"
    sed -i '/^OOMScoreAdjust/d' "$1/etc/systemd/system/containerd.service"
    rm -f "$1/usr/lib/sysctl.d/50-pid-max.conf"
}

# A containerd for this moment only, which keeps its images where the node's will look for them.
preload_component_images() {
    local node=$BUILD/node-tree state=$BUILD/preload pid
    rm -rf "$state"
    mkdir -p "$state"
    cat > "$state/configuration.toml" <<TOML
version = 3
root = "$node/var/lib/containerd"
state = "$state/state"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
[grpc]
address = "$ENGINE_STATE/preload.sock"
TOML
    "$CONTAINERD_FOLDER/containerd" --config "$state/configuration.toml" > "$LOGS/preload.log" 2>&1 9>&- &
    pid=$!
    wait_for 20 preload_ctr version >/dev/null 2>&1 || fail "containerd does not start; its output is in $LOGS/preload.log"
    run_logged preload-import preload_ctr --namespace k8s.io images import --local --snapshotter overlayfs --discard-unpacked-layers \
        --label=io.cri-containerd.pinned=pinned --label io.cri-containerd.image=managed "$BUILD/component-images.tar"
    run_logged preload-import preload_ctr --namespace k8s.io content prune references
    kill "$pid"
    wait "$pid" || true
    rm -rf "$state" "$node"/var/lib/containerd/{tmpmounts,io.containerd.content.v1.content/ingest}
}

preload_ctr() { "$CONTAINERD_FOLDER/ctr" --address "$ENGINE_STATE/preload.sock" "$@"; }

remove_older_node_images() {
    local image current
    current=$(node_image)
    for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' sidecarpolicy/node); do
        case $image in
            "$current") ;;
            "${current%-*}"-*) docker rmi "$image" >/dev/null 2>&1 || true ;;   # refused while a cluster uses it
        esac
    done
}

# A build that was killed may have left something mounted in its tree.
remove_tree() {
    unmount_in "$1"
    rm -rf --one-file-system "$1"
}
