# Go programs from the Go module proxy: kind, kubectl and helm for everybody, promtool for the tests of the alerts, and what
# a Kubernetes node is made of where no image of one can be had. Each lands in a folder of its own, named by its version,
# and is built once.

# What is missing of the programs that a person or a test calls.
build_client_tools() {
    command -v kind    >/dev/null || build_kind
    command -v helm    >/dev/null || build_helm
    command -v kubectl >/dev/null || build_kubernetes "$KUBECTL_FOLDER" kubectl
}

build_node_tools() {
    # Two builds at a time: while one links, which takes one core only, the other compiles.
    in_background build_kubernetes "$KUBERNETES_FOLDER" \
        kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl kubeadm
    build_kind
    build_helm
    build_programs "$CRICTL_FOLDER" "$CRICTL_VERSION" "-X sigs.k8s.io/cri-tools/pkg/version.Version=v$CRICTL_VERSION" \
        crictl=sigs.k8s.io/cri-tools/cmd/crictl
    local containerd=github.com/containerd/containerd/v2
    build_programs "$CONTAINERD_FOLDER" "$CONTAINERD_VERSION" "-X $containerd/version.Version=v$CONTAINERD_VERSION" \
        containerd=$containerd/cmd/containerd ctr=$containerd/cmd/ctr \
        containerd-shim-runc-v2=$containerd/cmd/containerd-shim-runc-v2
    build_programs "$ETCD_FOLDER" "$ETCD_VERSION" "" etcd=go.etcd.io/etcd/server/v3 etcdctl=go.etcd.io/etcd/etcdctl/v3
    build_programs "$COREDNS_FOLDER" "$COREDNS_VERSION" "" coredns=github.com/coredns/coredns
    wait_for_background
}

build_kind() { build_programs "$KIND_FOLDER" "$KIND_VERSION" "" kind=sigs.k8s.io/kind; }

build_helm() {
    build_programs "$HELM_FOLDER" "$HELM_VERSION" "-X helm.sh/helm/v4/internal/version.version=v$HELM_VERSION" \
        helm=helm.sh/helm/v4/cmd/helm
}

# Without the many ways in which Prometheus finds what it scrapes, which would be most of the build.
build_promtool() {
    TAGS=remove_all_sd build_programs "$PROMTOOL_FOLDER" "$PROMTOOL_VERSION" \
        "-X github.com/prometheus/common/version.Version=$PROMTOOL_VERSION" promtool=github.com/prometheus/prometheus/cmd/promtool
}

# build_programs FOLDER VERSION LINKER-FLAGS PROGRAM=PACKAGE...; TAGS holds build tags, if there are any.
build_programs() {
    local folder=$1 version=v$2 linker_flags=$3; shift 3
    [ ! -d "$folder" ] || return 0
    begin_program_folder "$folder"
    (
        enter_new_module "$folder"
        local program
        for program in "$@"; do
            run_logged "$LOG" go get -tool "${program#*=}@$version"
        done
        for program in "$@"; do
            run_logged "$LOG" go build -trimpath -tags "${TAGS:-}" -ldflags "-s -w $linker_flags" -o "$folder.partial/${program%%=*}" "${program#*=}"
        done
    )
    finish_program_folder "$folder"
}

# build_kubernetes FOLDER PROGRAM...
# Kubernetes' own go.mod points its staging modules at ./staging, which a published module does not carry: they are
# mapped to the same modules as published, v0.MINOR.PATCH.
build_kubernetes() {
    local folder=$1 version=v$KUBERNETES_VERSION; shift
    [ ! -d "$folder" ] || return 0
    begin_program_folder "$folder"
    (
        enter_new_module "$folder"
        local own_go_mod module program component_version=k8s.io/component-base/version
        own_go_mod=$(go list -m -f '{{.GoMod}}' "k8s.io/kubernetes@$version") ||
            fail "the Go module proxy does not have Kubernetes $version"
        run_logged "$LOG" go mod edit -go="$(awk '$1 == "go" {print $2}' "$own_go_mod")" -require="k8s.io/kubernetes@$version"
        for module in $(awk '$2 == "=>" && $3 ~ /staging/ {print $1}' "$own_go_mod"); do
            run_logged "$LOG" go mod edit -replace="$module=$module@v0.${KUBERNETES_VERSION#1.}"
        done
        for program in "$@"; do
            run_logged "$LOG" go mod edit -tool="k8s.io/kubernetes/cmd/$program"
        done
        run_logged "$LOG" go mod tidy
        run_logged "$LOG" go build -trimpath -o "$folder.partial/" -ldflags "-s -w \
            -X $component_version.gitVersion=$version -X $component_version.gitTreeState=clean \
            -X $component_version.gitMajor=1 -X $component_version.gitMinor=$(cut -d. -f2 <<< "$KUBERNETES_VERSION") \
            -X k8s.io/client-go/pkg/version.gitVersion=$version" tool
    )
    finish_program_folder "$folder"
}

begin_program_folder() {
    command -v go >/dev/null || fail "Go is needed to build $(basename "$1"): install it and put it in PATH"
    rm -rf "$1.partial"
    mkdir -p "$1.partial"
}

# A module of the program's own, and static programs whatever the user's Go settings are.
enter_new_module() {
    export GOWORK=off GOFLAGS=-buildvcs=false CGO_ENABLED=0
    LOG=go-$(basename "$1")
    local module=$BUILD/$LOG
    rm -rf "$module"
    mkdir -p "$module"
    cd "$module" || exit
    run_logged "$LOG" go mod init build.local/program
}

finish_program_folder() {
    mv "$1.partial" "$1"
    rm -rf "$BUILD/go-$(basename "$1")"
    progress "built $(basename "$1")"
}
