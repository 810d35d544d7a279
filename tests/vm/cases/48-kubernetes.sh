# The Kubernetes example on a node without a cluster: kustomize makes one file of it, the installer's
# own script runs as its DaemonSet would run it, and "Out again" leaves what was there.
# needs: kustomize podman containerd packrank packrank-runtime packrank-hook
# timeout: 400

example=$LAB/examples/kubernetes
# What earlier cases put there.
systemctl stop packrank-watcher.service 2>/dev/null || true
rm -rf /usr/local/bin/*packrank* /run/packrank /etc/packrank /opt/packrank
containerd_up
podman_up
state() {
  find /etc/containerd /etc/packrank /opt /usr/local/bin /var/lib/packrank \
    -printf '%p %M %u %l ' -type f -exec sha256sum {} \; -o -print 2>/dev/null | sort || true
}
state >before

kinds() { grep -rh '^kind:' "$@" | sort | uniq -c | awk '{ print $3 "=" $1 }' | xargs; }
kustomize build "$example" >all.yaml
kinds "$example"/node "$example"/team | sed 's/Kustomization=[0-9]* //; s/^/ConfigMap=1 /' | tr ' ' '\n' | sort | xargs >wanted
expect_is 'what kustomize makes' "$(kinds all.yaml | tr ' ' '\n' | sort | xargs)" "$(cat wanted)"
# The policy's name has a hash of its text, so that another text is another rollout.
policy=$(grep -o 'packrank-policy-[a-z0-9]*' all.yaml | sort | uniq -c | awk '{ print $1, $2 }')
[[ $policy == "2 packrank-policy-"* ]] || fail "the DaemonSet does not mount the ConfigMap: $policy"
expect_is 'what is the team'"'"'s' "$(grep -c '^  namespace: shop' all.yaml)" 9
kustomize build "$example/metrics" | grep -c '^kind: DaemonSet' | grep -qx 1 || fail 'no DaemonSet of metrics'

# The container of the DaemonSet, of its image: the Dockerfile's programs on this guest's Debian.
script=$(awk '/^ *- \|$/ { inside = 1; next } inside && match($0, /^ */) {
  if (!indent) indent = RLENGTH
  if (RLENGTH < indent) exit
  print substr($0, indent + 1) }' all.yaml)
note "$script"
mkdir programs policy
read -r _ globs < <(grep '^COPY' "$example/node/Dockerfile")
# shellcheck disable=SC2086 # patterns they are
(cd "$LAB/bin" && cp ${globs% *} "$WORK/programs/")
cp "$example/node/50-kubernetes.toml" policy/
installer() {
  podman run -d --name installer --privileged --pid host --network none -v /:/host \
    -v /usr:/usr:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro \
    -v "$WORK/programs:/opt/packrank:ro" -v "$WORK/policy:/policy:ro" \
    "$image" /usr/bin/sh -euc "$script" >/dev/null
  wait_for 120 said_so || { podman logs installer; fail 'the installer does not come to its end'; }
  podman logs installer
}
said_so() { podman logs installer 2>&1 | grep -q 'packrank is installed for containerd'; }
at_exit podman rm -f -t 0 installer
at_exit eval '[[ ! -x /opt/packrank/packrank ]] || /opt/packrank/packrank uninstall --restart'
installer
expect_is 'the installer' "$(podman inspect -f '{{.State.Status}}' installer)" running
expect_is 'the CRI' "$(ctr plugins list | awk '/\.cri\.| cri / { print $NF }' | sort -u)" ok
expect_is 'the handlers' "$(containerd config dump | grep -o 'runtimes\.packrank[a-z-]*\]' | sort -u | xargs)" \
  'runtimes.packrank-critical] runtimes.packrank-high] runtimes.packrank-low] runtimes.packrank-normal] runtimes.packrank-scavenger] runtimes.packrank]'

# What the node's policy says of the team, and of nobody else.
explain() {
  local namespace=$1
  shift
  jq --arg namespace "$namespace" '.annotations += {"io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.sandbox-id": "pod",
    "io.kubernetes.cri.sandbox-namespace": $namespace, "packrank.io/priority": "high"}' "$LAB/config.json" >pod.json
  /opt/packrank/packrank explain "$@" pod.json
}
explain shop -a web.packrank.io/memory.limit=8Gi | grep -q '8 GiB' || fail 'the ceiling of class high does not hold'
refused 'packrank.io/memory.limit' explain shop -a packrank.io/memory.limit=9Gi
refused 'packrank.io/memory.limit' explain shop -a packrank.io/memory.limit=64Mi
refused 'critical' explain shop -a packrank.io/priority=critical

podman stop -t 20 installer >/dev/null
expect_is 'its end' "$(podman inspect -f '{{.State.ExitCode}}' installer)" 0
podman rm installer >/dev/null
# As after a reboot of the node.
installer | grep 'nothing to change' || fail 'a second run would change something'
podman rm -f -t 0 installer >/dev/null

mapfile -t out < <(awk '/^Out again/ { inside = 1 } inside && /^# / { print substr($0, 3) }' "$example/README.md")
((${#out[@]} == 3)) || fail "the README has ${#out[@]} commands for the way out"
for command in "${out[@]}"; do
  note "# $command"
  eval "$command" || fail "$command"
done
state >after
diff before after || fail 'something is not as it was'
