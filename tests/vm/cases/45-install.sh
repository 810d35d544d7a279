# From nothing to ranked containers and back, as a newcomer does it: install; run one of each class,
# read back what the kernel holds of it, and measure the network; have the engine start anew beneath
# them; be refused while they run, end them, uninstall; then every file is byte for byte what it was.
# matrix: manager=docker,podman,containerd
# needs: packrank packrank-runtime packrank-hook iperf3
# timeout: 900

# What earlier cases put there.
systemctl stop packrank-watcher.service 2>/dev/null || true
rm -rf /usr/local/bin/*packrank* /run/packrank
name=$(_id web)
five=("${classes[@]/#/$name-}")

# Every file, link and folder that an installation could touch.
state() {
  find /etc/docker /etc/containerd /etc/containers /usr/local/bin /usr/share/containers \
    /var/lib/packrank /run/packrank -printf '%p %M %u %l ' -type f -exec sha256sum {} \; -o -print 2>/dev/null | sort || true
}
install() { packrank install --for "$MANAGER" "$@"; }
cri() { expect_is 'the CRI' "$(ctr plugins list | awk '/\.cri\.| cri / { print $NF }' | sort -u)" ok; }
case $MANAGER in
  docker)
    mkdir -p /etc/docker
    # As somebody may have written it: no newline at its end, and a runtime of his own.
    printf '{\n\t"log-level":   "warn", "live-restore": true,\n\t"runtimes": {"mine": {"path": "/usr/bin/crun"}}\n}' >/etc/docker/daemon.json
    at_exit eval 'rm -f /etc/docker/daemon.json; systemctl stop docker.socket docker'
    systemctl stop docker.socket docker 2>/dev/null || true
    docker_up
    flags=(--class-runtimes --restart)
    run() { docker run -d --name "$name-$1" --restart always "${@:2}" "$image" >/dev/null; }
    ranked_as() { docker_class "$1" && run "$1" "${how[@]}"; }
    list() { docker inspect -f '{{.Name}} {{.State.Pid}} {{.Id}}' "$@"; }
    away() { docker rm -f "${five[@]}" "$name-low-2"; }
    anew() { systemctl restart docker; }
    ;;
  podman)
    podman_up
    flags=()
    ENGINE=crun own_pids=2048
    # Nothing but the annotation: the hooks do it.
    run() { podman "${@:2}" run -d --name "$name-$1" --annotation "packrank.io/priority=${1%-*}" "$image" >/dev/null; }
    ranked_as() { run "$1"; }
    list() { podman inspect -f '{{.Name}} {{.State.Pid}} {{.Id}}' "$@"; }
    away() { podman rm -f -t 0 "${five[@]}" "$name-low-2"; }
    # It has no daemon: two are stopped and started.
    anew() { podman restart -t 0 "$name-critical" "$name-low" >/dev/null; }
    ;;
  containerd)
    own_files=1024
    cp /etc/containerd/config.toml "$WORK/config.toml"
    at_exit eval "cp '$WORK/config.toml' /etc/containerd/config.toml; systemctl stop docker.socket docker containerd"
    printf '# mine, without a newline at its end' >>/etc/containerd/config.toml
    # Where ctr looks for the network's programs.
    mkdir -p /opt/cni
    ln -sfn /usr/lib/cni /opt/cni/bin
    at_exit ip link del cni0
    containerd_up
    flags=(--restart)
    ranked_as() { ctr run -d --cni --runc-binary /usr/local/bin/packrank-runtime --annotation "packrank.io/priority=$1" "$image" "$name-$1" sleep 1000; }
    list() { ctr tasks list | awk 'NR > 1 { print $1, $2, $1 }'; }
    away() { ctr tasks rm -f "${five[@]}"; ctr containers rm "${five[@]}"; }
    anew() { systemctl restart containerd && wait_for 30 ctr version >/dev/null; }
    ;;
esac
# NAME… : their processes and ids, by what stands behind the case's name.
declare -A pid=() id=()
look() {
  local each its_pid its_id
  while read -r each its_pid its_id; do
    each=${each#*"$name-"}
    pid[$each]=$its_pid id[$each]=$its_id
  done < <(list "$@")
}
# The five have what the policy says.
all_ranked() { # when
  local each
  look "${five[@]}"
  for each in "${classes[@]}"; do
    note "== $each, $1"
    container_of "${pid[$each]}"
    expect_class "$each"
    expect_rates "$each" "${id[$each]}"
  done
}
state >"$WORK/before"

# A try that fails leaves the next one a machine that knows nothing of packrank.
at_exit eval 'packrank uninstall --restart >/dev/null 2>&1 || true'
install "${flags[@]}" --dry-run
state | cmp - "$WORK/before" || fail 'a dry run changed something'
install "${flags[@]}"
state >"$WORK/installed"
install "${flags[@]}" | grep 'nothing to change' || fail 'a second run would change something'
state | cmp - "$WORK/installed" || fail 'a second run changed something'
if [[ $MANAGER == containerd ]]; then
  cri
  expect_is 'the handler' "$(containerd config dump | grep -c 'runtimes.packrank\]')" 1
  expect_is 'the built-in handler' "$(containerd config dump | grep -c 'runtimes.runc\]')" 1
fi

at_exit away
for each in "${classes[@]}"; do ranked_as "$each"; done
all_ranked 'started'
container_of "${pid[low]}"
expect_low_network
case $MANAGER in
  docker) run low-2 --runtime packrank-low ;;    # the class by the runtime's name alone
  podman) run low-2 --runtime packrank ;;        # by the runtime, not by the hooks
esac
if [[ $MANAGER != containerd ]]; then
  look "$name-low-2"
  expect_low "${pid[low-2]}"
  unset 'pid[low-2]'
fi

before=${pid[*]}
anew
all_ranked 'the engine started anew'
[[ $MANAGER == podman ]] || expect_is 'processes' "${pid[*]}" "$before"
if [[ $MANAGER == docker ]]; then
  # Started again by Docker itself.
  kill -KILL "${pid[low]}"
  again() { look "$name-low" && [[ ${pid[low]} != 0 && " $before " != *" ${pid[low]} "* ]]; }
  wait_for 30 again || fail 'docker did not start it again'
  container_of "${pid[low]}"
  expect_class low
  expect_rates low "${id[low]}"
fi

refused 'end' packrank uninstall --restart
away >/dev/null
packrank uninstall --restart
state >"$WORK/after"
diff "$WORK/before" "$WORK/after" || fail 'something is not as it was'
expect_is 'what is left of ours' "$(ours)" ''
[[ $MANAGER != docker ]] || expect_is 'a runtime of ours' "$(docker info --format '{{index .Runtimes "packrank"}}' | grep -c packrank || true)" 0
[[ $MANAGER != containerd ]] || cri
