# Versions, names and places of the end-to-end cluster, all in one file. Sourced by every other script;
# a value that a user may override is written as ${NAME:-default}.
# shellcheck disable=SC2034  # used by the files that source this one

KUBERNETES_VERSION=${KUBERNETES_VERSION:-1.36.3}   # of our own node image; another engine's nodes are NODE_IMAGE
NODE_IMAGE=${NODE_IMAGE:-}                         # empty: kind's default image, or our own where there is no engine
CLUSTER_WORKERS=${CLUSTER_WORKERS:-0}              # nodes besides the control plane

KIND_VERSION=0.33.0
HELM_VERSION=4.3.1
CONTAINERD_VERSION=2.4.2
CRICTL_VERSION=1.36.0
COREDNS_VERSION=1.14.2
ETCD_VERSION=3.6.8
PROMTOOL_VERSION=0.315.0       # as a Go module; of Prometheus 3.15.0
NODE_DEBIAN_RELEASE=bookworm   # its systemd 252 is the last that starts on cgroup v1 without being forced

CLUSTER_NAME=sidecar-policy
NETWORK_NAMESPACE=sidecar-policy
CLUSTER_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Kept between runs, outside the checkout.
CACHE=${SIDECAR_POLICY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sidecar-policy}
TOOLS=$CACHE/tools             # one folder per program and version
BUILD=$CACHE/build             # what is being built; empty when nothing is
LOGS=$CACHE/logs
ENGINE_DATA=$CACHE/engine      # images of our own engine, so that they survive its restart
CLUSTER_KUBECONFIG=$CACHE/kubeconfig

# Gone after a reboot, as the processes are. Short, because a socket's path may have 107 characters only.
ENGINE_STATE=/run/sidecar-policy
ENGINE_SOCKET=$ENGINE_STATE/docker.sock

KIND_FOLDER=$TOOLS/kind-$KIND_VERSION
HELM_FOLDER=$TOOLS/helm-$HELM_VERSION
KUBECTL_FOLDER=$TOOLS/kubectl-$KUBERNETES_VERSION         # kubectl alone, where nodes come as an image
KUBERNETES_FOLDER=$TOOLS/kubernetes-$KUBERNETES_VERSION
CONTAINERD_FOLDER=$TOOLS/containerd-$CONTAINERD_VERSION
CRICTL_FOLDER=$TOOLS/crictl-$CRICTL_VERSION
COREDNS_FOLDER=$TOOLS/coredns-$COREDNS_VERSION
ETCD_FOLDER=$TOOLS/etcd-$ETCD_VERSION
PROMTOOL_FOLDER=$TOOLS/promtool-$PROMTOOL_VERSION
ENGINE_PROGRAMS=$TOOLS/docker-$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-debian}" || echo none)
