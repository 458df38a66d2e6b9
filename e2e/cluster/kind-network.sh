#!/bin/sh
# Runs on each node in place of kind's own network agent, which exists as an image only: gives the node's pods their
# address range and keeps a route to every other node's. No network policies.

LIST='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
CONFIGURATION=/etc/cni/net.d/10-kind-network.conflist

write_configuration() {
  cat > "$CONFIGURATION.partial" <<JSON
{"cniVersion": "0.4.0", "name": "kind-network", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
    "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "$1"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  mv "$CONFIGURATION.partial" "$CONFIGURATION"
  echo "this node's pods: $1"
}

while :; do
  kubectl get nodes -o jsonpath="$LIST" > /tmp/nodes || { sleep 2; continue; }
  while read -r name range address _; do
    if [ -z "$range" ] || [ -z "$address" ]; then continue; fi
    if [ "$name" = "$NODE" ]; then
      grep -qsF "\"$range\"" "$CONFIGURATION" || write_configuration "$range"
    elif ! ip route show "$range" | grep -q "via $address"; then
      ip route replace "$range" via "$address" && echo "pods on $name: $range via $address"
    fi
  done < /tmp/nodes
  sleep 5
done
